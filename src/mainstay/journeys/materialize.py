"""Features brought online: the rows of a dataset version, and what was pushed since, into its own namespace."""

import fcntl
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.data.freeze import open_dataset
from mainstay.data.histories import open_views
from mainstay.defined import FeatureService, FeatureView, project_of
from mainstay.digests import digest, short
from mainstay.errors import NotFound, Refused, Unavailable
from mainstay.features import feast
from mainstay.features.feast import EVENT_TIME, KNOWN_AT
from mainstay.features.materialize import joined_rows, materialise
from mainstay.features.online import Writer, writer_from
from mainstay.journeys.asked import Asked
from mainstay.journeys.features import described, record
from mainstay.journeys.progress import Tell
from mainstay.journeys.recorded import standing_datasets
from mainstay.ledger.facts import Fact
from mainstay.ledger.kinds import DATASETS, FEATURE_SERVICES, SPLITS, VERSIONS, WITHDRAWALS
from mainstay.nouns import DatasetVersion, Window, rfc3339
from mainstay.settings import Settings
from mainstay.usecase import UseCase, View
from mainstay.wiring import Platform

KEPT: Final = 2
"""Namespaces of so many heads are kept, the one that is live among them."""
_PUSHED: Final = re.compile(r".*/(\d{20})-([0-9a-f]{64})\.parquet")


@dataclass(frozen=True, slots=True)
class Filled:
    """One view that was brought online: rows written now, how many it has offline, and how far it is."""

    project: str
    view: str
    written: int
    rows: int
    watermark: datetime


def writer_of(settings: Settings) -> Writer:
    """What fills the online store of these settings."""
    return writer_from(settings.online)


def feast_online(settings: Settings) -> Mapping[str, Any] | None:
    """The online store as Feast's configuration names it; None for the one in the home."""
    found = re.fullmatch(r"(rediss?)://(?:[^@/]*:([^@/]*)@)?([^/:]+)(?::(\d+))?(?:/(\d+))?", settings.online)
    if not found:
        return {"type": "sqlite", "path": settings.online.removeprefix("sqlite:///")} if settings.online_url else None
    scheme, password, host, port, database = found.groups()
    parts = [f"{host}:{port or 6379}", f"db={database or 0}", *([f"password={password}"] if password else [])]
    return {"type": "redis", "connection_string": ",".join([*parts, *(["ssl=true"] if scheme == "rediss" else [])])}


def head(platform: Platform, use_case: UseCase) -> Fact[DatasetVersion]:
    """The dataset version whose values are looked up: the head of what is live, else the last that was frozen.

    NotFound where nothing was frozen yet.
    """
    split = platform.ledger.latest(use_case.name, SPLITS, use_case.name)
    named = split.body.dataset_head if split else None
    fact = platform.ledger.latest(use_case.name, DATASETS, named) if named else None
    if fact is None:
        facts = standing_datasets(platform.ledger, use_case.name)
        if not facts:
            raise NotFound(f"no dataset of {use_case.name} was frozen yet; `mainstay data freeze` makes one")
        fact = facts[-1]
    return fact


def beside_the_head(platform: Platform, use_case: UseCase) -> list[Fact[DatasetVersion]]:
    """The dataset versions of the other arms of what is live: one of them may be the head tomorrow, or looked into now.

    Those of a challenger and of whoever stands by, without the head's.
    """
    split = platform.ledger.latest(use_case.name, SPLITS, use_case.name)
    if split is None:
        return []
    versions = [platform.ledger.latest(use_case.name, VERSIONS, arm.version) for arm in split.body.arms]
    names = dict.fromkeys(fact.body.dataset for fact in versions if fact is not None)
    facts = [platform.ledger.latest(use_case.name, DATASETS, name) for name in names if name != split.body.dataset_head]
    return [fact for fact in facts if fact is not None]


def materialize_beside(platform: Platform, use_case: UseCase, until: datetime, tell: Tell) -> list[Filled]:
    """Bring the namespaces of the other arms as far as the head's. What cannot be filled is told, and stops nothing."""
    with one_at_a_time(platform.settings, use_case.name):
        return materialize_beside_now(platform, use_case, until, tell)


def materialize_beside_now(platform: Platform, use_case: UseCase, until: datetime, tell: Tell) -> list[Filled]:
    """As `materialize_beside`, for who has the turn already (`one_at_a_time`)."""
    made: list[Filled] = []
    for fact in beside_the_head(platform, use_case):
        try:
            made += materialize_now(platform, use_case, fact, until, lambda noun: None)
        except (Refused, NotFound) as error:
            tell(f"{short(fact.body.id)}, of an arm beside the champion, is not brought online: {error}")
    return made


def looked_up(
    platform: Platform, use_case: UseCase, dataset: DatasetVersion, bound: str | None = None
) -> FeatureService | None:
    """The service whose views are looked up by entity in a dataset version; None where rows are kept without one.

    That is the one that is `bound`, else that of the live split where it looks into this version, as it was recorded:
    the use case may describe the next one already. Of any other version it is what the use case describes.
    """
    if use_case.entity is None or use_case.entity not in dataset.columns:
        return None
    if bound is None:
        live = platform.ledger.latest(use_case.name, SPLITS, use_case.name)
        bound = live.body.feature_service if live and live.body.dataset_head == dataset.id else None
    fact = platform.ledger.latest(use_case.name, FEATURE_SERVICES, bound) if bound else None
    return fact.body if fact else described(use_case)


