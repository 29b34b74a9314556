"""A rule as pandas asks it is broken by the very rows that break it here."""

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mainstay.data.conditions import NoCondition, broken
from mainstay.expressions import parse
from mainstay.scoring.derive import evaluate
from mainstay.usecase import Column

COLUMNS = {
    "a": Column(type="number", nullable=True),
    "b c": Column(type="number", nullable=True),
    "plan": Column(type="category", nullable=True, values=("basic", "it's", "plus")),
    "flag": Column(type="category", nullable=True, values=("0", "1")),
}
KINDS = {name: column.kind for name, column in COLUMNS.items()}
N = 400


def rows() -> tuple[Any, dict[str, Any]]:
    """A pandas frame, and the same rows as we read them."""
    random = np.random.default_rng(2)

    def some(values: list[Any]) -> list[Any]:
        return [None if gone else value for value, gone in zip(values, random.random(N) < 0.25, strict=True)]

    numbers = {name: some([float(each) for each in random.integers(-2, 4, N)]) for name in ("a", "b c")}
    plans, flags = some(list(random.choice(["basic", "it's", "plus"], N))), some(list(random.choice([0, 1], N)))
    frame = pa.table({**numbers, "plan": plans, "flag": pa.array(flags, pa.int64())}).to_pandas()
    ours: dict[str, Any] = {name: np.array(values, dtype=np.float64) for name, values in numbers.items()}
    ours["plan"] = np.array(plans, dtype=object)
    ours["flag"] = np.array([None if each is None else str(each) for each in flags], dtype=object)
    return frame, ours


@pytest.mark.parametrize(
    "text",
    [
        "a > `b c`",
        "a >= 1 and `b c` < 2",
        "a == `b c` or a != 2",
        "not (a == 1 or `b c` == 1)",
        "a / `b c` > 0.5",
        "a / `b c`",
        "not a",
        "-a - `b c` * 2 <= abs(a) + 1",
        "log(a) >= 0",
        "is_null(a) or a > 0",
        "not is_null(`b c`) and is_null(plan)",
        "is_null(a / `b c`)",
        "plan == 'basic' or a > 0",
        'plan != "it\'s"',
        "not (plan == 'plus' and flag == '1')",
        "flag != '0' or 1 > 2",
        "'0' == flag",
        "1 < a",
    ],
)
def test_the_rows_that_break_a_rule_are_the_same(text: str) -> None:
    frame, ours = rows()
    rule = parse(text, KINDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of logarithms of what has none
        found = frame.query(broken(rule, COLUMNS)).index.tolist()
    assert found == np.flatnonzero(evaluate(rule, {"": np.zeros(N), **ours}) == 0).tolist()
    assert len(found) < N


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min(a, 1) > 0", "`min`"),
        ("(a > 1) + 1 > 1", "a comparison that is reckoned with"),
        ("1 < 2", "what is about no column"),
    ],
)
def test_what_pandas_cannot_ask_is_named(text: str, said: str) -> None:
    with pytest.raises(NoCondition, match=said.replace("(", r"\(")):
        broken(parse(text, KINDS), COLUMNS)
