"""Sources that are read as they are, and those that can't be: one sentence each, with its place."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.data.source import read, read_any
from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused
from mainstay.usecase import UseCase


def refusal(name: str, folder: Path, use_case: UseCase) -> MainstayError:
    with pytest.raises(MainstayError) as caught:
        read(name, use_case, folder)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_relative_path_starts_at_the_folder_of_the_use_case(tmp_path: Path, shop: UseCase) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1, \n")
    assert read("rows.csv", shop, tmp_path).to_pydict() == {"a": ["1"], "b": [None]}


def test_an_absolute_path_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "rows.TSV").write_text("a\tb\n1\t2\n")
    assert read_any(str(tmp_path / "rows.TSV")).to_pydict() == {"a": ["1"], "b": ["2"]}


def test_parquet_keeps_its_types_and_loses_what_others_wrote_beside_it(tmp_path: Path, shop: UseCase) -> None:
    written = pa.table({"a": [1, None], "b": [True, False]}).replace_schema_metadata({"pandas": "{}"})
    pq.write_table(written, tmp_path / "rows.parquet")
    found = read("rows.parquet", shop, tmp_path)
    assert found.schema == pa.schema([("a", pa.int64()), ("b", pa.bool_())])
    assert found.schema.metadata is None


def test_the_simulator_gives_telco_s_columns_and_a_time(shop: UseCase, tmp_path: Path) -> None:
    found = read("simulator://churn?customers=300&seed=3&until=2026-01-01", shop, tmp_path)
    assert found.num_rows == 300
    assert found.num_columns == 22
    assert found.column_names[-1] == "observed_at"
    assert found == read("simulator://churn?customers=300&seed=3&until=2026-01-01", shop, tmp_path)
    assert found["TotalCharges"].null_count == sum(months == 0 for months in found["tenure"].to_pylist())


def test_what_is_not_a_source_is_refused_with_what_would_be_one(shop: UseCase, tmp_path: Path) -> None:
    unknown = refusal("s4://bucket/rows.csv", tmp_path, shop)
    assert isinstance(unknown, Misconfigured)
    assert unknown.place == "s4://bucket/rows.csv"
    assert "simulator://churn" in unknown.message
    misspelt = refusal("simulator://chrun?customers=3", tmp_path, shop)
    assert isinstance(misspelt, Misconfigured)
    assert "did you mean `churn`?" in misspelt.message
    assert "did you mean `customers`?" in refusal("simulator://churn?custmers=3", tmp_path, shop).message


def test_a_file_that_is_not_there_is_named(shop: UseCase, tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text("a\n1\n")
    for name in ("absent.csv", "file.csv/below.csv"):
        error = refusal(name, tmp_path, shop)
        assert isinstance(error, NotFound)
        assert error.place == name
        assert "no such file" in error.message


def test_what_is_not_a_file_of_rows_is_refused(shop: UseCase, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    (tmp_path / "rows").write_text("a\n1\n")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    said = {
        "folder.csv": "a directory",
        "pipe.csv": "not a regular file",
        "book.xlsx": "`.xlsx` is not a kind of file",
        "rows": "no ending",
        "a\0b.csv": "not a name",
        "x" * 300 + ".csv": "not a name that leads to a file",
        "loop.csv": "not a name that leads to a file",
    }
    for name, words in said.items():
        error = refusal(name, tmp_path, shop)
        assert isinstance(error, Refused), name
        assert words in error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(shop: UseCase, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (tmp_path / "rows.csv").chmod(0)
    assert "permission denied" in refusal("rows.csv", tmp_path, shop).message


def test_a_parquet_file_that_is_none_or_is_damaged_is_refused(shop: UseCase, tmp_path: Path) -> None:
    sound = tmp_path / "sound.parquet"
    pq.write_table(pa.table({"a": list(range(50)), "b": ["x"] * 50}), sound, write_page_checksum=True)
    data = sound.read_bytes()
    for name, bad, words in (
        ("empty", b"", "the file is empty"),
        ("text", b"a,b\n1,2\n", "not a Parquet file"),
        ("short", data[:-40], "cut short or damaged"),
        ("stub", b"PAR1", "cut short or damaged"),
        ("flipped", data[:30] + bytes([data[30] ^ 255]) + data[31:], "cut short or damaged"),
    ):
        (tmp_path / f"{name}.parquet").write_bytes(bad)
        error = refusal(f"{name}.parquet", tmp_path, shop)
        assert isinstance(error, Refused)
        assert words in error.message, name


def test_no_damage_to_a_parquet_file_is_a_traceback(shop: UseCase, tmp_path: Path) -> None:
    sound = tmp_path / "sound.parquet"
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), sound)
    data = sound.read_bytes()
    for at in range(4, len(data), 3):
        (tmp_path / "bad.parquet").write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
        try:
            read("bad.parquet", shop, tmp_path)
        except Refused as error:
            assert error.place == "bad.parquet"  # noqa: PT017  (some bytes matter to nobody)


def test_a_parquet_file_without_rows_or_with_one_name_twice_is_refused(shop: UseCase, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    assert "there are no rows" in refusal("none.parquet", tmp_path, shop).message
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "twice.parquet")
    assert "two columns are named `a`" in refusal("twice.parquet", tmp_path, shop).message


def test_the_telco_file_is_read_whole(telco: Path, churn: UseCase) -> None:
    found = read(str(telco), churn, Path())
    assert (found.num_rows, found.num_columns) == (7043, 21)
    assert found["TotalCharges"].null_count == 11
