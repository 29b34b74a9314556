"""Sources of several files, compressed ones, whatever separates their values, and queries of a database."""

import bz2
import gzip
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.data.shown import shown
from mainstay.data.source import read_any
from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused, Unavailable

ROWS = "a,b\n1,x\n2,\n"
READ = {"a": ["1", "2"], "b": ["x", None]}


def refusal(source: str | list[str], folder: Path) -> MainstayError:
    with pytest.raises(MainstayError) as caught:
        read_any(source, folder)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst"])
def test_a_compressed_text_is_read_as_the_text(tmp_path: Path, ending: str) -> None:
    packed = {
        "gz": gzip.compress(ROWS.encode()),
        "bz2": bz2.compress(ROWS.encode()),
        "zst": pa.compress(ROWS.encode(), "zstd", asbytes=True),
    }[ending]
    (tmp_path / f"rows.2026.csv.{ending}").write_bytes(packed)
    assert read_any(f"rows.2026.csv.{ending}", tmp_path).to_pydict() == READ
    (tmp_path / f"cut.csv.{ending}").write_bytes(packed[:-6])
    assert "cut short, damaged" in refusal(f"cut.csv.{ending}", tmp_path).message
    (tmp_path / f"none.csv.{ending}").write_bytes(ROWS.encode())
    assert isinstance(refusal(f"none.csv.{ending}", tmp_path), Refused)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_what_separates_the_values_is_seen(tmp_path: Path, mark: str) -> None:
    lines = [["a", "b, the second", "c"], ["1,5", "x", "y;z"], ["2,5", "u", ""]]
    text = "".join(mark.join(f'"{value}"' for value in line) + "\n" for line in lines)
    (tmp_path / "rows.csv").write_text("\ufeff" + text)
    assert read_any("rows.csv", tmp_path).to_pylist()[0] == {"a": "1,5", "b, the second": "x", "c": "y;z"}


def test_several_files_are_one_source_in_order(tmp_path: Path) -> None:
    (tmp_path / "2026-01.csv").write_text(ROWS)
    (tmp_path / "2026-02.csv").write_text("b;a\ny;3\n")
    (tmp_path / "2025-12.csv").write_text("a,b\n0,z\n")
    expected = {"a": ["1", "2", "3"], "b": ["x", None, "y"]}
    assert read_any("2026-*.csv", tmp_path).to_pydict() == expected
    assert read_any(["2026-01.csv", "2026-02.csv"], tmp_path).to_pydict() == expected
    assert read_any(str(tmp_path / "2026-*.csv")).to_pydict() == expected
    assert read_any(["2025*", "2026-02.csv"], tmp_path)["a"].to_pylist() == ["0", "3"]


def test_a_name_with_brackets_is_a_name_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "rows [1].csv").write_text(ROWS)
    assert read_any("rows [1].csv", tmp_path).to_pydict() == READ
    assert isinstance(refusal("rows [2].csv", tmp_path), NotFound)


def test_the_file_with_other_columns_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(ROWS)
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    error = refusal("*.csv", tmp_path)
    assert isinstance(error, Refused)
    assert error.place == "2.csv"
    assert error.message == "other columns than in 1.csv: it lacks `b` and has `c` besides; all files need the same"
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "3.parquet")
    assert "other types than in 1.csv" in refusal(["1.csv", "3.parquet"], tmp_path).message


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database in SQLite, `my shop.db`, in a folder."""
    with sqlite3.connect(tmp_path / "my shop.db") as database:
        database.execute("CREATE TABLE customers (id TEXT, age INTEGER, spent REAL, odd, none)")
        rows = [(f"c{n}", n, n / 2 if n % 2 else None, n if n % 2 else f"t{n}", None) for n in range(50_000)]
        database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?)", rows)
    database.close()
    return tmp_path


def test_a_query_is_a_source(shop: Path) -> None:
    found = read_any("sqlite:///my shop.db?query=SELECT id, age, spent FROM customers WHERE age < 45001", shop)
    assert found.schema == pa.schema([("id", pa.string()), ("age", pa.int64()), ("spent", pa.float64())])
    assert found.num_rows == 45_001
    assert found.slice(0, 2).to_pylist() == [
        {"id": "c0", "age": 0, "spent": None},
        {"id": "c1", "age": 1, "spent": 0.5},
    ]
    mixed = read_any("sqlite:///my shop.db?query=SELECT odd, none FROM customers LIMIT 2;", shop)
    assert mixed.to_pydict() == {"odd": ["t0", "1"], "none": [None, None]}
    like = "SELECT id AS \"a b\" FROM customers WHERE id LIKE '%2599' AND age < 100"
    assert read_any(f"sqlite:///my shop.db?query={like}", shop).to_pydict() == {"a b": ["c99"]}


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("sqlite:///my shop.db", Misconfigured, "needs a query; write DATABASE://"),
        ("sqlite:///my shop.db?query=", Misconfigured, "needs a query"),
        ("sqlite:///?query=SELECT 1", Misconfigured, "a source in SQLite is a file"),
        ("sqlite:///gone.db?query=SELECT 1", NotFound, "no such database"),
        ("sqlite:///my shop.db?query=SELECT * FROM customer", Refused, "refuses the query: no such table: customer"),
        ("sqlite:///my shop.db?query=SELEC 1", Refused, "refuses the query"),
        ("sqlite:///my shop.db?query=SELECT age FROM customers WHERE 0", Refused, "no rows"),
        ("sqlite:///my shop.db?query=SELECT age, age FROM customers", Refused, "two columns are named `age`"),
        ("sqlite:///my shop.db?query=DELETE FROM customers", Refused, "readonly"),
        ("postgresql://u:geheim@127.0.0.1:1/d?connect_timeout=2&query=SELECT 1", Unavailable, "cannot be asked"),
        ("postgresql://u:geheim@127.0.0.1:x/d?query=SELECT 1", Misconfigured, "no database can be at this address"),
    ],
)
def test_a_query_that_gives_no_rows_says_why_and_never_the_password(
    shop: Path, address: str, kind: type[MainstayError], words: str
) -> None:
    error = refusal(address, shop)
    assert type(error) is kind
    assert words in error.message
    assert "geheim" not in str(error)
    assert error.place == shown(address)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("rows@home:x.csv", "rows@home:x.csv"),
        ("s3://bucket/a b.csv", "s3://bucket/a b.csv"),
        ("postgresql://u:p@ss?w@h:5/d?query=SELECT 'a@b'", "postgresql://u:***@h:5/d?query=SELECT 'a@b'"),
        ("postgresql://h/d?user=u&password=p&query=SELECT 1", "postgresql://h/d?user=u&password=***&query=SELECT 1"),
        (["a.csv", "mysql://u:p@h/d?query=x"], "a.csv, mysql://u:***@h/d?query=x"),
    ],
)
def test_addresses_are_shown_without_passwords(address: str | list[str], said: str) -> None:
    assert shown(address) == said
