"""A first use case from rows nobody described: what it proposes, validation accepts."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from mainstay.data.infer import positive_class, render
from mainstay.data.propose import entity_of, left_out, propose
from mainstay.data.validate import validate
from mainstay.errors import Refused
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.verdicts import Outcome

ROWS = 200


def table(**columns: Any) -> pa.Table:
    """Rows with a target `y` of two classes, No and Yes, beside the columns given."""
    return pa.table({**columns, "y": ["No", "Yes"] * (ROWS // 2)})


def proposed(values: Any) -> Any:
    return propose(table(x=values), "y")["x"]


def use_case(rows: pa.Table, target: str = "y") -> UseCase:
    return loads(render("rows", "rows.csv", rows, target))


def test_texts_of_whole_numbers_are_integers_with_a_range_that_leaves_room() -> None:
    made = proposed([str(n % 50 + 20) for n in range(ROWS)])
    assert (made.type, made.nullable, made.range) == ("integer", False, (0, 140))


def test_fractions_are_numbers_and_a_blank_is_a_null() -> None:
    made = proposed([None, *(f"{n / 7 - 3:.2f}" for n in range(ROWS - 1))])
    assert (made.type, made.nullable) == ("number", True)
    assert made.range[0] < -3
    assert made.range[1] > 30


def test_a_word_among_numbers_makes_a_category() -> None:
    made = proposed([*("12" for _ in range(ROWS - 1)), "unknown"])
    assert (made.type, made.values) == ("category", ("12", "unknown"))


@pytest.mark.parametrize(
    "values",
    [
        ["2026-01-01"] * ROWS,
        ["2026-01-01T10:00:00Z"] * ROWS,
        ["2026-01-01 10:00"] * ROWS,
        pa.array([date(2026, 1, 1)] * ROWS),
        pa.array([datetime(2026, 1, 1)] * ROWS),  # noqa: DTZ001  (Parquet has times without a zone)
    ],
)
def test_times_are_timestamps(values: Any) -> None:
    assert proposed(values).type == "timestamp"


def test_a_date_is_no_telephone_number() -> None:
    for form in ("{d:02d}/{m:02d}/2024", "2024-{m:02d}-{d:02d}"):
        made = proposed([form.format(d=1 + n % 28, m=1 + n % 12) for n in range(ROWS)])
        assert (made.type, made.personal) == ("timestamp", None)
    born = propose(table(date_of_birth=[f"{1 + n % 28:02d}/{1 + n % 12:02d}/1980" for n in range(ROWS)]), "y")
    assert born["date_of_birth"].personal == "drop"


def test_what_differs_in_every_row_is_an_identifier() -> None:
    assert proposed([f"c{n}" for n in range(ROWS)]).type == "identifier"
    assert proposed([str(1000 + n) for n in range(ROWS)]).type == "identifier"
    assert proposed([str(n * n * 1000) for n in range(ROWS)]).type == "integer"  # spread as no running number is


def test_many_texts_are_left_to_training_and_free_text_is_no_feature() -> None:
    assert (proposed([f"city {n % 40}" for n in range(ROWS)]).values, proposed(["a"] * ROWS).values) == (None, ("a",))
    assert proposed([f"note {n % 150}" for n in range(ROWS)]).feature is False
    assert proposed([None] * ROWS) == propose(table(x=pa.nulls(ROWS)), "y")["x"]
    assert proposed([""] * ROWS).note == "empty"


def test_columns_that_no_contract_can_name_are_left_out_with_the_reason() -> None:
    rows = table(
        x=["1", "2"] * 100, tags=pa.array([["a"]] * ROWS), at=pa.array([time(1)] * ROWS), raw=pa.array([b"\xff"] * ROWS)
    )
    rows = rows.append_column("", pa.array(["a"] * ROWS)).append_column("n" * 201, pa.array(["a"] * ROWS))
    rows = rows.append_column("__held_out__", pa.array(["a"] * ROWS))
    assert list(left_out(rows)) == ["tags", "at", "raw", "", "n" * 201, "__held_out__"]
    text = render("rows", "rows.csv", rows, "y")
    assert "    # tags is left out: list<item: string> is no number, time or text\n" in text
    assert set(loads(text).contract.columns) == {"x", "y"}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([True, False] * 100),
        pa.array([1.0, None] * 100),
        pa.array([Decimal("1.50"), Decimal("-3.10")] * 100),
        pa.array(["a", " b "] * 100).dictionary_encode(),
        pa.array(["Zu\u0308rich", "Gen\u00e8ve"] * 100),
        pa.array(["line\nbreak", "tab\there"] * 100),
        pa.array(["", " "] * 100),
        pa.array(["nan", "inf"] * 100),
        pa.array(["yes", "no"] * 100),
        pa.array(["null", "~"] * 100),
        pa.array(["1.0", "2"] * 100),
        pa.array(["9" * 20, "-1e300"] * 100),
    ],
    ids=lambda column: str(column[:2].to_pylist()),
)
def test_what_is_proposed_is_accepted_by_validation(column: pa.Array) -> None:
    rows = table(known=[str(n % 9) for n in range(ROWS)], x=column)
    made = use_case(rows)
    checked = validate(rows, made)
    assert checked.verdict.outcome is Outcome.PASS, checked.verdict.reason
    assert checked.table.num_rows == ROWS


@pytest.mark.parametrize(
    "name",
    ["a, b", "{b}", "Größe: x", "# x", " lead", "null", "yes", "1", "line\nbreak", "'", '"', "- x", "? x", "a: b"],
)
def test_any_name_of_a_column_survives_the_file(name: str) -> None:
    made = use_case(pa.table({name: ["1", "2"] * 100, "y": ["No", "Yes"] * 100}))
    assert list(made.contract.columns) == [name, "y"]


def test_the_class_to_predict_is_yes_in_some_language_else_the_rarer() -> None:
    answers = pa.table({"y": ["a", "b", "b"]})
    assert positive_class(answers, "y", ("a", "b")) == "a"
    for yes, no in (
        ("Yes", "No"),
        ("1", "0"),
        ("true", "false"),
        ("ja", "nein"),
        ("oui", "non"),
        ("Churned", "Stayed"),
    ):
        assert positive_class(answers, "y", (no, yes)) == yes


def test_the_label_keeps_its_classes_and_its_blanks() -> None:
    rows = pa.table({"x": ["1", "2", "3"] * 10, "y": pa.array([0.0, 1.0, None] * 10)})
    made = use_case(rows)
    assert made.classes == ("0", "1")
    assert made.contract.columns["y"].nullable


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("z", r"there is no column `z`"),
        ("churm", r"there is no column `churm`; did you mean `churn`\?"),
        ("x", r"a target has exactly two values; `x` has 3 \(`1`, `2`, `3`\); add a column .* `1` or not"),
        ("half", r"`half` has 1 \(`y`\) and blanks, which are no class; write the other class"),
        ("one", r"`one` has 1 \(`a`\)"),
        ("empty", r"`empty` has 0 \(none\)"),
        ("tags", r"this column cannot be predicted: list<item: string> is no number, time or text"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused(target: str, words: str) -> None:
    rows = pa.table(
        {
            "x": ["1", "2", "3"],
            "one": ["a"] * 3,
            "empty": pa.nulls(3),
            "churn": ["n", "y", "n"],
            "tags": [["a"]] * 3,
            "half": ["y", None, "y"],
        }
    )
    with pytest.raises(Refused, match=words):
        propose(rows, target)


def test_one_and_one_point_nought_are_one_class() -> None:
    made = use_case(pa.table({"x": ["1", "2", "3", "4"] * 10, "y": ["0", "0.0", "1", "1.0"] * 10}))
    assert made.classes == ("0", "1")


@pytest.mark.parametrize("form", ["{}.5 %", "${},000", "{} kg", "€ {}"])
def test_numbers_with_a_unit_are_pointed_out(form: str) -> None:
    rows = table(x=[form.format(n % 90) for n in range(ROWS)], plain=[f"p{n % 90}" for n in range(ROWS)])
    made = propose(rows, "y")
    assert "numbers with a unit" in made["x"].note
    assert not made["x"].feature
    assert made["plain"].feature


def test_a_name_that_yaml_would_read_as_something_else_is_still_a_name() -> None:
    rows = table(x=["1", "2"] * (ROWS // 2))
    for name in ("null", "yes", "true"):
        assert loads(render(name, "rows.csv", rows, "y")).name == name


def test_the_entity_is_the_identifier_that_says_so() -> None:
    rows = table(code=[f"c{n}" for n in range(ROWS)], customer_id=[f"k{n}" for n in range(ROWS)])
    assert entity_of(propose(rows, "y")) == "customer_id"
    assert entity_of(propose(table(x=["1", "2"] * 100), "y")) is None
    assert use_case(rows.append_column("x", pa.array(["1", "2"] * 100))).entity == "customer_id"
