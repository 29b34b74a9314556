"""A file of answers that appears whole or not at all."""

import errno
import os
import secrets
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mainstay.errors import Conflict, MainstayError, NotFound, Refused, Unavailable

_PARQUET: Final = (".parquet", ".pq")
_TEXT: Final = (".csv",)
_BETWEEN: Final = "; "


class _Sink(Protocol):
    def write_table(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


class Delivery(AbstractContextManager["Delivery"]):
    """Tables of one schema, written to a file beside `path` that takes its name once all went well.

    Parquet or CSV, by the ending; a CSV has lists as texts with `; ` between, and nothing for null. Refused for
    another ending or a directory, NotFound where the directory is not there, Conflict where `path` exists and may not
    be replaced; Unavailable, and nothing is left, where the disk is full or fails.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, replace: bool) -> None:
        check_target(path, replace=replace)
        self._path = path
        self._replace = replace
        self._schema = schema
        self._temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")

    def __enter__(self) -> "Delivery":
        try:
            # Ours rather than Arrow's own file, so that a full disk is told as the system tells it.
            self._file = self._temporary.open("xb")
        except OSError as error:
            raise _of_disk(error, self._path) from error
        self._sink = self._opened()
        return self

    def _opened(self) -> _Sink:
        if self._path.suffix.lower() in _PARQUET:
            coded = [field.name for field in self._schema if pa.types.is_dictionary(field.type)]
            made: _Sink = pq.ParquetWriter(
                self._file, self._schema, compression="zstd", compression_level=1, use_dictionary=coded,
                store_schema=False, write_page_checksum=True,
            )  # fmt: skip
            return made
        return _Csv(self._file, self._schema)

    def write(self, table: pa.Table) -> None:
        """Write rows after those that were written. Unavailable where the disk fails."""
        try:
            self._sink.write_table(table)
        except OSError as error:
            raise _of_disk(error, self._path) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failed:
            raise _of_disk(failed, self._path) from failed
        finally:
            with suppress(OSError, pa.ArrowException):  # what ends badly may have no room for its end either
                self._sink.close()
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._sink.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._replace:
            self._temporary.replace(self._path)
            return
        try:
            os.link(self._temporary, self._path)  # unlike a rename, never over what came there meanwhile
        except FileExistsError as error:
            raise _there(self._path) from error
        except OSError:  # a file system without links
            self._temporary.replace(self._path)


class _Csv:
    """CSV as `Delivery` writes it: the text of everything."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._schema = pa.schema([(field.name, _flat_type(field.type)) for field in schema])
        self._writer = pa_csv.CSVWriter(file, self._schema)

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(pa.table([_flat(column) for column in table.columns], schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _flat_type(kind: Any) -> Any:
    if pa.types.is_list(kind):
        return pa.string()
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_list(column.type):
        return pc.binary_join(column, _BETWEEN)
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def check_target(path: Path, *, replace: bool) -> None:
    """Whether a file can be delivered there, before any work is done. Raises as `Delivery`."""
    name = str(path)
    if path.suffix.lower() not in (*_PARQUET, *_TEXT):
        raise Refused("the ending says what is written: call it .parquet or .csv", name)
    try:
        if not path.parent.is_dir():
            raise NotFound("there is no such directory to write into; make it first", str(path.parent))
        if path.is_dir():
            raise Refused("a directory; name the file to write", name)
        if path.is_symlink() or path.exists():
            if not path.is_file():
                raise Refused("not a regular file; name the file to write", name)
            if not replace:
                raise _there(path)
    except ValueError as error:
        raise Refused("not a name that a file can have", repr(name)) from error


def _there(path: Path) -> Conflict:
    return Conflict("it is there already; --overwrite replaces it", str(path))


def _of_disk(error: OSError, path: Path) -> MainstayError:
    if isinstance(error, PermissionError):
        return Refused("permission denied; choose a directory that this user may write into", str(path))
    if error.errno == errno.ENAMETOOLONG:
        return Refused("the name is too long", str(path))
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Unavailable("the disk is full; nothing was written", str(path))
    return Unavailable(f"cannot be written ({error.strerror or error}); nothing was written", str(path))
