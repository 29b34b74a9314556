"""A column in another unit is told by name, and what merely grows or is drawn again is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from mainstay.data.units import FACTORS, unit_factor
from mainstay.data.validate import validate
from mainstay.nouns import DatasetVersion, Holdout
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Outcome

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
SHAPES: dict[str, Draw] = {
    "tenure": lambda random, n: random.integers(0, 73, n).astype(float),
    "age": lambda random, n: np.round(random.normal(45, 15, n)).clip(18, 99),
    "narrow": lambda random, n: random.lognormal(3, 0.3, n),
    "charges": lambda random, n: random.lognormal(3, 1, n).round(2),
    "broad": lambda random, n: random.lognormal(3, 2, n),
    "signed": lambda random, n: random.normal(0, 1, n),
    "share": lambda random, n: random.uniform(0, 1, n),
    "count": lambda random, n: random.poisson(2, n).astype(float),
    "often nothing": lambda random, n: random.lognormal(3, 0.5, n) * (random.random(n) < 0.4),
    "few values": lambda random, n: random.integers(1, 6, n).astype(float),
    "heavy tail": lambda random, n: random.pareto(1, n) + 1,
}
BEFORE = DatasetVersion("ds_0123456789abcdef", "shop", 400, ("age", "spent"), "c", Holdout("shop", 0.25))


@pytest.mark.parametrize("shape", SHAPES)
def test_growth_and_another_draw_are_never_another_unit(shape: str) -> None:
    random, draw = np.random.default_rng(3), SHAPES[shape]
    for _ in range(60):
        before = draw(random, int(random.integers(300, 2000)))
        after = draw(random, int(random.integers(300, 2000)))
        grown = np.concatenate([before, after[: len(after) // 3]])
        moved = after + np.median(np.abs(before)) * random.choice([0.2, 0.5, 1.0])
        times = after * random.choice([0.5, 0.7, 0.9, 1.1, 1.3, 2.0])
        for now in (after, grown, moved, times, random.choice(before, 300)):
            assert unit_factor(before, now) is None


@pytest.mark.parametrize("times", [1, 2, 3, 1 / 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_few_rows_that_have_grown_threefold_are_hardly_ever_another_unit(shape: str, times: float) -> None:
    random, draw = np.random.default_rng(11), SHAPES[shape]
    for rows in (30, 60, 100):
        found = [unit_factor(draw(random, rows), draw(random, rows) * times) for _ in range(40)]
        assert sum(factor is not None for factor in found) <= 2  # of 40


@pytest.mark.parametrize("factor", [12, 1 / 12, 100, 1 / 100, 1000, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_another_unit_is_always_seen_from_300_rows_on(shape: str, factor: float) -> None:
    random, draw = np.random.default_rng(5), SHAPES[shape]
    named = []
    for _ in range(30):
        found = unit_factor(draw(random, 300), draw(random, 300) * factor)
        assert found is not None
        named.append(np.isclose(found, factor))
    assert np.mean(named) >= 0.75  # of a broad shape, 300 values do not tell 7 from 12 every time


@pytest.mark.parametrize("whole", [np.round, np.floor])
def test_months_that_became_whole_years_are_seen(whole: Callable[[Any], Any]) -> None:
    random = np.random.default_rng(7)
    for name in ("tenure", "age"):
        before, after = SHAPES[name](random, 400), SHAPES[name](random, 400)
        assert unit_factor(before, whole(after / 12)) == pytest.approx(1 / 12)


def test_a_constant_or_a_few_values_have_no_shape() -> None:
    assert unit_factor(np.full(500, 1.0), np.full(500, 12.0)) is None  # the month of a snapshot, perhaps
    few = np.arange(1.0, 30.0)
    assert unit_factor(few, few * 12) is None
    assert unit_factor(np.array([]), np.arange(100.0)) is None


def test_every_factor_is_beyond_what_growth_is() -> None:
    assert min(FACTORS) >= 7


def frames(use_case: UseCase, factor: float) -> tuple[pa.Table, pa.Table]:
    """The rows of a version before, and those at hand, whose `spent` are of another draw, times the factor."""
    random = np.random.default_rng(11)
    spent = random.lognormal(1, 0.8, 800).clip(0.1, 90).round(2)
    ages = random.integers(18, 90, 800)
    common = {"mail": [None] * 400, "plan": ["basic", "plus"] * 200, "member": ["0"] * 400, "left": ["No", "Yes"] * 200}
    made = [
        pa.table({"id": [f"c{n}" for n in range(400)], "age": ages[part], "spent": values, **common})
        for part, values in ((slice(0, 400), spent[:400]), (slice(400, 800), spent[400:] * factor))
    ]
    return validate(made[0], use_case).table, made[1]


def units(use_case: UseCase, factor: float) -> list[Check]:
    parent, now = frames(use_case, factor)
    verdict = validate(now, use_case, parent=(BEFORE, parent)).verdict
    return [each for each in verdict.checks if each.name == "units"]


def test_a_version_is_compared_with_the_one_before(shop: UseCase) -> None:
    (check,) = units(shop, 1)
    assert (check.outcome, check.reason) == (
        Outcome.PASS,
        "none of 2 columns of numbers is that of ds_0123456789ab… times a constant",
    )


@pytest.mark.parametrize(("factor", "said"), [(100, "times 100 (cents"), (0.01, "divided by 100 (cents")])
def test_a_changed_unit_fails_the_verdict_by_name(shop: UseCase, factor: float, said: str) -> None:
    (check,) = units(shop, factor)  # at 100, many are out of range as well
    assert (check.outcome, check.subject, check.blocking) == (Outcome.FAIL, "spent", True)
    assert said in check.reason
    assert check.reason.startswith("`spent` looks like that of ds_0123456789ab…")
    assert "same_unit: false" in check.reason


def test_a_column_may_be_let_off(shop: UseCase) -> None:
    spent = shop.contract.columns["spent"].model_copy(update={"same_unit": False})
    contract = shop.contract.model_copy(update={"columns": {**shop.contract.columns, "spent": spent}})
    (check,) = units(shop.model_copy(update={"contract": contract}), 100)
    assert (check.outcome, check.reason[:18]) == (Outcome.PASS, "none of 1 columns ")


def test_the_first_version_has_nothing_to_be_compared_with(rows: pa.Table, shop: UseCase) -> None:
    assert "units" not in {each.name for each in validate(rows, shop).verdict.checks}
