"""The histories of feature views: rows by entity and time, held to what their view says, and frozen with a dataset."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.adapters.blobs import Blobs
from mainstay.data.freeze import PseudonymKey, canonical_order, content_digest, masked, parquet_bytes, quarantine
from mainstay.data.mask import needs_key
from mainstay.data.validate import Validated, validate
from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion
from mainstay.usecase import Column, Contract, EventTime, Features, UseCase, View


def held_to(view: View, use_case: UseCase) -> UseCase:
    """The use case as the rows of a view are held to it: its entity, many rows of it each, and the view's columns."""
    entity = use_case.entity or ""
    times = [name for name in (view.event_time, view.known_at) if name is not None]
    columns = {entity: use_case.contract.columns[entity].model_copy(update={"unique": False, "nullable": False})}
    columns |= {name: Column(type="timestamp") for name in times} | view.columns
    for name in times:
        columns[name] = columns[name].model_copy(update={"nullable": False})
    rows = use_case.contract.rows.model_copy(update={"at_least": 1, "newest_within": None})
    changed = {
        "contract": Contract(columns=columns, rows=rows),
        "event_time": EventTime(column=view.event_time, known_at=view.known_at),
        "features": Features(),
        "protected": (),
    }
    return use_case.model_copy(update=changed)


def check_history(rows: pa.Table, view: View, use_case: UseCase, now: datetime) -> Validated:
    """Rows of a view as they were read, held to what it says of its columns; checks are named `view.column`.

    A row without entity or time, or with a time to come, is set aside, as is one that breaks a column's promise. A
    value that was learnt of (`known_at`) before it was so stays: it counts from when it was so.
    """
    checked = validate(rows, held_to(view, use_case), now)
    checks = tuple(
        replace(each, subject=f"{view.name}.{each.subject}" if each.subject else view.name)
        for each in checked.verdict.checks
    )
    return replace(checked, verdict=replace(checked.verdict, checks=checks))


def freeze_history(
    table: pa.Table,
    view: View,
    use_case: UseCase,
    blobs: Blobs,
    pseudonym_key: PseudonymKey | None,
    pushed: pa.Table | None = None,
) -> str:
    """Keep typed rows of a view; their digest (64 hex digits). The same rows, in any order, have the same.

    `pushed` are rows that came as events, with pseudonyms already; a row that the source has as well is kept once.

    Personal columns are pseudonymised or dropped as in a dataset. NotFound without a key where one is needed.
    """
    described = held_to(view, use_case)
    kept = masked(table, described, pseudonym_key)
    if pushed is not None:
        both = pa.concat_tables([kept, _as_in(kept.schema, pushed)])
        kept = both.group_by(both.column_names).aggregate([])
    kept = kept.take(canonical_order(kept, described))
    made = content_digest(kept)
    blobs.put(history_name(use_case.name, view.name, made), parquet_bytes(kept))
    return made


def _as_in(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    """Rows with the columns of a schema: those that they lack are null."""
    nothing = pa.nulls(rows.num_rows)
    return pa.table(
        {f.name: (rows[f.name] if f.name in rows.column_names else nothing).cast(f.type) for f in schema}, schema
    )


def set_aside(
    views: Mapping[str, Validated],
    use_case: UseCase,
    blobs: Blobs,
    pseudonym_key: PseudonymKey | None,
    tell: Callable[[str], None],
) -> None:
    """Keep the rows of each view that broke a promise, with their reasons, and tell where."""
    for view in use_case.features.views:
        rows = views[view.name].quarantine
        if rows.num_rows:
            place = quarantine(rows, held_to(view, use_case), blobs, pseudonym_key)
            tell(f"{rows.num_rows:,} rows of the view {view.name} are quarantined with their reasons, in {place}")


def needs_pseudonyms(use_case: UseCase) -> bool:
    """Whether a column of the contract, or of a view, is to be kept as a pseudonym."""
    return needs_key(use_case) or any(needs_key(held_to(view, use_case)) for view in use_case.features.views)


def open_histories(dataset: DatasetVersion, use_case: UseCase, blobs: Blobs) -> Mapping[str, pa.Table]:
    """The rows of each view of a use case, as `open_views`."""
    wanted = {view.name: tuple(view.features) for view in use_case.features.views}
    return open_views(dataset, use_case.name, wanted, blobs)


def open_views(
    dataset: DatasetVersion, use_case: str, wanted: Mapping[str, Sequence[str]], blobs: Blobs
) -> Mapping[str, pa.Table]:
    """The rows of views, wanted with some features each, as they were frozen with a dataset version.

    Refused where they are not what was frozen, or the version was frozen without one of the views; NotFound where
    they are not in the store.
    """
    made: dict[str, pa.Table] = {}
    for view, features in wanted.items():
        if view not in dataset.views:
            said = f"it was frozen without the history of the view `{view}`; freeze the rows again with it"
            raise Refused(said, dataset.id)
        name = history_name(use_case, view, dataset.views[view])
        try:
            made[view] = pq.read_table(io.BytesIO(blobs.get(name)), page_checksum_verification=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # in memory: about the bytes, not the disk
            raise Refused("the stored rows are damaged; freeze them again from their source", name) from error
        if content_digest(made[view]) != dataset.views[view]:
            raise Refused("the stored rows are not those that were frozen; freeze them again", name)
        lacking = next((each for each in features if each not in made[view].column_names), None)
        if lacking is not None:
            said = f"the history of `{view}` was frozen without `{lacking}`; freeze the rows again with it"
            raise Refused(said, dataset.id)
    return made


def history_name(use_case: str, view: str, digest: str) -> str:
    """Where the rows of a view are kept: by what they say, so that dataset versions share what did not change."""
    return f"features/{use_case}/{view}/{digest}.parquet"
