"""Where rows come from: files, alone or several, a query, an object store, or the simulator. As they are: what they
ought to be is the contract's.

Everything is read whole, into memory.
"""

import errno
import glob
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.churn import simulate
from mainstay.data.database import DATABASES, read_query
from mainstay.data.delimited import USUAL, read_delimited, sniffed
from mainstay.data.objects import get_object
from mainstay.data.shown import shown
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase

_PARQUET: Final = (".parquet", ".pq")
_COMPRESSED: Final = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_CHURN: Final = "churn"
Separated = Callable[[bytes, str], str]


def read(source: str | Sequence[str], use_case: UseCase, folder: Path) -> pa.Table:
    """Every row and column of a use case's source: see `read_any`. Its contract says what separates values."""

    def declared(data: bytes, usual: str) -> str:
        return use_case.contract.delimiter or usual

    return read_any(source, folder, f" of the use case {use_case.name}", declared)


def read_undescribed(source: str, folder: Path) -> tuple[pa.Table, str | None]:
    """The rows of a source that nobody has described yet, and what separates their values, where that is unusual."""
    unusual: list[str] = []

    def told(data: bytes, usual: str) -> str:
        mark = sniffed(data, usual)
        unusual.extend({mark} - {usual})
        return mark

    table = read_any(source, folder, "", told)
    return table, unusual[0] if unusual else None


def read_any(
    source: str | Sequence[str], folder: Path = Path(), whose: str = "", separated: Separated = sniffed
) -> pa.Table:
    """Every row and column of a source, at least one of each, in its own order.

    `separated` says of the bytes of a text, and of what is usual for its ending, what separates its values.

    `source` is a path (`.csv`, `.tsv`, `.txt`, each also with `.gz`, `.zst` or `.bz2`, `.parquet`; a relative one
    starts at `folder`), a pattern of them (`2026-*.csv`), `s3://bucket/key`, a database with its query, or
    `simulator://churn?…`; or a list of those, whose columns have to be the same. Columns of a text file are strings,
    and a blank is null: whether they are numbers is for validation to say. Parquet and databases keep their types.
    NotFound where there is no such file, Refused where it cannot be read as what it says it is, Misconfigured for an
    address of another kind, Unavailable where the disk or the server fails.
    """
    given = [source] if isinstance(source, str) else source
    names = [name for each in given for name in _found(each, folder, whose)]
    tables = [_one(name, folder, whose, separated) for name in names]
    return tables[0] if len(tables) == 1 else _together(tables, [shown(name) for name in names])


def _found(name: str, folder: Path, whose: str) -> list[str]:
    """The files that a pattern names, in order; what is no pattern, or a file's very name, as it is."""
    if "://" in name or not glob.has_magic(name) or "\0" in name or (folder / name).exists():
        return [name]
    names = sorted(glob.glob(name, root_dir=folder, recursive=True))  # noqa: PTH207  (a pattern may begin at /)
    if not names:
        raise NotFound(f"no file is called so; the source{whose} names none", name)
    return names


def _together(tables: Sequence[pa.Table], names: Sequence[str]) -> pa.Table:
    """The rows of several sources with the same columns, in whatever order each has them."""
    first = tables[0].column_names
    for table, name in zip(tables[1:], names[1:], strict=True):
        lacking = [column for column in first if column not in table.column_names]
        more = [column for column in table.column_names if column not in first]
        if lacking or more:
            said = [f"lacks `{lacking[0]}`"] if lacking else []
            said += [f"has `{more[0]}` besides"] if more else []
            raise Refused(f"other columns than in {names[0]}: it {' and '.join(said)}; all files need the same", name)
    joined = tables[0]
    for table, name in zip(tables[1:], names[1:], strict=True):
        try:
            joined = pa.concat_tables([joined, table.select(first)], promote_options="permissive")
        except pa.ArrowException as error:
            raise Refused(f"its columns have other types than in {names[0]}; write both alike", name) from error
    return joined


