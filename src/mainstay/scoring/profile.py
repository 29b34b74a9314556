"""The reference profile: what the training rows looked like, as histograms, and never a row of them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Value
from mainstay.scoring.derive import Columns
from mainstay.scoring.encode import Input

BINS = 20
SHARED = 5
"""A category that fewer rows have is not named: a rare text may be about one customer."""
NAMED = 50
"""Categories of a column that are named at most, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number's histogram: `counts[i]` rows lie in [edges[i], edges[i + 1]), the last bin closed, `missing` in none.

    `whole` says that every value was an integer.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Categories:
    """How many rows had each frequent value, by name; `other` rows had a rarer one, and `missing` rows had none."""

    counts: tuple[tuple[str, int], ...]
    missing: int
    other: int


@dataclass(frozen=True, slots=True)
class Profile:
    """The training rows by input, their probabilities as a histogram on [0, 1], and the share of positives."""

    rows: int
    numbers: dict[str, Numbers]
    categories: dict[str, Categories]
    probability: Numbers
    base_rate: float


def profile_of(
    columns: Columns, inputs: tuple[Input, ...], probability: NDArray[np.float64], base_rate: float
) -> Profile:
    """The profile of n >= 1 training rows. Bins hold about equal numbers of rows, at most 20."""
    numbers = {each.name: _numbers(columns[each.name]) for each in inputs if each.kind == "number"}
    categories = {each.name: _categories(columns[each.name]) for each in inputs if each.kind == "category"}
    fixed = np.linspace(0, 1, BINS + 1)
    counts, _ = np.histogram(probability, fixed)
    scores = Numbers(tuple(fixed.round(12).tolist()), tuple(counts.tolist()), 0)
    return Profile(len(probability), numbers, categories, scores, base_rate)


def _numbers(values: NDArray[np.float64]) -> Numbers:
    present = values[np.isfinite(values)]
    missing = int(values.size - present.size)
    if present.size == 0:
        return Numbers((), (), missing)
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1), method="inverted_cdf"))
    if edges.size == 1:
        edges = np.array([edges[0], edges[0]])
    counts = np.bincount(np.clip(np.searchsorted(edges, present, "right") - 1, 0, edges.size - 2))
    whole = bool((present == np.round(present)).all())
    padded = np.zeros(edges.size - 1, dtype=np.int64)
    padded[: counts.size] = counts
    return Numbers(tuple(edges.tolist()), tuple(padded.tolist()), missing, whole)


def _categories(values: NDArray[np.object_]) -> Categories:
    counts = Counter(values.tolist())
    missing = counts.pop(None, 0)
    shared = sorted((item for item in counts.items() if item[1] >= SHARED), key=lambda item: (-item[1], item[0]))
    named = sorted(shared[:NAMED])
    return Categories(tuple(named), missing, counts.total() - sum(count for _, count in named))


def draw(profile: Profile, inputs: tuple[Input, ...], rows: int, seed: int) -> dict[str, NDArray[np.generic]]:
    """Rows that never existed: every input drawn by itself from its histogram. Deterministic in the seed.

    A category is one of those that are named, or missing as often as it was; missing too where none is named.
    """
    random = np.random.default_rng(seed)
    drawn: dict[str, NDArray[np.generic]] = {}
    for each in inputs:
        if each.kind == "number":
            drawn[each.name] = _draw_numbers(profile.numbers[each.name], rows, random)
        else:
            drawn[each.name] = _draw_categories(profile.categories[each.name], rows, random)
    return drawn


def _draw_numbers(numbers: Numbers, rows: int, random: np.random.Generator) -> NDArray[np.float64]:
    weights = np.array([*numbers.counts, numbers.missing], dtype=np.float64)
    bins = random.choice(weights.size, size=rows, p=weights / weights.sum())
    within = random.random(rows)
    edges = np.array([*numbers.edges, np.nan]) if numbers.edges else np.array([np.nan, np.nan])
    values = edges[bins] + within * (edges[np.minimum(bins + 1, edges.size - 1)] - edges[bins])
    values[bins == len(numbers.counts)] = np.nan
    return np.asarray(np.round(values) if numbers.whole else values)


def _draw_categories(categories: Categories, rows: int, random: np.random.Generator) -> NDArray[np.object_]:
    names = np.array([*(name for name, _ in categories.counts), None], dtype=object)
    weights = np.array([*(count for _, count in categories.counts), categories.missing], dtype=np.float64)
    if not weights.any():
        weights[-1] = 1.0
    return np.asarray(names[random.choice(weights.size, size=rows, p=weights / weights.sum())], dtype=object)


def reference(profile: Profile, inputs: tuple[Input, ...]) -> dict[str, Value]:
    """The value of each input that stands for a usual row: the median of a number, the most frequent category.

    A number's median is read off its histogram, rounded where every value was whole. None where all were missing, and
    for a category where being missing was more frequent than any that is named.
    """
    made: dict[str, Value] = {}
    for each in inputs:
        if each.kind == "number":
            made[each.name] = _median(profile.numbers[each.name])
        else:
            told = profile.categories[each.name]
            name, count = max(told.counts, key=lambda item: item[1], default=(None, 0))
            made[each.name] = None if each.nullable and told.missing > count else name
    return made


def _median(numbers: Numbers) -> float | None:
    below = 0
    half = sum(numbers.counts) / 2
    for count, low, high in zip(numbers.counts, numbers.edges, numbers.edges[1:], strict=False):
        if count and below + count >= half:
            found = low + (half - below) / count * (high - low)
            return float(round(found)) if numbers.whole else found
        below += count
    return None
