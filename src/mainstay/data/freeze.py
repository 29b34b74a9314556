"""Rows that keep their contract become a dataset version: an immutable file, named by what the rows say."""

import dataclasses
import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mainstay.adapters.blobs import Blobs
from mainstay.data.holdout import held_out, holdout_of, watermark_of
from mainstay.data.mask import needs_key, pseudonymise
from mainstay.data.validate import REASONS, ROW
from mainstay.digests import canonical_json, digest, sha256
from mainstay.errors import NotFound, Refused
from mainstay.nouns import DatasetVersion
from mainstay.records import encode
from mainstay.scoring.frame import HELD_OUT, grouped
from mainstay.usecase import UseCase

_ROWS_IN_A_GROUP: Final = 131_072
PseudonymKey = tuple[str, bytes]
"""The id of a key and its bytes."""


def freeze(
    table: pa.Table,
    use_case: UseCase,
    blobs: Blobs,
    pseudonym_key: PseudonymKey | None,
    parent: DatasetVersion | None,
    quarantined: int,
    least_cut: datetime | None = None,
    views: Mapping[str, str] = MappingProxyType({}),
) -> DatasetVersion:
    """Keep typed rows, at least one, as a dataset version. The same rows, in any order, are the same version.

    `views` are the histories frozen with the rows: the name of each and its digest. They are part of the version's
    name. `least_cut` is the latest cut of any version before: where rows have a time, the holdout never begins earlier.
    Which rows are held out is decided here, from names as they are: the same rows in every home, whatever its
    pseudonyms. What is stored is one Parquet blob: the rows, personal columns pseudonymised or dropped, in canonical
    order, and which are held out. Refused without rows; NotFound without a key where the contract asks for
    pseudonyms; Unavailable, with nothing half-written, where the store fails.
    """
    if not table.num_rows:
        raise Refused("no row is left to freeze; see the reasons in the quarantine", use_case.name)
    watermark = watermark_of(table, use_case)
    holdout = holdout_of(table, use_case, watermark, least_cut)
    marks = held_out(table, use_case, holdout)
    kept = masked(table, use_case, pseudonym_key)
    order = canonical_order(kept, use_case)
    kept, marks = kept.take(order), marks[order]
    made = DatasetVersion(
        id=dataset_id(kept, views),
        use_case=use_case.name,
        rows=kept.num_rows,
        columns=tuple(kept.column_names),
        contract=use_case.contract_digest,
        holdout=holdout,
        quarantined=quarantined,
        pseudonym_key=pseudonym_key[0] if pseudonym_key and needs_key(use_case) else None,
        watermark=watermark,
        views=views,
    )
    blobs.put(blob_name(made), parquet_bytes(kept.append_column(HELD_OUT, pa.array(marks))))
    return _after(made, parent)


def open_dataset(dataset: DatasetVersion, blobs: Blobs) -> pa.Table:
    """The rows of a dataset version in canonical order, and after its columns `HELD_OUT`, which marks the holdout.

    NotFound if they are not in the store. Refused if they are no longer what they were frozen as.
    """
    name = blob_name(dataset)
    data = blobs.get(name)
    try:
        table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # in memory: it is about the bytes, not the disk
        raise Refused("the stored rows are damaged; freeze them again from their source", name) from error
    if table.column_names != [*dataset.columns, HELD_OUT] or table.schema.field(HELD_OUT).type != pa.bool_():
        raise Refused("the stored rows have other columns than were frozen; freeze them again from their source", name)
    if dataset_id(table.select(dataset.columns), dataset.views) != dataset.id:
        raise Refused("the stored rows are not those that were frozen; freeze them again from their source", name)
    return table


def quarantine(rows: pa.Table, use_case: UseCase, blobs: Blobs, pseudonym_key: PseudonymKey | None) -> str:
    """Keep quarantined rows with their reasons for people to look at; the name of the blob.

    Personal columns are pseudonymised or dropped as in a dataset. Columns that the contract does not name are left
    out, since nobody has said that they are not personal. NotFound without a key where pseudonyms are asked for.
    """
    named = [name for name in rows.column_names if name in (*use_case.contract.columns, ROW, REASONS)]
    data = parquet_bytes(masked(rows.select(named), use_case, pseudonym_key))
    name = f"quarantine/{use_case.name}/{sha256(data)}.parquet"
    blobs.put(name, data)
    return name