def _one(url: str, folder: Path, whose: str, separated: Separated) -> pa.Table:
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "simulator":
        return _simulated(url)
    if separator and scheme.partition("+")[0] in DATABASES:
        return read_query(url, folder)
    if separator and scheme != "s3":
        raise Misconfigured(
            f"the source{whose} cannot be at {scheme}://; give a path to a .csv or .parquet file, s3://bucket/key, "
            "postgresql://…?query=SELECT …, or simulator://churn?customers=20000",
            shown(url),
        )
    named = PurePosixPath(urlsplit(url).path) if separator else folder / url
    data = get_object(url) if separator else _bytes(folder / url, url, whose)
    if not data:
        raise Refused("the file is empty; it needs a header and at least one row", url)
    return _parsed(data, [each.lower() for each in named.suffixes], url, separated)


def _parsed(data: bytes, suffixes: Sequence[str], url: str, separated: Separated) -> pa.Table:
    ending = suffixes[-1] if suffixes else ""
    if ending in _COMPRESSED and len(suffixes) > 1 and suffixes[-2] in USUAL:
        data, ending = _unpacked(data, ending, url), suffixes[-2]
    if ending in USUAL:
        return read_delimited(data, separated(data, USUAL[ending]), url)
    if ending in _PARQUET:
        return _parquet(data, url)
    raise Refused(
        f"`{ending}` is not a kind of file that can be read; save it as .csv, .csv.gz or .parquet"
        if suffixes
        else "the name has no ending that says what the file is; call it .csv or .parquet",
        url,
    )


def _unpacked(data: bytes, ending: str, name: str) -> bytes:
    try:
        if ending == ".gz":
            return gzip.decompress(data)
        with pa.CompressedInputStream(pa.BufferReader(data), _COMPRESSED[ending]) as stream:
            whole: bytes = stream.read()
            return whole
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:  # in memory: about the bytes, not the disk
        said = f"not a whole {_COMPRESSED[ending]} file: it is cut short, damaged or something else; write it again"
        raise Refused(said, name) from error


def _bytes(path: Path, name: str, whose: str) -> bytes:
    try:
        if path.is_dir():
            raise Refused("a directory; name the .csv or .parquet file in it", name)
        if path.exists() and not path.is_file():
            raise Refused("not a regular file; save the rows as a .csv or .parquet file", name)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no such file; the source{whose} must be a .csv or .parquet file", name) from error
    except PermissionError as error:
        raise Refused("permission denied; make the file readable for the user that runs this", name) from error
    except ValueError as error:
        raise Refused("not a name that a file can have", repr(name)) from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise Refused(f"not a name that leads to a file ({error.strerror})", name) from error
        raise Unavailable(f"cannot be read ({error.strerror})", name) from error


def _parquet(data: bytes, name: str) -> pa.Table:
    try:
        opened = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        names = opened.schema_arrow.names
        repeated = next((column for column in names if names.count(column) > 1), None)
        if repeated is not None:
            raise Refused(f"two columns are named `{repeated}`; give each a name of its own", name)
        table = opened.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # The bytes are in memory: whatever Arrow says now, even as an OSError, is about what they hold.
        said = "not a Parquet file" if data[:4] != b"PAR1" else "a Parquet file that is cut short or damaged"
        raise Refused(f"{said}; write it again from where it came", name) from error
    if not table.num_rows or not table.num_columns:
        raise Refused("there are no rows in it; it needs at least one", name)
    return table.replace_schema_metadata(None)


def _simulated(url: str) -> pa.Table:
    parts = urlsplit(url)
    if parts.netloc != _CHURN or parts.path.strip("/") or parts.fragment:
        hint = did_you_mean(parts.netloc, [_CHURN])
        raise Misconfigured(f"there is no simulator `{parts.netloc}{parts.path}`{hint}", url)
    population = simulate.parse(parts.query)
    batches = [
        pa.table({name: pa.array(values, from_pandas=True) for name, values in chunk.items()})
        for chunk in simulate.chunks(population)
    ]
    return pa.concat_tables(batches, promote_options="permissive")  # a chunk may know no label at all
