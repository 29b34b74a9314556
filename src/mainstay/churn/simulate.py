"""`simulator://churn?customers=20000&seed=7&until=2026-01-01`: customers seen once each, in Telco's 21 columns.

The same address is the same rows, to the byte: `until` is written in it, never the wall clock. A customer's traits
depend on the seed and her number alone: not on how many others there are, nor on how the rows are chunked.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from mainstay.churn import customers
from mainstay.errors import Refused

HORIZON: Final = timedelta(days=30)
SPREAD: Final = timedelta(days=365)  # customers are observed within this time before `until`
LATE_SHARE: Final = 0.03
LATEST: Final = timedelta(days=3)  # a late label comes at most this long after its horizon
MOST: Final = 10_000_000
_BLOCK: Final = 5_000  # customers drawn from one seed sequence; another number would give other customers
_LAW, _CLOCK = 0, 1  # what a block's generator is for


@dataclass(frozen=True, slots=True)
class Population:
    """Whom to simulate: 1 to 10,000,000 customers, a seed in [0, 2**63), and the instant after which nothing is known.

    `until` lies in the years 1971 to 2199. Raises Refused naming the parameter that is out of its range.
    """

    customers: int = 20_000
    seed: int = 7
    until: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        if not 1 <= self.customers <= MOST:
            raise Refused(f"`customers` must be from 1 to {MOST:,}, not {self.customers:,}", "simulator://churn")
        if not 0 <= self.seed < 2**63:
            raise Refused(f"`seed` must be from 0 to 2**63 - 1, not {self.seed}", "simulator://churn")
        if self.until.tzinfo is None or not 1971 <= self.until.year < 2200:
            raise Refused(
                f"`until` must be a time with its zone in the years 1971 to 2199, not {self.until.isoformat()}",
                "simulator://churn",
            )


def parse(query: str) -> Population:
    """The population that the part of the address after `simulator://churn` asks for; empty is all defaults.

    Parameters: `customers`, `seed` (integers), `until` (a date, or a time with its zone). Raises Refused for one that
    is unknown, given twice, empty or impossible, naming it and what would be right.
    """
    given: dict[str, Any] = {}
    for part in filter(None, query.removeprefix("?").split("&")):
        name, _, text = part.partition("=")
        if name not in _PARAMETERS:
            raise Refused(f"there is no parameter `{name}`; {_instead(name)}", "simulator://churn")
        if name in given:
            raise Refused(f"`{name}` is given twice; give it once", "simulator://churn")
        given[name] = _PARAMETERS[name](name, unquote(text))
    return Population(**given)


def chunks(population: Population, rows: int = 50_000) -> Iterator[dict[str, NDArray[Any]]]:
    """The population's rows by number, `rows` at a time, the last chunk shorter; memory grows with `rows` alone.

    Columns: Telco's 21 in its order (object arrays of str; `SeniorCitizen` and `tenure` int64; `MonthlyCharges` and
    `TotalCharges` float64, the latter NaN at tenure 0), then `observed_at` (datetime64[us], UTC), spread evenly over
    the 365 days before `until`. `Churn` says whether the customer left within 30 days of that. It is None where that
    could not be known by `until`: the 30 days were not over, or it was one of the 3 % of labels that come late, by up
    to 3 days, and had not come. Raises Refused where `rows` is below 1.
    """
    if rows < 1:
        raise Refused(f"a chunk has at least one row, not {rows}", "rows")
    return _chunks(population, rows)


def _chunks(population: Population, rows: int) -> Iterator[dict[str, NDArray[Any]]]:
    number, block = -1, dict[str, NDArray[Any]]()
    for first in range(0, population.customers, rows):
        end = min(first + rows, population.customers)
        parts = []
        while first < end:
            if first // _BLOCK != number:
                number = first // _BLOCK
                block = _block(population, number)
            start = number * _BLOCK
            stop = min(end, start + _BLOCK)
            parts.append({name: values[first - start : stop - start] for name, values in block.items()})
            first = stop
        yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _block(population: Population, number: int) -> dict[str, NDArray[Any]]:
    """Customers number * 5,000 and after: always the whole block, so that no customer depends on where it is cut."""
    traits = customers.draw(np.random.default_rng([population.seed, _LAW, number]), _BLOCK)
    rng = np.random.default_rng([population.seed, _CLOCK, number])
    ago = (rng.random(_BLOCK) * (SPREAD / timedelta(microseconds=1))).astype(np.int64) + 1
    leaves = rng.random(_BLOCK) < customers.leaving_probability(traits)
    late = rng.random(_BLOCK) < LATE_SHARE
    delay = (rng.random(_BLOCK) * late * (LATEST / timedelta(microseconds=1))).astype(np.int64)
    known = ago >= HORIZON // timedelta(microseconds=1) + delay
    churn = np.where(leaves, "Yes", "No").astype(object)
    churn[~known] = None
    until = np.datetime64(population.until.astimezone(UTC).replace(tzinfo=None), "us")
    numbers = np.arange(number * _BLOCK, (number + 1) * _BLOCK, dtype=np.int64)
    return {
        "customerID": customers.customer_ids(population.seed, numbers),
        **customers.columns(traits),
        "Churn": churn,
        "observed_at": until - ago.astype("timedelta64[us]"),
    }


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(f"`{name}` must be an integer such as {name}=7, not `{text}`", "simulator://churn") from None


def _instant(name: str, text: str) -> datetime:
    right = f"`{name}` must be a date such as {name}=2026-01-01, or a time with its zone, such as 2026-01-01T06:00:00Z"
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass  # not a date alone
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{right}; not `{text}`", "simulator://churn") from None
    if at.tzinfo is None:
        raise Refused(f"{right}; `{text}` has no zone", "simulator://churn")
    return at


_PARAMETERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "customers": _integer,
    "seed": _integer,
    "until": _instant,
}


def _instead(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), _PARAMETERS, n=1)
    return f"did you mean `{close[0]}`?" if close else "there are `customers`, `seed` and `until`"
