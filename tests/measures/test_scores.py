"""Values against scikit-learn, intervals against brute force; coverage is simulated in tests/alarms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

from mainstay.measures.money import Offer
from mainstay.measures.scores import (
    accuracy,
    average_precision,
    brier,
    calibration_error,
    f1,
    log_loss,
    paired_difference,
    precision,
    recall,
    roc_auc,
    scorecard,
    skill,
)
from mainstay.nouns import Estimate

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]
Measure = Callable[[NDArray[np.bool_], NDArray[np.float64]], Estimate]

RANKED: list[Measure] = [roc_auc, average_precision]
PROBABLE: list[Measure] = [log_loss, brier, skill, calibration_error]
DECIDED: list[Measure] = [accuracy, precision, recall, f1]
EVERY = RANKED + PROBABLE + DECIDED


def drawn(rows: int, seed: int = 0, grid: int = 0) -> Sample:
    """Labels and the probabilities they came from; `grid` rounds these, so that there are ties."""
    draw = np.random.default_rng(seed)
    probabilities = draw.beta(1, 3, rows)
    if grid:
        probabilities = np.round(probabilities * grid) / grid
    return draw.random(rows) < probabilities, probabilities


def samples() -> st.SearchStrategy[Sample]:
    rows = st.lists(st.tuples(st.booleans(), st.integers(0, 8).map(lambda step: step / 8)), min_size=1, max_size=40)
    return rows.map(lambda found: (np.array([one[0] for one in found]), np.array([one[1] for one in found])))


@pytest.mark.parametrize("grid", [0, 20])
@pytest.mark.parametrize("rows", [30, 997])
def test_values_are_those_of_scikit_learn(rows: int, grid: int) -> None:
    labels, said = drawn(rows, 3, grid)
    called = said >= 0.3
    clipped = np.clip(said, 1e-15, 1 - 1e-15)
    assert roc_auc(labels, said).value == pytest.approx(metrics.roc_auc_score(labels, said), abs=1e-12)
    assert average_precision(labels, said).value == pytest.approx(
        metrics.average_precision_score(labels, said), abs=1e-12
    )
    assert log_loss(labels, said).value == pytest.approx(metrics.log_loss(labels, clipped), abs=1e-12)
    assert brier(labels, said).value == pytest.approx(metrics.brier_score_loss(labels, said), abs=1e-12)
    assert accuracy(labels, said, 0.3).value == pytest.approx(metrics.accuracy_score(labels, called))
    assert precision(labels, said, 0.3).value == pytest.approx(metrics.precision_score(labels, called))
    assert recall(labels, said, 0.3).value == pytest.approx(metrics.recall_score(labels, called))
    assert f1(labels, said, 0.3).value == pytest.approx(metrics.f1_score(labels, called))
    base = np.full(rows, labels.mean())
    assert skill(labels, said).value == pytest.approx(
        1 - metrics.log_loss(labels, clipped) / metrics.log_loss(labels, base)
    )


@given(samples())
def test_ranks_agree_with_scikit_learn_whatever_the_ties(sample: Sample) -> None:
    labels, said = sample
    if labels.any():
        assert average_precision(labels, said).value == pytest.approx(metrics.average_precision_score(labels, said))
    if labels.any() and not labels.all():
        assert roc_auc(labels, said).value == pytest.approx(metrics.roc_auc_score(labels, said))


@given(samples(), st.sampled_from([0.5, 0.95, 0.9999]))
def test_every_value_lies_in_its_interval_and_its_range(sample: Sample, level: float) -> None:
    ranges = {"log_loss": (0, 35), "skill": (-math.inf, 1), "profit": (-20, 100)}
    for name, found in scorecard(*sample, 0.4, Offer(20, 400, 0.3), level).items():
        lowest, highest = ranges.get(name, (0, 1))
        if math.isfinite(found.low):
            assert found.low - 1e-12 <= found.value <= found.high + 1e-12, name
            assert lowest <= found.value <= highest, name
            if name not in {"skill", "profit", "log_loss"}:
                assert 0 <= found.low <= found.high <= 1, name
        else:
            assert math.isnan(found.low), name
            assert math.isnan(found.high), name


@pytest.mark.parametrize("measure", EVERY)
def test_the_order_of_the_rows_changes_nothing(measure: Measure) -> None:
    labels, said = drawn(500, 5, grid=50)
    order = np.random.default_rng(1).permutation(500)
    one, other = measure(labels, said), measure(labels[order], said[order])
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-12)


@pytest.mark.parametrize("measure", EVERY)
def test_a_higher_level_is_a_wider_interval_and_more_rows_a_narrower_one(measure: Measure) -> None:
    labels, said = drawn(300, 6)
    narrow, wide = measure(labels, said), measure(labels, said, level=0.99)  # type: ignore[call-arg]
    more = measure(np.tile(labels, 9), np.tile(said, 9))
    assert wide.level == 0.99
    assert wide.high - wide.low > narrow.high - narrow.low > more.high - more.low


@given(samples())
def test_monotone_transforms_leave_rankings_alone(sample: Sample) -> None:
    labels, said = sample
    for measure in RANKED:
        assert repr(measure(labels, said)) == repr(measure(labels, np.exp(3 * said) - 70))


@given(samples())
def test_turning_the_scores_round_turns_the_auc_round(sample: Sample) -> None:
    one, other = roc_auc(*sample), roc_auc(sample[0], -sample[1])
    assert (one.value, one.low, one.high) == pytest.approx(
        (1 - other.value, 1 - other.high, 1 - other.low), nan_ok=True
    )


def test_the_auc_has_delongs_interval() -> None:
    """Brute force: every pair, then the variances of each row's share of won pairs; on the logit scale."""
    labels, said = drawn(600, 7, grid=40)
    pairs = np.sign(said[labels][:, None] - said[~labels][None, :]) / 2 + 0.5
    parts = [pairs.mean(axis=axis).var(ddof=1) / pairs.shape[1 - axis] for axis in (1, 0)]
    freedom = sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, pairs.shape, strict=True))
    value = pairs.mean()
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts)) / (value * (1 - value))
    ends = [1 / (1 + math.exp(-(math.log(value / (1 - value)) + way * reach))) for way in (-1, 1)]
    found = roc_auc(labels, said)
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx(ends)


