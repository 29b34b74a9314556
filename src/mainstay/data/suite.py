"""A contract as the expectations of Great Expectations 1.x: the same questions, asked of a pandas frame.

Each expectation says in `meta.mainstay` which check of ours it is. What there is no expectation for stands in the
suite's own `meta.mainstay`: the options of columns as they are, so that nothing is lost on the way back, and under
`not_expressed` a sentence for each question that only Mainstay asks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mainstay.data.conditions import NoCondition, broken
from mainstay.data.written import spellings
from mainstay.expressions import Column as Named
from mainstay.expressions import Expression, Node, Operation
from mainstay.spans import span_text
from mainstay.usecase import Column, UseCase

SCHEMA: Final = 1
INTEGER: Final = r"^\s*[+-]?\d+(?:\.0*)?\s*$"
NUMBER: Final = r"^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$"
TIME: Final = r"^\s*\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)? ?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?\s*$"
SAID_BY_EXPECTATIONS: Final = ("nullable", "unique", "range", "values", "outliers")
"""Options of a column that expectations state; the others are kept in `meta`."""
Expectation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Suite:
    """`expectations` as `{type, kwargs, meta}`, and what goes with them."""

    name: str
    expectations: tuple[Expectation, ...]
    meta: Mapping[str, Any]

    @property
    def not_expressed(self) -> tuple[str, ...]:
        """In words, what only Mainstay asks."""
        return tuple(self.meta["not_expressed"])


def suite_of(use_case: UseCase) -> Suite:
    """The contract of a use case. Pure; the same contract gives the same suite."""
    lacking: list[str] = []
    unasked: list[str] = []
    made = list(_expectations(use_case, lacking, unasked))
    contract = use_case.contract
    meta = {
        "schema": SCHEMA,
        "use_case": use_case.model_dump(mode="json", include={"name", "entity", "event_time", "label"}),
        "rows": contract.rows.model_dump(mode="json", exclude={"at_least"}),
        "delimiter": contract.delimiter,
        "columns": {name: _kept(name, use_case) for name in contract.columns},
        "rules": list(contract.rules),
        "rules_not_expressed": unasked,
        "not_expressed": [*lacking, *_never_expressed(use_case)],
    }
    return Suite(use_case.name, tuple(made), meta)


def _kept(name: str, use_case: UseCase) -> dict[str, Any]:
    """What a column says that no expectation states: everything, where nothing is asked of it."""
    column = use_case.contract.columns[name]
    said = set() if name in _optional(use_case) else set(SAID_BY_EXPECTATIONS)
    if column.nullable and name in _required(use_case):
        said -= {"nullable"}  # the expectation says otherwise
    return column.model_dump(mode="json", exclude=said, exclude_defaults=True)


def _optional(use_case: UseCase) -> set[str | None]:
    time = use_case.event_time
    return {time.column, time.known_at} if time is not None and time.optional else set()


def _required(use_case: UseCase) -> set[str | None]:
    return {use_case.entity, use_case.event_time.column if use_case.event_time is not None else None}


def _expectations(use_case: UseCase, lacking: list[str], unasked: list[str]) -> Iterator[Expectation]:
    yield _asked("rows", "", "expect_table_row_count_to_be_between", min_value=use_case.contract.rows.at_least)
    time = use_case.event_time
    optional, required = _optional(use_case), _required(use_case)
    mostly = round(1 - use_case.contract.rows.bad_share_at_most, 12)
    for name, column in use_case.contract.columns.items():
        if name in optional:
            lacking.append(f"`{name}` may be absent: nothing is asked of it, since GX asks only of columns that exist")
            continue
        yield _asked("columns", name, "expect_column_to_exist", column=name)
        yield from _of_column(name, column, not column.nullable or name in required, mostly)
    label = use_case.label
    if time is None or label.absent_means == "unknown":
        values = [value for value in use_case.classes if len(spellings(value, use_case.classes)) == 1]
        if len(values) == 2:
            kind = "expect_column_distinct_values_to_contain_set"
            yield _asked("classes", label.column, kind, column=label.column, value_set=values)
        else:
            lacking.append(f"both classes of `{label.column}` are needed: frames may spell them in several ways")
    else:
        lacking.append(f"both classes of `{label.column}` are needed: where rows have a time, silence is one too")
    for rule in use_case.rules:
        if rule.columns & optional:
            unasked.append(rule.text)
            lacking.append(f"the rule `{rule.text}`: a column of it may be absent")
            continue
        try:
            yield rule_expectation(rule, use_case.contract.columns, mostly)
        except NoCondition as why:
            unasked.append(rule.text)
            lacking.append(f"the rule `{rule.text}`: pandas has no condition for {why}")


def _of_column(name: str, column: Column, required: bool, mostly: float) -> Iterator[Expectation]:
    def each(check: str, kind: str, **options: Any) -> Expectation:
        return _asked(check, name, kind, column=name, mostly=mostly, **options)

    match column.type:
        case "integer" | "number":
            regex = INTEGER if column.type == "integer" else NUMBER
            yield each("type", "expect_column_values_to_match_regex", regex=regex)
        case "timestamp" if column.format is not None:
            yield each(
                "type", "expect_column_values_to_match_strftime_format", strftime_format=column.format
            )  # fmt: skip
        case "timestamp":
            yield each("type", "expect_column_values_to_match_regex", regex=TIME)
    if required:
        yield each("null", "expect_column_values_to_not_be_null")
    if column.range is not None:
        low, high = column.range
        yield each("range", "expect_column_values_to_be_between", min_value=low, max_value=high)
    if column.values is not None:
        known = [way for value in column.values for way in spellings(value, column.values)]
        yield each("values", "expect_column_values_to_be_in_set", value_set=known)
    if column.unique:
        yield each("unique", "expect_column_values_to_be_unique")
    if column.outliers is not None:
        options = {"method": "iqr", "multiplier": column.outliers.beyond}
        made = each("outliers", "expect_column_values_to_not_be_outliers", **options)
        made["kwargs"]["mostly"] = round(1 - column.outliers.share_at_most, 12)
        yield made


def rule_expectation(rule: Expression, columns: Mapping[str, Column], mostly: float) -> Expectation:
    """A comparison of two columns, in the rows where the rule's other alternatives are false; else no row may break it.

    Only the first tolerates a share of rows, as the contract does. NoCondition where pandas has no word for it.
    """
    tree = rule.tree
    parts: tuple[Node, ...] = tree.arguments if isinstance(tree, Operation) and tree.name == "or" else (tree,)
    pair = next((part for part in parts if _pair(part) is not None), None)
    if pair is None:
        return _asked(
            "rule", rule.text, "expect_table_row_count_to_be_between",
            max_value=0, **_condition(broken(rule, columns)),
        )  # fmt: skip
    kind, options = _pair(pair) or ("", {})
    others = [broken(part, columns) for part in parts if part is not pair]
    options = {**options, "ignore_row_if": "either_value_is_missing", "mostly": mostly}
    return _asked("rule", rule.text, kind, **options, **_condition(" & ".join(others)))


def _pair(node: Node) -> tuple[str, dict[str, Any]] | None:
    match node:
        case Operation("==", (Named(left, "number"), Named(right, "number"))):
            return "expect_column_pair_values_to_be_equal", {"column_A": left, "column_B": right}
        case Operation(">" | ">=" | "<" | "<=" as name, (Named(left, "number"), Named(right, "number"))):
            greater, less = (left, right) if name[0] == ">" else (right, left)
            options = {"column_A": greater, "column_B": less, "or_equal": name.endswith("=")}
            return "expect_column_pair_values_a_to_be_greater_than_b", options
    return None


def _condition(text: str) -> dict[str, Any]:
    return {"row_condition": {"type": "pass_through", "pass_through_filter": text}} if text else {}


def _asked(check: str, subject: str, kind: str, **options: Any) -> Expectation:
    return {"type": kind, "kwargs": options, "meta": {"mainstay": {"check": check, "subject": subject}}}


def _never_expressed(use_case: UseCase) -> Iterator[str]:
    rows = use_case.contract.rows
    if rows.bad_share_at_most:
        yield (
            f"rows that break any promise, taken together, may be {rows.bad_share_at_most:.2%}: GX asks each "
            "expectation by itself, and counts its share among the values that are there"
        )
    if rows.newest_within is not None:
        yield f"the newest row is at most {span_text(rows.newest_within)} old: a suite has no clock"
    if use_case.event_time is not None:
        yield "no event time is in the future: a suite has no clock"
    if any(column.kind == "number" and column.same_unit for column in use_case.contract.columns.values()):
        yield "every column of numbers keeps the unit that it had in the version before: a suite knows no other version"
