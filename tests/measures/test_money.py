import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mainstay.measures.money import Offer, expected_profit, f1_threshold, profit_threshold
from mainstay.measures.scores import f1

OFFER = Offer(cost=20, value_saved=400, save_rate=0.3)

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]


def samples(lowest: int = 1) -> st.SearchStrategy[Sample]:
    rows = st.lists(
        st.tuples(st.booleans(), st.integers(0, 12).map(lambda step: step / 12)), min_size=lowest, max_size=40
    )
    return rows.map(
        lambda found: (
            np.array([one[0] for one in found], dtype=bool),
            np.array([one[1] for one in found], dtype=float),
        )
    )


def drawn(rows: int, seed: int) -> Sample:
    draw = np.random.default_rng(seed)
    probabilities = draw.beta(1, 3, rows)
    return draw.random(rows) < probabilities, probabilities


def test_profit_is_what_is_kept_less_what_offers_cost() -> None:
    labels, said = np.array([True, True, False, False]), np.array([0.9, 0.2, 0.8, 0.1])
    found = expected_profit(labels, said, 0.5, OFFER)
    assert found.value == pytest.approx((400 * 0.3 - 2 * 20) / 4)
    assert found.low < found.value < found.high
    assert found.rows == 4


@given(samples(), st.floats(0, 1), st.floats(0, 300), st.floats(0, 1))
def test_profit_lies_in_its_interval_whatever_the_offer(
    sample: Sample, threshold: float, cost: float, save_rate: float
) -> None:
    labels, said = sample
    found = expected_profit(labels, said, threshold, Offer(cost, 400, save_rate))
    reached = said >= threshold
    assert found.value == pytest.approx(float(np.mean(reached * (labels * 400 * save_rate - cost))), abs=1e-9)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_profit_has_the_standard_error_of_the_rows() -> None:
    labels, said = drawn(4000, 1)
    for offer in (OFFER, Offer(200, 400, 0.3)):
        each = (said >= 0.3) * (labels * offer.worth - offer.cost)
        found = expected_profit(labels, said, 0.3, offer)
        assert (found.high - found.low) / 2 == pytest.approx(1.96 * each.std() / math.sqrt(4000), rel=0.02)


def test_nobody_reached_earns_nothing_and_leaves_some_doubt() -> None:
    labels, said = drawn(500, 2)
    found = expected_profit(labels, said, 2.0, OFFER)
    assert found.value == 0
    assert -1 < found.low < 0 < found.high < 1


def test_an_offer_that_costs_more_than_it_saves_can_only_lose() -> None:
    labels, said = drawn(500, 2)
    found = expected_profit(labels, said, 2.0, Offer(200, 400, 0.3))
    assert found.low < found.value == found.high == 0


def test_profit_of_nothing_is_unknown() -> None:
    assert math.isnan(expected_profit([], [], 0.5, OFFER).value)
    assert math.isnan(expected_profit([True], [math.nan], 0.5, OFFER).value)
    assert math.isnan(expected_profit([True], [0.5], math.nan, OFFER).value)
    with pytest.raises(ValueError, match="shape"):
        expected_profit([True], [0.5, 0.6], 0.5, OFFER)


@pytest.mark.parametrize(
    ("cost", "value_saved", "save_rate"),
    [(-1, 400, 0.3), (math.nan, 400, 0.3), (20, -1, 0.3), (20, math.inf, 0.3), (20, 400, 30), (20, 400, math.nan)],
)
def test_an_offer_that_cannot_be_is_refused(cost: float, value_saved: float, save_rate: float) -> None:
    with pytest.raises(ValueError, match=r"an offer|a customer|a save rate"):
        Offer(cost, value_saved, save_rate)


def test_an_offer_breaks_even_at_its_cost_over_its_worth() -> None:
    assert OFFER.break_even == pytest.approx(1 / 6)
    assert Offer(500, 400, 0.3).break_even == 1
    assert Offer(0, 400, 0.3).break_even == 0
    assert Offer(0, 0, 0).break_even == 1


def test_true_probabilities_mostly_leave_the_break_even_alone() -> None:
    stayed = [profit_threshold(*drawn(2000, seed), OFFER) == OFFER.break_even for seed in range(40)]
    assert sum(stayed) >= 22


def test_probabilities_that_are_off_move_the_threshold_to_where_it_pays() -> None:
    labels, said = drawn(5000, 3)
    for power in (0.5, 2):  # profit is flat around its best threshold
        assert profit_threshold(labels, said**power, OFFER) ** (1 / power) == pytest.approx(OFFER.break_even, abs=0.08)


@given(samples())
def test_no_threshold_of_ours_earns_less_than_the_break_even(sample: Sample) -> None:
    threshold = profit_threshold(*sample, OFFER)
    assert 0 <= threshold <= 1
    earned, even = (expected_profit(*sample, at, OFFER).value for at in (threshold, OFFER.break_even))
    assert earned >= even - 1e-9


def test_a_threshold_does_not_hang_on_the_order_of_the_rows() -> None:
    labels, said = drawn(3000, 4)
    order = np.random.default_rng(5).permutation(3000)
    assert profit_threshold(labels, said**2, OFFER) == profit_threshold(labels[order], said[order] ** 2, OFFER)
    assert f1_threshold(labels, said) == f1_threshold(labels[order], said[order])


def test_where_nobody_leaves_no_offer_is_made_and_where_all_do_all_get_one() -> None:
    said = np.linspace(0.3, 0.9, 200)
    assert profit_threshold(np.zeros(200, dtype=bool), said, OFFER) == 1
    everyone = profit_threshold(np.ones(200, dtype=bool), said / 10, OFFER)
    assert everyone < 0.03


def test_a_threshold_of_nothing_is_no_number() -> None:
    for choose in (lambda labels, said: profit_threshold(labels, said, OFFER), f1_threshold):
        assert math.isnan(choose([], []))
        assert math.isnan(choose([True, False], [0.4, math.nan]))
    assert math.isnan(f1_threshold([False, False], [0.4, 0.6]))


@given(samples())
def test_no_other_threshold_has_a_larger_f1(sample: Sample) -> None:
    labels, said = sample
    if labels.any():
        best = f1(labels, said, f1_threshold(labels, said)).value
        assert all(f1(labels, said, at).value <= best + 1e-12 for at in np.linspace(0, 1, 49))


def test_of_equal_thresholds_the_highest_is_taken_half_way_to_the_next_score() -> None:
    assert f1_threshold([True, False, False, True], [0.8, 0.6, 0.4, 0.2]) == pytest.approx(0.7)
    assert f1_threshold([True, False], [0.5, 0.4]) == pytest.approx(0.45)


def test_neighbouring_floats_are_told_apart() -> None:
    above = math.nextafter(0.5, 1)
    assert f1([True, False], [above, 0.5], f1_threshold([True, False], [above, 0.5])).value == 1
