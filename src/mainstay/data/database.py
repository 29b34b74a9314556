"""The rows that a query gives: `sqlite:///file.db?query=SELECT …`, `postgresql://user@host/db?query=SELECT …`."""

import decimal
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from mainstay.data.shown import shown
from mainstay.data.typed import without_blanks
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable

DATABASES: Final = ("sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle")
CHUNK: Final = 20_000  # rows that are fetched at once
_SHAPE: Final = "write DATABASE://USER@HOST/NAME?query=SELECT …, the query last"


def read_query(address: str, folder: Path) -> pa.Table:
    """The rows of a query, at least one; a relative SQLite file starts at `folder`.

    `query=` is the last part of the address and runs to its end; in it `%25`, `%23` and so on stand for single
    characters. It is read-only where the database knows how. Texts and numbers keep their types; where the rows of a
    column have several, they are texts. Misconfigured for an address or driver that cannot be, NotFound for an absent
    file, Refused for a query that the database refuses or that gives no rows, Unavailable where it cannot be reached.
    """
    place = shown(address)
    url, query = _parts(address, place)
    if url.get_backend_name() == "sqlite":
        url = _of_file(url, folder, place)
    try:
        engine = create_engine(url)
    except ModuleNotFoundError as error:
        hint = "mainstay[postgres]" if url.get_backend_name() == "postgresql" else str(error.name)
        raise Misconfigured(f"the driver {error.name} is not installed: pip install '{hint}'", place) from error
    except (SQLAlchemyError, TypeError, ValueError) as error:
        raise Misconfigured(f"no database can be at this address; {_SHAPE}", place) from error
    try:
        return _rows(engine, query, place)
    except (OperationalError, InterfaceError) as error:
        if isinstance(error, OperationalError) and _is_about_the_query(error):
            raise Refused(f"the database refuses the query: {_said(error)}", place) from error
        raise Unavailable(f"the database cannot be asked: {_said(error)}", place) from error
    except DBAPIError as error:
        raise Refused(f"the database refuses the query: {_said(error)}", place) from error
    finally:
        engine.dispose()


def _parts(address: str, place: str) -> tuple[URL, str]:
    head, found, query = re.split(r"([?&]query=)", address, maxsplit=1) if "query=" in address else (address, "", "")
    if not found or not unquote(query).strip():
        raise Misconfigured(f"the address of a database needs a query; {_SHAPE}", place)
    try:
        url = make_url(head)
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(f"no database can be at this address; {_SHAPE}", place) from error
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url, unquote(query).strip().rstrip(";")


def _of_file(url: URL, folder: Path, place: str) -> URL:
    """A file that is there, opened to be read: SQLite would make an empty one."""
    if not url.database or url.database == ":memory:":
        raise Misconfigured("a source in SQLite is a file; write sqlite:///file.db?query=SELECT …", place)
    path = folder / url.database
    if not path.is_file():
        raise NotFound("there is no such database; the file has to be there", place)
    return url.set(database=f"{path.absolute().as_uri()}", query={"mode": "ro", "uri": "true"})


def _rows(engine: Engine, query: str, place: str) -> pa.Table:
    options: dict[str, Any] = {"no_parameters": True, "stream_results": True, "yield_per": CHUNK}
    with engine.connect() as connection:
        _only_read(connection)
        result = connection.exec_driver_sql(query, execution_options=options)
        if not result.returns_rows:
            raise Refused("the query gives no rows; write one that begins with SELECT", place)
        names = list(result.keys())
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise Refused(f"two columns are named `{repeated}`; give each a name of its own, with AS", place)
        chunks: list[list[pa.Array]] = [[] for _ in names]
        for part in result.partitions(CHUNK):
            for values, column in zip(zip(*part, strict=True), chunks, strict=True):
                column.append(_array(values))
    if not chunks or not chunks[0]:
        raise Refused("the query gives no rows; it needs at least one", place)
    return pa.table([_joined(column) for column in chunks], names=names)


def _only_read(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _array(values: Sequence[Any]) -> pa.Array:
    plain = [float(each) if isinstance(each, decimal.Decimal) else each for each in values]
    try:
        made = pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        made = pa.array([None if each is None else _text(each) for each in plain], pa.string())
    return without_blanks(made) if pa.types.is_string(made.type) else made


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, str | int | float | UUID) else repr(value)


def _joined(chunks: list[pa.Array]) -> pa.ChunkedArray:
    """One type for all chunks: a column that is empty in one of them has none there; several are texts."""
    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    if not kinds:
        return pa.chunked_array([pa.nulls(sum(map(len, chunks)), pa.string())])
    kind = kinds.pop() if len(kinds) == 1 else pa.float64() if kinds == {pa.int64(), pa.float64()} else pa.string()
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks])


def _is_about_the_query(error: OperationalError) -> bool:
    """Whether what SQLite calls operational is somebody's mistake: no such table, a syntax error, a read-only file."""
    said = str(error.orig).casefold()
    return any(word in said for word in ("no such", "syntax error", "near ", "readonly", "ambiguous", "incomplete"))


def _said(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
