"""Journey: a file of rows in, a file of answers out, as serving answers; in memory that does not grow with the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mainstay.data.deliver import check_target, delivery
from mainstay.data.inputs import InputRows, Odd, read_inputs
from mainstay.data.stream import Rows, open_rows
from mainstay.errors import Misconfigured, NotFound, Refused
from mainstay.ledger.kinds import SPLITS, VERSIONS
from mainstay.registry.configured import configuration
from mainstay.registry.loading import load
from mainstay.scoring.coded import BatchScorer
from mainstay.scoring.decide import Decide
from mainstay.scoring.encode import Encoder
from mainstay.scoring.scorer import Scorer
from mainstay.suggest import did_you_mean
from mainstay.usecase import Serving, UseCase
from mainstay.wiring import Platform

_TEXT: Final = pa.dictionary(pa.int8(), pa.string())
_FLAGS: Final = pa.list_(pa.string())
NOT_FINITE: Final = "the model made no finite probability of this row"


@dataclass(frozen=True, slots=True)
class Scored:
    """How far it got: rows read, and those of them that were refused; by which version."""

    version: str
    rows: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A version that is believed, loaded and warm, and the policies that it answers under."""

    version: str
    scorer: BatchScorer
    policies: Serving

    @property
    def encoder(self) -> Encoder:
        return self.scorer.scorer.bundle.encoder

    @property
    def decide(self) -> Decide:
        return self.scorer.scorer.bundle.decide


def score(
    platform: Platform,
    use_case: UseCase,
    source: Path,
    target: Path,
    *,
    version: str = "",
    overwrite: bool = False,
    tell: Callable[[Scored, int | None], None] = lambda scored, total: None,
    note: Callable[[str], None] = lambda words: None,
) -> Scored:
    """Score every row of `source` into `target`: the champion, or the version named, under the live configuration.

    A row of the target for each of the source, in its order: the entity as it is given (where the source has it), `row`
    (from 1), `probability`, `decision`, `risk`, `flags`, `version`, `error`. A row that serving would refuse has its
    reasons as `error`, and no answer; it does not spoil the others. `tell` hears how far it got and of how many rows,
    where that is known, and `note` what people should know of the columns. Raises as `open_rows`, `delivery` and
    `shelf.load`; then the target is as it was.
    """
    check_target(target, replace=overwrite)
    if target.exists() and source.exists() and target.samefile(source):
        raise Refused("the answers would replace the rows; give them a name of their own", str(target))
    model = believed(platform, use_case.name, version)
    scored = Scored(model.version)
    with open_rows(source, use_case.contract.delimiter) as rows:
        columns = _columns(rows, model, use_case, str(source), note)
        categories = [each.name for each in model.encoder.inputs if each.kind == "category" and each.name in columns]
        parts = rows.parts(columns, categories)
        first = next(parts)
        entity = use_case.entity if use_case.entity in first.column_names else None
        with delivery(target, _schema(first, entity), replace=overwrite) as write:
            for part in chain([first], parts):
                answers, refused = answer(model, part, entity, scored.rows)
                write(answers)
                scored = Scored(model.version, scored.rows + part.num_rows, scored.refused + refused)
                tell(scored, rows.total)
    return scored


def believed(platform: Platform, use_case: str, version: str = "") -> Model:
    """The version named, else the champion: believed before it is loaded, and warm.

    NotFound where there is none, and Refused as `shelf.load`.
    """
    live = platform.ledger.latest(use_case, SPLITS, use_case)
    if live is None:
        raise NotFound("no version is live yet; `mainstay release` makes one", use_case)
    named = version.removeprefix(f"{use_case}@") or live.body.reigning
    known = [fact.subject for fact in platform.ledger.latest_of_each(use_case, VERSIONS)]
    if named not in known:
        raise NotFound(f"there is no version {use_case}@{named}{did_you_mean(named, known)}")
    _, bundle = load(use_case, named, platform.blobs, platform.trusted())
    scorer = Scorer(bundle)
    scorer.warm_up()
    return Model(named, BatchScorer(scorer), configuration(live.body.configuration, platform.blobs).serving)


def answer(model: Model, part: pa.Table, entity: str | None, before: int) -> tuple[pa.Table, int]:
    """The answers to a part of the rows, of which `before` others came first; and how many of them are refused."""
    policies, encoder = model.policies, model.encoder
    read = read_inputs(part, encoder.inputs, policies.unseen_category, policies.out_of_range, encoder.learned)
    probability = model.scorer.probability(read.columns)
    errors, bad = _errors(read, probability)
    decided, banded = _decided(model.decide, probability)
    named = np.zeros(part.num_rows, dtype=np.int8)
    columns: dict[str, pa.Array] = {"entity": plain(part[entity])} if entity is not None else {}
    columns |= {
        "row": pa.array(np.arange(before + 1, before + 1 + part.num_rows)),
        "probability": pa.array(probability, mask=bad),
        "decision": pa.DictionaryArray.from_arrays(pa.array(decided, mask=bad), model.decide.classes),
        "risk": pa.DictionaryArray.from_arrays(pa.array(banded, mask=bad), [name for name, _ in _bands(model.decide)]),
        "flags": _flags(read.flagged, bad),
        "version": pa.DictionaryArray.from_arrays(pa.array(named), [model.version]),
        "error": errors,
    }
    return pa.table(columns), int(bad.sum())


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as its values. Refused where they are no numbers, texts or times: no name of anything."""
    kind = values.type
    if pa.types.is_nested(kind):
        raise Refused(f"the entity is {kind}; it must be a text or a number")
    return values.cast(kind.value_type) if pa.types.is_dictionary(kind) else values


def _columns(rows: Rows, model: Model, use_case: UseCase, name: str, note: Callable[[str], None]) -> list[str]:
    """The columns to read. Refused where one is absent that no row may lack."""
    inputs = model.encoder.inputs
    strange = [each for each in rows.names if each not in use_case.contract.columns]
    for each in inputs:
        if each.name in rows.names:
            continue
        hint = did_you_mean(each.name, strange) if strange else ""
        if not each.nullable:
            raise Refused(f"the rows have no column `{each.name}`{hint}", name)
        note(f"the rows have no column `{each.name}`, which may be missing: it is, in every row{hint}")
    wanted = [each.name for each in inputs if each.name in rows.names]
    if not wanted:
        raise Misconfigured("the rows have none of the model's columns", name)
    return [use_case.entity, *wanted] if use_case.entity in rows.names else wanted


def _schema(first: pa.Table, entity: str | None) -> pa.Schema:
    """Of the answers. Dictionaries are how texts are kept in memory; files have them as texts."""
    named = [("entity", plain(first[entity]).type)] if entity is not None else []
    whole = [("row", pa.int64()), ("probability", pa.float64()), ("decision", _TEXT), ("risk", _TEXT)]
    return pa.schema([*named, *whole, ("flags", _FLAGS), ("version", _TEXT), ("error", pa.string())])


def _decided(decide: Decide, probability: Any) -> tuple[Any, Any]:
    """Places of the decision among the classes and of the risk among the bands, each (n,), as `scoring/decide.py`."""
    other = next(n for n, name in enumerate(decide.classes) if name != decide.positive)
    decided = np.where(probability >= decide.threshold, decide.place, other).astype(np.int8)
    starts = [start for _, start in _bands(decide)]
    banded = np.searchsorted(starts, probability, side="right") - 1
    return decided, np.clip(banded, 0, len(starts) - 1).astype(np.int8)


def _bands(decide: Decide) -> list[tuple[str, float]]:
    return sorted(decide.risk, key=lambda band: band[1])


def _errors(read: InputRows, probability: Any) -> tuple[pa.Array, Any]:
    """Why each row (n,) has no answer, null where it has one; and which have none."""
    refused = np.zeros(len(probability), dtype=np.bool_)
    for each in read.refused:
        refused |= each.rows
    without = ~np.isfinite(probability) & ~refused
    faults = (*read.refused, *([Odd(NOT_FINITE, without)] if without.any() else []))
    bad = refused | without
    if not faults:
        return pa.nulls(len(bad), pa.string()), bad
    said = np.full(len(bad), None, dtype=object)
    for place, words in zip(np.flatnonzero(bad).tolist(), _of_rows(faults, np.flatnonzero(bad)), strict=True):
        said[place] = "; ".join(words)
    return pa.array(said, pa.string()), bad


def _of_rows(odd: Sequence[Odd], places: Any) -> list[list[str]]:
    """For each of these rows, what is said of it, in order."""
    if not odd:
        return []
    marks = np.stack([each.rows[places] for each in odd], axis=1)
    return [[odd[n].said for n in np.flatnonzero(row).tolist()] for row in marks]


def _flags(flagged: Sequence[Odd], bad: Any) -> pa.Array:
    """The flags of each row as lists, empty for most; null for a row without answer."""
    marks = [each.rows & ~bad for each in flagged]
    counts = np.sum(marks, axis=0, dtype=np.int32) if marks else np.zeros(len(bad), dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    shown = [Odd(each.said, mark) for each, mark in zip(flagged, marks, strict=True)]
    words = [word for of_row in _of_rows(shown, np.flatnonzero(counts)) for word in of_row]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(words, pa.string()), mask=pa.array(bad))
