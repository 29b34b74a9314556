import math

import pytest

from mainstay.measures.evalues import averaged, discoveries


def test_the_average_is_of_the_values_and_not_of_their_logs() -> None:
    assert averaged([math.log(1), math.log(99)]) == pytest.approx(math.log(50))
    assert averaged([math.log(1), math.log(99)], weights=[3, 1]) == pytest.approx(math.log(25.5))
    assert averaged([0.0, -math.inf]) == pytest.approx(math.log(0.5))
    assert averaged([1000.0, 0.0]) == pytest.approx(1000 - math.log(2))


def test_no_evidence_is_not_quiet() -> None:
    assert math.isnan(averaged([]))
    assert math.isnan(averaged([0.0, math.nan]))


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="weights"):
        averaged([0.0], weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="weights"):
        averaged([0.0], weights=[0.0])


def test_discoveries_are_those_of_the_paper() -> None:
    # Wang & Ramdas: the k largest, for the largest k whose k-th e-value is at least n / (k alpha).
    values = [100.0, 1.0, 41.0, 30.0, 0.1]
    assert discoveries([math.log(value) for value in values], 0.05) == (0,)
    assert discoveries([math.log(value) for value in values], 0.06) == (0, 2, 3)
    assert discoveries([math.nan, math.log(1000)], 0.05) == (1,)
    assert discoveries([], 0.05) == ()
    with pytest.raises(ValueError, match="alpha"):
        discoveries([0.0], 1.0)
