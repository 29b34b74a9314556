"""What sets two versions apart: their data, features, parameters and scores, and whom they decide otherwise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.histograms import kolmogorov_distance, total_variation
from mainstay.measures.money import Offer
from mainstay.measures.rates import rate
from mainstay.measures.scores import scorecard
from mainstay.measures.segments import segments
from mainstay.nouns import Candidate, DatasetVersion, Estimate, Holdout, Real, Run, Value
from mainstay.records import encode
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import Frame
from mainstay.scoring.profile import Categories, Numbers, Profile

SEGMENTS = 10
"""How many of the segments that are decided otherwise most are told."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two versions as recorded: its number, and what it was made from, the dataset as its run held it out."""

    version: str
    dataset: DatasetVersion
    run: Run
    candidate: Candidate
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Changed:
    """A thing by name, as it was and as it is; None where it is not there."""

    name: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Moved:
    """How far an input's training rows moved between two profiles, in [0, 1], and the shares that were missing.

    `distance` is Kolmogorov's for a number and the total variation for a category, of the rows that have a value.
    """

    input: str
    distance: Real
    missing_before: Real
    missing_after: Real


@dataclass(frozen=True, slots=True)
class Segment:
    """The rows of one value of a column, and the share of them that is decided otherwise."""

    column: str
    value: str
    flipped: Estimate


