"""Data rollback: an earlier dataset version is looked up again, and what was ingested after it is withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mainstay.adapters.online import online_from
from mainstay.defined import FeatureView, project_of
from mainstay.digests import short
from mainstay.errors import NotFound, Refused
from mainstay.features.materialize import differing, materialise
from mainstay.journeys.asked import Asked
from mainstay.journeys.materialize import (
    Filled,
    looked_up,
    micros,
    note,
    offline,
    one_at_a_time,
    pushed,
    pushed_at,
    sweep,
    writer_of,
)
from mainstay.journeys.progress import Tell
from mainstay.journeys.recorded import dataset_named, settle
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import DATASETS, SPLITS, VERSIONS, WITHDRAWALS
from mainstay.nouns import DatasetVersion, Split, Window, Withdrawn
from mainstay.registry.shelf import signed
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What is looked up now. `verified` values of entities were read back; `withdrawn` are dataset versions.

    `at_once`: its namespace was still there, whole. `changed` is False where it was the head already.
    """

    dataset: str
    split: int
    changed: bool
    at_once: bool
    verified: int
    withdrawn: tuple[str, ...]


def rollback(platform: Platform, use_case: UseCase, named: str, asked: Asked, tell: Tell) -> RolledBack:
    """Make an earlier dataset version the head, by one split: filled, read back and compared before. Twice is once.

    The champion stays. What was ingested after the version (other versions, events that were pushed) is kept, and
    withdrawn with the same write. NotFound for a version that is not known, or whose rows are gone; Refused where
    nothing is live, where it is bound to another feature service than the champion, where its rows are damaged or name
    no entity, or where what is read back is not what was written; Conflict where others kept changing the split.
    """
    fact = dataset_named(platform.ledger, use_case.name, named)
    split = _live(platform, use_case)
    _refuse_another_service(platform, use_case, fact.body, split.body)
    if split.body.dataset_head == fact.subject:
        standing = platform.ledger.latest(use_case.name, WITHDRAWALS, use_case.name)
        return RolledBack(fact.subject, split.number, False, True, 0, standing.body.datasets if standing else ())
    now = platform.settings.clock()
    spans = _spans(platform, use_case, fact, now)
    at_once, verified = _filled(platform, use_case, fact, spans, now, tell)

    def unless_it_is_live() -> list[Entry[Any]]:
        live = _live(platform, use_case)
        _refuse_another_service(platform, use_case, fact.body, live.body)
        if live.body.dataset_head == fact.subject:
            return []
        made = replace(live.body, number=live.body.number + 1, dataset_head=fact.subject)
        before = platform.ledger.latest(use_case.name, WITHDRAWALS, use_case.name)
        gone = Withdrawn(fact.subject, tuple(spans), _later(platform, use_case, fact, before))
        return [
            Entry(SPLITS, use_case.name, made, live.number),
            Entry(WITHDRAWALS, use_case.name, gone, before.number if before else 0),
        ]

    settle(platform, use_case.name, unless_it_is_live, asked)
    sweep(platform, use_case)
    withdrawn = platform.ledger.latest(use_case.name, WITHDRAWALS, use_case.name)
    datasets = withdrawn.body.datasets if withdrawn else ()
    return RolledBack(fact.subject, _live(platform, use_case).body.number, True, at_once, verified, datasets)


def _live(platform: Platform, use_case: UseCase) -> Fact[Split]:
    split = platform.ledger.latest(use_case.name, SPLITS, use_case.name)
    if split is None:
        raise Refused("nothing is live, so no data is looked up; `mainstay release` makes a first version live")
    return split


