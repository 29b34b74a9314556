"""Text files: what is read, and every way in which one can't be."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.data.delimited import COMMA, TAB, read_delimited
from mainstay.errors import Refused


def rows_of(text: str | bytes, delimiter: str = COMMA) -> dict[str, list[str | None]]:
    data = text.encode() if isinstance(text, str) else text
    made: dict[str, list[str | None]] = read_delimited(data, delimiter, "rows.csv").to_pydict()
    return made


def refused(text: str | bytes, delimiter: str = COMMA) -> str:
    with pytest.raises(Refused) as caught:
        rows_of(text, delimiter)
    assert caught.value.place == "rows.csv"
    assert "\n" not in caught.value.message
    return caught.value.message


def test_every_value_is_a_string_and_a_blank_is_null() -> None:
    assert rows_of('a,b,c\n01,,true\n1e5,  ,""\n') == {"a": ["01", "1e5"], "b": [None, None], "c": ["true", None]}


def test_a_byte_order_mark_is_not_part_of_a_name() -> None:
    assert rows_of(b"\xef\xbb\xbfa,b\n1,2\n") == {"a": ["1"], "b": ["2"]}


def test_every_end_of_line_and_none_at_the_end_will_do() -> None:
    for end in ("\n", "\r\n", "\r"):
        assert rows_of(f"a,b{end}1,2{end}{end}3,4") == {"a": ["1", "3"], "b": ["2", "4"]}


def test_a_quoted_value_may_hold_lines_and_delimiters() -> None:
    assert rows_of('a,b\n"x\ny, ""z""",2\n') == {"a": ['x\ny, "z"'], "b": ["2"]}
    assert rows_of('a,b\n"","5"" pipe"\n"""x""",""""\n') == {"a": [None, '"x"'], "b": ['5" pipe', '"']}


def test_another_delimiter_is_named() -> None:
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        said = refused(f"a{mark}b\n1{mark}2,5\n")
        assert f"separated by {name}" in said
        assert "save it with commas" in said
    assert "separated by commas, where tabs are expected" in refused("a,b\n1,2\n", TAB)


def test_a_file_with_one_column_is_a_file() -> None:
    assert rows_of("a\n1\n2\n") == {"a": ["1", "2"]}


def test_a_file_without_rows_is_refused() -> None:
    assert "a header and no rows" in refused("a,b\n")
    assert "a header and no rows" in refused("a,b\n\n\n")
    assert "the file is empty" in refused("\n  \n")
    assert "the file is empty" in refused(b"\xef\xbb\xbf")


def test_text_that_is_not_utf_8_is_refused_by_byte_and_line() -> None:
    assert "not UTF-8 at byte 9 (line 3); save it as UTF-8" in refused("a,b\n1,2\né,3\n".encode("latin-1"))
    assert "UTF-16" in refused("a,b\n1,2\n".encode("utf-16"))
    assert "a zero byte at byte 2" in refused("a,b\n1,2\n".encode("utf-16-le"))


def test_another_kind_of_file_is_called_by_its_name() -> None:
    assert "an Excel workbook or a zip" in refused(b"PK\x03\x04\x00")
    assert "gzip" in refused(b"\x1f\x8b\x00")
    assert "this is Parquet" in refused(b"PAR1\x00")


def test_a_name_that_two_columns_have_is_refused() -> None:
    assert "two columns are named `a`" in refused("a,b,a\n1,2,3\n")


def test_a_ragged_row_is_refused_by_its_line() -> None:
    assert "line 4 has 1 values where the header names 2 columns" in refused("a,b\n1,2\n\n3\n4,5\n")
    assert "line 4 has 3 values" in refused('a,b\n"x\ny",2\n3,4,5\n')


def test_a_quote_that_never_closes_is_refused_by_its_line() -> None:
    assert "a quote that opens on line 3 never closes" in refused('a,b\n1,2\n3,"4\n5,6\n')
    assert "a quote that opens on line 1 never closes" in refused('a,"b\n1,2\n')


def test_a_quote_in_the_middle_of_a_value_is_refused_by_its_line() -> None:
    assert refused('a,b\n1,2\n5" pipe,2\n').startswith("a quote in the middle of a value on line 3; put the whole")
    assert "on line 2; put" in refused('a,b\n1, "x, y"\n')
    for end in ("\n", "\r\n", "\r"):
        lines = ["a,b", *(f"{n},n{n}" for n in range(1000))]
        lines[101], lines[901] = '100,"n100', '900,"n900'
        said = refused(end.join(lines))
        assert "a quote in the middle of a value on line 902, in the value that a quote opens on line 102" in said
    assert "on line 3, in the value that a quote opens on line 2" in refused('a,b\n"x ""y"" \nz"1,2\n')


def test_a_stray_quote_is_found_wherever_in_a_large_file_it_is() -> None:
    row = '"x ""y""\nz",1\n'
    large = "a,b\n" + row * 1_300_000  # two blocks
    assert "on line 2600002; put the whole" in refused(large + '5" pipe,2\n')
    assert "a quote that opens on line 2600003 never closes" in refused(large + '1,2\n3,"4""\n')


def test_a_line_no_reader_can_hold_is_refused() -> None:
    assert "not a header" in refused("a" * 200_000 + "\n1\n")
    assert "line 2 cannot be read" in refused("a,b\n1," + "x" * 200_000 + ",3\n")


@given(st.text(st.sampled_from('"a,\n'), max_size=12))
def test_what_arrow_is_given_it_reads_as_any_strict_reader_would(text: str) -> None:
    text = "k,v\n" + text
    try:
        found = rows_of(text)
    except Refused:
        return
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row][1:]
    expected = [tuple(value if value.strip() else None for value in row) for row in rows]
    assert list(zip(*found.values(), strict=True)) == expected


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_what_a_csv_writer_wrote_is_read_back(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    expected = [[None if not value.strip() else value for value in column] for column in zip(*rows, strict=True)]
    found = rows_of(text.getvalue())
    assert [found["a"], found["b"]] == expected


def test_columns_without_a_name_or_a_value_are_no_columns() -> None:
    """As spreadsheets write them behind the last one, and rows of delimiters alone below the last."""
    rows = rows_of("a;b;;\r\n1;x;;\r\n2;y;;\r\n;;;\r\n", ";")
    assert rows == {"a": ["1", "2", None], "b": ["x", "y", None]}


def test_one_column_may_lack_a_name_and_two_may_not() -> None:
    """Pandas writes its index so."""
    assert list(rows_of(",a\n0,5\n1,6\n")) == ["", "a"]
    assert "columns 1 and 3 have values and no name" in refused(",a,\n0,5,9\n1,6,9\n")


def test_a_title_above_the_header_is_told_as_such() -> None:
    assert "the first line must be the header" in refused("My customers\n\na,b\n1,2\n")
