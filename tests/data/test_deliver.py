"""A file of answers appears whole or not at all."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from mainstay.data.deliver import appearing, check_target, delivery
from mainstay.errors import Conflict, MainstayError, NotFound, Refused, Unavailable

TABLE = pa.table(
    {
        "row": pa.array([1, 2]),
        "decision": pa.array(["Yes", None]).dictionary_encode(),
        "flags": pa.array([["a", "b"], None], pa.list_(pa.string())),
    }
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """Files may grow to so many bytes and no further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_parquet_holds_plain_texts_and_lists(tmp_path: Path) -> None:
    with delivery(tmp_path / "out.parquet", TABLE.schema, replace=False) as write:
        write(TABLE)
        write(TABLE)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.field("decision").type == pa.string()
    assert found.to_pylist() == 2 * TABLE.to_pylist()
    assert names(tmp_path) == ["out.parquet"]


def test_csv_has_lists_as_texts_and_nothing_for_null(tmp_path: Path) -> None:
    with delivery(tmp_path / "out.csv", TABLE.schema, replace=False) as write:
        write(TABLE)
    assert (tmp_path / "out.csv").read_text() == '"row","decision","flags"\n1,"Yes","a; b"\n2,,\n'
    assert pa_csv.read_csv(tmp_path / "out.csv").num_rows == 2


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_what_ends_in_the_middle_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("before")

    def interrupted() -> None:
        with delivery(tmp_path / name, TABLE.schema, replace=True) as write:
            write(TABLE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "before"
    with delivery(tmp_path / name, TABLE.schema, replace=True) as write:
        write(TABLE)
    assert (tmp_path / name).read_bytes() != b"before"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("left", [0, 20_000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, name: str, left: int) -> None:
    table = pa.table({"row": [os.urandom(16).hex() for _ in range(50_000)]})

    def filled() -> None:
        with full_disk(left), delivery(tmp_path / name, table.schema, replace=False) as write:
            write(table)
            write(table)

    with pytest.raises(Unavailable, match="the disk is full; nothing was written"):
        filled()
    assert names(tmp_path) == []


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:

    def late() -> None:
        with appearing(tmp_path / "out.csv", replace=False) as file:
            file.write(b"mine")
            (tmp_path / "out.csv").write_text("theirs")

    with pytest.raises(Conflict):
        late()
    assert (tmp_path / "out.csv").read_text() == "theirs"
    assert names(tmp_path) == ["out.csv"]


def test_where_a_file_may_not_be_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("before")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "pipe.csv").symlink_to("/dev/null")
    for name, kind, said in [
        ("there.csv", Conflict, "--overwrite"),
        ("folder.csv", Refused, "a directory"),
        ("pipe.csv", Refused, "not a regular file"),
        ("out.xlsx", Refused, r"call it .parquet or .csv"),
        ("out", Refused, r"call it .parquet or .csv"),
        ("none/out.csv", NotFound, "make it first"),
        ("nul\0.csv", Refused, "not a name"),
        ("n" * 300 + ".csv", MainstayError, "too long"),
    ]:
        with pytest.raises(kind, match=said):
            check_target(tmp_path / name, replace=False)
    check_target(tmp_path / "there.csv", replace=True)


def test_other_failures_of_the_disk_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Input/output error"), appearing(tmp_path / "a.csv", replace=False):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(Refused, match="permission denied"), appearing(tmp_path / "a.csv", replace=False):
        raise PermissionError(errno.EACCES, "Permission denied")
