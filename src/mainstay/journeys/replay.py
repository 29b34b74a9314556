"""Asking recorded requests again: of a version that is restored, by the one scorer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.cpu import kind_of_cpu
from mainstay.errors import MainstayError
from mainstay.ledger.facts import Fact
from mainstay.ledger.observations import Observations
from mainstay.nouns import Split, Window
from mainstay.observed import Ending, Role
from mainstay.rollout.proof import Again, Repeats, Watched
from mainstay.scoring.rowwise import RowScorer
from mainstay.scoring.scorer import Scorer
from mainstay.wiring import Platform

MOST = 500
"""Recorded requests that are asked again: the latest."""
_FIRST = timedelta(minutes=1)


def observations_of(platform: Platform, use_case: str) -> Observations:
    """What was observed of a use case, read through the home's cache."""
    return Observations(platform.ledger, platform.blobs, use_case, platform.settings.home / "cache")


def repeats(
    scorer: Scorer, version: str, history: Sequence[Fact[Split]], observations: Observations, now: datetime
) -> Repeats:
    """Ask up to 500 of the requests again that a version answered while it was champion, the latest of them.

    `history` are the facts of every split. Where there is none to be had, the golden rows stand in: they are scored
    here, and Refused as `Scorer.warm_up` where they do not give what was signed.
    """
    threshold = scorer.bundle.decide.threshold
    try:
        rows = _recorded(scorer, version, history, observations, now)
    except MainstayError as error:
        trouble: str | None = f"recorded requests cannot be read ({error})"
        rows = []
    else:
        trouble = None
    if rows:
        thresholds = tuple(sorted({row["threshold"] for row in rows}))
        return Repeats(version, threshold, tuple(_again(scorer, rows)), thresholds)
    scorer.warm_up()
    return Repeats(version, threshold, trouble=trouble, golden=len(scorer.bundle.golden.rows))


def watched(observations: Observations, version: str, split: int, window: Window, seconds: float) -> Watched:
    """What came of the requests that a version was given under a split or a later one, within a window."""
    try:
        found = observations.predictions(window, features=())
    except MainstayError as error:
        return Watched(seconds, trouble=str(error))
    ours = pc.and_(
        pc.and_(_is(found, "version", version), pc.greater_equal(found["split"], split)),
        pc.or_(_is(found, "role", Role.ANSWERED), _is(found, "role", Role.ATTEMPTED)),
    )
    asked = found.filter(ours)
    errors = pc.sum(pc.not_equal(asked["outcome"].cast(pa.string()), Ending.OK.value)).as_py() or 0
    return Watched(seconds, asked.num_rows, errors)


def reigns(history: Sequence[Fact[Split]], version: str, now: datetime) -> list[Window]:
    """When a version was champion, the last time first; a reign that goes on ends at `now`."""
    ends = [fact.at for fact in history[1:]] + [now]
    spans = [(fact.at, end) for fact, end in zip(history, ends, strict=True) if fact.body.reigning == version]
    return [Window(start, end) for start, end in reversed(spans) if start < end]


def _recorded(
    scorer: Scorer, version: str, history: Sequence[Fact[Split]], observations: Observations, now: datetime
) -> list[dict[str, Any]]:
    """The rows, the latest first: looked for from the end of each reign backwards, in windows twice as long each time.

    A split reaches the replicas up to some seconds after its fact, so the number of the split in the row decides.
    """
    numbers = {fact.body.number for fact in history if fact.body.reigning == version}
    names = [each.name for each in scorer.bundle.encoder.inputs]
    found: list[dict[str, Any]] = []
    seq = observations.head()
    for reign in reigns(history, version, now):
        end, step = reign.end, _FIRST
        while end > reign.start and len(found) < MOST:
            start = max(reign.start, end - step)
            table = observations.predictions(Window(start, end), seq, names)
            ours = pc.and_(
                pc.and_(_is(table, "version", version), _is(table, "role", Role.ANSWERED)),
                pc.and_(_is(table, "outcome", Ending.OK), pc.is_in(table["split"], pa.array(sorted(numbers)))),
            )
            rows = table.filter(ours)
            found += reversed(rows.slice(max(0, rows.num_rows - MOST)).to_pylist())
            end, step = start, step * 2
    return found[:MOST]


def _is(table: pa.Table, name: str, value: str) -> Any:
    return pc.equal(table[name].cast(pa.string()), str(value))


def _again(scorer: Scorer, rows: Sequence[dict[str, Any]]) -> list[Again]:
    rule = scorer.bundle.decide
    names = [f"f.{each.name}" for each in scorer.bundle.encoder.inputs]
    arm, here = RowScorer(scorer), kind_of_cpu()
    made = []
    for row in rows:
        values = [row[name] for name in names]
        kept = row["tensor"]
        encoded = kept is None or np.array_equal(
            np.frombuffer(kept, "<f4"), arm.encode(values).reshape(-1).astype("<f4"), equal_nan=True
        )
        scored = arm.score(values)
        probability = row["probability"]
        made.append(
            Again(
                row["prediction_id"],
                float("nan") if probability is None else probability,
                scored.probability,
                rule.threshold,
                row["decision"],
                scored.decision,
                row["cpu"] == here and "." not in row["prediction_id"],  # the rows of a batch are BATCH.POSITION
                encoded,
            )
        )
    return made
