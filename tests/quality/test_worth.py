"""Whether a model earns more than acting without one, how long it takes, and what would let it pass."""

import math

import numpy as np

from mainstay.measures.money import Offer, expected_profit
from mainstay.measures.rates import exact
from mainstay.nouns import Estimate
from mainstay.quality.latency import CALLS, single_row_latency
from mainstay.quality.remedy import told_in_all
from mainstay.quality.worth import profit_checks
from mainstay.usecase_gates import Gate
from mainstay.verdicts import Limit, Outcome, check

RANDOM = np.random.default_rng(2)
TRUTH = 1 / (1 + np.exp(-RANDOM.normal(-1, 2, 3000)))
LABELS = RANDOM.random(3000) < TRUTH
OFFER = Offer(10, 100, 0.3)
GATE = Gate(at_least=0, blocking=False)


def test_a_good_model_earns_more_than_acting_on_nobody_and_on_everybody() -> None:
    nobody, everybody = profit_checks(LABELS, TRUTH, 1 / 3, OFFER, GATE)
    assert [nobody.outcome, everybody.outcome] == [Outcome.PASS, Outcome.PASS]
    assert nobody.estimate is not None
    assert everybody.estimate is not None
    here = expected_profit(LABELS, TRUTH, 1 / 3, OFFER).value
    assert math.isclose(nobody.estimate.value, here)
    assert math.isclose(everybody.estimate.value, here - expected_profit(LABELS, TRUTH, 0, OFFER).value)


def test_a_model_that_acts_on_the_wrong_half_does_not() -> None:
    nobody, everybody = profit_checks(LABELS, 1 - TRUTH, 0.5, OFFER, GATE)
    assert nobody.outcome is Outcome.FAIL
    assert "profit above that of an offer to nobody" in nobody.reason
    assert everybody.outcome is not Outcome.PASS


def test_a_threshold_that_is_no_number_proves_nothing() -> None:
    made = profit_checks(LABELS, TRUTH, math.nan, OFFER, GATE)
    assert {each.outcome for each in made} == {Outcome.INCONCLUSIVE}


def test_latency_is_in_microseconds_with_an_interval() -> None:
    class Slow:
        """A scorer whose n-th call takes n µs, by the clock beside it."""

        now, calls = 0.0, -20

        def score(self, columns: object) -> None:
            self.calls += 1
            self.now += self.calls * 1e-6

    slow = Slow()
    found = single_row_latency(slow, {"age": np.arange(50.0)}, lambda: slow.now)  # type: ignore[arg-type]  # behaves as one
    assert math.isclose(found.value, 0.95 * CALLS, rel_tol=1e-6)
    assert found.low < found.value < found.high <= CALLS + 1


def test_held_out_rows_that_lack_are_told_in_rows_of_the_source() -> None:
    found = Estimate(0.2, 0.05, 0.35, 300, method="delta")
    made = check("skill", found, Limit(at_least=0.1))
    assert made.rows_needed == 676
    assert told_in_all(made, 1500).reason.endswith("that is about 3,380 rows in all, with those to train on")
    lost = told_in_all(check("skill", found, Limit(at_least=0.3)), 1500)
    assert lost.reason.endswith("about 3,375 rows in all, with those to train on, would tell that it fails")
    timed = check("latency", found, Limit(at_most=0.3))
    for settled in (check("skill", found, Limit(at_least=0.01)), timed, check("size", exact(5.0, 1), Limit(at_most=1))):
        assert told_in_all(settled, 1500) == settled
