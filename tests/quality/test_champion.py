"""No worse than what is live: what the comparison says, and of which rows."""

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Look
from mainstay.quality.champion import Contest, Unasked, champion_check
from mainstay.usecase_gates import Gate
from mainstay.verdicts import Outcome

GATE = Gate(at_most=0.01, rows=50)
RANDOM = np.random.default_rng(5)
TRUTH = 1 / (1 + np.exp(-RANDOM.normal(-1.2, 1.8, 4000)))
LABELS = RANDOM.random(4000) < TRUTH


def contest(candidate: NDArray[np.float64], rows: int = 4000, seen: int = 0) -> Contest:
    return Contest("1.0.0", LABELS[:rows], TRUTH[:rows], candidate[:rows], seen)


def noised(spread: float) -> NDArray[np.float64]:
    pull = np.log(TRUTH / (1 - TRUTH)) + np.random.default_rng(6).normal(0, spread, 4000)
    return np.asarray(1 / (1 + np.exp(-pull)))


def test_the_same_model_is_no_worse_than_itself() -> None:
    made = champion_check(contest(TRUTH), GATE)
    assert made.outcome is Outcome.PASS
    assert made.subject == "1.0.0"
    assert made.blocking


def test_a_worse_candidate_fails() -> None:
    made = champion_check(contest(noised(2.0)), GATE)
    assert made.outcome is Outcome.FAIL
    assert "must be at most 0.01" in made.reason


def test_a_better_candidate_passes() -> None:
    made = champion_check(Contest("1.0.0", LABELS, noised(2.0), TRUTH), GATE)
    assert made.outcome is Outcome.PASS
    assert made.estimate is not None
    assert made.estimate.value < 0


def test_rows_that_the_champion_learnt_from_are_told() -> None:
    assert "7 rows that 1.0.0 was trained on do not count" in champion_check(contest(TRUTH, seen=7), GATE).reason


def test_too_few_rows_are_inconclusive_and_say_what_renews_them() -> None:
    made = champion_check(contest(TRUTH, rows=40, seen=900), GATE)
    assert made.outcome is Outcome.INCONCLUSIVE
    assert made.rows_needed == 50
    assert "renews the holdout" in made.reason
    nothing = champion_check(contest(TRUTH, rows=0, seen=900), GATE)
    assert nothing.outcome is Outcome.INCONCLUSIVE


def test_a_later_look_is_judged_at_a_wider_level() -> None:
    first, ninth = (
        champion_check(contest(noised(0.4), 600), GATE, Look("cd_1", "tiny", None, n, 0.03 / n**2)) for n in (1, 9)
    )
    assert first.estimate is not None
    assert ninth.estimate is not None
    assert ninth.estimate.high > first.estimate.high
    assert "(look 9)" in ninth.reason
    assert (
        "a new salt renews the holdout"
        in champion_check(contest(noised(0.6), 200), GATE, Look("cd_1", "tiny", None, 9, 0.0004)).reason
    )


def test_a_champion_that_cannot_be_asked_is_told_and_blocks_nothing() -> None:
    made = champion_check(Unasked("1.0.0", "its signature is wrong"), GATE)
    assert made.outcome is Outcome.INCONCLUSIVE
    assert not made.blocking
    assert "its signature is wrong" in made.reason
