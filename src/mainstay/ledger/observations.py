"""Windows of observations as Arrow tables, read by DuckDB from the files that were live at a `seq`.

A reader who keeps the `seq` of `head` reads the same rows again, whatever is shipped or compacted meanwhile, for the
24 hours in which a replaced file is kept. An observation is in its table once.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from mainstay.adapters.blobs import BlobDirectory, Blobs
from mainstay.errors import NotFound, Unavailable
from mainstay.ledger.columnar import ORDER, SCHEMAS
from mainstay.ledger.facts import Ledger
from mainstay.ledger.files import HOUR, blob_name, head, live_files
from mainstay.ledger.joined import RETRY_WITHIN, Rules, joined
from mainstay.ledger.query import ask, quoted, text
from mainstay.nouns import Window
from mainstay.observed import ObservationFile

EVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came in a window: requests (a batch's rows are one each), of how many units, since when; how a version did.

    `scored` are the version's own scorings of what it was to answer, `errors` those of them that made no score.
    """

    requests: int
    units: int
    first_at: datetime | None
    scored: int
    errors: int


class Observations:
    """What was observed of one use case. `cache` is a directory for files whose store is not a directory of this host.

    Every method raises Unavailable while the ledger or the blobs cannot be used, or where a file that is live cannot
    be read. `seq` is a snapshot that `head` gave; None reads what is live now.
    """

    def __init__(self, ledger: Ledger, blobs: Blobs, use_case: str, cache: Path) -> None:
        self._ledger, self._blobs, self._use_case, self._cache = ledger, blobs, use_case, cache

    def head(self) -> int:
        """The snapshot as it is now."""
        return head(self._ledger, self._use_case)

    def predictions(
        self, window: Window, seq: int | None = None, features: Sequence[str] | None = None, origins: bool = False
    ) -> pa.Table:
        """One row per arm and request asked for within the window, by `asked_at`, then by id and version.

        `features` are those to read as `f.NAME` (None: all that any row has; a row served before there was one has
        null), with `origins` where each came from as `o.NAME` too: null where nothing was looked up, so all were given.
        Requests that were tried again are in it each time: `evidence` counts the first.
        """
        order = "asked_at, prediction_id, version, role"
        kinds = ("f", "o") if origins else ("f",)
        only = None if features is None else [f"{kind}.{name}" for name in features for kind in kinds]
        return self._read("prediction", window, seq, order, only)

    def rejections(self, window: Window, seq: int | None = None) -> pa.Table:
        """Requests refused before scoring, by `at`."""
        return self._read("rejection", window, seq, '"at", field, reason')

    def labels(self, window: Window, seq: int | None = None) -> pa.Table:
        """Labels as they were sent, by when they reached us; `horizon` is in microseconds."""
        return self._read("label", window, seq, "known_at, prediction_id, entity, value")

    def actions(self, window: Window, seq: int | None = None) -> pa.Table:
        """Actions as they were sent, by when they reached us."""
        return self._read("action", window, seq, 'known_at, prediction_id, entity, kind, "at"')

    def feeds(self, window: Window, seq: int | None = None) -> pa.Table:
        """How far each source of labels said that it was complete, by when it said so."""
        return self._read("feed", window, seq, "known_at, source")

    def evidence(
        self, window: Window, rules: Rules, now: datetime, seq: int | None = None, features: Sequence[str] | None = None
    ) -> pa.Table:
        """The predictions of a window with what became of them, as far as it was known at `now` (`joined`)."""
        at = self.head() if seq is None else seq
        far = max(now, window.end) + HOUR
        since = Window(window.start - HOUR, far)
        return joined(
            self.predictions(Window(window.start - RETRY_WITHIN, window.end + RETRY_WITHIN), at, features),
            self.labels(since, at),
            self.actions(since, at),
            self.feeds(Window(EVER, far), at),
            window,
            rules,
            now,
        )

    def seen(self, window: Window, version: str, seq: int | None = None) -> Seen:
        """How much was asked within a window, and how often `version` failed: counted by DuckDB, no row is read in."""
        files = live_files(self._ledger, self._use_case, "prediction", window, seq)
        if not files:
            return Seen(0, 0, None, 0, 0)
        query = """SELECT count(DISTINCT prediction_id) AS requests, count(DISTINCT unit) AS units,
            min(asked_at) AS first_at,
            count(*) FILTER (version = $version) AS scored,
            count(*) FILTER (version = $version AND outcome <> 'ok') AS errors
            FROM read_parquet($paths, union_by_name = true)
            WHERE role <> 'listened' AND asked_at >= $start AND asked_at < $end"""
        paths = [self._local(file) for file in files]
        values = {"paths": paths, "start": window.start, "end": window.end, "version": version}
        (found,) = ask(query, values, {}, f"observations of {self._use_case}").to_pylist()
        return Seen(**found)

    def asked_of(
        self, query: str, values: Mapping[str, Any], tables: Mapping[str, pa.Table], window: Window, seq: int | None
    ) -> pa.Table:
        """The answer to a query over `asked`: the predictions asked for within the window, as files hold them.

        What a million rows come to need not hold a million rows. `query` continues a WITH, and reads `$name` values and
        these tables by name. Origins (`o.NAME`) are there as far as any file has them; retries are there each time.
        """
        files = live_files(self._ledger, self._use_case, "prediction", window, seq)
        bounds = {"window_start": window.start, "window_end": window.end}
        place = f"observations of {self._use_case}"
        if not files:
            whole = f"WITH asked AS (SELECT * FROM nobody WHERE $window_start < $window_end), {query}"  # noqa: S608
            return ask(whole, {**values, **bounds}, {**tables, "nobody": SCHEMAS["prediction"].empty_table()}, place)
        whole = (
            "WITH asked AS (SELECT * FROM read_parquet($paths, union_by_name = true)"  # noqa: S608  (a query of ours)
            f" WHERE asked_at >= $window_start AND asked_at < $window_end), {query}"
        )
        return ask(whole, {**values, **bounds, "paths": [self._local(file) for file in files]}, tables, place)

    def _read(
        self, kind: str, window: Window, seq: int | None, order: str, only: Sequence[str] | None = None
    ) -> pa.Table:
        files = live_files(self._ledger, self._use_case, kind, window, seq)
        schema = SCHEMAS[kind]
        if not files:
            return schema.empty_table()
        paths = [self._local(file) for file in files]
        names = [text(name) for name in [*schema.names, *(only or ())]]
        chosen = "*" if only is None else f"COLUMNS(lambda name: name IN ({', '.join(names)}))"
        query = (
            f"SELECT {chosen} FROM read_parquet($paths, union_by_name = true)"  # noqa: S608  (names that we quote)
            f" WHERE {quoted(ORDER[kind])} >= $start AND {quoted(ORDER[kind])} < $end ORDER BY {order}"
        )
        values = {"paths": paths, "start": window.start, "end": window.end}
        found = typed(ask(query, values, {}, f"observations of {self._use_case}"), schema)
        for name in [name for name in only or () if name not in found.column_names]:
            found = found.append_column(name, pa.nulls(found.num_rows))
        return found

    def _local(self, file: ObservationFile) -> str:
        """A path that DuckDB can read the blob at; its name says what is in it, so a copy is never stale."""
        name = blob_name(self._use_case, file)
        if isinstance(self._blobs, BlobDirectory):
            return str(self._blobs.file(name))
        copy = self._cache / f"{file.digest}-{file.hour:%Y%m%d%H}.parquet"
        if not copy.exists():
            try:
                data = self._blobs.get(name)
            except NotFound as error:
                raise Unavailable("a live file of observations is not in the store", name) from error
            _write(copy, data)
        return str(copy)


def typed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a kind first, each of its type, then its features in the order of their names.

    A column that no file had yet is null.
    """
    rest = sorted(name for name in found.column_names if name not in schema.names)
    had = set(found.column_names)
    made = {
        field.name: found[field.name].cast(field.type) if field.name in had else pa.nulls(found.num_rows, field.type)
        for field in schema
    }
    return pa.table(made | {name: found[name] for name in rest})


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise Unavailable(f"{(error.strerror or str(error)).lower()} while copying observations", str(path)) from error
