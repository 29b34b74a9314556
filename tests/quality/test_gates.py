"""What lets a candidate through, and what stops it."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.measures.money import Offer
from mainstay.measures.rates import exact
from mainstay.measures.scores import scorecard
from mainstay.nouns import Candidate, Estimate, Holdout, Look, StoredFile
from mainstay.quality.gates import judge, look, looked_at
from mainstay.scoring.frame import Frame
from mainstay.usecase import Gate, Gates, Leakage, Profit, UseCase
from mainstay.verdicts import Check, Outcome, Verdict

ROWS = 1500
FEATURES = ("age", "spent", "plan")
HOLDOUT = Holdout("tiny", 0.2)
OFFER = Offer(5, 100, 0.3)


def rows_and_truth(seed: int = 3, n: int = ROWS) -> tuple[Frame, NDArray[np.float64]]:
    """A holdout, and the true probability of each of its rows: no model does better."""
    random = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-random.normal(-1.2, 1.8, n)))
    labels = random.random(n) < truth
    plan = np.where(random.random(n) < 0.5, "basic", "plus").astype(object)
    columns: dict[str, NDArray[Any]] = {"age": random.integers(18, 90, n).astype(float), "spent": truth, "plan": plan}
    none = np.zeros(n, dtype=np.bool_)
    return Frame(columns, labels, np.arange(n), ~none, {"plan": plan}), truth


FRAME, TRUTH = rows_and_truth()
EVIDENCE: Mapping[str, Estimate] = {
    "permuted_auc": Estimate(0.50, 0.47, 0.53, ROWS),
    "copied_rows": Estimate(0.01, 0.005, 0.02, ROWS),
    "parity": exact(2e-7, ROWS),
    "single_feature_auc:age": Estimate(0.61, 0.58, 0.64, 6000),
    "single_feature_auc:spent": Estimate(0.72, 0.70, 0.74, 6000),
    "single_feature_auc:plan": Estimate(0.51, 0.48, 0.54, 6000),
}
CANDIDATE = Candidate(
    id="cd_" + "a" * 64,
    use_case="tiny",
    run="run-1",
    dataset="ds_1",
    files={"model.onnx": StoredFile("b" * 64, 40_000), "encoder.json": StoredFile("c" * 64, 2_000)},
    classes=("No", "Yes"),
    cross_validated={},
    holdout=scorecard(FRAME.labels, TRUTH, 0.5, OFFER),
    evidence=EVIDENCE,
)


def judged(
    use_case: UseCase,
    candidate: Candidate = CANDIDATE,
    probability: NDArray[np.float64] = TRUTH,
    holdout: Frame = FRAME,
    taken: Look | None = None,
) -> Verdict:
    return judge(candidate, holdout, probability, 0.5, use_case, taken)


def only(verdict: Verdict, name: str, subject: str = "") -> Check:
    (found,) = [made for made in verdict.checks if made.name == name and (not subject or made.subject == subject)]
    return found


def gated(use_case: UseCase, **gates: Any) -> UseCase:
    return use_case.model_copy(update={"gates": Gates(**gates)})


def showing(**evidence: Estimate | None) -> Candidate:
    """The candidate with other evidence; None takes it away."""
    changed = {**EVIDENCE, **{name.replace("__", ":"): found for name, found in evidence.items()}}
    return dataclasses.replace(CANDIDATE, evidence={name: each for name, each in changed.items() if each is not None})


def test_an_honest_candidate_passes(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.subject == CANDIDATE.id
    blocking = [made.name for made in verdict.checks if made.blocking]
    assert blocking == ["skill", "permuted_auc", "copied_rows", "single_feature_auc", "parity", "size", "claims"]


def test_a_candidate_without_skill_fails(tiny_use_case: UseCase) -> None:
    guess = np.full(ROWS, float(FRAME.labels.mean()))
    verdict = judged(tiny_use_case, dataclasses.replace(CANDIDATE, holdout={}), guess)
    assert only(verdict, "skill").outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.FAIL
    assert "skill is" in verdict.reason


def test_skill_must_be_reached_by_the_whole_interval(tiny_use_case: UseCase) -> None:
    found = CANDIDATE.holdout["skill"]
    assert found.low < 0.99 * found.value < found.value
    made = only(judged(gated(tiny_use_case, skill=Gate(at_least=0.99 * found.value))), "skill")
    assert made.outcome is Outcome.INCONCLUSIVE
    assert "too close to tell" in made.reason


def test_what_the_candidate_claims_is_not_what_it_is_judged_by(tiny_use_case: UseCase) -> None:
    boast = {**CANDIDATE.holdout, "roc_auc": Estimate(0.99, 0.98, 1.0, ROWS)}
    demanding = gated(tiny_use_case, floors={"roc_auc": Gate(at_least=0.95)})
    verdict = judged(demanding, dataclasses.replace(CANDIDATE, holdout=boast))
    assert only(verdict, "roc_auc").outcome is Outcome.FAIL
    assert only(verdict, "claims").outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "claimed",
    [{}, {"astrology": exact(1.0, ROWS)}, {"roc_auc": exact(math.nan, 0)}],
    ids=["nothing", "what nobody measures", "not a number"],
)
def test_claims_that_cannot_be_checked_block(tiny_use_case: UseCase, claimed: dict[str, Estimate]) -> None:
    verdict = judged(tiny_use_case, dataclasses.replace(CANDIDATE, holdout=claimed))
    assert only(verdict, "claims").outcome is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_number_that_neither_side_has_is_no_disagreement(tiny_use_case: UseCase) -> None:
    low = TRUTH * 0.4  # nobody is called positive, so there is no precision to speak of
    claimed = scorecard(FRAME.labels, low, 0.5, OFFER)
    assert math.isnan(claimed["precision"].value)
    verdict = judged(tiny_use_case, dataclasses.replace(CANDIDATE, holdout=claimed), low)
    assert only(verdict, "claims").outcome is Outcome.PASS


def test_every_floor_is_a_check(tiny_use_case: UseCase) -> None:
    floors = {
        "accuracy": Gate(at_least=0.7),
        "log_loss": Gate(at_most=0.6),
        "profit": Gate(at_least=1000.0),
        "recall_at_threshold": Gate(at_least=0.9, blocking=False),
    }
    verdict = judged(gated(tiny_use_case, floors=floors))
    outcomes = {name: only(verdict, name).outcome for name in floors}
    assert outcomes == {
        "accuracy": Outcome.PASS,
        "log_loss": Outcome.PASS,
        "profit": Outcome.FAIL,
        "recall_at_threshold": Outcome.FAIL,
    }
    assert not only(verdict, "recall_at_threshold").blocking


def test_a_floor_that_cannot_be_measured_blocks(tiny_use_case: UseCase) -> None:
    without_profit = gated(tiny_use_case, floors={"profit": Gate(at_least=1.0)}).model_copy(update={"profit": None})
    candidate = dataclasses.replace(CANDIDATE, holdout=scorecard(FRAME.labels, TRUTH, 0.5))
    verdict = judged(without_profit, candidate)
    assert only(verdict, "profit").reason == "profit could not be measured"
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_an_offer_that_nobody_prices_is_no_reason_to_stop(tiny_use_case: UseCase) -> None:
    other = tiny_use_case.model_copy(update={"profit": Profit(offer_cost=7, value_saved=80, save_rate=0.2)})
    claimed = scorecard(FRAME.labels, TRUTH, 0.5, Offer(7, 80, 0.2))
    assert judged(other, dataclasses.replace(CANDIDATE, holdout=claimed)).outcome is Outcome.PASS


def test_too_few_rows_block(tiny_use_case: UseCase) -> None:
    floors = {"recall": Gate(at_least=0.1, rows=5000)}
    verdict = judged(gated(tiny_use_case, floors=floors))
    assert "rows of the 5000 needed" in only(verdict, "recall").reason
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_probability_that_is_not_a_number_blocks(tiny_use_case: UseCase) -> None:
    broken = TRUTH.copy()
    broken[7] = math.nan
    verdict = judged(tiny_use_case, probability=broken)
    assert only(verdict, "skill").reason == "skill is not a number"
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_an_empty_holdout_blocks(tiny_use_case: UseCase) -> None:
    none = np.zeros(ROWS, dtype=np.bool_)
    verdict = judged(tiny_use_case, probability=TRUTH[none], holdout=FRAME.take(none))
    assert only(verdict, "skill").outcome is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_probabilities_of_other_rows_are_an_error(tiny_use_case: UseCase) -> None:
    with pytest.raises(ValueError, match="must both be"):
        judged(tiny_use_case, probability=TRUTH[1:])


def test_an_empty_list_of_checks_cannot_pass() -> None:
    assert Verdict("cd_1", ()).outcome is Outcome.INCONCLUSIVE


def test_advisory_gates_alone_cannot_pass(tiny_use_case: UseCase) -> None:
    def advisory(gate: Gate) -> Gate:
        return gate.model_copy(update={"blocking": False})

    plain = Gates()
    all_advisory = gated(
        tiny_use_case,
        skill=advisory(plain.skill),
        parity=advisory(plain.parity),
        size=advisory(plain.size),
        leakage=Leakage(
            permuted_auc=advisory(plain.leakage.permuted_auc),
            copied_rows=advisory(plain.leakage.copied_rows),
            single_feature_auc=advisory(plain.leakage.single_feature_auc),
        ),
    )
    verdict = judged(all_advisory)
    assert all(made.met for made in verdict.checks if not made.subject)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "nothing was checked"


@pytest.mark.parametrize("name", ["permuted_auc", "copied_rows", "parity"])
def test_missing_evidence_blocks(tiny_use_case: UseCase, name: str) -> None:
    verdict = judged(tiny_use_case, showing(**{name: None}))
    assert only(verdict, name).reason == f"{name} could not be measured"
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("name", ["permuted_auc", "copied_rows", "parity", "single_feature_auc:age"])
def test_evidence_that_is_not_a_number_blocks(tiny_use_case: UseCase, name: str) -> None:
    verdict = judged(tiny_use_case, showing(**{name.replace(":", "__"): exact(math.nan, ROWS)}))
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("permuted_auc", Estimate(0.7, 0.67, 0.73, ROWS)),
        ("copied_rows", Estimate(0.3, 0.28, 0.32, ROWS)),
        ("parity", exact(0.01, ROWS)),
    ],
)
def test_evidence_of_a_leak_or_of_another_model_fails(tiny_use_case: UseCase, name: str, found: Estimate) -> None:
    verdict = judged(tiny_use_case, showing(**{name: found}))
    assert only(verdict, name).outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.FAIL


def test_a_feature_that_predicts_too_well_is_named(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(single_feature_auc__spent=Estimate(0.99, 0.985, 0.995, 6000)))
    assert only(verdict, "single_feature_auc", "spent").outcome is Outcome.FAIL
    assert "single_feature_auc of spent is 0.99" in verdict.reason
    rest = only(verdict, "single_feature_auc", "age")
    assert rest.outcome is Outcome.PASS
    assert "highest of 2 features" in rest.reason


def test_features_that_pass_are_one_line_with_the_most_telling(tiny_use_case: UseCase) -> None:
    made = only(judged(tiny_use_case), "single_feature_auc")
    assert (made.subject, made.outcome) == ("spent", Outcome.PASS)
    assert made.reason.endswith("it is the highest of 3 features that pass")


def test_a_feature_without_evidence_blocks_by_name(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(single_feature_auc__plan=None))
    assert only(verdict, "single_feature_auc", "plan").reason == "single_feature_auc of plan could not be measured"
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_derived_features_are_judged_where_there_is_evidence(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(single_feature_auc__ratio=Estimate(0.98, 0.97, 0.99, 6000)))
    assert only(verdict, "single_feature_auc", "ratio").outcome is Outcome.FAIL


def test_a_holdout_without_features_blocks(tiny_use_case: UseCase) -> None:
    bare = dataclasses.replace(CANDIDATE, evidence={})
    made = only(judged(tiny_use_case, bare, holdout=dataclasses.replace(FRAME, columns={})), "single_feature_auc")
    assert (made.outcome, made.blocking) == (Outcome.INCONCLUSIVE, True)


def test_a_bundle_that_is_too_large_or_has_no_files_does_not_pass(tiny_use_case: UseCase) -> None:
    assert only(judged(gated(tiny_use_case, size=Gate(at_most=41_999))), "size").outcome is Outcome.FAIL
    assert only(judged(gated(tiny_use_case, size=Gate(at_most=42_000))), "size").outcome is Outcome.PASS
    nothing = dataclasses.replace(CANDIDATE, files={})
    assert only(judged(tiny_use_case, nothing), "size").outcome is Outcome.INCONCLUSIVE


def test_unfairness_is_told_and_blocks_only_where_the_team_says_so(tiny_use_case: UseCase) -> None:
    unequal = np.where(FRAME.slices["plan"] == "basic", TRUTH, TRUTH / 4)
    candidate = dataclasses.replace(CANDIDATE, holdout=scorecard(FRAME.labels, unequal, 0.5, OFFER))
    lenient = gated(tiny_use_case, skill=Gate(at_least=-1.0))
    verdict = judged(lenient, candidate, unequal)
    made = only(verdict, "true_positive_gap", "plan")
    assert (made.outcome, made.blocking) == (Outcome.FAIL, False)
    assert verdict.outcome is Outcome.PASS
    strict = {"true_positive_gap": Gate(at_most=0.1)}
    assert (
        judged(gated(lenient, skill=Gate(at_least=-1.0), fairness=strict), candidate, unequal).outcome is Outcome.FAIL
    )


# Looks


def looks(candidates: str, holdout: Holdout = HOLDOUT) -> list[Look]:
    taken: list[Look] = []
    for candidate in candidates:
        taken.append(look(taken, candidate, holdout))
    return taken


def test_each_distinct_candidate_spends_less_and_all_of_them_never_more_than_alpha() -> None:
    taken = looks("abcdefgh")
    assert [each.number for each in taken] == list(range(1, 9))
    assert taken[0].alpha == pytest.approx(0.0304, abs=1e-4)
    assert taken[2].alpha == pytest.approx(0.0304 / 9, abs=1e-4)
    assert sum(0.05 * 6 / (math.pi * k) ** 2 for k in range(1, 100_000)) < 0.05


def test_the_same_candidate_looks_again_under_its_own_number() -> None:
    taken = looks("abc")
    assert look(taken, "b", HOLDOUT) == taken[1]
    assert look([*taken, taken[1]], "d", HOLDOUT).number == 4


def test_a_moved_cut_or_a_new_salt_starts_again() -> None:
    past = looks("abc", Holdout("tiny", 0.2, datetime(2026, 1, 1, tzinfo=UTC)))
    moved = Holdout("tiny", 0.2, datetime(2026, 2, 1, tzinfo=UTC))
    for other in (moved, Holdout("pepper", 0.2, past[0].cut), HOLDOUT):
        assert look(past, "d", other).number == 1
        assert looked_at(other) != looked_at(Holdout("tiny", 0.2, past[0].cut))
    assert looked_at(HOLDOUT) == "tiny by hash"
    assert looked_at(moved) == "tiny from 2026-02-01T00:00:00.000000Z"


def test_a_later_look_is_judged_more_strictly_and_says_which_it_is(tiny_use_case: UseCase) -> None:
    taken = looks("abcdefghijklmnopqrst")
    first, last = (judged(tiny_use_case, taken=each) for each in (taken[0], taken[-1]))
    one, other = only(first, "skill").estimate, only(last, "skill").estimate
    assert one is not None
    assert other is not None
    assert (one.level, other.level) == (1 - taken[0].alpha, 1 - taken[-1].alpha)
    assert one.value == other.value
    assert other.low < one.low
    assert only(last, "skill").reason.endswith("(look 20)")


def test_a_look_without_power_says_what_would_renew_it(tiny_use_case: UseCase) -> None:
    taken = looks("abcdefghijklmnopqrst")[-1]
    first, spent = CANDIDATE.holdout["skill"], only(judged(tiny_use_case, taken=taken), "skill").estimate
    assert spent is not None
    between = gated(tiny_use_case, skill=Gate(at_least=(first.low + spent.low) / 2))
    assert judged(between).outcome is Outcome.PASS
    made = only(judged(between, taken=taken), "skill")
    assert made.outcome is Outcome.INCONCLUSIVE
    assert made.reason.endswith("a new salt or a later cut renews the holdout")
    hopeless = gated(tiny_use_case, skill=Gate(at_least=first.value))
    assert only(judged(hopeless, taken=taken), "skill").reason.endswith("(look 20)")
