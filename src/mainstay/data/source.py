"""Where rows come from: a CSV or Parquet file, or the simulator. As they are: what they ought to be is the contract's.

A file is read whole, into memory.
"""

import errno
import io
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.churn import simulate
from mainstay.data.delimited import COMMA, TAB, read_delimited
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase

_DELIMITERS: Final = {".csv": COMMA, ".txt": COMMA, ".tsv": TAB}
_PARQUET: Final = (".parquet", ".pq")
_CHURN: Final = "churn"


def read(url: str, use_case: UseCase, folder: Path) -> pa.Table:
    """Every row and column of a use case's source: see `read_any`."""
    return read_any(url, folder, f" of the use case {use_case.name}")


def read_any(url: str, folder: Path = Path(), whose: str = "") -> pa.Table:
    """Every row and column of a source, at least one of each, in its own order.

    `url` is a path (`.csv`, `.tsv`, `.txt`, `.parquet`; a relative one starts at `folder`) or `simulator://churn?…`.
    Columns of a text file are strings, and a blank is null: whether they are numbers is for validation to say. Parquet
    keeps its types. NotFound where there is no such file, Refused where it cannot be read as what it says it is,
    Misconfigured for an address of another kind, Unavailable where the disk fails.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "simulator":
        return _simulated(url)
    if separator:
        raise Misconfigured(
            f"the source{whose} cannot be at {scheme}://; give a path to a .csv or .parquet file, "
            "or simulator://churn?customers=20000",
            url,
        )
    path = folder / url
    suffix = path.suffix.lower()
    data = _bytes(path, url, whose)
    if suffix in _DELIMITERS:
        return read_delimited(data, _DELIMITERS[suffix], url)
    if suffix in _PARQUET:
        return _parquet(data, url)
    raise Refused(
        f"`{suffix}` is not a kind of file that can be read; save it as .csv or .parquet"
        if suffix
        else "the name has no ending that says what the file is; call it .csv or .parquet",
        url,
    )


def _bytes(path: Path, name: str, whose: str) -> bytes:
    try:
        if path.is_dir():
            raise Refused("a directory; name the .csv or .parquet file in it", name)
        if path.exists() and not path.is_file():
            raise Refused("not a regular file; save the rows as a .csv or .parquet file", name)
        data = path.read_bytes()
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
    if not data:
        raise Refused("the file is empty; it needs a header and at least one row", name)
    return data


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
