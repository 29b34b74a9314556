"""How texts write numbers, times and truths: what the contract says of it is what is read."""

import pyarrow as pa
import pytest

from mainstay.data.propose import propose
from mainstay.data.suspects import personal, protected
from mainstay.data.typed import typed
from mainstay.data.written import time_formats
from mainstay.scoring.spelling import spelling
from mainstay.usecase import Column


def read(values: list[str | None], **promised: object) -> list[object]:
    found = typed(pa.chunked_array([pa.array(values, pa.string())]), Column.model_validate(promised))
    return ["wrong" if wrong else value for value, wrong in zip(found.values.to_pylist(), found.wrong, strict=True)]


@pytest.mark.parametrize(
    ("decimal", "thousands", "given", "expected"),
    [
        (",", ".", ["1.234,5", "-0,5", "1234,5", ",5", "1.234.567", "7"], [1234.5, -0.5, 1234.5, 0.5, 1234567.0, 7.0]),
        (",", ".", ["1.5", "1,234.5", "12.34,5", "1,5,5"], ["wrong"] * 4),
        (".", ",", ["1,234.5", "1234.5", "1,234,567"], [1234.5, 1234.5, 1234567.0]),
        (".", ",", ["1,5", "1.234,5", "12,34"], ["wrong"] * 3),
        (",", " ", ["1 234,5", "1\u00a0234,5", "1\u202f234"], [1234.5, 1234.5, 1234.0]),
        (".", "'", ["1'234.50", "1’234"], [1234.5, 1234.0]),
        (",", None, ["1,5", None, " 2,5 ", "1e3"], [1.5, None, 2.5, 1000.0]),
    ],
)
def test_numbers_are_read_as_they_are_written(
    decimal: str, thousands: str | None, given: list[str | None], expected: list[object]
) -> None:
    assert read(given, type="number", decimal=decimal, thousands=thousands) == expected


def test_times_are_read_in_their_format_alone() -> None:
    found = read(["31.12.2025", "31.02.2025", "2025-12-31", None], type="timestamp", format="%d.%m.%Y")
    assert [str(each) for each in found] == ["2025-12-31 00:00:00+00:00", "wrong", "wrong", "None"]
    assert time_formats(["31.12.2025 08:00", "01.02.2026 23:59"]) == ["%d.%m.%Y %H:%M"]
    assert time_formats(["01/02/2025", "03/04/2025"]) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert time_formats(["01/13/2025", "03/04/2025"]) == ["%m/%d/%Y"]
    assert time_formats(["31.12.2025", "soon"]) == time_formats([]) == []


def test_words_for_missing_values_are_missing() -> None:
    assert read(["1", "NA", " ? ", "na"], type="integer", missing=["NA", "?"]) == [1, None, None, "wrong"]


@pytest.mark.parametrize(
    ("promised", "words"),
    [
        ({"type": "category", "decimal": ","}, "has no decimal point"),
        ({"type": "number", "decimal": ",", "thousands": ","}, "cannot be the decimal point and part"),
        ({"type": "number", "format": "%d"}, "has no format of times"),
        ({"type": "timestamp", "format": "%d.%m"}, "does not say the day, the month and the year"),
        ({"type": "timestamp", "format": "%Q"}, "is no format of times"),
    ],
)
def test_a_way_of_writing_that_cannot_be_is_refused(promised: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Column.model_validate(promised)


def test_a_truth_is_read_in_any_spelling_where_true_and_false_are_listed() -> None:
    spelt = spelling(("false", "true"))
    assert {spelt(each) for each in ("Yes", " y", "T", 1, 1.0, "1.0", True, "JA", "on")} == {"true"}
    assert {spelt(each) for each in ("No", "n", "F", 0, "0.0", False, "nein", "off")} == {"false"}
    assert (spelt("perhaps"), spelt(" ")) == ("perhaps", None)
    assert spelling(("no", "yes"))("y") == "y"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["01067", "10115"] * 50, "category"),
        ([f"{n:06d}" for n in range(100)], "identifier"),
        ([str(4 * 10**17 + n * n) for n in range(100)], "identifier"),
        ([f"10.0.0.{n}" for n in range(100)], "identifier"),
        ([f"{n},5" for n in range(100)], "number"),
        ([f"{n},500" for n in range(1, 101)], "integer"),
        ([f"{n},5" for n in range(99)] + ["n/a"], "number"),
        (["0", "1", "1", "0"] * 25, "category"),
        (["Dec 31, 2025", "Jan 1, 2026"] * 50, "timestamp"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_looks_like_a_number_is_one_only_if_it_counts_something(values: list[str], kind: str) -> None:
    made = propose(pa.table({"x": values, "y": ["a", "b"] * 50}), "y")["x"]
    assert made.type == kind
    assert not typed(pa.chunked_array([values]), made.column).wrong.any()


def test_names_say_what_is_personal_and_what_is_protected() -> None:
    many = pa.array([f"text {n}" for n in range(40)])
    for name in ("e-mail", "E_Mail", "firstName", "Last Name", "Name", "Telefon", "street_address", "date of birth"):
        assert personal(name, many), name
    for name in ("product", "renamed", "hotel"):
        assert personal(name, many) is None, name
    assert personal("plan name", pa.array(["basic", "plus"])) is None
    assert personal("contact", pa.array([f"a{n}@b.example" for n in range(40)])) == "looks like e-mail addresses"
    assert all(map(protected, ("gender", "Sex", "age", "SeniorCitizen", "marital_status", "Race", "Geschlecht")))
    assert not any(map(protected, ("page", "usage", "average", "sextant", "message")))
