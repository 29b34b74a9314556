"""The answers to a table of rows, by the column, before they are written in any format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.scoring.decide import Decide
from mainstay.scoring.reading import Problem
from mainstay.scoring.table import Mask
from mainstay.serving.predict import Answer
from mainstay.serving.problems import Rejected


@dataclass(slots=True)
class Texts:
    """A column of n texts: `codes` (n,) are places among `values`, -1 where there is none."""

    codes: NDArray[np.int32]
    values: list[str] = field(default_factory=list)

    def set(self, rows: Any, text: str) -> None:
        """Give some rows a text."""
        if text not in self.values:
            self.values.append(text)
        self.codes[rows] = self.values.index(text)

    def at(self, row: int) -> str | None:
        code = self.codes[row]
        return None if code < 0 else self.values[code]

    def listed(self) -> list[str | None]:
        """The column as a list."""
        values = [*self.values, None]
        return [values[code] for code in self.codes.tolist()]


def no_texts(rows: int) -> Texts:
    """A column without any text."""
    return Texts(np.full(rows, -1, dtype=np.int32))


@dataclass(slots=True)
class Answered:
    """What becomes of n rows. A row without answer has a NaN for `probability` and an entry in `rejected`.

    `ids` are the rows' prediction ids, or the batch's id, of which a row's is a dot and its position (from 0) longer.
    `rules` are those of the versions that answered.
    """

    rows: int
    ids: str | list[str | None]
    trace_id: str
    entities: Sequence[str | int | None] | None
    probability: NDArray[np.float64]
    decision: Texts
    risk: Texts
    version: Texts
    flags: dict[int, list[str]] = field(default_factory=dict)
    rejected: dict[int, Rejected] = field(default_factory=dict)
    rules: dict[str, Decide] = field(default_factory=dict)

    def id_of(self, row: int) -> str | None:
        return f"{self.ids}.{row}" if isinstance(self.ids, str) else self.ids[row]

    def thresholds(self) -> NDArray[np.float64]:
        """The threshold that each row was decided by, NaN where it was not."""
        return np.array([*(self.rules[each].threshold for each in self.version.values), np.nan])[self.version.codes]

    def decide(self, rows: Any, probability: NDArray[np.float64], version: str, rule: Decide) -> None:
        """Take the probabilities that a version gave some rows; a row's that is not finite stays without answer."""
        found = np.isfinite(probability)
        if not found.all():
            rows, probability = rows[found], probability[found]
        self.probability[rows] = probability
        self.version.set(rows, version)
        self.rules[version] = rule
        yes = probability >= rule.threshold
        other = next(name for name in rule.classes if name != rule.positive)
        self.decision.set(rows[~yes], other)
        self.decision.set(rows[yes], rule.positive)
        for band, start in sorted(rule.risk, key=lambda each: each[1]):
            self.risk.set(rows[probability >= start], band)

    def answer(self, row: int) -> Answer | Rejected:
        """One row's answer as `/predict` gives it, or why it has none."""
        if row in self.rejected:
            return self.rejected[row]
        version = self.version.at(row) or ""
        rule = self.rules[version]
        probability = float(self.probability[row])
        scores = [1.0 - probability, probability] if rule.place else [probability, 1.0 - probability]
        return {
            "prediction_id": self.id_of(row),
            "entity": None if self.entities is None else self.entities[row],
            "probability": probability,
            "decision": self.decision.at(row),
            "risk": self.risk.at(row),
            "threshold": rule.threshold,
            "classes": list(rule.classes),
            "scores": scores,
            "version": version,
            "flags": self.flags.get(row, []),
            "trace_id": self.trace_id,
        }

    def errors(self) -> dict[int, str]:
        """Why rows have no answer, in words."""
        return {row: said(each) for row, each in self.rejected.items()}


def said(rejected: Rejected) -> str:
    """A rejection in one line, with every problem it names."""
    if not rejected.errors:
        return rejected.detail
    told = ((f"`{each.field}`" if each.field else "the row", each) for each in rejected.errors)
    return "; ".join(f"{field} {each.reason}: it must be {each.expected}" for field, each in told)


def of_answers(made: Sequence[Answer | Rejected], trace_id: str, rules: Mapping[str, Decide]) -> Answered:
    """Answers that were made one by one, by the column."""
    rows = len(made)
    answered = Answered(
        rows,
        [None if isinstance(each, Rejected) else each["prediction_id"] for each in made],
        trace_id,
        [None if isinstance(each, Rejected) else each["entity"] for each in made],
        np.full(rows, np.nan),
        no_texts(rows),
        no_texts(rows),
        no_texts(rows),
        rules=dict(rules),
    )
    for row, each in enumerate(made):
        if isinstance(each, Rejected):
            answered.rejected[row] = each
            continue
        answered.probability[row] = each["probability"]
        for texts, name in ((answered.decision, "decision"), (answered.risk, "risk"), (answered.version, "version")):
            texts.set(row, each[name])
        if each["flags"]:
            answered.flags[row] = each["flags"]
    return answered


def refuse(answered: Answered, rows: Mask, problem: Problem) -> None:
    """Refuse some rows, for one more reason."""
    for row in np.flatnonzero(rows).tolist():
        before = answered.rejected.get(row)
        problems = (*before.errors, problem) if before is not None else (problem,)
        first = problems[0]
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        answered.rejected[row] = Rejected(422, f"{first.field}: {first.reason}{more}", problems)
