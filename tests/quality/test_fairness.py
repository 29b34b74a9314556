"""Gaps between groups, and how sure one can be of them."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.measures.rates import difference, rate
from mainstay.quality.fairness import fairness_checks, gap
from mainstay.scoring.frame import Frame
from mainstay.usecase_gates import Fairness, Gate
from mainstay.verdicts import Check, Outcome

SELECTION = Fairness(selection_gap=Gate(at_most=0.1, blocking=False), true_positive_gap=None, false_positive_gap=None)
Groups = dict[Any, tuple[int, int]]


def frame_of(groups: Groups, positive: bool = True) -> tuple[Frame, NDArray[np.float64]]:
    """Rows of one attribute `group`: for each value how many are called positive, and how many there are."""
    values = [value for value, (_, rows) in groups.items() for _ in range(rows)]
    called = [place < hits for hits, rows in groups.values() for place in range(rows)]
    n = len(values)
    column = np.empty(n, dtype=object)
    column[:] = values
    labels = np.full(n, positive)
    return Frame({}, labels, np.arange(n), labels, {"group": column}), np.where(called, 0.9, 0.1)


def asked(groups: Groups, gates: Fairness = SELECTION) -> Check:
    frame, probability = frame_of(groups)
    (made,) = fairness_checks(frame, probability, 0.5, gates)
    return made


def test_groups_that_fare_alike_pass() -> None:
    made = asked({"a": (1500, 3000), "b": (1510, 3000)})
    assert (made.outcome, made.subject, made.blocking) == (Outcome.PASS, "group", False)


def test_groups_that_fare_differently_fail_and_are_named() -> None:
    made = asked({"a": (1500, 3000), "b": (600, 3000)})
    assert made.outcome is Outcome.FAIL
    said, _, remedy = made.reason.partition("; to pass: ")
    assert said.endswith("lowest b (0.2), highest a (0.5)")
    assert remedy == (
        "a candidate whose rates for b and a (of their rows) lie 0.2 closer, or more, "
        "or `gates.fairness.selection_gap` with at_most 0.323"
    )


def test_two_groups_have_newcombes_interval() -> None:
    made = asked({"a": (60, 100), "b": (20, 100)})
    found, pair = made.estimate, difference(rate(20, 100), rate(60, 100))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.4, pair.low, pair.high))
    assert (found.rows, found.level, found.method) == (200, 0.95, "Newcombe, Bonferroni over 1")


def test_more_groups_are_judged_together_at_one_level() -> None:
    rates = [rate(hits, 100, 1 - 0.05 / 3) for hits in (20, 40, 60)]
    found = gap(rates)
    extreme = difference(rates[0], rates[2])
    assert found is not None
    assert (found.value, found.low) == pytest.approx((0.4, extreme.low))
    assert (found.level, found.method) == (0.95, "Newcombe, Bonferroni over 3")
    assert found.high >= extreme.high
    plain = difference(rate(20, 100), rate(60, 100))
    assert found.low < plain.low


def test_a_check_of_three_groups_allows_for_three_pairs() -> None:
    found = asked({"a": (20, 100), "b": (40, 100), "c": (60, 100)}).estimate
    assert found == gap([rate(hits, 100, 1 - 0.05 / 3) for hits in (20, 40, 60)])


def test_a_wide_interval_of_another_pair_is_not_forgotten() -> None:
    level = 1 - 0.05 / 3
    found = gap([rate(2000, 10000, level), rate(4500, 10000, level), rate(13, 30, level)])
    assert found is not None
    assert found.high > difference(rate(2000, 10000, level), rate(4500, 10000, level)).high


def test_a_gap_lies_between_nothing_and_everything() -> None:
    found = gap([rate(0, 30), rate(30, 30)])
    assert found is not None
    assert (found.value, found.high) == (1.0, 1.0)
    found = gap([rate(15, 30), rate(15, 30)])
    assert found is not None
    assert (found.value, found.low) == (0.0, 0.0)


def test_the_interval_holds_the_true_gap_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    true = np.array([0.30, 0.32, 0.35, 0.30])
    sizes = np.array([200, 80, 400, 40])
    held = 0
    for _ in range(400):
        hits = random.binomial(sizes, true)
        found = gap([rate(int(h), int(n), 1 - 0.05 / 6) for h, n in zip(hits, sizes, strict=True)])
        assert found is not None
        held += found.low <= 0.05 <= found.high
    assert held / 400 > 0.95


def test_a_small_group_is_named_not_compared() -> None:
    made = asked({"a": (1500, 3000), "b": (1500, 3000), "few": (0, 29)})
    assert made.outcome is Outcome.PASS
    assert made.reason.endswith("not compared, on fewer than 30 rows: few")


def test_many_small_groups_are_counted() -> None:
    made = asked({"a": (1500, 3000), "b": (1500, 3000), **{f"g{n}": (1, 2) for n in range(8)}})
    assert made.reason.endswith("g0, g1, g2, g3, g4 and 3 more")


def test_nothing_to_compare_is_inconclusive() -> None:
    for groups in ({"a": (1500, 3000)}, {"a": (1500, 3000), "few": (0, 29)}):
        made = asked(groups)
        assert made.outcome is Outcome.INCONCLUSIVE
        assert "selection_gap of group could not be measured" in made.reason


def test_rows_without_a_value_are_a_group_of_their_own() -> None:
    made = asked({"a": (1500, 3000), None: (600, 3000)})
    assert "lowest (missing) (0.2), highest a (0.5); to pass: " in made.reason


def test_what_a_gap_lacks_is_counted_among_what_it_compares() -> None:
    frame, probability = frame_of({"a": (150, 300), "b": (140, 300)})
    made = next(
        each for each in fairness_checks(frame, probability, 0.5, Fairness()) if each.name == "true_positive_gap"
    )
    assert f"to pass: about {made.rows_needed:,} positives in the holdout, or " in made.reason


def test_a_rate_needs_enough_rows_of_its_own_class() -> None:
    frame, probability = frame_of({"a": (300, 600), "b": (300, 600)}, positive=False)
    labels = frame.labels.copy()
    labels[:40] = True  # of group a alone
    labels[600:610] = True
    mixed = Frame({}, labels, frame.groups, frame.held_out, frame.slices)
    made = {each.name: each for each in fairness_checks(mixed, probability, 0.5, Fairness())}
    assert list(made) == ["true_positive_gap", "false_positive_gap"]
    assert made["true_positive_gap"].outcome is Outcome.INCONCLUSIVE
    assert made["true_positive_gap"].reason.endswith(
        "on fewer than 30 positives: b; to pass: 30 positives or more in the holdout of b (now 10)"
    )
    assert made["false_positive_gap"].estimate is not None
    assert made["false_positive_gap"].estimate.rows == 560 + 590


def test_true_and_false_positives_are_told_apart() -> None:
    values = np.array(["a"] * 200 + ["b"] * 200, dtype=object)
    labels = np.tile(np.repeat([True, False], 100), 2)
    probability = np.where(labels, 0.9, 0.1)
    probability[:50] = 0.1  # half the positives of group a are missed
    frame = Frame({}, labels, np.arange(400), labels, {"group": values})
    made = {each.name: each for each in fairness_checks(frame, probability, 0.5, Fairness())}
    assert made["true_positive_gap"].outcome is Outcome.FAIL
    assert made["false_positive_gap"].outcome is Outcome.PASS


def test_every_attribute_is_asked() -> None:
    frame, probability = frame_of({"a": (1500, 3000), "b": (1500, 3000)})
    both = Frame({}, frame.labels, frame.groups, frame.held_out, {**frame.slices, "other": frame.slices["group"]})
    found = fairness_checks(both, probability, 0.5, SELECTION)
    assert [made.subject for made in found] == ["group", "other"]
    assert fairness_checks(Frame({}, frame.labels, frame.groups, frame.held_out, {}), probability, 0.5, SELECTION) == []


@pytest.mark.parametrize("what", ["probability", "threshold"])
def test_what_is_not_a_number_makes_every_gap_unknown(what: str) -> None:
    frame, probability = frame_of({"a": (1500, 3000), "b": (1500, 3000)})
    threshold = math.nan if what == "threshold" else 0.5
    if what == "probability":
        probability[0] = math.nan
    (made,) = fairness_checks(frame, probability, threshold, SELECTION)
    assert made.outcome is Outcome.INCONCLUSIVE
