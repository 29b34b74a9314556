"""An arm made ready for single rows: how it reads, scores, says and records them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring as quoted
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.digests import digest
from mainstay.nouns import Value
from mainstay.records import encode
from mainstay.scoring.coded import BatchScorer
from mainstay.scoring.decide import decision, risk
from mainstay.scoring.rowwise import RowReader, RowScorer, ScoredRow
from mainstay.scoring.scorer import Scored, Scorer
from mainstay.serving.shape import shape_of
from mainstay.usecase import Serving


class ArmRows:
    """One arm under the policies of its split. Any thread may use it."""

    def __init__(self, version: str, scorer: Scorer, policies: Serving) -> None:
        bundle = scorer.bundle
        rule = bundle.decide
        self.version = version
        self.scorer = scorer
        self.threshold = rule.threshold
        self._place = rule.place
        self.reader = RowReader(bundle.encoder, policies.unseen_category, policies.out_of_range)
        self.shape = shape_of(self.reader.usual)
        """What requests look like of which nothing is unusual; None where there is no such shape."""
        self.names = tuple(each.name for each in bundle.encoder.inputs)
        self.features = {each.name: each.kind for each in bundle.encoder.inputs}
        """Names and kinds of what is logged of a row, in order."""
        self.contract = digest([encode(each) for each in bundle.encoder.inputs])
        """The digest of the contract that the row was held to."""
        self._idle = [RowScorer(scorer)]
        self._batch: BatchScorer | None = None
        classes = json.dumps(rule.classes, ensure_ascii=False, separators=(",", ":"))
        self._quoted = {name: quoted(name) for name in (*rule.classes, *(band for band, _ in rule.risk))}
        self._middle = f'"threshold":{rule.threshold!r},"classes":{classes},"scores":['
        self._end = f'"version":{quoted(version)},"flags":['

    def score(self, values: Sequence[Value]) -> ScoredRow:
        """Score a row that this arm's reader read. Whatever the model's runtime raises is raised."""
        try:
            row = self._idle.pop()
        except IndexError:  # as many are at work as ever were
            row = RowScorer(self.scorer)
        scored = row.score(values)
        self._idle.append(row)
        return scored

    def score_each(self, rows: Iterable[Sequence[Value]]) -> Iterator[ScoredRow | None]:
        """Score rows that this arm's reader read, each as one row; None where the model's runtime raises."""
        try:
            row = self._idle.pop()
        except IndexError:
            row = RowScorer(self.scorer)
        for values in rows:
            try:
                yield row.score(values)
            except Exception:  # noqa: BLE001
                # An arm is somebody's model: what it raises is its own trouble, and whoever asks scores it again.
                yield None
        self._idle.append(row)

    @property
    def batch(self) -> BatchScorer:
        """The scorer of many rows by the column; made when it is first asked for, in some tens of milliseconds."""
        if self._batch is None:  # two threads may both make one; either will do
            self._batch = BatchScorer(self.scorer)
        return self._batch

    def tensor(self, values: Sequence[Value]) -> bytes:
        """The tensor of a row that this arm's reader read, as little-endian float32."""
        return RowScorer(self.scorer).encode(values).astype("<f4").tobytes()

    def rows_of(self, scored: Scored) -> list[ScoredRow]:
        """Rows that were scored together, one by one."""
        rule = self.scorer.bundle.decide
        numbers = zip(scored.scores.tolist(), scored.probability.tolist(), strict=True)
        return [ScoredRow(scores, each, decision(rule, each), risk(rule, each)) for scores, each in numbers]

    def decisions(self, probability: NDArray[np.float64]) -> list[Value]:
        """What is decided of each row, None where its probability is not finite."""
        return [decision(self.scorer.bundle.decide, each) for each in probability.tolist()]

    def said(
        self, prediction_id: str, entity: str | int | None, scored: ScoredRow, flags: Sequence[str], trace_id: str
    ) -> bytes:
        """The JSON of `schemas.Answer`, byte for byte what `as_json` makes of it. The probability is finite."""
        named = "null" if entity is None else quoted(entity) if isinstance(entity, str) else str(entity)
        text = self._quoted
        probability = repr(scored.probability)  # costs as much as a dictionary of ten
        rest = repr(scored.scores[1 - self._place])
        first, second = (rest, probability) if self._place else (probability, rest)
        told = ",".join(map(quoted, flags)) if flags else ""
        return (
            f'{{"prediction_id":"{prediction_id}","entity":{named},"probability":{probability},'
            f'"decision":{text[scored.decision or ""]},"risk":{text[scored.risk or ""]},'
            f"{self._middle}{first},{second}],"
            f'{self._end}{told}],"trace_id":"{trace_id}"}}'
        ).encode()

    def served(self, values: Sequence[Value]) -> Mapping[str, Any]:
        """The features of a row by name, as pins by condition read them."""
        return dict(zip(self.names, values, strict=True))
