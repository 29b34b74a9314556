"""What a source promises, check by check; and what becomes of rows that break it."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.data.holdout import watermark_of
from mainstay.data.source import read
from mainstay.data.validate import Validated, validate
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Outcome

TIMED = [("seen", "2026-01-01"), ("loaded", "2026-01-02")]


def changed(table: pa.Table, **cells: dict[int, Any]) -> pa.Table:
    """The table with other values in some cells, by column and row (from 0)."""
    columns = table.to_pydict()
    for name, by_row in cells.items():
        for row, value in by_row.items():
            columns[name][row] = value
    return pa.table(columns)


def check_of(found: Validated, name: str, subject: str = "") -> Check:
    return next(each for each in found.verdict.checks if (each.name, each.subject) == (name, subject))


def without(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns(list(names))


def timed(table: pa.Table) -> pa.Table:
    for name, value in TIMED:
        table = table.append_column(name, pa.array([value] * table.num_rows))
    return table


def test_sound_rows_pass_typed_and_in_the_contract_s_order(rows: pa.Table, shop: UseCase) -> None:
    found = validate(rows.select(sorted(rows.column_names)), shop)
    assert found.verdict.outcome is Outcome.PASS
    assert found.quarantine.num_rows == 0
    assert found.table.schema == pa.schema(
        [
            ("id", pa.string()),
            ("mail", pa.string()),
            ("age", pa.int64()),
            ("spent", pa.float64()),
            ("plan", pa.string()),
            ("member", pa.string()),
            ("left", pa.string()),
        ]
    )
    assert {each.outcome for each in found.verdict.checks} == {Outcome.PASS}


def test_rows_with_times_are_typed_too(rows: pa.Table, shop: UseCase) -> None:
    found = validate(timed(rows), shop)
    assert found.verdict.outcome is Outcome.PASS
    assert found.table.column_names[1:3] == ["seen", "loaded"]
    assert found.table["seen"][0].as_py() == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "value", "check", "said"),
    [
        ("age", "old", "type", "`age` is not an integer: `old`"),
        ("age", None, "null", "`age` is missing, and must be an integer"),
        ("age", "17", "range", "`age` is not from 18 to 120 years: `17`"),
        ("spent", "much", "type", "`spent` is not a number: `much`"),
        ("spent", "1000.01", "range", "`spent` is not from 0 to 1000: `1000.01`"),
        ("plan", "Basic", "values", "`plan` is not one of basic, plus: `Basic`"),
        ("member", "2", "values", "`member` is not one of 0, 1: `2`"),
        ("left", "no", "values", "`left` is not one of No, Yes: `no`"),
        ("id", None, "null", "`id` is missing, and must be a text"),
    ],
)
def test_a_bad_value_is_set_aside_with_its_reason(
    rows: pa.Table, shop: UseCase, column: str, value: str | None, check: str, said: str
) -> None:
    found = validate(changed(rows, **{column: {3: value}}), shop)
    assert found.quarantine["row"].to_pylist() == [4]
    assert found.quarantine["reasons"].to_pylist() == [said]
    assert found.quarantine[column].to_pylist() == [value]
    assert found.table.num_rows == 7
    advisory = check_of(found, check, column)
    assert (advisory.outcome, advisory.blocking) == (Outcome.FAIL, False)
    assert "in 1 of 8 rows (row 4" in advisory.reason
    assert advisory.reason.endswith(", which are set aside")
    assert found.verdict.outcome is Outcome.PASS


def test_a_wholly_broken_column_fails_the_verdict_by_name(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, age=dict.fromkeys(range(8), "?")), shop)
    assert found.verdict.outcome is Outcome.FAIL
    assert "`age` is not an integer in 8 of 8 rows (row 1 `?`, row 2 `?`, row 3 `?`, …)" in found.verdict.reason
    assert "8 of 8 rows break a promise (100.00%), and 25.00% may" in found.verdict.reason
    assert found.table.num_rows == 0


def test_many_small_faults_fail_together(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, age={0: "?"}, spent={3: "?"}, plan={4: "?"}), shop)
    assert [each.name for each in found.verdict.checks if each.blocking and not each.met] == ["quarantined"]
    assert check_of(found, "quarantined").reason == "3 of 8 rows break a promise (37.50%), and 25.00% may"


def test_a_share_as_large_as_tolerated_is_tolerated(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, age={0: "?", 3: "?"}), shop)
    assert found.quarantine.num_rows == 2
    assert found.verdict.outcome is Outcome.PASS


def test_one_row_may_have_several_reasons(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, age={3: "9"}, plan={3: "no"}), shop)
    assert found.quarantine["reasons"].to_pylist() == [
        "`age` is not from 18 to 120 years: `9`; `plan` is not one of basic, plus: `no`"
    ]


def test_a_rule_is_broken_only_where_it_is_definitely_false(rows: pa.Table, shop: UseCase) -> None:
    assert rows["plan"][1].as_py() == "plus"  # whose `spent` is missing
    found = validate(changed(rows, spent={3: "0"}), shop)
    assert found.quarantine["reasons"].to_pylist() == ["`spent > 0 or plan == 'basic'` does not hold"]
    assert check_of(found, "rule", "spent > 0 or plan == 'basic'").reason.startswith("`spent > 0 or plan == 'basic'`")


def test_a_rule_on_a_column_that_a_snapshot_lacks_is_not_broken(rows: pa.Table, shop: UseCase) -> None:
    rules = ("is_null(seen) or age > 0", "seen != 'never'", "2 > 1", "1 > 2 or member == '0'")
    other = shop.model_copy(update={"contract": shop.contract.model_copy(update={"rules": rules})})
    found = validate(rows, other)
    assert [check_of(found, "rule", rule).outcome for rule in rules[:3]] == [Outcome.PASS] * 3
    assert check_of(found, "rule", rules[3]).reason.startswith("`1 > 2 or member == '0'` does not hold in 4 of 8")


def test_rows_that_contradict_each_other_under_one_name_all_go(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, id={3: "c0"}), shop)
    assert found.quarantine["row"].to_pylist() == [1, 4]
    assert check_of(found, "unique", "id").reason.startswith("`id` is in more than one row in 2 of 8 rows (row 1, row")


def test_of_rows_that_are_the_same_one_stays(rows: pa.Table, shop: UseCase) -> None:
    found = validate(pa.concat_tables([rows, rows.slice(2, 1)]), shop)
    assert found.quarantine["row"].to_pylist() == [9]
    assert found.table.num_rows == 8


def test_a_copy_that_is_broken_otherwise_takes_its_twin_with_it(rows: pa.Table, shop: UseCase) -> None:
    broken = changed(rows.slice(1, 1), spent={0: "much"})  # as typed it is the same row: `spent` is missing
    for order in ([rows, broken], [broken, rows]):
        found = validate(pa.concat_tables(order), shop)
        assert found.quarantine.num_rows == 2
        assert "c1" not in found.table["id"].to_pylist()


def test_alike_rows_of_different_customers_are_only_mentioned(rows: pa.Table, shop: UseCase) -> None:
    unnamed = shop.model_copy(update={"entity": None})
    columns = {name: column for name, column in shop.contract.columns.items() if name not in ("id", "mail")}
    unnamed = unnamed.model_copy(update={"contract": shop.contract.model_copy(update={"columns": columns})})
    found = validate(without(pa.concat_tables([rows, rows.slice(0, 2)]), "id", "mail"), unnamed)
    assert found.table.num_rows == 10
    made = check_of(found, "duplicates")
    assert (made.outcome, made.blocking) == (Outcome.FAIL, False)
    assert made.reason == "2 of 10 rows repeat another in every column"
    assert found.verdict.outcome is Outcome.PASS


def test_a_column_that_is_missing_is_named_with_the_one_that_was_meant(rows: pa.Table, shop: UseCase) -> None:
    found = validate(rows.rename_columns({"age": "Age"}), shop)
    assert found.verdict.outcome is Outcome.FAIL
    assert found.verdict.reason == "the source has no column `age`; did you mean `Age`?"
    extra = next(each for each in found.verdict.checks if each.name == "columns" and not each.blocking)
    assert extra.reason == "the contract does not name `Age`: dropped; did you mean `age`?"


def test_columns_that_nobody_asked_for_are_dropped_and_said(rows: pa.Table, shop: UseCase) -> None:
    more = rows.append_column("x", rows["age"]).append_column("y", rows["age"])
    found = validate(more, shop)
    assert found.verdict.outcome is Outcome.PASS
    assert "x" not in found.table.column_names
    assert check_of(found, "columns").reason == "the contract does not name `x`, `y`: dropped"


def test_a_time_may_be_missing_only_where_the_contract_says_so(rows: pa.Table, shop: UseCase) -> None:
    assert shop.event_time is not None
    strict = shop.model_copy(update={"event_time": shop.event_time.model_copy(update={"optional": False})})
    assert "no column `seen`" in validate(rows, strict).verdict.reason
    half = without(timed(rows), "loaded")
    assert "no column `loaded`" in validate(half, shop).verdict.reason


def test_a_time_to_come_is_set_aside_where_now_is_known(rows: pa.Table, shop: UseCase) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)  # when every row was loaded
    later = changed(timed(rows), seen={3: "2062-01-01"}, loaded={4: "2026-01-02T00:00:00.000001Z", 5: None})
    found = validate(later, shop, now)
    assert found.quarantine["row"].to_pylist() == [4, 5]
    assert found.quarantine["reasons"][0].as_py() == "`seen` is in the future: `2062-01-01`"
    assert check_of(found, "future", "loaded").reason.startswith("`loaded` is in the future in 1 of 8 rows (row 5 `")
    assert watermark_of(found.table, shop) == now
    assert validate(later, shop).quarantine.num_rows == 0
    sound = validate(timed(rows), shop, now)
    assert [each.outcome for each in sound.verdict.checks if each.name == "future"] == [Outcome.PASS] * 2
    assert all(each.name != "future" for each in validate(rows, shop, now).verdict.checks)


def test_the_label_is_needed_with_both_classes(rows: pa.Table, shop: UseCase) -> None:
    assert "no column `left`" in validate(without(rows, "left"), shop).verdict.reason
    one = changed(rows, left=dict.fromkeys(range(8), "No"))
    assert validate(one, shop).verdict.reason == "`left` has only the class `No`; both `No` and `Yes` are needed"
    none = changed(rows, left=dict.fromkeys(range(8)))
    assert "`left` has no class in any row" in validate(none, shop).verdict.reason


def test_where_rows_have_times_silence_is_a_class(rows: pa.Table, shop: UseCase) -> None:
    silent = changed(rows, left={row: None if row % 2 else "Yes" for row in range(8)})
    assert validate(timed(silent), shop).verdict.outcome is Outcome.PASS
    assert "only the class `Yes`" in validate(silent, shop).verdict.reason


def test_too_few_rows_fail(rows: pa.Table, shop: UseCase) -> None:
    found = validate(rows.slice(1, 1), shop)
    assert check_of(found, "rows").reason == "the source has 1 rows, and must have at least 2"
    assert found.verdict.outcome is Outcome.FAIL
    assert validate(rows.slice(0, 0), shop).verdict.outcome is Outcome.FAIL


def test_a_personal_value_is_in_no_reason(rows: pa.Table, shop: UseCase) -> None:
    secret = "Ada-Lovelace"
    column = shop.contract.columns["id"].model_copy(update={"type": "integer"})
    columns = {**shop.contract.columns, "id": column}
    named = shop.model_copy(update={"contract": shop.contract.model_copy(update={"columns": columns})})
    found = validate(changed(rows, id={2: secret}), named)
    assert "`id` is not an integer" in found.quarantine["reasons"][2].as_py()
    assert secret not in str(found.verdict) + str(found.quarantine["reasons"].to_pylist())


def test_reasons_are_short_and_harmless_on_a_terminal(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, plan={0: "\x1b[31m" + "x" * 100}), shop)
    shown = found.quarantine["reasons"][0].as_py()
    assert shown.endswith("`?[31m" + "x" * 35 + "…`")
    assert "\x1b" not in str(found.verdict)


def test_values_that_have_no_text_are_refused_without_being_shown(rows: pa.Table, shop: UseCase) -> None:
    nested = rows.set_column(rows.column_names.index("plan"), "plan", pa.array([[1]] * 8))
    found = validate(nested, shop)
    assert found.verdict.outcome is Outcome.FAIL
    assert found.quarantine["reasons"][0].as_py() == "`plan` is not a text"


def test_a_source_s_own_row_and_reasons_give_way(rows: pa.Table, shop: UseCase) -> None:
    found = validate(changed(rows, age={0: "?"}).append_column("row", rows["id"]), shop)
    assert found.quarantine["row"].to_pylist() == [1]
    assert found.quarantine["row of the source"].to_pylist() == ["c0"]


def test_the_same_rows_as_csv_and_as_parquet_are_the_same_typed(shop: UseCase, rows: pa.Table, tmp_path: Path) -> None:
    parquet = pa.table(
        {
            "id": rows["id"].combine_chunks().dictionary_encode(),
            "mail": rows["mail"],
            "age": rows["age"].cast(pa.float32()),
            "spent": rows["spent"].cast(pa.float64()),
            "plan": rows["plan"].cast(pa.large_string()),
            "member": rows["member"].cast(pa.int8()),
            "left": rows["left"],
        }
    )
    pa_csv.write_csv(rows, tmp_path / "rows.csv")
    assert validate(read("rows.csv", shop, tmp_path), shop).table == validate(parquet, shop).table


CELLS: dict[str, list[str | None]] = {
    "id": [None, "c1", "c2", "c3"],
    "age": ["20", "x", None],
    "spent": ["1", "", "x", "0"],
    "plan": ["plus", "basic"],
    "member": ["0", "1.0"],
    "left": ["No", "Yes", None],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({k: st.sampled_from(v) for k, v in CELLS.items()}), min_size=1), st.randoms())
def test_which_rows_stay_does_not_depend_on_their_order(
    shop: UseCase, given_rows: list[dict[str, str | None]], random: random.Random
) -> None:
    schema = pa.schema([(name, pa.string()) for name in [*CELLS, "mail"]])
    shuffled = random.sample(given_rows, len(given_rows))
    first, second = (validate(pa.Table.from_pylist(rows, schema), shop) for rows in (given_rows, shuffled))
    kept = [sorted(map(str, found.table.to_pylist())) for found in (first, second)]
    assert kept[0] == kept[1]
    assert first.verdict.outcome is second.verdict.outcome
    assert first.table.num_rows + first.quarantine.num_rows == len(given_rows)
    assert all(reasons for reasons in first.quarantine["reasons"].to_pylist())


def test_the_telco_file_keeps_every_promise(telco: Path, churn: UseCase) -> None:
    found = validate(read(str(telco), churn, Path()), churn)
    assert found.verdict.outcome is Outcome.PASS
    assert (found.table.num_rows, found.quarantine.num_rows) == (7043, 0)
    assert found.table["TotalCharges"].null_count == 11


def test_a_source_with_none_of_the_columns_fails_and_names_them(shop: UseCase) -> None:
    found = validate(pa.table({"other": ["a", "b"]}), shop)
    assert found.verdict.outcome is Outcome.FAIL
    missing = {made.subject for made in found.verdict.checks if made.name == "columns" and made.blocking}
    assert shop.label.column in missing
    assert found.table.num_rows == 0
