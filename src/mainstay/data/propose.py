"""What the columns of a source look like that nobody has described: types, ways of writing, ranges, categories."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.data.suspects import personal, words_of
from mainstay.data.typed import typed
from mainstay.data.written import MISSING_WORDS, has_decimal_commas, is_grouped, number_forms, time_formats
from mainstay.errors import Refused
from mainstay.scoring.spelling import NO, YES, whole
from mainstay.suggest import did_you_mean
from mainstay.usecase import Column

MAX_LISTED: Final = 30
"""A text column with more distinct values than this is left open: its categories are those seen in training."""
LONGEST_NAME: Final = 200
_AS: Final = {name: Column(type=name) for name in ("identifier", "category", "integer", "number", "timestamp")}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one column looks like. `note` says in words why, where that is not plain."""

    type: Literal["identifier", "integer", "number", "category", "timestamp"]
    nullable: bool = False
    range: tuple[float, float] | None = None
    values: tuple[str, ...] | None = None
    feature: bool = True
    note: str = ""
    decimal: str = "."
    thousands: str | None = None
    format: str | None = None
    missing: tuple[str, ...] = ()
    personal: Literal["hash", "drop"] | None = None

    @property
    def column(self) -> Column:
        """As the contract would have it."""
        return Column(**self.body)

    @property
    def body(self) -> dict[str, Any]:
        """What the contract says of it, without what goes without saying."""
        body: dict[str, Any] = {"type": self.type}
        if self.nullable:
            body["nullable"] = True
        if self.missing:
            body["missing"] = list(self.missing)
        if self.decimal != ".":
            body["decimal"] = self.decimal
        if self.thousands is not None:
            body["thousands"] = self.thousands
        if self.format is not None:
            body["format"] = self.format
        if self.range is not None:
            body["range"] = list(self.range)
        if self.values is not None:
            body["values"] = list(self.values)
        if self.personal is not None:
            body["personal"] = self.personal
        if not self.feature:
            body["feature"] = False
        return body


def propose(table: pa.Table, target: str) -> dict[str, Proposal]:
    """What every column of the source looks like, in its order, as `typed` would read it.

    Columns that no contract can name (`left_out`) are not among them. Refused if the target is no column (with a
    suggestion) or one of those, or does not have exactly two values.
    """
    if target not in table.column_names:
        raise Refused(f"there is no column `{target}`{did_you_mean(target, table.column_names)}", "--target")
    out = left_out(table)
    if target in out:
        raise Refused(f"this column cannot be predicted: {out[target]}", "--target")
    texts = {name: spelt(table[name]) for name in table.column_names if name not in out}
    commas = any(pa.types.is_string(table[name].type) and has_decimal_commas(_some(texts[name])) for name in texts)
    proposals = {name: _propose(name, table[name], texts[name], commas) for name in texts}
    proposals[target] = _target(table[target], target)
    named = entity_of(proposals)
    return {name: _guarded(name, made, texts[name], name == named) for name, made in proposals.items()}


def left_out(table: pa.Table) -> dict[str, str]:
    """The columns that no contract can name, each with the reason in words."""
    reasons = {}
    for name in table.column_names:
        if not name or len(name) > LONGEST_NAME:
            reasons[name] = f"a name has 1 to {LONGEST_NAME} characters"
        elif name.startswith("__") and name.endswith("__"):
            reasons[name] = "names between double underscores are kept for Mainstay's own columns"
        elif typed(table[name], _AS["identifier"]).wrong.any():
            reasons[name] = f"{table[name].type} is no number, time or text"
    return reasons


def entity_of(proposals: Mapping[str, Proposal]) -> str | None:
    """The column that most likely names whom a row is about; None if none looks like it."""
    found = [name for name, made in proposals.items() if made.type == "identifier" and not made.nullable]
    return min(found, key=lambda name: (not _called_an_id(name), found.index(name)), default=None)


def spelt(column: pa.ChunkedArray) -> pa.Array:
    """A column's values as categories, null where missing."""
    return typed(column, _AS["category"]).values


def _some(texts: pa.Array) -> list[str]:
    """Different texts, at most a thousand: enough to tell how a column is written."""
    found: list[str] = [text.strip() for text in pc.unique(texts.drop_null())[:1000].to_pylist()]
    return found