def test_few_positives_that_rank_high_are_not_believed_too_much() -> None:
    """Newcombe's score interval, solved by its equation: 8 positives, one pair in 12 out of order."""
    labels = np.array([0] * 12 + [1] * 8)
    said = np.append(np.linspace(0, 0.5, 12), np.linspace(0.49, 0.9, 8))
    found = roc_auc(labels, said)
    at = found.low
    spread = 1 + 9 * ((1 - at) / (2 - at) + at / (1 + at))
    assert found.value - at == pytest.approx(1.959964 * math.sqrt(at * (1 - at) * spread / 96), rel=1e-6)


def test_average_precision_has_the_standard_error_of_the_bootstrap() -> None:
    labels, said = drawn(600, 8, grid=60)
    draw = np.random.default_rng(2)
    again = []
    for _ in range(1000):
        rows = draw.integers(0, 600, 600)
        again.append(average_precision(labels[rows], said[rows]).value)
    found = average_precision(labels, said)
    assert (found.high - found.low) / 2 / 1.976 == pytest.approx(np.std(again), rel=0.08)


def test_skill_has_the_standard_error_of_the_jackknife() -> None:
    labels, said = drawn(600, 8)
    said = said**2
    without = [skill(np.delete(labels, row), np.delete(said, row)).value for row in range(600)]
    found, rarer = skill(labels, said), int(labels.sum())
    error = math.sqrt(599) * float(np.std(without))
    assert (found.high - found.low) / 2 / stats.t.ppf(0.975, rarer - 1) == pytest.approx(error, rel=0.01)


