"""The contract that a suite of Great Expectations states; what has no counterpart in one is named, never dropped.

Suites of ours come back as the contract that they were made of, with what somebody has changed in their expectations
since. Of any other suite as much is read as a contract can say. Nothing of Great Expectations is needed for it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from mainstay.data.conditions import NoCondition
from mainstay.data.expected import Draft, NoCounterpart, take
from mainstay.data.suite import SCHEMA, rule_expectation
from mainstay.errors import Refused
from mainstay.expressions import Expression, parse
from mainstay.usecase import Column, Contract, Rows

_TYPES: Final = (
    ("integer", r"u?int(eger)?\d*|(big|small|tiny)int|long|short"),
    ("number", r"float\d*|double\w*|number|numeric|decimal\d*|real"),
    ("timestamp", r"datetime\d*|timestamp\w*|date\d*"),
    ("truth", r"bool(ean)?_?"),
    ("text", r"str(ing)?_?|object_?|n?(var)?char|text|category"),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """A contract, the sections of a use case that a suite of ours keeps beside it, and what was left out and why."""

    name: str
    contract: Contract
    sections: Mapping[str, Any]
    left_out: tuple[str, ...]


def contract_of(text: str, place: str = "suite") -> Imported:
    """The contract that a suite's JSON states, as GX writes it since 0.13.

    Refused where it is no suite, or names no column. A range that is open on one side ends at the largest number there
    may be. Contracts tolerate one share of bad rows: of several, the smallest.
    """
    document = _suite(text, place)
    ours = _ours(document, place)
    draft = Draft(columns={name: dict(options) for name, options in ours.get("columns", {}).items()})
    rules = []
    for each in document["expectations"]:
        said, column = _about(each)
        if said.get("check") == "rule":
            rules.append(each)  # once the columns are known
        elif said.get("check") != "classes":  # which the label says
            _taken(each, draft, column)
    for name, options in draft.columns.items():
        _settle(name, options, draft)
    columns = _validated(draft, place)
    kept = _rules(rules, columns, ours, draft)
    share = _share(draft, ours)
    rows = {**ours.get("rows", {}), **draft.rows, **({} if share is None else {"bad_share_at_most": share})}
    try:
        whole = Contract(rows=Rows(**rows), delimiter=ours.get("delimiter"), columns=columns, rules=tuple(kept))
    except ValidationError as error:
        raise _refusal(error, place) from error
    name = str(document.get("name") or document.get("expectation_suite_name") or "suite")
    return Imported(name, whole, ours.get("use_case", {}), tuple(dict.fromkeys(draft.left_out)))


def _suite(text: str, place: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON; GX writes a suite as JSON, and `mainstay data export-gx` does", place) from error
    expectations = document.get("expectations") if isinstance(document, dict) else None
    if not isinstance(expectations, list) or not all(_is_expectation(each) for each in expectations):
        raise Refused("no suite: one has a list of `expectations`, each with a `type` and `kwargs`", place)
    return dict(document)


def _is_expectation(each: object) -> bool:
    if not isinstance(each, dict) or not isinstance(each.get("kwargs"), dict):
        return False
    return isinstance(each.get("type", each.get("expectation_type")), str)


def _ours(document: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What we have kept in a suite's meta; nothing where it is none of ours."""
    meta = document.get("meta")
    found = meta.get("mainstay") if isinstance(meta, dict) else None
    if not isinstance(found, dict):
        return {}
    if found.get("schema") != SCHEMA:
        raise Refused(f"its `meta.mainstay` is of schema {found.get('schema')!r}, and this reads {SCHEMA}", place)
    wanted = {"columns": dict, "rows": dict, "use_case": dict, "rules": list, "rules_not_expressed": list}
    for key, kind in wanted.items():
        if not isinstance(found.get(key), kind):
            raise Refused(f"its `meta.mainstay` has no {key}; export it again, or take `mainstay` out of meta", place)
    if not all(isinstance(options, dict) for options in found["columns"].values()):
        raise Refused("a column in its `meta.mainstay` is no mapping of options", place)
    return dict(found)


