"""Suites that somebody else wrote: as much as a contract can say is read, and the rest is named."""

import json
from typing import Any

import pytest

from mainstay.data.suite import suite_of
from mainstay.data.suite_file import render
from mainstay.data.suite_read import Imported, contract_of
from mainstay.errors import Refused
from mainstay.usecase import Column, UseCase
from mainstay.usecase_file import loads

Given = tuple[str, dict[str, Any]]


def suite(*given: Given, name: str = "orders.warning") -> Imported:
    expectations = [{"type": kind, "kwargs": kwargs} for kind, kwargs in given]
    return contract_of(json.dumps({"name": name, "expectations": expectations, "meta": {}}))


def of(kind: str, column: str = "x", **options: Any) -> Given:
    return f"expect_{kind}", {"column": column, **options}


def test_a_suite_of_another_hand_becomes_a_contract() -> None:
    found = suite(
        ("expect_table_row_count_to_be_between", {"min_value": 100}),
        of("column_to_exist", "id"),
        of("column_values_to_be_unique", "id"),
        of("column_values_to_not_be_null", "id"),
        of("column_values_to_be_of_type", "age", type_="int64"),
        of("column_values_to_be_between", "age", min_value=18, max_value=120),
        of(
            "column_values_to_be_in_type_list",
            "paid",
            type_list=["float64", "DOUBLE_PRECISION", "NUMERIC(10, 2)", "MONEY"],
        ),
        of("column_values_to_be_in_set", "plan", value_set=["basic", "plus", None]),
        of("column_values_to_be_in_type_list", "member", type_list=["bool"]),
        of("column_values_to_be_of_type", "at", type_="datetime64[ns]"),
        of("column_values_to_not_be_outliers", "paid", multiplier=2.5, mostly=0.9),
    )
    assert found.contract.rows.at_least == 100
    assert found.contract.rows.bad_share_at_most == 0
    columns = found.contract.columns
    assert columns["id"] == Column(type="identifier", unique=True)
    assert columns["age"] == Column(type="integer", nullable=True, range=(18, 120))
    assert columns["plan"].values == ("basic", "plus")
    assert (columns["paid"].type, columns["at"].type) == ("number", "timestamp")
    assert columns["paid"].outliers is not None
    assert (columns["paid"].outliers.beyond, columns["paid"].outliers.share_at_most) == (2.5, 0.1)
    assert columns["member"].values == ("false", "true")
    assert found.left_out == (
        "the type of `paid`: float64, DOUBLE_PRECISION, NUMERIC(10, 2), MONEY is none that a contract knows",
    )


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (of("column_values_to_be_between", min_value=0, strict_min=True), "`x` > 0"),
        (of("column_values_to_be_between", max_value=9.5, strict_max=True), "`x` < 9.5"),
        (
            (
                "expect_column_pair_values_a_to_be_greater_than_b",
                {"column_A": "x", "column_B": "a b", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
            ),
            "`x` >= `a b`",
        ),
        (
            ("expect_multicolumn_sum_to_equal", {"column_list": ["x", "y"], "sum_total": 1}),
            "`x` + `y` == 1",
        ),
        (of("column_values_to_not_be_in_set", value_set=["it's"]), '`x` != "it\'s"'),
    ],
)
def test_what_a_range_cannot_say_is_a_rule(given: Given, rule: str) -> None:
    number = [] if "not_be_in_set" in given[0] else [of("column_values_to_be_of_type", type_="FLOAT")]
    found = suite(*number, given)
    assert found.contract.rules == (rule,)
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (of("column_mean_to_be_between", min_value=1), "a contract has nothing like it"),
        (of("column_values_to_match_regex", regex="^a"), "a contract has no patterns"),
        (of("column_values_to_be_between", min_value="2026-01-01"), "a contract has ranges of numbers alone"),
        (of("column_values_to_not_be_null", row_condition="y > 1"), "asked only of the rows of a `row_condition`"),
        (of("column_values_to_not_be_outliers", method="std"), "not by standard deviations"),
        (of("column_values_to_be_in_set", value_set=7), "its options cannot be read (TypeError)"),
        (of("column_values_to_be_between"), ""),
        (of("column_max_to_be_between", min_value=3, max_value=9), "its min_value"),
        (("expect_table_row_count_to_equal", {"value": 7}), "at most 7 rows"),
        (("expect_table_columns_to_match_set", {"column_set": ["x"]}), "that there are no others"),
        (of("column_values_to_be_unique", parse=1), "its option parse"),
        (of("my_own_expectation"), "a contract has nothing like it"),
        (
            ("expect_column_pair_values_to_be_equal", {"column_A": "x", "column_B": "y"}),
            "a rule is not broken by what is missing",
        ),
    ],
)
def test_what_has_no_counterpart_is_named(given: Given, said: str) -> None:
    found = suite(of("column_to_exist"), given)
    assert "x" in found.contract.columns
    assert any(said in why and given[0] in why for why in found.left_out) if said else not found.left_out