def materialize(
    platform: Platform, use_case: UseCase, fact: Fact[DatasetVersion], until: datetime, tell: Tell
) -> list[Filled]:
    """Bring the views of a dataset version online as far as `until`. Twice is the same as once.

    Refused where its rows name no entity, or are no longer what was frozen; NotFound where they are gone.
    """
    with one_at_a_time(platform.settings, use_case.name):
        return materialize_now(platform, use_case, fact, until, tell)


def materialize_now(
    platform: Platform, use_case: UseCase, fact: Fact[DatasetVersion], until: datetime, tell: Tell
) -> list[Filled]:
    """As `materialize`, for who has the turn already (`one_at_a_time`)."""
    service = looked_up(platform, use_case, fact.body)
    if service is None:
        raise Refused("features are looked up by entity, and its rows are kept without one", fact.body.id)
    project = project_of(use_case.name, fact.body.id)
    online, made = writer_of(platform.settings), []
    histories = offline(platform, use_case, fact, service)
    for view in service.views:
        rows = histories[view.name]
        written, watermark = materialise(online, project, view.name, rows, until)
        made.append(Filled(project, view.name, written, rows.num_rows, watermark))
        tell(f"{view.name}: {written:,} entities written, as of {rfc3339(watermark)}")
    note(platform.settings, use_case.name, made)
    return made


def before_it_is_live(platform: Platform, use_case: UseCase, dataset: str, asked: Asked, tell: Tell) -> None:
    """Bring the next head online before anybody looks there; nothing where no entity is looked up.

    The service is recorded, as serving reads what is recorded alone. Refused, NotFound and an online store that is away
    are told, and keep no version away: what is asked with its features is answered all the same.
    """
    fact = platform.ledger.latest(use_case.name, DATASETS, dataset)
    if fact is None or looked_up(platform, use_case, fact.body) is None:
        return
    try:
        record(platform, use_case, described(use_case), asked)
        materialize(platform, use_case, fact, platform.settings.clock(), lambda noun: None)
    except (Refused, NotFound, Unavailable) as error:
        tell(f"features cannot be looked up until `mainstay features materialize` went well: {error}")


def sweep(platform: Platform, use_case: UseCase) -> list[str]:
    """Drop the namespaces of heads before the last two, and say which they were."""
    splits = platform.ledger.history(use_case.name, SPLITS, use_case.name)
    heads = [fact.body.dataset_head for fact in splits if fact.body.dataset_head]
    if not heads or use_case.entity is None:
        return []
    recent = list(dict.fromkeys(reversed(heads)))
    kept = {project_of(use_case.name, each) for each in recent[:KEPT]}
    were = {project_of(use_case.name, each) for each in recent[KEPT:]} - kept
    online = writer_of(platform.settings)
    gone = [each for each in online.projects(project_of(use_case.name) + "__") if each in were]
    for project in gone:
        online.drop(project, use_case.entity)
        shutil.rmtree(platform.settings.feast / "offline" / project, ignore_errors=True)  # made again where needed
    return gone


def offline(
    platform: Platform,
    use_case: UseCase,
    fact: Fact[DatasetVersion],
    service: FeatureService,
    spans: Sequence[Window] | None = None,
    *,
    keep: bool = True,
) -> Mapping[str, pa.Table]:
    """The rows of each view as Feast's offline store has them: those of a dataset version, and what was pushed.

    Its files are made again where they lack what was pushed, or hold what was withdrawn: in `spans`, where others than
    the ledger's are meant. Raises as `open_dataset` and `open_views`.
    """
    project, folder = project_of(use_case.name, fact.body.id), platform.settings.feast
    frozen: dict[str, pa.Table] = {}
    made: dict[str, pa.Table] = {}
    for view in service.views:
        parts = pushed(platform, use_case.name, view.name, spans)
        meaning = digest([use_case.name, fact.body.id, view.name, [each.name for each in view.features], list(parts)])
        path = feast.offline_file(folder, project, view.name)
        there = _standing(path, meaning)
        if there is None:
            if not frozen:
                frozen[use_case.name] = open_dataset(fact.body, platform.blobs)
                wanted = {each.name: [one.name for one in each.features] for each in service.views}
                wanted.pop(use_case.name, None)
                frozen |= open_views(fact.body, use_case.name, wanted, platform.blobs)
            rows = feast.offline_rows(view, frozen[view.name], fact.at)
            rows = rows.filter(rows[view.entity].is_valid())
            there = joined_rows([rows, *(_part(platform, name, rows.schema) for name in parts)]) if parts else rows
            if keep:
                feast.write_rows(path, there, meaning)
        made[view.name] = there
    return made