def test_calibration_error_is_scikit_learns_curve_less_the_noise_in_it() -> None:
    labels, said = drawn(2000, 9)
    said = said**0.5
    rates, means = calibration_curve(labels, said, n_bins=10, strategy="quantile")
    plain = float(np.mean(np.abs(rates - means)))
    found = calibration_error(labels, said)
    assert found.value <= plain
    assert found.value == pytest.approx(plain, abs=0.003)  # every bin is far off, so there is little to take away
    noise = np.sqrt(rates * (1 - rates) / 200)
    simulated = np.abs(np.random.default_rng(1).normal(rates - means, noise, (20_000, 10))).mean()
    assert found.value == pytest.approx(2 * plain - float(simulated), abs=0.001)


def test_true_probabilities_show_no_calibration_error_worth_the_name() -> None:
    found = [calibration_error(*drawn(1000, seed)) for seed in range(40)]
    assert sum(one.low == 0 for one in found) >= 38
    assert float(np.mean([one.value for one in found])) < 0.02


def test_equal_probabilities_are_never_parted_between_bins() -> None:
    labels, said = np.array([True, False] * 500), np.full(1000, 0.5)
    assert calibration_error(labels, said).value == 0
    assert calibration_error(np.sort(labels), said).value == 0


def test_a_paired_difference_is_below_zero_where_the_challenger_is_better() -> None:
    labels, said = drawn(3000, 10)
    worse = np.sqrt(said)
    found = paired_difference(labels, worse, said)
    oracle = [metrics.log_loss(labels, np.clip(one, 0.01, 0.99)) for one in (said, worse)]
    assert found.value == pytest.approx(oracle[0] - oracle[1])
    assert found.high < 0
    assert paired_difference(labels, said, worse).low > 0
    same = paired_difference(labels, said, said)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_paired_difference_is_narrower_than_the_losses_it_is_of() -> None:
    labels, said = drawn(3000, 10)
    one, paired = log_loss(labels, said), paired_difference(labels, said, said**1.1)
    assert paired.high - paired.low < (one.high - one.low) / 3


def test_one_confident_error_does_not_decide_between_models() -> None:
    labels, sure = np.array([True] * 50), np.full(50, 0.9)
    sure_but_once = np.append(sure[1:], 0.0)
    assert paired_difference(labels, sure, sure_but_once).value <= math.log(99) / 50
    assert math.isnan(paired_difference(labels, sure, np.append(sure[1:], math.nan)).value)
    with pytest.raises(ValueError, match="shape"):
        paired_difference(labels, sure, sure[1:])


@pytest.mark.parametrize("measure", EVERY)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_probability_that_is_no_number_makes_every_score_unknown(measure: Measure, bad: float) -> None:
    labels, said = drawn(50)
    said[7] = bad
    found = measure(labels, said)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize("measure", PROBABLE)
def test_a_score_that_is_no_probability_is_unknown_and_float32s_rounding_is_forgiven(measure: Measure) -> None:
    labels, said = drawn(50)
    said[7] = 1.5
    assert math.isnan(measure(labels, said).value)
    said[7] = 1.0000002
    assert math.isfinite(measure(labels, said).value)


@pytest.mark.parametrize("measure", EVERY)
def test_no_rows_tell_nothing(measure: Measure) -> None:
    found = measure(np.array([], dtype=bool), np.array([]))
    assert math.isnan(found.value)
    assert found.rows == 0


def test_one_class_leaves_what_needs_both_unknown() -> None:
    said = np.linspace(0.1, 0.9, 20)
    for labels in (np.zeros(20, dtype=bool), np.ones(20, dtype=bool)):
        found = scorecard(labels, said, 0.5)
        assert math.isnan(found["roc_auc"].value)
        assert math.isnan(found["skill"].value)
        assert math.isfinite(found["log_loss"].low)
        assert math.isfinite(found["accuracy"].low)
        assert math.isfinite(found["calibration_error"].low)
    assert math.isnan(scorecard(np.zeros(20, dtype=bool), said, 0.5)["average_precision"].value)


def test_one_row_gives_what_one_row_can() -> None:
    found = scorecard(np.array([True]), np.array([0.7]), 0.5, Offer(20, 400, 0.3))
    assert found["accuracy"].value == 1
    assert found["accuracy"].low < 0.3
    assert math.isnan(found["log_loss"].low)
    assert found["log_loss"].value == pytest.approx(-math.log(0.7))
    assert found["profit"].low < 100 <= found["profit"].high


