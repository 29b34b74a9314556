"""A file of answers that appears whole or not at all."""

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

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


@contextmanager
def appearing(path: Path, *, replace: bool, endings: tuple[str, ...] = (*_PARQUET, *_TEXT)) -> Iterator[BinaryIO]:
    """A new file, to be written in this block, that takes its name once the block ended well and it survives a crash.

    Raises as `check_target`; Unavailable, and nothing is left, where the disk is full or fails.
    """
    check_target(path, replace=replace, endings=endings)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _take_name(temporary, path, replace=replace)
    except OSError as error:
        raise _of_disk(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def delivery(path: Path, schema: pa.Schema, *, replace: bool) -> Iterator[Callable[[pa.Table], None]]:
    """What writes tables of one schema, one after the other, to a file that appears whole or not at all.

    Parquet or CSV, by the ending; a CSV has lists as texts with `; ` between, and nothing for null. Texts that come as
    dictionaries are texts in the file. Raises as `appearing`.
    """
    # A file of ours rather than Arrow's own, so that a full disk is told as the system tells it.
    with appearing(path, replace=replace) as file:
        sink = _sink(file, path, schema)
        try:
            yield sink.write_table
            sink.close()
        except BaseException:
            with suppress(OSError, pa.ArrowException):  # where there was no room there is none for its end either
                sink.close()
            raise


def _sink(file: BinaryIO, path: Path, schema: pa.Schema) -> _Sink:
    if path.suffix.lower() in _TEXT:
        return _Csv(file, schema)
    made: _Sink = pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
        store_schema=False,
        write_page_checksum=True,
    )
    return made


def _take_name(temporary: Path, path: Path, *, replace: bool) -> None:
    if not replace:
        try:
            os.link(temporary, path)  # unlike a rename, never over what came there meanwhile
        except FileExistsError as error:
            raise _there(path) from error
        except OSError:  # a file system without links
            temporary.replace(path)
        return
    temporary.replace(path)


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


def check_target(path: Path, *, replace: bool, endings: tuple[str, ...] = (*_PARQUET, *_TEXT)) -> None:
    """Whether a file may be written there, before any work is done.

    Refused for another ending or what is no regular file, NotFound where the directory is not there, Conflict where
    the file is and may not be replaced.
    """
    name = str(path)
    if not name.isprintable():
        raise Refused("not a name that a file should have", repr(name))
    if path.suffix.lower() not in endings:
        said = " or ".join(each for each in endings if each != ".pq")
        raise Refused(f"the ending says what is written: call it {said}", name)
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
    except OSError as error:
        raise _of_disk(error, path) from error


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
