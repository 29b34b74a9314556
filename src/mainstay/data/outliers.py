"""Values far beyond the bulk of their column, by fences that the outliers themselves hardly move."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.data.typed import Typed
from mainstay.nouns import Estimate
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Limit, Outcome


def outlier_checks(columns: Mapping[str, Typed], use_case: UseCase) -> list[Check]:
    """A check for each column with `outliers`: the share of its values that lie beyond Tukey's fences.

    The fences are the quartiles, moved outwards by `beyond` times the distance between them (Tukey 1977, Exploratory
    Data Analysis, ch. 2; 1.5 calls a value outside, 3 far out). Up to a quarter of the values may be anything at all
    before they move without bound. Asked of every value that is one, in good rows and bad; where
    half of them and more are the same there is no such distance, and every value outside the quartiles lies beyond.
    Rows are not set aside for it. Without a value it is INCONCLUSIVE.
    """
    found = []
    for name, column in use_case.contract.columns.items():
        if column.outliers is None or name not in columns:
            continue
        limit = Limit(at_most=column.outliers.share_at_most)
        values = pc.cast(columns[name].values, pa.float64(), safe=False).drop_null().to_numpy(zero_copy_only=False)
        if not values.size:
            said = f"`{name}` has no value to tell outliers by"
            found.append(Check("outliers", Outcome.INCONCLUSIVE, said, name, limit=limit))
            continue
        first, third = np.quantile(values, (0.25, 0.75))
        reach = column.outliers.beyond * (third - first)
        low, high = first - reach, third + reach
        beyond = int(np.count_nonzero((values < low) | (values > high)))
        share = beyond / values.size
        outcome = Outcome.PASS if share <= column.outliers.share_at_most else Outcome.FAIL
        said = (
            f"{beyond:,} of {values.size:,} values of `{name}` ({share:.2%}) lie outside {low:g} to {high:g}, "
            f"and {column.outliers.share_at_most:.2%} may"
        )
        exact = Estimate(share, share, share, values.size, level=1.0, method="census")
        found.append(Check("outliers", outcome, said, name, estimate=exact, limit=limit))
    return found
