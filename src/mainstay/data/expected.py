"""What each expectation of Great Expectations says of a contract: one function a kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mainstay.data.suite import INTEGER, NUMBER, TIME
from mainstay.scoring.encode import LARGEST_INTEGER, LARGEST_NUMBER
from mainstay.scoring.spelling import NO, YES, spelling

_BESIDE: Final = {"batch_id", "catch_exceptions", "result_format", "meta", "notes", "description", "severity"}
"""Options that say how to ask, not what."""


class NoCounterpart(Exception):
    """Why an expectation is no part of a contract."""


@dataclass(slots=True)
class Draft:
    """What is known so far: of columns, rows, rules; the shares tolerated and by whom; what was left out.

    `asked` are the columns that anything is asked of, `present` those that must have a value, `hints` names of types.
    """

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    hints: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    shares: dict[float, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def of(self, name: str) -> dict[str, Any]:
        """The options of a column, which is asked about."""
        self.asked.add(name)
        return self.columns.setdefault(name, {})

    def share(self, mostly: object, who: str) -> None:
        """Note that somebody tolerates a share of rows: what is not `mostly`."""
        tolerated = round(1 - float(1 if mostly is None else mostly), 12)  # type: ignore[arg-type]
        self.shares.setdefault(tolerated, []).append(who)


Options = Mapping[str, Any]
_Reader = Callable[[Options, Draft], list[str]]


def take(kind: str, kwargs: Options, draft: Draft) -> list[str]:
    """Add to a draft what an expectation says; what of it cannot be said, in words. NoCounterpart for all of it."""
    given = {name: value for name, value in kwargs.items() if value is not None and name not in _BESIDE}
    names = [given[key] for key in ("column", "column_A", "column_B") if key in given]
    for name in names:
        draft.of(name)
    if "row_condition" in given:
        raise NoCounterpart("it is asked only of the rows of a `row_condition`; a rule can say that")
    reader = _READERS.get(kind)
    if reader is None:
        raise NoCounterpart("a contract has nothing like it")
    left = reader(given, draft)
    if kind in _ROW_BY_ROW:
        draft.share(given.get("mostly"), f"{kind} of {', '.join(f'`{name}`' for name in names)}")
    strange = sorted(set(given) - _KNOWN[kind] - {"mostly", "column", "condition_parser"})
    return [*left, *(f"its option {name}" for name in strange)]


def _exists(given: Options, draft: Draft) -> list[str]:
    draft.of(given["column"])
    return []


def _columns(given: Options, draft: Draft) -> list[str]:
    for name in given.get("column_list", given.get("column_set", ())):
        draft.of(str(name))
    return ["that there are no others (they are dropped), and their order"]


def _row_count(given: Options, draft: Draft) -> list[str]:
    least = given.get("min_value", given.get("value"))
    if least is not None:
        draft.rows["at_least"] = max(1, int(least))
    most = given.get("max_value", given.get("value"))
    return [] if most is None else [f"at most {most} rows"]


def _not_null(given: Options, draft: Draft) -> list[str]:
    draft.present.add(given["column"])
    return []


def _unique(given: Options, draft: Draft) -> list[str]:
    draft.of(given["column"])["unique"] = True
    return []


def _in_set(given: Options, draft: Draft) -> list[str]:
    listed = [value for value in given["value_set"] if value is not None]
    draft.of(given["column"])["values"] = _collapsed(listed)
    return []


def _collapsed(listed: list[Any]) -> list[str]:
    """Each value once, however many ways of writing it a set holds."""
    words = {value for value in listed if isinstance(value, str)}
    if {"true", "false"} <= words and words <= YES | NO:
        return ["true", "false"] if listed.index("true") < listed.index("false") else ["false", "true"]
    made: list[str] = []
    for value in listed:
        text = spelling(made)(value)
        if text is not None and text not in made:
            made.append(text)
    return made


def _not_in_set(given: Options, draft: Draft) -> list[str]:
    for value in given["value_set"]:
        draft.rules.append(f"{_quoted(given['column'])} != {value!r}")
    return []


def _between(given: Options, draft: Draft) -> list[str]:
    low, high = given.get("min_value"), given.get("max_value")
    if any(bound is not None and not _is_number(bound) for bound in (low, high)):
        raise NoCounterpart("a contract has ranges of numbers alone")
    if low is not None and given.get("strict_min"):
        draft.rules.append(f"{_quoted(given['column'])} > {low!r}")
        low = None
    if high is not None and given.get("strict_max"):
        draft.rules.append(f"{_quoted(given['column'])} < {high!r}")
        high = None
    _narrow(draft.of(given["column"]), low, high)
    return []


def _least(given: Options, draft: Draft) -> list[str]:
    low = given.get("min_value")
    return _extreme(given, draft, (low, None), "max_value", "strict_min")


def _greatest(given: Options, draft: Draft) -> list[str]:
    high = given.get("max_value")
    return _extreme(given, draft, (None, high), "min_value", "strict_max")


def _extreme(given: Options, draft: Draft, ends: tuple[Any, Any], other: str, strict: str) -> list[str]:
    if not any(map(_is_number, ends)) or given.get(strict):
        raise NoCounterpart("a contract has closed ranges of numbers alone")
    _narrow(draft.of(given["column"]), *ends)
    return [f"its {other}"] if other in given else []


def _narrow(options: dict[str, Any], low: float | None, high: float | None) -> None:
    if low is None and high is None:
        return
    largest = LARGEST_INTEGER if options.get("type") == "integer" else LARGEST_NUMBER
    before = options.get("range", (-largest, largest))
    options["range"] = (
        max(before[0], before[0] if low is None else low),
        min(before[1], before[1] if high is None else high),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _regex(given: Options, draft: Draft) -> list[str]:
    known = {INTEGER: "integer", NUMBER: "number", TIME: "timestamp"}
    if given["regex"] not in known:
        raise NoCounterpart("a contract has no patterns")
    draft.of(given["column"])["type"] = known[given["regex"]]
    return []


def _format(given: Options, draft: Draft) -> list[str]:
    draft.of(given["column"]).update(type="timestamp", format=given["strftime_format"])
    return []


def _of_type(given: Options, draft: Draft) -> list[str]:
    listed = given.get("type_list", [given.get("type_")])
    draft.hints.setdefault(given["column"], []).extend(str(each) for each in listed)
    return []


def _outliers(given: Options, draft: Draft) -> list[str]:
    if given.get("method", "iqr") != "iqr":
        raise NoCounterpart("a contract tells outliers by quartiles, not by standard deviations")
    share = round(1 - float(given.get("mostly", 1)), 12)
    draft.of(given["column"])["outliers"] = {"beyond": given.get("multiplier", 1.5), "share_at_most": share}
    return []


def _greater(given: Options, draft: Draft) -> list[str]:
    return _pair(given, draft, ">=" if given.get("or_equal") else ">")


def _equal(given: Options, draft: Draft) -> list[str]:
    return _pair(given, draft, "==")


def _pair(given: Options, draft: Draft, operator: str) -> list[str]:
    draft.rules.append(f"{_quoted(given['column_A'])} {operator} {_quoted(given['column_B'])}")
    for name in (given["column_A"], given["column_B"]):
        draft.hints.setdefault(name, []).append("number")
    said = "that one of the two may not be missing by itself: a rule is not broken by what is missing"
    return [] if given.get("ignore_row_if") == "either_value_is_missing" else [said]


def _sum(given: Options, draft: Draft) -> list[str]:
    names = [str(name) for name in given["column_list"]]
    for name in names:
        draft.of(name)
        draft.hints.setdefault(name, []).append("number")
    draft.rules.append(f"{' + '.join(map(_quoted, names))} == {given['sum_total']!r}")
    return []


def _quoted(name: str) -> str:
    if "`" in name:
        raise NoCounterpart("a rule cannot name a column with a ` in it")
    return f"`{name}`"


_READERS: Final[Mapping[str, _Reader]] = {
    "expect_column_to_exist": _exists,
    "expect_table_columns_to_match_ordered_list": _columns,
    "expect_table_columns_to_match_set": _columns,
    "expect_table_row_count_to_be_between": _row_count,
    "expect_table_row_count_to_equal": _row_count,
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_unique": _unique,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_distinct_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_be_between": _between,
    "expect_column_min_to_be_between": _least,
    "expect_column_max_to_be_between": _greatest,
    "expect_column_values_to_match_regex": _regex,
    "expect_column_values_to_match_strftime_format": _format,
    "expect_column_values_to_be_of_type": _of_type,
    "expect_column_values_to_be_in_type_list": _of_type,
    "expect_column_values_to_not_be_outliers": _outliers,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_multicolumn_sum_to_equal": _sum,
}
_BOUNDS: Final = {"min_value", "max_value", "strict_min", "strict_max"}
_PAIR: Final = {"column_A", "column_B", "or_equal", "ignore_row_if"}
_KNOWN: Final[Mapping[str, set[str]]] = {
    **{kind: set() for kind in _READERS},
    "expect_table_columns_to_match_ordered_list": {"column_list"},
    "expect_table_columns_to_match_set": {"column_set", "exact_match"},
    "expect_table_row_count_to_be_between": _BOUNDS,
    "expect_table_row_count_to_equal": {"value"},
    "expect_column_values_to_be_in_set": {"value_set"},
    "expect_column_distinct_values_to_be_in_set": {"value_set"},
    "expect_column_values_to_not_be_in_set": {"value_set"},
    "expect_column_values_to_be_between": _BOUNDS,
    "expect_column_min_to_be_between": _BOUNDS,
    "expect_column_max_to_be_between": _BOUNDS,
    "expect_column_values_to_match_regex": {"regex"},
    "expect_column_values_to_match_strftime_format": {"strftime_format"},
    "expect_column_values_to_be_of_type": {"type_"},
    "expect_column_values_to_be_in_type_list": {"type_list"},
    "expect_column_values_to_not_be_outliers": {"method", "multiplier"},
    "expect_column_pair_values_a_to_be_greater_than_b": _PAIR,
    "expect_column_pair_values_to_be_equal": _PAIR,
    "expect_multicolumn_sum_to_equal": {"column_list", "sum_total", "ignore_row_if"},
}
_ROW_BY_ROW: Final = {
    kind
    for kind in _READERS
    if "_values_" in kind and "distinct" not in kind and kind != "expect_column_values_to_not_be_outliers"
}
