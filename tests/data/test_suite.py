"""A contract as a suite of Great Expectations: both give the same verdict, and the way back leads to the contract."""

import io
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.data.gx import quiet, written
from mainstay.data.suite import suite_of
from mainstay.data.suite_read import contract_of
from mainstay.data.validate import Validated, validate
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.verdicts import Outcome

TEXT = """
schema: 1
name: bank
source: bank.csv
entity: id
label: {column: left, positive: "yes", horizon: 30d}
contract:
  rows: {at_least: 10, bad_share_at_most: SHARE}
  columns:
    id: {type: identifier, unique: true}
    age: {type: integer, range: [18, 120], unit: years}
    balance: {type: number, nullable: true, range: [-500, 1000000], outliers: {beyond: 3, share_at_most: 0.1}}
    credit: {type: number, nullable: true}
    plan: {type: category, values: [basic, plus]}
    senior: {type: category, values: [0, 1], nullable: true}
    seen: {type: timestamp, nullable: true}
    member: {type: category, values: ["false", "true"]}
    left: {type: category, values: ["no", "yes"]}
  rules:
    - balance <= credit
    - balance <= credit or plan == 'plus'
    - not (senior == '1' and age < 60)
    - credit / 2 - balance > -100000 or is_null(balance)
    - age != 99
    - log(age) + abs(credit) > 0 and plan != 'gone'
    - max(age, 20) < 200
"""
ROWS = 60


def use_case_with(share: float) -> UseCase:
    return loads(TEXT.replace("SHARE", str(share)))