def _standing(path: Path, meaning: str) -> pa.Table | None:
    """The offline file, where it is what it should be; a file that cannot be read is made again."""
    with suppress(OSError, pa.ArrowException):
        there = pq.read_table(path)
        if (there.schema.metadata or {}).get(feast.MEANING.encode()) == meaning.encode():
            return there.replace_schema_metadata(None)
    return None


def pushed(platform: Platform, use_case: str, view: str, spans: Sequence[Window] | None = None) -> list[str]:
    """The blobs of events that were pushed into a view and were not withdrawn, in the order in which they came."""
    if spans is None:
        fact = platform.ledger.latest(use_case, WITHDRAWALS, use_case)
        spans = fact.body.spans if fact else ()

    def withdrawn(name: str) -> bool:
        came = pushed_at(name)
        return any(micros(each.start) <= came < micros(each.end) for each in spans)

    names = [name for name in platform.blobs.names(f"pushed/{use_case}/{view}/") if _PUSHED.fullmatch(name)]
    return sorted(name for name in names if not withdrawn(name))


def pushed_rows(platform: Platform, use_case: UseCase, view: View) -> pa.Table | None:
    """What was pushed into a view and not withdrawn, with the columns of its source; None where nothing was."""
    parts = []
    for name in pushed(platform, use_case.name, view.name):
        part = read_part(platform, name)
        times = {EVENT_TIME: view.event_time, KNOWN_AT: view.known_at or KNOWN_AT}
        parts.append(part.rename_columns([times.get(each, each) for each in part.column_names]))
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def pushed_name(use_case: str, view: str, at: datetime, segment: str) -> str:
    """Where the events of a segment are kept: by when they were taken up, and what they were."""
    return f"pushed/{use_case}/{view}/{micros(at):020d}-{segment}.parquet"


def pushed_at(name: str) -> int:
    """When the events of a blob were taken up, in microseconds."""
    found = _PUSHED.fullmatch(name)
    return int(found[1]) if found else 0


def micros(at: datetime) -> int:
    """A time in microseconds since 1970."""
    return round(at.timestamp() * 1_000_000)


def read_part(platform: Platform, name: str) -> pa.Table:
    """Events as they were kept. Refused where they are damaged."""
    try:
        return pq.read_table(io.BytesIO(platform.blobs.get(name)))
    except (pa.ArrowException, OSError) as error:
        raise Refused("the events that were kept are damaged", name) from error


def _part(platform: Platform, name: str, schema: pa.Schema) -> pa.Table:
    """Events as offline rows; a feature that the view has been given since is null in them."""
    part = read_part(platform, name)
    empty = pa.nulls(part.num_rows)
    return pa.table({f.name: (part[f.name] if f.name in part.column_names else empty).cast(f.type) for f in schema})


@contextmanager
def one_at_a_time(settings: Settings, use_case: str) -> Iterator[None]:
    """Only one process of this home brings a use case's features online, or says since when an event counts, at a time.

    Together: an event that counts from a moment which a watermark has passed already would never be brought there.
    Between hosts the store itself compares times.
    """
    place = settings.feast / f"{use_case}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = place.open("w")
    except OSError as error:
        raise Unavailable(f"the lock cannot be made ({(error.strerror or str(error)).lower()})", str(place)) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def register(platform: Platform, use_case: UseCase, project: str) -> None:
    """Write a namespace into Feast's registry, so that Feast itself reads it. It takes Feast's import: seconds."""
    feast.apply(described(use_case), platform.settings.feast, project, feast_online(platform.settings))


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a view is online: None where it never was brought there. `written` is what the last time wrote."""

    view: str
    project: str
    watermark: datetime | None
    written: int | None


def note(settings: Settings, use_case: str, filled: Sequence[Filled]) -> None:
    """Leave what was done where `/metrics` and `status` find it. What cannot be left is no reason to fail."""
    path = settings.home / f"features-{use_case}.json"
    before = noted(settings, use_case)
    told = {
        each.view: {
            "project": each.project,
            "watermark": rfc3339(each.watermark),
            "written": each.written,
            "rows": each.rows,
            "total": before.get(each.view, {}).get("total", 0) + each.written,
        }
        for each in filled
    }
    with suppress(OSError):
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(before | told))
        temporary.replace(path)


def noted(settings: Settings, use_case: str) -> dict[str, dict[str, Any]]:
    """What was left so, by view; nothing where nothing was."""
    with suppress(OSError, ValueError):
        found = json.loads((settings.home / f"features-{use_case}.json").read_text())
        return found if isinstance(found, dict) else {}
    return {}


def status(platform: Platform, use_case: UseCase) -> list[Standing]:
    """How far each view of the head is online."""
    fact = head(platform, use_case)
    service = looked_up(platform, use_case, fact.body)
    project = project_of(use_case.name, fact.body.id)
    marks = writer_of(platform.settings).watermarks(project)
    said = noted(platform.settings, use_case.name)

    def written(view: FeatureView) -> int | None:
        told = said.get(view.name, {})
        return told.get("written") if told.get("project") == project else None

    views = service.views if service else ()
    return [Standing(view.name, project, marks.get(view.name), written(view)) for view in views]
