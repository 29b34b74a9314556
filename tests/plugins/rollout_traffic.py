"""Traffic of a rollout, written down as serving does and shipped to Parquet, for tests of what is gathered from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from mainstay.adapters.blobs import blobs_from
from mainstay.adapters.stream import Spool
from mainstay.gathered import Gathered
from mainstay.ledger.facts import Fact, Ledger
from mainstay.ledger.joined import Rules
from mainstay.ledger.observations import Observations
from mainstay.ledger.shipping import ship
from mainstay.logged import action_row, encode_header, encoded, feed_row, label_row, prediction_row
from mainstay.nouns import Arm, Rollout, Split
from mainstay.observed import Action, Ending, Feed, Label, Origin, Prediction, Role, SegmentHeader
from mainstay.rollout.gather import gather

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RULES = Rules("Yes", horizon=12 * HOUR, grace=HOUR, absent_means="No")
CHAMPION, CHALLENGER = "1.0.0", "1.1.0"
FEATURES: Mapping[str, Literal["number", "category"]] = {"age": "number", "plan": "category"}
ROLLOUT = Rollout("r1", CHAMPION, CHALLENGER, "c", 0, START, START, START + 14 * DAY)


def after(minutes: float) -> datetime:
    return START + minutes * MINUTE


def split(number: int, share: float, listens: bool = False, rollout: str | None = "r1") -> Split:
    """The champion and a challenger with this share; `listens` has the one that answers nothing listen."""
    champion = Arm(CHAMPION, 1 - share, listens=listens and share == 1)
    return Split(
        number, "salt", (champion, Arm(CHALLENGER, share, listens=listens and share == 0)), "c", rollout=rollout
    )


def history(*splits: Split) -> list[Fact[Split]]:
    return [
        Fact(n + 1, "churn", "split", "churn", each.number, START, "operator", "So.", each)
        for n, each in enumerate(splits)
    ]


@dataclass
class Traffic:
    """What was observed; `write` ships it under a name of its own."""

    predictions: list[Prediction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    feeds: list[Feed] = field(default_factory=list)

    def record(self, minutes: float, version: str = CHAMPION, **more: Any) -> Prediction:
        """One arm's record of one request, answered and fine unless said otherwise; half of the traffic each."""
        name = more.pop("name", f"p{len(self.predictions):05d}")
        entity = more.pop("entity", f"e{len(self.predictions):05d}")
        request = more.pop("request", name)
        outcome = more.get("outcome", Ending.OK)
        given = more.pop("probability", 0.3)
        probability = given if outcome is Ending.OK else None
        made = Prediction(
            prediction_id=name,
            request_id=request,
            trace_id="t",
            asked_at=after(minutes),
            entity=entity,
            unit=request if entity is None else entity,
            role=more.pop("role", Role.ANSWERED),
            version=version,
            assigned=more.pop("assigned", version),
            share=more.pop("share", 0.5),
            split=more.pop("split", 1),
            pinned=more.pop("pinned", False),
            outcome=more.pop("outcome", Ending.OK),
            features={"age": 40.0, "plan": "a"},
            scores=() if probability is None else (1 - probability, probability),
            probability=probability,
            threshold=0.5,
            decision=None if probability is None else ("Yes" if probability >= 0.5 else "No"),
            flags=more.pop("flags", ()),
            scoring_us=more.pop("us", 100.0),
            before_log_us=10.0,
            origins={"age": Origin.MISSING} if more.pop("lacks", False) else {},
        )
        assert not more, more
        self.predictions.append(made)
        return made

    def beside(self, record: Prediction, role: Role, version: str, **more: Any) -> Prediction:
        """Another arm's record of the same request."""
        made = replace(record, role=role, version=version, **more)
        self.predictions.append(made)
        return made

    def both(self, minutes: float, theirs: float | None, ours: float | None, **more: Any) -> None:
        """A request that the champion answered and the challenger heard; None where the arm raised."""
        more = {"share": 1.0, **more}
        failed: dict[str, Any] = {"outcome": Ending.RAISED, "probability": None, "scores": (), "decision": None}
        if ours is None:
            self.record(minutes, role=Role.ATTEMPTED, outcome=Ending.RAISED, **more)
            return
        first = self.record(minutes, probability=ours, **more)
        told = failed
        if theirs is not None:
            decision = "Yes" if theirs >= 0.5 else "No"
            told = {"probability": theirs, "scores": (1 - theirs, theirs), "decision": decision}
        self.beside(first, Role.LISTENED, CHALLENGER, **told)


@dataclass
class Town:
    """A ledger and a store, in which each traffic is a use case of its own."""

    home: Path
    ledger: Ledger
    cases: int = 0

    def observations(self, traffic: Traffic) -> Observations:
        self.cases += 1
        name = f"case{self.cases}"
        stream = Spool(self.home / name)
        rows = {
            "prediction": [prediction_row(each, FEATURES) for each in traffic.predictions],
            "label": [label_row(each) for each in traffic.labels],
            "action": [action_row(each) for each in traffic.actions],
            "feed": [feed_row(each) for each in traffic.feeds],
        }
        for kind, records in rows.items():
            if not records:
                continue
            header = SegmentHeader(name, kind, "c1", "h", START, FEATURES if kind == "prediction" else {})
            writer = stream.write(name, encode_header(header), START)
            for record in records:
                writer.append(encoded(record))
            writer.seal()
        blobs = blobs_from((self.home / "blobs").as_uri())
        ship(stream, self.ledger, blobs, name, START)
        return Observations(self.ledger, blobs, name, self.home / "cache")

    def gathered(
        self, traffic: Traffic, *splits: Split, minutes: float = 3 * 24 * 60, rollout: Rollout = ROLLOUT, **more: Any
    ) -> Gathered:
        """What is gathered so many minutes (and the one that is left out) after the start of the rollout."""
        given: Sequence[Split] = splits or (split(1, 0.5),)
        now = after(minutes + 1)
        rules, profit, replicas = more.pop("rules", RULES), more.pop("profit", None), more.pop("replicas", [])
        observations = self.observations(traffic)
        return gather(observations, history(*given), rollout, rules, profit, replicas, now, **more)