@dataclass(frozen=True, slots=True)
class Flips:
    """Both versions asked about the holdout of one: who is decided otherwise.

    `to_positive` and `to_negative` count rows by what the second version decides. `before` and `after` are the scores
    of each on these same rows. `caution` says why the first may know them, empty where it cannot.
    """

    holdout_of: str
    share: Estimate
    to_positive: int
    to_negative: int
    segments: tuple[Segment, ...]
    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    caution: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that sets `after` apart from `before`; what is alike is left out, save scores and moves.

    `scores` maps a metric to both versions' estimates, each on its own holdout. `flips` is None where the rows cannot
    be scored by both, and `not_scored` says why.
    """

    before: str
    after: str
    data: tuple[Changed, ...]
    moved: tuple[Moved, ...]
    features: tuple[Changed, ...]
    places_gone: tuple[str, ...]
    places_new: tuple[str, ...]
    training: tuple[Changed, ...]
    scores: Mapping[str, tuple[Estimate | None, Estimate | None]]
    flips: Flips | None
    not_scored: str = ""


def difference(before: Side, after: Side, flips: Flips | None, not_scored: str = "") -> Difference:
    """What sets `after` apart from `before`."""
    metrics = dict.fromkeys([*before.candidate.holdout, *after.candidate.holdout])
    places = before.bundle.encoder.places, after.bundle.encoder.places
    return Difference(
        before.version,
        after.version,
        _changed(_data(before), _data(after)),
        moves(before.bundle.profile, after.bundle.profile),
        _changed(_features(before), _features(after)),
        tuple(name for name in places[0] if name not in set(places[1])),
        tuple(name for name in places[1] if name not in set(places[0])),
        _changed(_training(before), _training(after)),
        {name: (before.candidate.holdout.get(name), after.candidate.holdout.get(name)) for name in metrics},
        flips,
        not_scored,
    )


def flips_on(
    holdout: Frame,
    of: str,
    before: tuple[NDArray[np.float64], float],
    after: tuple[NDArray[np.float64], float],
    offer: Offer | None,
    caution: str = "",
) -> Flips:
    """Who of the n rows of a holdout, that of version `of`, is decided otherwise by two versions.

    Each is its probabilities (n,), finite, and its threshold. Segments are those of every input and protected attribute
    in which somebody is decided otherwise, the highest lower bounds first: a large share of few rows comes late.
    """
    said = [probability >= threshold for probability, threshold in (before, after)]
    other = said[0] != said[1]
    found = [
        Segment(each.column, each.value, _share(other[each.mask]))
        for each in segments({**holdout.slices, **holdout.columns})
        if other[each.mask].any()
    ]
    found.sort(key=lambda each: (-each.flipped.low, each.column, each.value))
    scores = [scorecard(holdout.labels, probability, threshold, offer) for probability, threshold in (before, after)]
    return Flips(
        of,
        _share(other),
        int(np.count_nonzero(other & said[1])),
        int(np.count_nonzero(other & said[0])),
        tuple(found[:SEGMENTS]),
        scores[0],
        scores[1],
        caution,
    )


def unseen(trained: Holdout, judged: Holdout) -> bool:
    """Whether a version held out like `trained` can have learnt from no row that is held out like `judged`."""
    if trained.salt != judged.salt or (trained.cut is None) != (judged.cut is None):
        return False
    if trained.cut is not None and judged.cut is not None:
        return trained.cut <= judged.cut
    return trained.share >= judged.share


def moves(before: Profile, after: Profile) -> tuple[Moved, ...]:
    """How far the training rows of every input that both profiles hold have moved, the furthest first."""
    found = [
        _moved_number(name, one, after.numbers[name]) for name, one in before.numbers.items() if name in after.numbers
    ]
    found += [
        _moved_category(name, one, after.categories[name])
        for name, one in before.categories.items()
        if name in after.categories
    ]
    return tuple(sorted(found, key=lambda each: (-_known(each.distance), each.input)))


def _moved_number(name: str, one: Numbers, other: Numbers) -> Moved:
    apart = kolmogorov_distance(one.edges, one.counts, other.edges, other.counts)
    return Moved(name, apart, *(_missing(each.missing, sum(each.counts)) for each in (one, other)))


def _moved_category(name: str, one: Categories, other: Categories) -> Moved:
    # What one profile does not name is among its others: so it is compared only as such.
    shared = {value for value, _ in one.counts} & {value for value, _ in other.counts}
    counted = [
        {f"={value}": count for value, count in each.counts if value in shared}
        | {"others": each.other + sum(count for value, count in each.counts if value not in shared)}
        for each in (one, other)
    ]
    present = (sum(counts.values()) for counts in counted)
    missing = (_missing(each.missing, rows) for each, rows in zip((one, other), present, strict=True))
    return Moved(name, total_variation(*counted), *missing)


def _missing(missing: int, present: int) -> float:
    return missing / (missing + present) if missing + present else math.nan


def _known(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _share(flipped: NDArray[np.bool_]) -> Estimate:
    return rate(int(np.count_nonzero(flipped)), flipped.size)


def _data(side: Side) -> dict[str, Value]:
    dataset, holdout = side.dataset, side.dataset.holdout
    return {
        "dataset": dataset.id,
        "rows": dataset.rows,
        "quarantined": dataset.quarantined,
        "columns": ", ".join(dataset.columns),
        "contract": dataset.contract,
        "trained on": side.bundle.profile.rows,
        "base rate": side.bundle.profile.base_rate,
        **{f"holdout {name}": value for name, value in encode(holdout).items()},
    }


def _features(side: Side) -> dict[str, Value]:
    encoder = side.bundle.encoder
    inputs: dict[str, Value] = {each.name: _promise(encode(each)) for each in encoder.inputs}
    return inputs | dict(encoder.derived)


def _promise(given: Mapping[str, Any]) -> str:
    """An input's promise in one line: `number, 0 to 120, may be missing`."""
    parts = [given["type"]]
    if given["range"] is not None:
        parts.append(f"{given['range'][0]:.15g} to {given['range'][1]:.15g}")
    if given["values"] is not None:
        parts.append(" | ".join(given["values"]))
    return ", ".join([*parts, *(["may be missing"] if given["nullable"] else [])])


def _training(side: Side) -> dict[str, Value]:
    run, decide, calibration = side.run, side.bundle.decide, side.bundle.calibration
    return {
        "estimator": run.estimator,
        **run.parameters,
        "seed": run.seed,
        "recipe": run.recipe,
        **{f"code {name}": value for name, value in run.code.items()},
        "threshold": decide.threshold,
        "calibration slope": calibration.slope,
        "calibration offset": calibration.offset,
    }


def _changed(before: Mapping[str, Value], after: Mapping[str, Value]) -> tuple[Changed, ...]:
    names = dict.fromkeys([*before, *after])
    return tuple(
        Changed(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )
