"""Is a column still in the unit it was in? Values that are those of the version before, times a constant.

Months for years, cents for dollars: every value is well formed, and the model is wrong about all of them. This asks
about the shape of a column, not about single values, so it needs the rows of the version before.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.data.typed import Typed
from mainstay.measures.distance import kolmogorov
from mainstay.nouns import DatasetVersion, Estimate
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Outcome

FACTORS: Final[Mapping[float, str]] = {
    7: "days and weeks",
    12: "months and years",
    24: "hours and days",
    30.4375: "days and months",
    60: "seconds and minutes, or minutes and hours",
    100: "cents and whole coins, percent and shares, or cm and m",
    365.25: "days and years",
    1000: "thousands: g and kg, ms and s, m and km",
    3600: "seconds and hours",
    86_400: "seconds and days",
    1_000_000: "millions",
}
"""What units commonly differ by. None is below 7: what merely grows does not grow so much between two versions."""
GROWN: Final = 4
"""What a factor has to explain better than: growth or shrinkage as large as that. Few values allow for so much noise
that either would do."""
CLEARER: Final = 0.05
"""How much nearer the factor must bring the values than such growth does."""
LEAST_VALUES: Final = 30
"""Values other than zero that a side needs."""
LEAST_DISTINCT: Final = 3
"""Different ones among them: of a constant that changes there is no shape to know again."""
NOISE: Final = 2.23
"""Two samples of one shape, of n and m values, are this times sqrt(1/n + 1/m) apart once in 10,000 (Smirnov 1948)."""
LIKE: Final = 0.12
"""How far, beyond noise, the shape may have moved besides: time goes on between two versions."""
FARTHER: Final = 0.2
"""How much farther apart the values must lie as they are than once the factor is taken out."""
Floats = NDArray[np.float64]


def unit_checks(
    columns: Mapping[str, Typed], use_case: UseCase, before: DatasetVersion, parent: pa.Table
) -> list[Check]:
    """A failed check for every number column whose values are the parent's times a factor of `FACTORS` or its inverse.

    `columns` are those of the rows at hand as they are typed, good and bad ones; `parent` the rows of `before`. One
    check that passes where there is no such column. Left out are columns with `same_unit: false`, and those of which
    either side has too few values to know a shape.
    """
    found, compared = [], 0
    for name, column in use_case.contract.columns.items():
        if name not in columns or name not in parent.column_names or column.kind != "number" or not column.same_unit:
            continue
        sides = _numbers(parent[name]), _numbers(columns[name].values)
        if sides[0] is None or sides[1] is None:
            continue
        compared += 1
        factor = unit_factor(sides[0], sides[1])
        if factor is not None:
            found.append(_changed(name, factor, sides[1].size, before))
    said = f"none of {compared} columns of numbers is that of {before.id[:15]}… times a constant"
    return found or [Check("units", Outcome.PASS, said)]


def unit_factor(before: Floats, after: Floats) -> float | None:
    """The factor of `FACTORS`, or its inverse, by which `after` is `before`; None where there is none.

    Both are finite values, (n,) and (m,). By Kolmogorov's distance between the values other than zero: it must be
    within noise and `LIKE` once the factor is taken out, and `FARTHER` above that as they are; zeros must come as
    often; and it must be `CLEARER` below that of values which have grown, or shrunk, `GROWN` times. Whole numbers may
    have been rounded to it, up or down. Of several factors that fit, the one nearest to the ratio of the geometric
    means. None too where a side has fewer than 30 values, or 3 different ones, other than zero.
    """
    if not all(_has_shape(side) for side in (before, after)):
        return None
    apart = _distance(before, after)
    allowed = NOISE * _scale(_nonzero(before), _nonzero(after))
    if apart < max(allowed, FARTHER):
        return None
    fitting = []
    ratio = _log_size(after) - _log_size(before)
    for factor in (each for known in FACTORS for each in (known, 1 / known)):
        left = min(_misfit(made, after) for made in _scaled(before, after, factor))
        growth = _scaled(before, after, GROWN if factor > 1 else 1 / GROWN)
        grown = min(_distance(made, after) for made in growth if _nonzero(made).size)
        if apart - left >= FARTHER and grown - left >= CLEARER:
            fitting.append((abs(math.log(factor) - ratio), factor))
    return min(fitting)[1] if fitting else None


def _misfit(made: Floats, after: Floats) -> float:
    """How far two samples are apart; 1 where that is more than chance and time account for, or zeros come otherwise."""
    if not _nonzero(made).size:
        return 1.0
    left = _distance(made, after)
    zeros = abs(float((made == 0).mean()) - float((after == 0).mean()))
    if left > LIKE + NOISE * _scale(_nonzero(made), _nonzero(after)) or zeros > LIKE + NOISE * _scale(made, after):
        return 1.0
    return left


def _scaled(before: Floats, after: Floats, factor: float) -> list[Floats]:
    scaled = before * factor
    whole = factor < 1 and bool((after == np.round(after)).all())
    return [scaled, np.round(scaled), np.floor(scaled)] if whole else [scaled]


def _numbers(values: Any) -> Floats | None:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    numbers = np.asarray(pc.cast(values, pa.float64(), safe=False).drop_null().to_numpy(zero_copy_only=False))
    return numbers if _has_shape(numbers) else None


def _has_shape(values: Floats) -> bool:
    given = _nonzero(values)
    return given.size >= LEAST_VALUES and np.unique(given).size >= LEAST_DISTINCT


def _nonzero(values: Floats) -> Floats:
    return np.asarray(values[values != 0])


def _distance(before: Floats, after: Floats) -> float:
    return float(kolmogorov(_nonzero(before), _nonzero(after)).value)


def _scale(before: Floats, after: Floats) -> float:
    return math.sqrt(1 / before.size + 1 / after.size)


def _log_size(values: Floats) -> float:
    return float(np.log(np.abs(_nonzero(values))).mean())


def _changed(name: str, factor: float, rows: int, before: DatasetVersion) -> Check:
    times, known = ("times", factor) if factor > 1 else ("divided by", 1 / factor)
    known = round(known, 6)
    said = (
        f"`{name}` looks like that of {before.id[:15]}… {times} {known:,g} ({FACTORS[known]}): is it in another unit? "
        f"Mend the source; if it is meant so, set `same_unit: false` for this once"
    )
    estimate = Estimate(factor, factor, factor, rows, level=1.0, method="likely factor")
    return Check("units", Outcome.FAIL, said, name, estimate=estimate)
