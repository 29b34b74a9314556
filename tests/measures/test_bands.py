import math

import numpy as np
import pytest

from mainstay.measures.bands import half_width, quantile
from mainstay.nouns import Valid


def test_the_widths_are_the_ones_that_the_paper_gives() -> None:
    # arXiv 1906.09712, Corollary 2 and (6): A = .85, C = .8 ln(1612/alpha).
    assert half_width(3_000, 0.05) == pytest.approx(0.050, abs=0.001)
    assert half_width(80_000, 0.05) == pytest.approx(0.01, abs=0.001)


def test_a_quantile_lies_in_its_band() -> None:
    numbers = np.random.default_rng(6).exponential(size=50_000)
    found = quantile(numbers, 0.5, 0.05)
    assert found.low < math.log(2) < found.high
    assert found.value == pytest.approx(math.log(2), abs=0.02)
    assert found.valid is Valid.ANY_TIME


def test_a_p99_of_few_requests_has_no_upper_end() -> None:
    found = quantile(np.arange(3_000.0), 0.99, 0.05)
    assert found.high == math.inf
    assert found.low < 2_970


def test_the_order_of_the_numbers_is_no_matter_and_their_ends_are_kept() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5, 0.05) == quantile([1.0, 2.0, 3.0], 0.5, 0.05)
    assert quantile([3.0, 1.0, 2.0], 0.5, 0.05).value == 2.0
    assert quantile([3.0], 0.01, 0.05).low == -math.inf


@pytest.mark.parametrize("numbers", [[], [1.0, math.nan]])
def test_no_numbers_have_no_quantile(numbers: list[float]) -> None:
    assert math.isnan(quantile(numbers, 0.5, 0.05).value)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile([1.0], 1.0, 0.05)
    with pytest.raises(ValueError, match="rows"):
        half_width(5, 0.05, first=10)
    with pytest.raises(ValueError, match="alpha"):
        half_width(5, 0.0)