def _refuse_another_service(platform: Platform, use_case: UseCase, dataset: DatasetVersion, split: Split) -> None:
    """Refused where a dataset version was frozen for other features than those that the champion is bound to."""
    splits = platform.ledger.history(use_case.name, SPLITS, use_case.name)
    bound = {fact.body.feature_service for fact in splits if fact.body.dataset_head == dataset.id}
    for fact in platform.ledger.latest_of_each(use_case.name, VERSIONS):
        if fact.body.dataset == dataset.id:
            bound.add(signed(fact.body, platform.blobs).feature_service)
    wanted = split.feature_service or use_case.feature_service
    bound.discard(None)
    if bound and wanted not in bound:
        names = ", ".join(sorted(map(str, bound)))
        said = f"its features are those of {names}, and {split.champion}, the champion, is bound to {wanted}"
        raise Refused(f"{said}; roll the model back with it", short(dataset.id))
    if use_case.feature_service != wanted:
        said = f"the use case describes {use_case.feature_service}, and the champion is bound to {wanted}"
        raise Refused(f"{said}; give the use case of that version with --use-case", short(dataset.id))
    if looked_up(platform, use_case, dataset) is None:
        raise Refused("its rows name no entity, so nothing can be looked up", short(dataset.id))
    own = [name for name in use_case.inputs if name in use_case.contract.columns and name not in dataset.columns]
    if own:
        said = f"it was frozen without `{own[0]}`, a feature of {wanted}"
        raise Refused(f"{said}, to which {split.champion}, the champion, is bound", short(dataset.id))


def _spans(platform: Platform, use_case: UseCase, fact: Fact[DatasetVersion], now: datetime) -> Sequence[Window]:
    """When what was ingested is withdrawn: before the version as it was, and all that came after it."""
    before = platform.ledger.latest(use_case.name, WITHDRAWALS, use_case.name)
    spans = [each for each in (before.body.spans if before else ()) if each.end <= fact.at]
    return [*spans, Window(fact.at, now)] if now > fact.at else spans


def _later(
    platform: Platform, use_case: UseCase, fact: Fact[DatasetVersion], before: Fact[Withdrawn] | None
) -> tuple[str, ...]:
    """The dataset versions after one, and of those before it the ones that were withdrawn already."""
    gone = set(before.body.datasets) if before else set()
    facts = platform.ledger.latest_of_each(use_case.name, DATASETS)
    return tuple(
        each.subject for each in facts if each.seq > fact.seq or (each.seq < fact.seq and each.subject in gone)
    )


def _filled(
    platform: Platform,
    use_case: UseCase,
    fact: Fact[DatasetVersion],
    spans: Sequence[Window],
    now: datetime,
    tell: Tell,
) -> tuple[bool, int]:
    """Fill a namespace that nobody looks into yet, and read it back: whether it was whole, and how many entities."""
    service = looked_up(platform, use_case, fact.body)
    assert service is not None and use_case.entity is not None  # noqa: S101, PT018  (it was refused before)
    project = project_of(use_case.name, fact.body.id)
    online, writer = online_from(platform.settings.online), writer_of(platform.settings)
    with one_at_a_time(platform.settings, use_case.name):
        try:
            histories = offline(platform, use_case, fact, service, spans)
        except NotFound as error:
            raise NotFound(f"its rows are gone ({error})", short(fact.body.id)) from error
        marks = writer.watermarks(project)

        def whole(view: FeatureView) -> bool:
            """Whether it is there as it should be: filled, without what is withdrawn now, and equal."""
            mark = marks.get(view.name)
            kept = set(pushed(platform, use_case.name, view.name, spans))
            came = set(pushed(platform, use_case.name, view.name, ())) - kept
            if mark is None or any(pushed_at(name) <= micros(mark) for name in came):
                return False
            return not differing(online, project, view, histories[view.name], mark)

        at_once = all(whole(view) for view in service.views)
        if not at_once:
            writer.drop(project, use_case.entity)
        made, verified = [], 0
        for view in service.views:
            rows = histories[view.name]
            written, watermark = materialise(writer, project, view.name, rows, now)
            odd = differing(online, project, view, rows, watermark)
            entities = len(rows[view.entity].unique())
            tell(f"{view.name}: {written:,} entities written, {entities - odd:,} of {entities:,} read back as they are")
            if odd:
                said = f"{odd:,} of {entities:,} entities of the view {view.name} read back otherwise than written"
                raise Refused(f"{said}: what is live stays", project)
            made.append(Filled(project, view.name, written, rows.num_rows, watermark))
            verified += entities
    note(platform.settings, use_case.name, made)
    return at_once, verified
