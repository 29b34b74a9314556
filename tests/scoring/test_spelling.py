"""One text for one category, whatever wrote it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.scoring.spelling import spelling

ANY = st.text(max_size=6) | st.booleans() | st.integers() | st.floats(allow_infinity=False)


@pytest.mark.parametrize(
    ("listed", "value", "spelt"),
    [
        ((), " cafe\u0301\n", "caf\u00e9"),
        ((), " ", None),
        ((), math.nan, None),
        ((), "1.0", "1.0"),
        ((), 1.0, "1"),
        ((), 1.5, "1.5"),
        ((), True, "true"),
        (("0", "1"), "1.00", "1"),
        (("0", "1"), "1.", "1."),
        (("0", "1"), "+1.0", "+1.0"),
        (("1", "1.0"), "1.0", "1.0"),
        (("1", "1.0"), 1.0, "1"),
        (("1.0", "2.5"), "1", "1.0"),
        (("v1.0",), "v1", "v1"),
        (("True", "False"), False, "False"),
        (("True", "False"), "false", "false"),
        (("yes",), True, "true"),
    ],
)
def test_a_value_has_the_text_that_is_listed(
    listed: tuple[str, ...], value: str | float | bool, spelt: str | None
) -> None:
    assert spelling(listed)(value) == spelt


@pytest.mark.parametrize("value", [math.inf, -math.inf, 10**400])
def test_what_no_float_holds_is_no_category(value: float) -> None:
    with pytest.raises(ValueError, match="no category"):
        spelling()(value)


@given(ANY)
def test_what_is_spelt_is_spelt_once_and_for_all(value: str | float | bool) -> None:
    for listed in ((), ("0", "1.0", "True")):
        spelt = spelling(listed)(value)
        assert spelt is None or spelling(listed)(spelt) == spelt
