"""Files a part at a time: the same rows as a whole, and one sentence for each that cannot be read."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.data.source import read_any
from mainstay.data.stream import ROWS, open_rows
from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused


def undone(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def everything(path: Path, columns: Sequence[str], categories: Sequence[str] = ()) -> tuple[pa.Table, list[int]]:
    """The rows, and how many came in each part."""
    with open_rows(path) as rows:
        parts = list(rows.parts(columns, categories))
        assert rows.total in (None, sum(part.num_rows for part in parts))
    plain = [pa.table([undone(column) for column in part.columns], names=columns) for part in parts]
    return pa.concat_tables(plain), [part.num_rows for part in parts]


def refusal(path: Path, kind: type[MainstayError] = Refused) -> str:
    with pytest.raises(kind) as caught:
        everything(path, ["a"])
    assert "\n" not in caught.value.message
    return caught.value.message


def wide(rows: int, quoted: bool) -> str:
    """Some 30 MB of text for 100,000 rows; quoted values hold the ends of lines and quotes."""
    note = '"two\nlines, and a ""quote"""' if quoted else "x" * 24
    return "a,b,note\n" + "".join(f"{n},{'y' * 250},{note}\n" for n in range(rows))


@pytest.mark.parametrize("quoted", [False, True])
def test_a_text_file_comes_in_parts_and_whole(tmp_path: Path, quoted: bool) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(wide(60_000, quoted))
    found, parts = everything(path, ["a", "note"])
    assert len(parts) > 1
    assert found.equals(read_any(str(path)).select(["a", "note"]))
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert everything(packed, ["a", "note"]) == (found, parts)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4",
        "\ufeffa,b\r\n1,2\r\n\r\n3,4\r\n",
        "a,b\r1,2\r3,4\r",
        "\n\n a,b\n1,2\n3,4\n\n\n",
        '"a","b"\n1,"2"\n3,4',
    ],
    ids=["no end", "windows", "old mac", "blank lines", "quotes"],
)
def test_however_its_lines_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode())
    with open_rows(path) as rows:
        names = rows.names
        (part,) = rows.parts(names, [])
    assert [name.strip() for name in names] == ["a", "b"]
    assert [column.to_pylist() for column in part.columns] == [["1", "3"], ["2", "4"]]


def test_parquet_comes_in_parts_with_its_types_and_only_the_columns_asked_for(tmp_path: Path) -> None:
    rows = 2 * ROWS + 10
    table = pa.table({"a": range(rows), "b": ["x", "y"] * (rows // 2), "c": [0.5] * rows})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=rows)
    found, parts = everything(tmp_path / "rows.parquet", ["b", "a"], ["b", "a"])
    assert parts == [ROWS, ROWS, 10]
    assert found.equals(table.select(["b", "a"]))
    with open_rows(tmp_path / "rows.parquet") as opened:
        first = next(opened.parts(["a", "b"], ["b"]))
    assert pa.types.is_dictionary(first.schema.field("b").type)


def test_what_is_no_file_of_rows_says_what_would_be(tmp_path: Path) -> None:
    assert "name a .csv or .parquet file" in refusal(tmp_path / "none.csv", NotFound)
    assert "give its path" in refusal(Path("s3://bucket/rows.csv"), Misconfigured)
    assert "not a name that leads to a file" in refusal(tmp_path / ("n" * 300 + ".csv"))
    assert "not a name that a file can have" in refusal(tmp_path / "nul\0.csv")
    (tmp_path / "device.csv").symlink_to("/dev/null")
    assert "not a regular file" in refusal(tmp_path / "device.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "a directory" in refusal(tmp_path / "folder.csv")
    for name, said in {
        "rows": "no ending", "rows.xlsx": "`.xlsx` is not a kind", "rows.parquet.gz": "`.gz` is not a kind",
        "rows.csv": "the file is empty", "rows.parquet": "the file is empty",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(b"")
        assert said in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("rows.csv", b"a,b\n", "a header and no rows"),
        ("rows.csv", b"\n\n", "the file is empty"),
        ("rows.csv", b"a,a\n1,2\n", "two columns are named `a`"),
        ("rows.csv", b"a,b\n1\n", "line 2 has 1 values"),
        ("rows.csv", b'a,b\n1,"2\n', "never closes"),
        ("rows.csv", b"a,b\n1,\xff\n", "not UTF-8"),
        ("rows.csv.gz", b"a,b\n1,2\n", "not compressed with gzip"),
        ("rows.csv.gz", gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-12], "cut short or damaged"),
        ("rows.parquet", b"a,b\n1,2\n", "not a Parquet file"),
        ("rows.parquet", b"PAR1" + bytes(60) + b"PAR1", "not a Parquet file"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert said in refusal(tmp_path / name)


def test_damage_far_into_a_file_is_refused_when_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(wide(60_000, quoted=False) + "1,2\n")
    said = refusal(tmp_path / "rows.csv")
    assert "has 2 values where the header names 3 columns" in said
    assert "counting lines without the" in said
    table = pa.table({"a": range(200_000)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=50_000, write_page_checksum=True)
    data = bytearray((tmp_path / "rows.parquet").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "rows.parquet").write_bytes(data)
    assert "damaged" in refusal(tmp_path / "rows.parquet")


def test_a_quote_that_never_closes_is_found_without_the_whole_file(tmp_path: Path) -> None:
    text = wide(300_000, quoted=False)
    (tmp_path / "rows.csv").write_text(text.replace("\n5,y", '\n5,"y', 1))
    assert "quote" in refusal(tmp_path / "rows.csv")


def test_parquet_without_rows_and_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "rows.parquet")
    assert "no rows" in refusal(tmp_path / "rows.parquet")
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "rows.parquet")
    assert "two columns are named `a`" in refusal(tmp_path / "rows.parquet")


def test_what_separates_values_may_be_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a;b\n1,5;x\n2,5;y\n")
    with open_rows(path, ";") as rows:
        (part,) = rows.parts(rows.names, ())
    assert part.to_pydict() == {"a": ["1,5", "2,5"], "b": ["x", "y"]}
    with pytest.raises(Refused, match="separated by semicolons, where commas are expected"):
        open_rows(path).__enter__()