def test_an_open_range_ends_at_the_largest_number() -> None:
    found = suite(of("column_min_to_be_between", min_value=0)).contract.columns["x"]
    assert found.range is not None
    assert (found.type, found.range[0]) == ("number", 0)
    assert found.range[1] > 1e38


def test_of_several_shares_the_smallest_is_taken_and_the_others_named() -> None:
    found = suite(
        of("column_values_to_not_be_null", mostly=0.95), of("column_values_to_be_in_set", value_set=["a"], mostly=0.8)
    )
    assert found.contract.rows.bad_share_at_most == 0.05
    assert found.left_out == (
        "mostly 0.8 of expect_column_values_to_be_in_set of `x`: a contract tolerates one share of bad rows, here 0.05",
    )


def test_the_form_of_older_suites_is_read_too() -> None:
    old = {
        "expectation_suite_name": "old",
        "expectations": [{"expectation_type": "expect_column_to_exist", "kwargs": {"column": "x"}}],
    }
    assert list(contract_of(json.dumps(old)).contract.columns) == ["x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2", "not JSON"),
        ("[]", "no suite"),
        ('{"expectations": {}}', "no suite"),
        ('{"expectations": [{"type": 3, "kwargs": {}}]}', "no suite"),
        ('{"expectations": []}', "it names no column"),
        ('{"expectations": [], "meta": {"mainstay": {"schema": 2}}}', "of schema 2, and this reads 1"),
        ('{"expectations": [], "meta": {"mainstay": {"schema": 1}}}', "has no columns"),
        (
            '{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "__x__"}}]}',
            "names between double underscores",
        ),
        (
            '{"expectations": [{"type": "expect_column_values_to_be_between", '
            '"kwargs": {"column": "x", "min_value": 3, "max_value": 1}}]}',
            "upside down",
        ),
    ],
)
def test_what_is_no_suite_is_refused(text: str, said: str) -> None:
    with pytest.raises(Refused, match="suite") as refused:
        contract_of(text)
    assert said in str(refused.value)


def edited(use_case: UseCase, check: str, subject: str, **kwargs: Any) -> Imported:
    """A suite of ours in which somebody changed the options of an expectation, or took it out where there are none."""
    made = suite_of(use_case)
    kept = []
    for each in made.expectations:
        if each["meta"]["mainstay"] == {"check": check, "subject": subject}:
            if not kwargs:
                continue
            each["kwargs"].update(kwargs)
        kept.append(each)
    return contract_of(json.dumps({"name": "s", "expectations": kept, "meta": {"mainstay": dict(made.meta)}}))


def test_what_was_changed_in_a_suite_of_ours_is_changed_in_the_contract(churn: UseCase) -> None:
    assert edited(churn, "range", "tenure", max_value=200).contract.columns["tenure"].range == (0, 200)
    assert edited(churn, "range", "tenure").contract.columns["tenure"].range is None
    assert edited(churn, "null", "gender").contract.columns["gender"].nullable
    rule = churn.rules[0].text
    assert edited(churn, "rule", rule).contract.rules == ()
    other = edited(churn, "rule", rule, row_condition=None)
    assert other.contract.rules == ("`TotalCharges` >= `MonthlyCharges`",)


def test_a_label_makes_a_whole_file(churn: UseCase, tiny_use_case: UseCase) -> None:
    made = suite(
        of("column_values_to_be_in_set", "left", value_set=["Yes", "No"]),
        of("column_values_to_be_of_type", "age", type_="int"),
        name="8 Orders/é",
    )
    use_case = loads(render(made, "left", "rows.csv"))
    assert (use_case.name, use_case.source, use_case.label.positive) == ("suite_8_orders", "rows.csv", "Yes")
    assert render(made, None, None).splitlines()[2].startswith("contract:")
    for wrong, said in (("lef", "did you mean `left`"), ("age", "exactly two values")):
        with pytest.raises(Refused, match=said):
            render(made, wrong, None)
    for whole in (churn, tiny_use_case):
        document = {"name": "x", "expectations": list(suite_of(whole).expectations)}
        back = contract_of(json.dumps({**document, "meta": {"mainstay": dict(suite_of(whole).meta)}}))
        assert loads(render(back, None, None)).contract_digest == whole.contract_digest