def blob_name(dataset: DatasetVersion) -> str:
    """Where the rows are: the same rows may be frozen with several holdouts, and each stays as it was."""
    of_holdout = digest(encode(dataset.holdout))[:12]
    return f"datasets/{dataset.use_case}/{dataset.id.removeprefix('ds_')}.{of_holdout}.parquet"


def canonical_order(table: pa.Table, use_case: UseCase) -> NDArray[np.int64]:
    """The places of the rows sorted by entity, then event time, then every other column; nulls last."""
    time = use_case.event_time.column if use_case.event_time else None
    first = [name for name in (use_case.entity, time) if name is not None and name in table.column_names]
    names = [*first, *(name for name in table.column_names if name not in first)]
    ranks = (pc.rank(table[name], tiebreaker="dense").to_numpy() for name in names)
    return np.argsort(grouped(ranks, table.num_rows), kind="stable")


def dataset_id(table: pa.Table, views: Mapping[str, str]) -> str:
    """The name of a dataset version: the digest of its rows; where it has histories too, of all their digests."""
    rows = content_digest(table)
    return f"ds_{digest([rows, dict(views)]) if views else rows}"


def content_digest(table: pa.Table) -> str:
    """SHA-256, 64 hex digits, over typed rows in the order they stand in: no matter how Parquet packs them.

    Covered are the names and types as canonical JSON; then of each column, little-endian: a byte per row (1 where
    there is a value), and its values as int64 or float64 (a timestamp in microseconds; 0 for none, never -0.0), or the
    lengths of its texts in UTF-8 as int64 and, after them, the texts.
    """
    shape = {"rows": table.num_rows, "columns": [[field.name, str(field.type)] for field in table.schema]}
    hashed = hashlib.sha256(canonical_json(shape))
    for column in table.columns:
        for part in _canonical(column.combine_chunks()):
            hashed.update(part)
    return hashed.hexdigest()


def _canonical(values: pa.Array) -> Sequence[Any]:
    present = np.asarray(values.is_valid().to_numpy(zero_copy_only=False)).astype(np.uint8)
    if pa.types.is_string(values.type):
        # Cast after filling: a null may hide bytes, and a slice shares its neighbours'.
        texts = pa.concat_arrays([values.fill_null("").cast(pa.large_string())])
        _, offsets, data = texts.buffers()
        places = np.frombuffer(offsets, dtype="<i8", count=len(texts) + 1, offset=8 * texts.offset)
        written = memoryview(data)[int(places[0]) : int(places[-1])] if data is not None else b""
        return present.tobytes(), np.diff(places).astype("<i8").tobytes(), written
    if pa.types.is_floating(values.type):
        numbers = np.asarray(values.fill_null(0.0).to_numpy(zero_copy_only=False)) + 0.0
        return present.tobytes(), numbers.astype("<f8").tobytes()
    whole = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return present.tobytes(), np.asarray(whole).astype("<i8").tobytes()


def masked(table: pa.Table, use_case: UseCase, pseudonym_key: PseudonymKey | None) -> pa.Table:
    """The rows as they may be kept: personal columns pseudonymised or dropped. NotFound without a key they need."""
    if pseudonym_key is None and needs_key(use_case):
        raise NotFound(
            "there is no pseudonym key, and the contract asks for pseudonyms; `mainstay keys init` makes one"
        )
    return pseudonymise(table, use_case, pseudonym_key[1] if pseudonym_key else b"")


def parquet_bytes(table: pa.Table) -> bytes:
    """The same bytes for the same rows: nothing is said of when they were written, or from where they were read."""
    fields = [field.remove_metadata() for field in table.schema]
    bare = table.cast(pa.schema(fields)).combine_chunks()
    sink = io.BytesIO()
    pq.write_table(
        bare,
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        row_group_size=_ROWS_IN_A_GROUP,
        write_page_checksum=True,
    )
    return sink.getvalue()


def _after(made: DatasetVersion, parent: DatasetVersion | None) -> DatasetVersion:
    """With its parent: the version before it, which is not itself."""
    if parent is None:
        return made
    return dataclasses.replace(made, parent=parent.parent if parent.id == made.id else parent.id)
