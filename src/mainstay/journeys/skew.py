"""The monitor of skew: the log of a window, held to the offline store as it was known at each look-up."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.defined import FeatureView
from mainstay.errors import NotFound, Refused
from mainstay.features.arrived import LookUps, arrived
from mainstay.features.asof import NEVER
from mainstay.journeys.materialize import looked_up, offline
from mainstay.journeys.progress import Tell
from mainstay.ledger.kinds import DATASETS, SPLITS, WITHDRAWALS
from mainstay.ledger.observations import Observations
from mainstay.monitoring.skew import LIMIT, Pairs, Skew, compare, judge
from mainstay.nouns import Window
from mainstay.spans import span
from mainstay.usecase import UseCase
from mainstay.verdicts import Verdict
from mainstay.wiring import Platform

State = tuple[str, str | None, tuple[Window, ...]]


@dataclass(slots=True)
class Gathered:
    """The look-ups of one feature: served, stored, and which they were."""

    served: list[Any] = field(default_factory=list)
    offline: list[Any] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)
    asked_at: list[datetime] = field(default_factory=list)


def skew(
    platform: Platform, use_case: UseCase, window: Window, tell: Tell, limit: float = LIMIT
) -> tuple[Verdict, list[Skew]]:
    """How the values that were looked up within a window compare with the offline store's. Only those: what a request
    gave itself is its own affair. Requests that were answered count once, whichever arms scored them too.

    The values of a head whose rows are gone cannot be compared, which is told.
    """
    home = platform.settings.home
    log = Observations(platform.ledger, platform.blobs, use_case.name, home / "cache" / "observations")
    table = log.predictions(window, features=list(use_case.inputs), origins=True)
    table = table.filter(pc.and_(pc.equal(table["role"].cast(pa.string()), "answered"), table["entity"].is_valid()))
    stood = _stood(platform, use_case)
    states = [stood.get(number) for number in table["split"].to_pylist()]
    made: dict[str, Gathered] = {}
    for state in dict.fromkeys(each for each in states if each is not None):
        rows = table.filter(pa.array([each == state for each in states], pa.bool_()))
        try:
            _compare_state(platform, use_case, *state, rows, made)
        except (Refused, NotFound) as error:
            tell(f"{rows.num_rows:,} answers cannot be compared: {error}")
    found = compare({name: Pairs(x.served, x.offline, x.predictions, x.asked_at) for name, x in made.items()})
    return judge(found, use_case.name, window, limit), found


def _stood(platform: Platform, use_case: UseCase) -> dict[int, State]:
    """Of each split, by its number: the head that was looked into and by which service, and what was withdrawn then."""
    splits = platform.ledger.history(use_case.name, SPLITS, use_case.name)
    gone = platform.ledger.history(use_case.name, WITHDRAWALS, use_case.name)
    made = {}
    for fact, after in zip(splits, [*splits[1:], None], strict=True):
        spans = [each.body.spans for each in gone if after is None or each.seq < after.seq]
        if fact.body.dataset_head:
            made[fact.body.number] = (fact.body.dataset_head, fact.body.feature_service, spans[-1] if spans else ())
    return made


def _compare_state(
    platform: Platform,
    use_case: UseCase,
    head: str,
    bound: str | None,
    spans: tuple[Window, ...],
    rows: pa.Table,
    made: dict[str, Gathered],
) -> None:
    fact = platform.ledger.latest(use_case.name, DATASETS, head)
    service = looked_up(platform, use_case, fact.body, bound) if fact else None
    if fact is None or service is None:
        return
    histories = offline(platform, use_case, fact, service, spans, keep=False)
    for view in service.views:
        compare_view(view, histories[view.name], rows, made)


def compare_view(view: FeatureView, history: pa.Table, rows: pa.Table, made: dict[str, Gathered]) -> None:
    """Add to `made`, by feature, what answers served of a view, and what its history says that they should have."""
    seen = [dict(each or ()).get(view.name) for each in rows["features_at"].to_pylist()]
    chosen = [n for n, each in enumerate(seen) if each is not None]
    if not chosen:
        return
    rows = rows.take(pa.array(chosen))
    at = [each for each in seen if each is not None]
    asked_at = rows["asked_at"].to_pylist()
    look_ups = LookUps(
        rows["entity"].to_pylist(),
        _instants(asked_at),
        _instants([each["watermark"] for each in at]),
        _instants([each["event_time"] for each in at]),
    )
    places, sure = arrived(history, look_ups, span(view.ttl) if view.ttl else None)
    expected = history.take(pa.array(places, mask=places == NEVER))
    predictions = rows["prediction_id"].to_pylist()
    for each in view.features:
        origins = f"o.{each.name}"
        if origins not in rows.column_names:
            continue
        told = rows[origins].cast(pa.string()).to_pylist()
        served, wanted = rows[f"f.{each.name}"].to_pylist(), expected[each.name].to_pylist()
        for n in np.flatnonzero(sure).tolist():
            if told[n] in ("looked_up", "missing"):
                into = made.setdefault(each.name, Gathered())
                into.served.append(served[n])
                into.offline.append(wanted[n])
                into.predictions.append(predictions[n])
                into.asked_at.append(asked_at[n])


def _instants(times: list[datetime | None]) -> Any:
    return pa.array(times, pa.timestamp("us", "UTC")).cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