def test_one_positive_leaves_its_rank_wide_open() -> None:
    labels, said = np.array([False, True, False]), np.array([0.1, 0.5, 0.9])
    assert (roc_auc(labels, said).low, roc_auc(labels, said).high) == (0, 1)
    assert (average_precision(labels, said).low, average_precision(labels, said).high) == (0, 1)
    assert math.isnan(skill(labels, said).low)


def test_perfect_separation_is_not_certainty() -> None:
    labels, said = np.array([False] * 30 + [True] * 10), np.append(np.full(30, 0.0), np.full(10, 1.0))
    found = scorecard(labels, said, 0.5)
    for name in ("roc_auc", "average_precision", "accuracy", "f1"):
        assert found[name].value == 1, name
        assert 0.6 < found[name].low < 0.95, name
    assert found["log_loss"].value == pytest.approx(1e-15, abs=1e-15)
    reverse = roc_auc(labels, -said)
    assert (reverse.value, reverse.low) == (0, 0)
    assert reverse.high == pytest.approx(1 - found["roc_auc"].low)


def test_a_constant_score_ranks_nothing() -> None:
    labels = np.array([True] * 10 + [False] * 30)
    found = scorecard(labels, np.full(40, 0.25), 0.5)
    assert (found["roc_auc"].value, found["roc_auc"].low, found["roc_auc"].high) == (0.5, 0.5, 0.5)
    assert found["average_precision"].value == 0.25
    assert found["skill"].value == pytest.approx(0, abs=1e-12)
    assert found["calibration_error"].value == 0


def test_precision_and_recall_rest_on_the_rows_they_are_shares_of() -> None:
    labels, said = np.array([True, True, False, False, False]), np.array([0.9, 0.1, 0.8, 0.2, 0.1])
    assert precision(labels, said).rows == 2
    assert recall(labels, said).rows == 2
    assert f1(labels, said).rows == 3
    nobody = scorecard(labels, said, 0.99)
    assert math.isnan(nobody["precision_at_threshold"].value)
    assert nobody["recall_at_threshold"].value == 0
    assert nobody["f1_at_threshold"].value == 0
    assert nobody["f1_at_threshold"].high > 0.5


def test_positive_begins_at_the_threshold_itself() -> None:
    assert recall(np.array([True]), np.array([0.5]), 0.5).value == 1
    assert recall(np.array([True]), np.array([0.5]), math.nextafter(0.5, 1)).value == 0


def test_a_scorecard_has_the_names_that_are_written_down() -> None:
    labels, said = drawn(200)
    decisions = {"accuracy", "precision", "recall", "f1"}
    names = {"roc_auc", "average_precision", "log_loss", "brier", "calibration_error", "skill"} | decisions
    names |= {f"{name}_at_threshold" for name in decisions}
    assert set(scorecard(labels, said, 0.3)) == names
    assert set(scorecard(labels, said, 0.3, Offer(20, 400, 0.3))) == names | {"profit"}
    found = scorecard(labels, said, 0.3, level=0.99)
    assert {one.level for one in found.values()} == {0.99}
    assert found["recall"] == recall(labels, said, 0.5, 0.99)
    assert found["recall_at_threshold"] == recall(labels, said, 0.3, 0.99)


def test_a_threshold_that_is_no_number_spoils_only_what_needs_it() -> None:
    labels, said = drawn(200)
    found = scorecard(labels, said, math.nan, Offer(20, 400, 0.3))
    unknown = {name for name, one in found.items() if math.isnan(one.value)}
    assert unknown == {name for name in found if name.endswith("_at_threshold")} | {"profit"}


def test_many_rows_are_scored_too() -> None:
    labels, said = drawn(200_000, 11)
    found = scorecard(labels, said, 0.3, Offer(20, 400, 0.3))
    assert found["roc_auc"].high - found["roc_auc"].low < 0.006