def sound() -> dict[str, list[Any]]:
    return {
        "id": [f"c{n}" for n in range(ROWS)],
        "age": [62 + n % 30 if n % 3 == 0 else 20 + n % 35 for n in range(ROWS)],
        "balance": [None if n % 11 == 5 else float(n * 7 % 40) for n in range(ROWS)],
        "credit": [None if n % 13 == 4 else 1000.5 + n for n in range(ROWS)],
        "plan": ["basic", "plus"] * (ROWS // 2),
        "senior": [None if n % 9 == 8 else int(n % 3 == 0) for n in range(ROWS)],
        "seen": [None if n % 7 == 6 else f"2026-01-{1 + n % 28:02d}T08:00:00Z" for n in range(ROWS)],
        "member": [bool(n % 4) for n in range(ROWS)],
        "left": ["no", "yes", "no", "no"] * (ROWS // 4),
    }


FAULTS: dict[str, tuple[str, Any]] = {
    "a wrong category": ("plan", "gold"),
    "a category in another case": ("plan", "Basic"),
    "a number that is no category": ("senior", 2),
    "too young": ("age", 3),
    "too old": ("age", 121),
    "too poor": ("balance", -500.5),
    "far out": ("balance", 900_000.0),
    "above its credit": ("credit", -400.0),
    "no age": ("age", None),
    "no plan": ("plan", None),
    "no class": ("left", None),
    "no id": ("id", None),
    "twice": ("id", "c1"),
    "an age that a rule forbids": ("age", 99),
    "a young senior": ("age", 30),
    "no integer": ("age", 30.5),
    "no time": ("seen", "yesterday"),
    "an unknown class": ("left", "perhaps"),
}


@cache
def frames() -> Any:
    """Great Expectations' own way to a frame, of an ephemeral context that shows no progress."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return (
        context.data_sources.add_pandas("frames")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
    )


def results(table: pa.Table, use_case: UseCase) -> tuple[bool, dict[tuple[str, str], bool]]:
    """What Great Expectations itself says of a frame: of the whole suite, and of each question."""
    document = json.loads(written(suite_of(use_case)))
    document.pop("id")
    with quiet():
        from great_expectations.core.expectation_suite import ExpectationSuite

        batch = frames().get_batch({"dataframe": table.to_pandas()})
        found = batch.validate(ExpectationSuite(**document))
    answers: dict[tuple[str, str], bool] = {}
    for each in found.results:
        about = each.expectation_config.meta["mainstay"]
        answers[about["check"], about["subject"]] = bool(each.success)
    return bool(found.success), answers


def ours(found: Validated) -> dict[tuple[str, str], bool]:
    """Which questions did not fail the verdict: what is within the tolerated share does not."""
    return {
        (each.name, each.subject): each.outcome is Outcome.PASS or not each.blocking for each in found.verdict.checks
    }


def typed_frame(columns: dict[str, list[Any]]) -> pa.Table:
    """As Parquet or a database gives rows: numbers are numbers."""
    return pa.table({name: _array(values) for name, values in columns.items()})


def _array(values: list[Any]) -> pa.Array:
    if any(isinstance(value, float) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array(values)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    columns = sound()
    for fault in draw(st.lists(st.sampled_from(sorted(FAULTS)), max_size=3, unique=True)):
        name, value = FAULTS[fault]
        for row in draw(st.lists(st.integers(2, ROWS - 1), min_size=1, max_size=9, unique=True)):
            columns[name][row] = value
    rows = draw(st.sampled_from([ROWS, ROWS, ROWS, 9, 10]))
    return typed_frame({name: values[:rows] for name, values in columns.items()})


SEARCH = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@SEARCH
@given(table=tables())
def test_both_answer_every_question_alike(table: pa.Table) -> None:
    use_case = use_case_with(0)
    found = validate(table, use_case)
    success, answers = results(table, use_case)
    said = ours(found)
    assert {name: said[name] for name in answers if name in said} == {n: a for n, a in answers.items() if n in said}
    assert set(answers) - set(said) == {("columns", name) for name in use_case.contract.columns}
    alone = {each.name for each in found.verdict.checks if each.blocking and not each.met} - {n for n, _ in answers}
    assert success == (found.verdict.outcome is Outcome.PASS) or alone - {"quarantined"}


@SEARCH
@given(table=tables(), share=st.sampled_from([0.02, 0.05, 0.1]))
def test_with_a_share_tolerated_what_great_expectations_passes_passes_here(table: pa.Table, share: float) -> None:
    use_case = use_case_with(share)
    said = ours(validate(table, use_case))
    _, answers = results(table, use_case)
    assert not [name for name, passed in answers.items() if passed and not said.get(name, True)]
    everywhere = {name for name in table.column_names if table[name].null_count == 0}
    exact = [name for name in answers if name[0] in ("null", "rows") or name[1] in everywhere]
    for name in exact:
        if name in said and name[0] not in ("rule", "unique"):
            assert said[name] == answers[name], name


def test_sound_rows_pass_both() -> None:
    for share in (0, 0.05):
        table = typed_frame(sound())
        assert validate(table, use_case_with(share)).verdict.outcome is Outcome.PASS
        success, answers = results(table, use_case_with(share))
        assert success, answers


def test_every_fault_is_found_by_both() -> None:
    use_case = use_case_with(0.05)
    for fault, (name, value) in FAULTS.items():
        columns = sound()
        for row in (31, 34, 37, 40, 42, 43, 45, 46, 48, 51, 54, 57):
            columns[name][row] = value
        table = typed_frame(columns)
        assert validate(table, use_case).verdict.outcome is Outcome.FAIL, fault
        assert not results(table, use_case)[0], fault


@pytest.mark.parametrize("name", ["age", "balance", "plan", "id"])
def test_a_missing_column_fails_both_by_name(name: str) -> None:
    table = typed_frame(sound()).drop_columns([name])
    found = validate(table, use_case_with(0))
    assert [each.subject for each in found.verdict.checks if each.name == "columns" and not each.met] == [name]
    success, answers = results(table, use_case_with(0))
    assert not success
    assert [about for (check, about), passed in answers.items() if check == "columns" and not passed] == [name]


def test_words_among_the_numbers_of_a_text_file_fail_both() -> None:
    columns = sound()
    columns["age"] = ["old" if n % 5 == 0 else str(value) for n, value in enumerate(columns["age"])]
    text = io.BytesIO()
    pa_csv.write_csv(typed_frame(columns), text)
    table = pa_csv.read_csv(io.BytesIO(text.getvalue()))
    assert not ours(validate(table, use_case_with(0.05)))["type", "age"]
    assert not results(table, use_case_with(0.05))[1]["type", "age"]


def test_a_rule_without_a_condition_is_named() -> None:
    suite = suite_of(use_case_with(0))
    assert "the rule `max(age, 20) < 200`: pandas has no condition for `max`" in suite.not_expressed
    assert {each["meta"]["mainstay"]["check"] for each in suite.expectations} >= {"rows", "columns", "type", "rule"}


@pytest.mark.parametrize("share", [0, 0.01, 0.07, 1])
def test_there_and_back_is_the_same_contract(share: float, shop: UseCase, churn: UseCase) -> None:
    for use_case in (use_case_with(share), shop, churn):
        back = contract_of(written(suite_of(use_case)))
        assert back.contract == use_case.contract
        assert list(back.contract.columns) == list(use_case.contract.columns)
        assert back.left_out == ()
        sections = {"name", "entity", "event_time", "label"}
        assert back.sections == use_case.model_dump(mode="json", include=sections)


def test_every_option_comes_back(tiny_text: str) -> None:
    columns = """
    id: {type: identifier, unique: true, nullable: true, personal: hash, description: who}
    age: {type: integer, range: [18, 120], unit: years, same_unit: false, missing: ["-1"], thousands: ","}
    spent: {type: number, nullable: true, decimal: ",", feature: false, outliers: {beyond: 1.5, share_at_most: 0}}
    at: {type: timestamp, format: "%d.%m.%Y"}
    plan: {type: category}
    left: {type: category, values: ["No", "Yes"]}
"""
    start, rest = tiny_text.split("  columns:\n")
    text = start + "  delimiter: ';'\n  columns:" + columns + rest[rest.index("profit:") :]
    use_case = loads(text)
    assert contract_of(written(suite_of(use_case))).contract == use_case.contract


def test_nothing_is_sent_anywhere() -> None:
    """In a process of its own, whose sockets lead nowhere: an attempt would be an error there."""
    code = """
import os, socket
def refuse(*given, **named):
    os.write(2, f"asked the network: {given}".encode())
    os._exit(9)  # from whatever thread
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import tests_of_suites as here
assert here.results(here.typed_frame(here.sound()), here.use_case_with(0))[0]
assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
"""
    loading = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('tests_of_suites', {__file__!r})\n"
        "made = importlib.util.module_from_spec(spec); sys.modules['tests_of_suites'] = made\n"
        "spec.loader.exec_module(made)\n"
    )
    ended = subprocess.run([sys.executable, "-c", loading + code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