def _about(each: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    meta = each.get("meta")
    said = meta.get("mainstay") if isinstance(meta, dict) else None
    column = each["kwargs"].get("column")
    return (said if isinstance(said, dict) else {}), column if isinstance(column, str) else None


def _taken(each: Mapping[str, Any], draft: Draft, column: str | None) -> None:
    kind = each.get("type", each.get("expectation_type"))
    about = f"{kind}" + (f" of `{column}`" if column else "")
    try:
        left = take(str(kind), each["kwargs"], draft)
    except NoCounterpart as why:
        draft.left_out.append(f"{about}: {why}")
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # somebody else's options, of any shape at all
        draft.left_out.append(f"{about}: its options cannot be read ({type(error).__name__})")
    else:
        draft.left_out += [f"{about}: {why}" for why in left]


def _settle(name: str, options: dict[str, Any], draft: Draft) -> None:
    """What is still open about a column: its type, and whether values may be missing."""
    if name in draft.asked:
        options.setdefault("nullable", name not in draft.present)
    if "type" not in options:
        options["type"] = _type(name, options, draft)
    number = options["type"] in ("integer", "number")
    for option, fits in (("range", number), ("outliers", number), ("values", options["type"] == "category")):
        if option in options and not fits:
            draft.left_out.append(f"{option} of `{name}`: a column of type {options['type']} has none")
            del options[option]


def _type(name: str, options: dict[str, Any], draft: Draft) -> str:
    kinds = set()
    for hint in draft.hints.get(name, []):
        plain = re.sub(r"[\[(].*", "", hint.rpartition(".")[2]).strip().lower()
        kinds.add(next((kind for kind, names in _TYPES if re.fullmatch(names, plain)), None))
    if kinds - {"integer", "number", "timestamp", "truth", "text"}:
        draft.left_out.append(f"the type of `{name}`: {', '.join(draft.hints[name])} is none that a contract knows")
    if "values" in options and "range" not in options:
        return "category"
    if kinds == {"truth"}:
        options["values"] = ["false", "true"]
        return "category"
    for kind in ("number", "integer", "timestamp"):
        if kind in kinds:
            return kind
    if "range" in options or "outliers" in options:
        return "number"
    return "identifier" if options.get("unique") else "category"


def _validated(draft: Draft, place: str) -> dict[str, Column]:
    if not draft.columns:
        raise Refused("it names no column, and a contract is about columns", place)
    made = {}
    for name, options in draft.columns.items():
        try:
            made[name] = Column.model_validate(options)
        except ValidationError as error:
            raise _refusal(error, f"{place} `{name}`") from error
    return made


def _rules(given: list[Any], columns: Mapping[str, Column], ours: Mapping[str, Any], draft: Draft) -> list[str]:
    """Ours in the order in which they were, if their expectations are as they were made; then those of others."""
    kinds = {name: column.kind for name, column in columns.items()}
    unchanged = set(ours.get("rules_not_expressed", ()))
    for each in given:
        said, _ = _about(each)
        text = str(said.get("subject"))
        if _same(each, text, columns, draft):
            unchanged.add(text)
        else:
            _taken(each, draft, f"the rule {text}, which was changed")
    kept = [text for text in ours.get("rules", ()) if text in unchanged]
    for text in (*kept, *draft.rules):
        try:
            parse(text, kinds)
        except Refused as error:
            draft.left_out.append(f"the rule `{text}`: {error.message}")
        else:
            if text not in kept:
                kept.append(text)
    return kept


def _same(each: Mapping[str, Any], text: str, columns: Mapping[str, Column], draft: Draft) -> bool:
    """Whether an expectation is still the one that this rule gave; its own share counts like any other."""
    try:
        rule: Expression = parse(text, {name: column.kind for name, column in columns.items()})
        made = rule_expectation(rule, columns, 1.0)
    except (Refused, NoCondition):
        return False
    without = [{k: v for k, v in kwargs.items() if k != "mostly"} for kwargs in (made["kwargs"], each["kwargs"])]
    if made["type"] != each.get("type") or without[0] != without[1]:
        return False
    if "mostly" in made["kwargs"]:
        draft.share(each["kwargs"].get("mostly", 1), f"the rule `{text}`")
    return True


def _share(draft: Draft, ours: Mapping[str, Any]) -> float | None:
    if not draft.shares:
        return None
    least = min(draft.shares)
    for share, who in sorted(draft.shares.items()):
        if share != least:
            draft.left_out.append(
                f"mostly {1 - share:g} of {', '.join(who)}: a contract tolerates one share of bad rows, here {least:g}"
            )
    return least


def _refusal(error: ValidationError, place: str) -> Refused:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return Refused(f"{where + ': ' if where else ''}{first['msg']}", place)
