"""The gathered evidence against the same rules written down once more, request by request, without any table."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from rollout_traffic import CHALLENGER, CHAMPION, DAY, HOUR, RULES, START, Town, Traffic, after, split

from mainstay.digests import unit_interval
from mainstay.gathered import Compared, Epoch, Moments
from mainstay.nouns import Rollout, Split
from mainstay.observed import Action, Ending, Feed, Label, Origin, Prediction, Role
from mainstay.usecase import Profit

PROFIT = Profit(offer_cost=5, value_saved=40, save_rate=0.5)
ROLLOUT = Rollout("r1", CHAMPION, CHALLENGER, "c", 1, START, START + DAY, START + 14 * DAY)
UNTIL = START + 3 * DAY
END = 3 * 24 * 60.0


# Traffic, drawn


def drawn(rng: np.random.Generator) -> tuple[Traffic, list[Split]]:
    traffic = Traffic()
    splits = [split(0, 0.5, rollout="earlier")]
    for number in range(1, int(rng.integers(2, 7))):
        share = float(rng.choice([0, 0.05, 0.25, 0.5, 0.5, 1]))
        splits.append(split(number, share, listens=bool(rng.random() < 0.85)))
    for n in range(int(rng.integers(20, 90))):
        at = float(np.round(rng.uniform(-50, END + 30), 5))
        _requests(traffic, rng, splits, n, at)
    _told(traffic, rng)
    return traffic, splits


def _requests(traffic: Traffic, rng: np.random.Generator, splits: list[Split], n: int, at: float) -> None:
    entity = None if rng.random() < 0.3 else f"e{rng.integers(12)}"
    request = f"request{n}" if rng.random() < 0.4 else None
    tries = 1 if request is None else int(rng.choice([1, 1, 2, 3]))
    for _ in range(tries):
        current = splits[min(int(max(at, 0) / END * len(splits)), len(splits) - 1)]
        _one(traffic, rng, current, at, entity, request)
        at += float(np.round(rng.choice([3, 50, 130]) + rng.random(), 5))


def _one(
    traffic: Traffic, rng: np.random.Generator, current: Split, at: float, entity: str | None, request: str | None
) -> None:
    champion, challenger = current.arms
    name = f"p{int(rng.integers(10**9)):010d}"
    unit = entity or request or name
    assigned = CHALLENGER if unit_interval("assign", "salt", unit) < challenger.share else CHAMPION
    pinned = bool(rng.random() < 0.08)
    if pinned:
        assigned = str(rng.choice([CHALLENGER, CHAMPION]))
    share = 1.0 if pinned else (challenger.share if assigned == CHALLENGER else champion.share)
    answering = CHAMPION if rng.random() < 0.05 else assigned  # not loaded
    common: dict[str, Any] = {"name": name, "entity": entity, "request": request or name, "assigned": assigned}
    common |= {"share": share, "split": current.number, "pinned": pinned}

    def record(role: Role, version: str, outcome: Ending) -> None:
        flags = [(), ("stale:age",), ("unknown_entity",), ("out_of_range:age",)][
            int(rng.choice(4, p=[0.85, 0.05, 0.05, 0.05]))
        ]
        p = float(np.round(rng.random(), 6))
        us = float("nan") if rng.random() < 0.03 else float(np.round(rng.gamma(2, 50), 3))
        lacks = bool(rng.random() < 0.1)
        traffic.record(
            at, version, role=role, outcome=outcome, probability=p, us=us, lacks=lacks, flags=flags, **common
        )

    def ending(version: str) -> Ending:
        if rng.random() > (0.2 if version == CHALLENGER else 0.12):
            return Ending.OK
        return Ending(str(rng.choice(["raised", "late", "not_finite"])))

    for version in dict.fromkeys((answering, CHAMPION)):
        how = ending(version)
        record(Role.ANSWERED if how is Ending.OK else Role.ATTEMPTED, version, how)
        if how is Ending.OK:
            listening = [arm.version for arm in current.arms if arm.listens and arm.version != version]
            if listening and rng.random() < 0.85:
                record(Role.LISTENED, listening[0], ending(listening[0]))
            return


def _told(traffic: Traffic, rng: np.random.Generator) -> None:
    for record in traffic.predictions:
        if rng.random() < 0.25:
            known = after(float(np.round(rng.uniform(0, END + 300), 5)))
            value = str(rng.choice(["Yes", "No"]))
            traffic.labels.append(Label(value, known, "crm", RULES.horizon, prediction_id=record.prediction_id))
        if rng.random() < 0.2:
            when, kind = after(float(np.round(rng.uniform(0, END), 5))), str(rng.choice(["offer", "none"]))
            chance = 1.0 if rng.random() < 0.1 else float(np.round(rng.uniform(0, 0.9), 3))
            about = {"entity": record.entity} if record.entity else {"prediction_id": record.prediction_id}
            traffic.actions.append(Action(kind, when, when, chance, 5.0, "crm", **about))
    for n in range(12):
        if rng.random() < 0.5:
            true_at = float(np.round(rng.uniform(0, END), 5))
            known = after(true_at + float(np.round(rng.uniform(0, 900), 5)))
            traffic.labels.append(Label("Yes", known, "crm", RULES.horizon, entity=f"e{n}", true_at=after(true_at)))
    for _ in range(int(rng.integers(0, 4))):
        said = float(np.round(rng.uniform(600, END + 200), 5))
        traffic.feeds.append(Feed("crm", after(said - float(rng.uniform(0, 600))), after(said)))


# The rules, by hand


@dataclass
class Request:
    tries: list[Prediction]

    def __post_init__(self) -> None:
        self.tries.sort(key=lambda each: (each.asked_at, each.prediction_id))
        first = self.tries[0]
        self.begun, self.unit, self.entity = first.asked_at, first.unit, first.entity
        self.split, self.challenged = first.split, first.assigned == CHALLENGER
        self.pinned, self.share = first.pinned, first.share
        self.odds = self.share if self.challenged else 1 - self.share

    def of(self, version: str) -> list[Prediction]:
        return [each for each in self.tries if each.version == version]

    def failed(self, version: str) -> bool | None:
        found = self.of(version)
        return any(each.outcome is not Ending.OK for each in found) if found else None

    @property
    def wrong(self) -> bool:
        return any(each.role is Role.ATTEMPTED for each in self.tries)

    def probability(self, version: str | None) -> float | None:
        chosen = [
            each for each in self.tries if (each.role is Role.ANSWERED if version is None else each.version == version)
        ]
        return next((each.probability for each in chosen if each.probability is not None), None)

    def us(self, version: str) -> float | None:
        return next((each.scoring_us for each in self.of(version) if math.isfinite(each.scoring_us)), None)

    def lacks(self, version: str) -> bool | None:
        found = self.of(version)
        if not found:
            return None
        odd = {flag.split(":")[0] for flag in found[0].flags}
        return Origin.MISSING in found[0].origins.values() or bool(odd & {"stale", "unknown_entity"})

    @property
    def arms(self) -> tuple[str, str]:
        return (CHALLENGER, CHAMPION) if self.challenged else (CHAMPION, CHALLENGER)


def requests_of(traffic: Traffic) -> list[Request]:
    same: dict[Any, list[Prediction]] = defaultdict(list)
    for each in traffic.predictions:
        if START - HOUR <= each.asked_at < UNTIL:
            same[each.request_id, each.entity].append(each)
    made: list[Request] = []
    for records in same.values():
        records.sort(key=lambda each: (each.asked_at, each.prediction_id))
        turn = [records[0]]
        for each in records[1:]:
            if each.asked_at - turn[-1].asked_at > HOUR:
                made.append(Request(turn))
                turn = []
            turn.append(each)
        made.append(Request(turn))
    return sorted((each for each in made if each.begun >= START), key=lambda each: each.begun)


@dataclass
class Sums:
    numbers: list[float] = field(default_factory=list)
    challenger: int = 0
    champion: int = 0
    units: int = 0
    heaviest: float = 1.0

    def psi(self, x: float, request: Request, event: bool, foretold: float = 0.0) -> None:
        weight = 1 / request.odds if request.challenged else -1 / (1 - request.odds)
        self.pair((x - foretold) * weight, event and request.challenged, event and not request.challenged)
        self.units -= not request.challenged

    def pair(self, x: float, challenger: bool, champion: bool) -> None:
        self.numbers.append(x)
        self.challenger += challenger
        self.champion += champion
        self.units += 1

    def weighted(self, x: float, chance: float, acted: bool, event: bool) -> None:
        self.pair(0.0 if acted else x / (1 - chance), event and not acted, event and not acted)
        self.heaviest = max(self.heaviest, 1 / (1 - chance))


class ByHand:
    def __init__(self, traffic: Traffic, splits: list[Split], slow_over: float | None, changes: bool) -> None:
        self.traffic, self.slow_over, self.changes = traffic, slow_over, changes
        self.stage: dict[int, tuple[int, str, float]] = {}
        shares: Any = None
        for each in splits[1:]:
            champion, challenger = each.arms
            both = champion.share > 0 and challenger.share > 0
            mode = "split" if both else ("paired" if champion.listens or challenger.listens else "alone")
            epoch = 0 if shares is None else self.stage[each.number - 1][0] + (shares != (challenger.share, mode))
            shares = (challenger.share, mode)
            self.stage[each.number] = (epoch, mode, challenger.share if both else 0.5)
        self.means: dict[str, Sums] = defaultdict(Sums)
        self.counts: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        self.requests = self.step_requests = self.shed = self.labels = self.unripe = self.contradicted = 0
        self.seen: dict[str, set[str]] = defaultdict(set)
        self.before: dict[str, float] = {}
        self.newest: datetime | None = None
        for request in requests_of(traffic):
            if not request.pinned and request.split in self.stage:
                self.take(request)

    def take(self, r: Request) -> None:
        epoch, mode, _ = self.stage[r.split]
        self.newest = max(self.newest or START, r.tries[-1].asked_at)
        theirs, ours = r.failed(CHALLENGER), r.failed(CHAMPION)
        self.requests += theirs is not None
        self.step_requests += theirs is not None and r.begun >= ROLLOUT.entered_at
        if mode == "split":
            self.happened("errors", r, epoch, r.challenged if r.wrong else None)
            lacks = next((got for arm in r.arms if (got := r.lacks(arm)) is not None), False)
            self.happened("missing", r, epoch, r.challenged if lacks else None)
            if self.first("exposed", r):
                self.counts["exposed"][epoch][r.challenged] += 1
                self.exposed(r, lacks)
        elif mode == "paired":
            heard = ours is True or (theirs is not None and ours is not None)
            self.shed += (theirs is None and ours is False) or (ours is None and theirs is False)
            if heard:
                self.happened("errors", r, epoch, bool(theirs) if bool(theirs) != ours else None)
                a, b = r.lacks(CHALLENGER), r.lacks(CHAMPION)
                self.happened("missing", r, epoch, a if None not in (a, b) and a != b else None)
                if self.first("heard", r):
                    self.compared(r, bool(theirs), bool(ours), a, b)
        if mode != "split" and (p := r.probability(CHAMPION)) is not None:
            self.before[r.unit] = p

    def first(self, what: str, r: Request) -> bool:
        new = r.unit not in self.seen[what]
        self.seen[what].add(r.unit)
        return new

    def happened(self, what: str, r: Request, epoch: int, challenger: bool | None) -> None:
        if challenger is not None and self.first(what, r):
            self.counts[what][epoch][challenger] += 1

    def exposed(self, r: Request, lacks: bool) -> None:
        self.means["errors"].psi(r.wrong, r, r.wrong)
        self.means["missing"].psi(lacks, r, lacks)
        us = next((got for arm in r.arms if (got := r.us(arm)) is not None), None)
        if us is not None and self.slow_over is not None:
            self.means["slow"].psi(us > self.slow_over, r, us > self.slow_over)
        p = r.probability(None)
        if p is not None:
            self.means["shift"].psi(p, r, True)
            if (known := self.known(r)) is not None:
                yes, action = known
                foretold = loss_expected(self.before[r.unit]) if r.unit in self.before else 0.0
                self.means["log_loss"].psi(loss(p, yes), r, yes, foretold)
                self.means["brier"].psi((p - yes) ** 2, r, yes)
                cost = action.cost if action is not None and action.kind != "none" else 0.0
                would = (5 - 20 * yes) if p >= 0.5 else 0.0
                self.means["profit"].psi(cost + 40 * yes if self.changes else would, r, yes)

    def compared(self, r: Request, theirs: bool, ours: bool, a: bool | None, b: bool | None) -> None:
        self.means["errors"].pair(theirs - ours, theirs, ours)
        if a is not None and b is not None:
            self.means["missing"].pair(a - b, a, b)
        fast, slow = r.us(CHALLENGER), r.us(CHAMPION)
        if fast is not None and slow is not None and self.slow_over is not None:
            one, two = fast > self.slow_over, slow > self.slow_over
            self.means["slow"].pair(one - two, one, two)
        p, q = r.probability(CHALLENGER), r.probability(CHAMPION)
        if p is not None and q is not None:
            self.means["shift"].pair(p - q, True, True)
            self.means["disagreement"].pair(abs(p - q), True, True)
            flipped = (p >= 0.5) != (q >= 0.5)
            self.means["flipped"].pair(flipped, flipped, flipped)
            if (known := self.known(r)) is not None:
                yes, action = known
                acted = self.changes and action is not None and action.kind != "none"
                chance = action.probability if self.changes and action is not None else 0.0
                if chance < 1:
                    self.means["log_loss_paired"].weighted(loss(p, yes) - loss(q, yes), chance, acted, yes)

    def known(self, r: Request) -> tuple[bool, Action | None] | None:
        """Whether it was positive, as it entered, and what was done; None where it did not."""
        ends, ripe = r.begun + RULES.horizon, r.begun + RULES.horizon + RULES.grace
        if ripe > UNTIL:
            self.unripe += 1
            return None
        names = {each.prediction_id for each in r.tries}

        def about(each: Label | Action, at: datetime) -> bool:
            mine = each.entity is not None and each.entity == r.entity and r.begun <= at < ends
            return each.known_at <= UNTIL and (each.prediction_id in names or mine)

        first: dict[Any, Label] = {}
        for each in sorted(self.traffic.labels, key=lambda each: each.known_at):
            if about(each, each.true_at or each.known_at):
                first.setdefault((each.value, each.entity, each.prediction_id, each.true_at), each)
        held = sorted(first.values(), key=lambda each: (each.known_at, each.value == "Yes"))
        quiet = [
            feed.known_at for feed in self.traffic.feeds if feed.complete_through >= ends and feed.known_at <= UNTIL
        ]
        moments = [max(ripe, each.known_at) for each in held[:1]] + [max(ripe, at) for at in sorted(quiet)[:1]]
        if not moments:
            return None
        then = [each.value for each in held if each.known_at <= min(moments)]
        entered = then[-1] if then else "No"
        self.labels += 1
        last = held[-1].value if held else "No"
        self.contradicted += len({each.value for each in held}) > 1 or last != entered
        done = sorted((a for a in self.traffic.actions if about(a, a.at)), key=lambda a: (a.at, a.kind, a.probability))
        return entered == "Yes", (done[0] if done else None)

    def epochs(self, what: str) -> tuple[Epoch, ...]:
        shares = {epoch: share for epoch, _, share in self.stage.values()}
        return tuple(Epoch(n[1], n[0], shares[epoch]) for epoch, n in sorted(self.counts[what].items()))


def loss(p: float, yes: bool) -> float:
    p = min(max(p, 0.01), 0.99)
    return -math.log(p if yes else 1 - p)


def loss_expected(p: float) -> float:
    return p_clipped(p) * loss(p, True) + (1 - p_clipped(p)) * loss(p, False)


def p_clipped(p: float) -> float:
    return min(max(p, 0.01), 0.99)


def same(found: Compared, hand: Sums) -> None:
    assert found.difference.rows == len(hand.numbers)
    assert found.difference.total == pytest.approx(math.fsum(hand.numbers), abs=1e-8)
    assert found.difference.squares == pytest.approx(math.fsum(x * x for x in hand.numbers), rel=1e-9)
    assert (found.challenger, found.champion) == (hand.challenger, hand.champion)
    assert found.units == pytest.approx(hand.units / hand.heaviest, abs=1 if hand.heaviest > 1 else 0)


SEEDS = [pytest.param(n, marks=[pytest.mark.long] if n >= 8 else []) for n in range(300)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_evidence_is_what_the_rules_say_request_by_request(seed: int, town: Town) -> None:
    rng = np.random.default_rng([7, seed])
    traffic, splits = drawn(rng)
    changes, slow_over = bool(rng.random() < 0.5), float(rng.choice([60.0, 150.0]))
    options: dict[str, Any] = {"action_changes_outcome": changes, "slow_over_us": slow_over, "profit": PROFIT}
    found = town.gathered(traffic, *splits, rollout=ROLLOUT, **options)
    hand = ByHand(traffic, splits, slow_over, changes)
    assert (found.requests, found.step_requests, found.shed) == (hand.requests, hand.step_requests, hand.shed)
    assert found.newest == hand.newest
    assert (found.exposed, found.errors, found.missing) == tuple(map(hand.epochs, ("exposed", "errors", "missing")))
    assert set(found.by_mean) == set(hand.means)
    for name, sums in hand.means.items():
        same(found.by_mean[name], sums)
    assert (found.labels, found.unripe) == (hand.labels, hand.unripe)
    assert found.contradicted == (pytest.approx(hand.contradicted / hand.labels) if hand.labels else 0)
    for each in found.by_mean.values():
        assert all(math.isfinite(number) for number in (each.difference.total, each.difference.squares))
        assert each.difference != Moments()