def _propose(name: str, column: pa.ChunkedArray, texts: pa.Array, commas: bool) -> Proposal:
    rows = len(texts)
    nullable = texts.null_count > 0
    distinct = pc.unique(texts.drop_null()).to_pylist()
    if not distinct:
        return Proposal("category", True, feature=False, note="empty")
    all_differ = len(distinct) == rows - texts.null_count > 50
    truths = _truths(distinct)
    if truths is not None:
        return Proposal("category", nullable, values=truths, note="" if len(distinct) == 2 else _said(distinct))
    numbers = _as_numbers(column, texts, distinct, commas)
    if numbers is not None:
        made, values = numbers
        whole = not typed(column, replace(made, type="integer").column).wrong.any()
        return _number(name, made, values, whole, all_differ, len(distinct))
    times = _as_times(column, texts, distinct)
    if times is not None:
        return times
    if len(distinct) > MAX_LISTED and _has_units(distinct):
        note = f"numbers with a unit ({len(distinct):,} values)? write them without, and they can be learnt from"
        return Proposal("category", nullable, feature=False, note=note)
    if all_differ and not _is_prose(distinct):
        return Proposal("identifier", nullable, note="a different value in every row")
    if _called_an_id(name) and len(distinct) > max(MAX_LISTED, rows // 20):
        return Proposal("identifier", nullable, note=f"{len(distinct):,} values, and called like an identifier")
    if len(distinct) > max(MAX_LISTED, rows // 2):
        return Proposal("category", nullable, feature=False, note=f"{len(distinct):,} values: free text?")
    if len(distinct) > MAX_LISTED:
        return Proposal("category", nullable, note=f"{len(distinct):,} values: the frequent ones are learned")
    return Proposal("category", nullable, values=tuple(sorted(distinct)), note="constant" if len(distinct) == 1 else "")


def _truths(distinct: list[str]) -> tuple[str, ...] | None:
    """The values of a column of truths, in several spellings as false and true; None where it is no such column."""
    folded = {text.casefold() for text in distinct}
    if len(distinct) < 2 or not folded <= YES | NO or folded <= YES or folded <= NO:
        return None
    return tuple(sorted(distinct)) if len(distinct) == 2 else ("false", "true")


def _said(distinct: list[str]) -> str:
    return f"yes and no in {len(distinct)} spellings"


def _as_numbers(
    column: pa.ChunkedArray, texts: pa.Array, distinct: list[str], commas: bool
) -> tuple[Proposal, list[float]] | None:
    """How this column writes numbers, and the numbers; None where it is no column of numbers.

    Leading zeros and more than 15 digits are no number's: an identifier has them, a post code, a telephone number.
    """
    nullable = texts.null_count > 0
    forms: list[tuple[str, str | None]] = [(".", None)]
    missing: tuple[str, ...] = ()
    if pa.types.is_string(texts.type) and _is_text(column):
        missing = tuple(sorted(text for text in distinct if text.casefold() in MISSING_WORDS))
        rest = [text for text in distinct if text not in missing]
        if not rest or any(re.match(r"[+-]?0\d|\d{16}|\d{1,3}(\.\d{1,3}){3}$", text) for text in rest):
            return None
        forms = number_forms(rest, commas and is_grouped(rest))
        once = pa.chunked_array([pa.array(rest, pa.string())])
        forms = [form for form in forms if not _fails(once, form)][:1]
    for decimal, thousands in forms:
        made = Proposal("number", nullable or bool(missing), decimal=decimal, thousands=thousands, missing=missing)
        read = typed(column, made.column)
        values = pc.drop_null(read.values).to_pylist()
        if not read.wrong.any() and values:
            return made, values
    return None


def _fails(texts: pa.ChunkedArray, form: tuple[str, str | None]) -> bool:
    return bool(typed(texts, Proposal("number", decimal=form[0], thousands=form[1]).column).wrong.any())


def _is_text(column: pa.ChunkedArray) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return any(of(kind) for of in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _as_times(column: pa.ChunkedArray, texts: pa.Array, distinct: list[str]) -> Proposal | None:
    """As RFC 3339 or in a format that reads all of them; None where they are no times."""
    nullable = texts.null_count > 0
    missing = tuple(sorted(text for text in distinct if text.casefold() in MISSING_WORDS)) if _is_text(column) else ()
    made = Proposal("timestamp", nullable or bool(missing), missing=missing)
    if len(missing) < len(distinct) and not typed(column, made.column).wrong.any():
        return made
    formats = time_formats([text for text in distinct if text not in missing]) if _is_text(column) else []
    if not formats:
        return None
    note = f"or {formats[1]}? no value tells" if len(formats) > 1 else ""
    return replace(made, format=formats[0], note=note)


def _is_prose(distinct: list[str]) -> bool:
    """Sentences: no identifier has five words."""
    return sum(text.count(" ") >= 4 for text in distinct[:100]) * 2 > len(distinct[:100])


def _has_units(distinct: list[str]) -> bool:
    """Nearly all of them a number with a sign or a short word beside it: `12.5 %`, `$1,200`, `30kg`."""
    some = distinct[:200]
    found = sum(
        re.fullmatch(r"\s*\W?\s?[+-]?\d[\d.,]*\s?([^\W\d_]{1,3}|[^\w\s])?\s*", text) is not None for text in some
    )
    digits_alone = sum(re.fullmatch(r"[\d.,+-]+", text) is not None for text in some)
    return found - digits_alone > 0.9 * len(some)


def _called_an_id(name: str) -> bool:
    return (
        re.search(r"(^| )(id|uuid|guid|nr|no|number|nummer|numero|kundennr|key)$|[a-z]id$", words_of(name)) is not None
    )


def _guarded(name: str, made: Proposal, texts: pa.Array, is_entity: bool) -> Proposal:
    """With what is likely personal kept as a pseudonym where it names whom a row is about, and not at all elsewhere.

    A time is by its name alone (a date of birth): 01/02/2024 is written as a telephone number may be.
    """
    if made.type in ("integer", "number") or (made.values is not None and len(made.values) == 2):
        return made
    why = personal(name, texts.slice(0, 0) if made.type == "timestamp" else texts)
    if why is None:
        return made
    note = "; ".join(each for each in (made.note, why) if each)
    return replace(made, personal="hash" if is_entity else "drop", note=note)


def _number(name: str, made: Proposal, numbers: list[float], whole: bool, all_differ: bool, distinct: int) -> Proposal:
    low, high = min(numbers), max(numbers)
    if whole and low >= 0 and made.thousands is None:
        # Different whole numbers as close as a running number's, of one length, or called an identifier.
        alike = high - low < 20 * len(numbers) or (low >= 10**6 and len(f"{low:.0f}") == len(f"{high:.0f}"))
        if all_differ and (alike or _called_an_id(name)):
            return Proposal(
                "identifier", made.nullable, missing=made.missing, note="a different whole number in every row"
            )
        if _called_an_id(name) and distinct > max(MAX_LISTED, len(numbers) // 20):
            return Proposal("identifier", made.nullable, missing=made.missing, note="called like an identifier")
    return replace(made, type="integer" if whole else "number", range=_range(numbers))


def _range(numbers: list[float]) -> tuple[float, float]:
    """A range that the next months' rows will not leave: twice as far as was seen, and never below a natural zero."""
    low, high = min(numbers), max(numbers)
    reach = max(high - low, abs(high), 1.0)
    return (0 if low >= 0 else _rounded(low - reach)), _rounded(high + reach)


def _rounded(number: float) -> float:
    """Two significant digits, away from zero; whole where it can be."""
    step = 10.0 ** (math.floor(math.log10(abs(number))) - 1)
    rounded = math.copysign(math.ceil(abs(number) / step) * step, number)
    return int(rounded) if rounded.is_integer() else round(rounded, 12)


def _target(column: pa.ChunkedArray, target: str) -> Proposal:
    texts = spelt(column)
    values = tuple(sorted(pc.unique(texts.drop_null()).to_pylist()))
    missing = tuple(value for value in values if value.casefold() in MISSING_WORDS) if _is_text(column) else ()
    if len(values) - len(missing) >= 2:
        values = tuple(value for value in values if value not in missing)
    values = _truths(list(values)) or values
    if len(values) > 2:
        values = tuple(sorted({whole(value) for value in values}))  # 1 and 1.0 are one value
    if len(values) != 2:
        raise Refused(_not_two(target, values, texts.null_count > 0), "--target")
    return Proposal("category", texts.null_count > 0 or bool(missing), values=values, missing=missing)


def _not_two(target: str, values: tuple[str, ...], blanks: bool) -> str:
    shown = ", ".join(f"`{value}`" for value in values[:5]) + (", …" if len(values) > 5 else "")
    said = f"a target has exactly two values; `{target}` has {len(values)} ({shown or 'none'})"
    if len(values) > 2:
        return f"{said}; add a column that says whether it is one of them, `{values[0]}` or not, and predict that"
    if values and blanks:
        return f"{said} and blanks, which are no class; write the other class where they mean it"
    return said
