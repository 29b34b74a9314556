"""How many values lie far from the others."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from mainstay.data.validate import validate
from mainstay.errors import Refused
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.verdicts import Check, Outcome


def asked(text: str, values: Sequence[float | None], option: str = "{beyond: 3, share_at_most: 0.01}") -> Check:
    use_case = loads(text.replace("unit: USD", f"outliers: {option}").replace("1000]", "100000]"))
    n = len(values)
    ages, plans = [str(20 + k % 60) for k in range(n)], ["basic", "plus"] * n
    columns = {"id": [f"c{k}" for k in range(n)], "age": ages, "spent": values, "plan": plans[:n]}
    table = pa.table({**columns, "left": ["No", "Yes"] * (n // 2)})
    return next(each for each in validate(table, use_case).verdict.checks if each.name == "outliers")


def test_values_that_keep_together_pass(tiny_text: str) -> None:
    check = asked(tiny_text, list(np.linspace(10, 20, 200)))
    assert (check.outcome, check.subject, check.blocking) == (Outcome.PASS, "spent", True)


def test_too_many_far_out_fail_and_some_are_tolerated(tiny_text: str) -> None:
    values = [*np.linspace(10, 20, 198), 5000.0, 9000.0]
    assert asked(tiny_text, values).outcome is Outcome.PASS
    check = asked(tiny_text, [*values[1:], 7000.0])
    assert check.outcome is Outcome.FAIL
    assert check.reason.startswith("3 of 200 values of `spent` (1.50%) lie outside ")
    assert check.reason.endswith("and 1.00% may")
    assert check.estimate is not None
    assert check.estimate.value == pytest.approx(0.015)


def test_the_fences_are_tukeys(tiny_text: str) -> None:
    values: list[float | None] = [*map(float, range(1, 101)), None, None]  # quartiles 25.75 and 75.25
    assert "outside -122.75 to 223.75" in asked(tiny_text, values).reason
    assert asked(tiny_text, values, "{beyond: 0.1, share_at_most: 0.3}").reason.startswith("40 of 100 values")


def test_a_fifth_of_wild_values_does_not_move_the_fences_past_them(tiny_text: str) -> None:
    check = asked(tiny_text, [*np.linspace(10, 20, 160), *np.linspace(9e4, 1e5, 40)])
    assert check.outcome is Outcome.FAIL
    assert check.reason.startswith("40 of 200")


def test_no_value_tells_nothing(tiny_text: str) -> None:
    assert asked(tiny_text, [None] * 20).outcome is Outcome.INCONCLUSIVE


def test_most_values_alike_leave_no_distance(tiny_text: str) -> None:
    assert asked(tiny_text, [5.0] * 100).outcome is Outcome.PASS
    assert asked(tiny_text, [5.0] * 90 + [6.0] * 10).reason.startswith("10 of 100 values")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("plan: {type: category, outliers: {}}", "a category column has no outliers"),
        ("plan: {type: number, outliers: {beyond: 0}}", "input should be greater than 0"),
        ("plan: {type: number, outliers: {share: 0.1}}", "unknown key `share` (there are: beyond, share_at_most)"),
    ],
)
def test_what_cannot_be_meant_is_refused(tiny_text: str, column: str, said: str) -> None:
    with pytest.raises(Refused, match="plan") as refused:
        loads(tiny_text.replace("plan: {type: category, values: [basic, plus]}", column))
    assert said in str(refused.value)


def test_a_use_case_without_the_option_is_not_asked(rows: pa.Table, shop: UseCase) -> None:
    assert "outliers" not in {each.name for each in validate(rows, shop).verdict.checks}
