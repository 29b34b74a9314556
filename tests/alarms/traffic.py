"""Rollouts as a judge sees them: counts and moments by run and look, drawn at once, of whatever a world is like.

Every arm's requests have an error or none, are slow or not, lack a feature or not, and have a score; labels ripen
`LAG` looks later. Numbers of an arm within a look are drawn as their sum and sum of squares (bivariate normal, of 200
or more), everything else as counts.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mainstay.gathered import Compared, Epoch, Gathered, Moments
from mainstay.nouns import Estimate, Rollout
from mainstay.registry.manifest import Against
from mainstay.usecase import Label, Plan, Step
from mainstay.verdicts import Verdict

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

START = datetime(2026, 3, 1, tzinfo=UTC)
LOOKS, PER_LOOK, LAG = 100, 200, 20
BASE: Mapping[str, float] = {"errors": 0.01, "slow": 0.05, "missing": 0.005}
CHAMPION, CHALLENGER = "1.0.0", "2.0.0"
PLAN = Plan(kind="canary", steps=(Step(share=0.5, hold=timedelta(days=1)), Step(share=1, hold=timedelta(days=1))))
NO_HARM = Step(share=0.5, hold=timedelta(days=1), at_least=100, needs="no_harm")
PROVEN = NO_HARM.model_copy(update={"needs": "non_inferior"})
BETTER = NO_HARM.model_copy(update={"needs": "better"})
LABEL = Label(column="left", positive="Yes")
ROLLOUT = Rollout("r1", CHAMPION, CHALLENGER, "0" * 64, 0, START, START, START + timedelta(days=60))


def _customers() -> tuple[Floats, Floats, Floats]:
    """Scores like Telco's, who leaves, and the clipped log losses of the scores, of many customers."""
    draw = np.random.default_rng(60)
    score = draw.beta(0.7, 1.9, 200_000)
    left = draw.random(score.size) < score
    clipped = np.clip(score, 0.01, 0.99)
    return score, left.astype(np.float64), -np.log(np.where(left, clipped, 1 - clipped))


SCORE, LEFT, LOSS = _customers()


def around(value: float, half: float, rows: int = 1400) -> Estimate:
    return Estimate(value, value - half, value + half, rows)


def against(shift: float = 0.0, disagreement: float = 0.01, flipped: float = 0.02) -> Against:
    return Against(CHAMPION, around(flipped, 0.007), around(shift, 0.002), around(disagreement, 0.001))


@dataclass(frozen=True, slots=True)
class World:
    """What traffic is like, look by look: the challenger's share, and what the base rates are multiplied by."""

    shares: Floats
    level: Floats
    ratio: Mapping[str, float] = field(default_factory=dict)
    score: Floats = field(default_factory=lambda: SCORE)
    loss: Floats = field(default_factory=lambda: LOSS)


Running = list[list[int]]
"""By run, and by look counted from 1: how many so far; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Cumulative, by run and look: of each name ψ's total and squares, and the events of each arm."""

    world: World
    challenger: list[int]
    champion: list[int]
    events: Mapping[str, tuple[Running, Running]]
    total: Mapping[str, list[list[float]]]
    squares: Mapping[str, list[list[float]]]
    left: tuple[Running, Running]
    begins: list[int]

    def __iter__(self) -> Iterator[Callable[[int], Gathered]]:
        """Each run, as what was gathered by its n-th look, from 0."""
        for run in range(len(self.total["errors"])):
            yield functools.partial(self.gathered, run)

    def gathered(self, run: int, look: int) -> Gathered:
        treated = self.challenger[look + 1]
        by_mean = {}
        for name in self.total:
            late = LAG if name == "log_loss" else 0
            seen = look - late
            if seen < 0:
                continue
            units, others = self.challenger[seen + 1], self.champion[seen + 1]
            of, other = units, others
            if name in BASE or late:
                of, other = (arm[run][seen + 1] for arm in (self.left if late else self.events[name]))
            moments = Moments(units + others, self.total[name][run][seen], self.squares[name][run][seen])
            by_mean[name] = Compared(moments, of, other, units)
        until = START + timedelta(hours=look + 1)
        errors, missing = (
            self.epochs(look, *(arm[run] for arm in self.events[name])) for name in ("errors", "missing")
        )
        exposed = self.epochs(look, self.challenger, self.champion)
        return Gathered(
            until, look, 2, 2, treated, treated, exposed, errors, missing, by_mean, labels=1, slow_over_us=900.0
        )

    def epochs(self, look: int, of: list[int], other: list[int]) -> tuple[Epoch, ...]:
        edges = [*(begin for begin in self.begins if begin <= look), look + 1]
        return tuple(
            Epoch(of[stop] - of[start], other[stop] - other[start], float(self.world.shares[start]))
            for start, stop in itertools.pairwise(edges)
        )


def traffic(world: World, seed: int, runs: int) -> Traffic:
    draw = np.random.default_rng([61, seed])
    share = world.shares
    treated = np.full(len(share), PER_LOOK)
    control = np.round(PER_LOOK * (1 - share) / share).astype(np.int64)
    events, total, squares = {}, {}, {}
    for name, base in BASE.items():
        of = draw.binomial(treated, base * world.level * world.ratio.get(name, 1.0), (runs, len(share)))
        other = draw.binomial(control, base * world.level, (runs, len(share)))
        events[name] = of, other
        total[name] = (of / share - other / (1 - share)).cumsum(1)
        squares[name] = (of / share**2 + other / (1 - share) ** 2).cumsum(1)
    for name, new, old in (("shift", world.score, SCORE), ("log_loss", world.loss, LOSS)):
        one, two = sums(draw, new, treated, runs), sums(draw, old, control, runs)
        total[name] = (one[0] / share - two[0] / (1 - share)).cumsum(1)
        squares[name] = (one[1] / share**2 + two[1] / (1 - share) ** 2).cumsum(1)
    left = tuple(draw.binomial(arm, LEFT.mean(), (runs, len(share))) for arm in (treated, control))
    begins = np.flatnonzero(np.diff(share, prepend=np.nan) != 0).tolist()
    counted = {name: (running(of), running(other)) for name, (of, other) in events.items()}
    sizes = [[0, *arm.cumsum().tolist()] for arm in (treated, control)]
    drawn = [{name: found.tolist() for name, found in each.items()} for each in (total, squares)]
    return Traffic(world, sizes[0], sizes[1], counted, drawn[0], drawn[1], (running(left[0]), running(left[1])), begins)


def running(counts: Counts) -> Running:
    found: Running = np.hstack([np.zeros((len(counts), 1), dtype=np.int64), counts.cumsum(1)]).tolist()
    return found


def sums(draw: np.random.Generator, numbers: Floats, rows: Counts, runs: int) -> tuple[Floats, Floats]:
    """The sum of so many of the numbers and of their squares, by run and look."""
    both = np.stack([numbers, numbers**2])
    root = np.linalg.cholesky(np.cov(both))
    z = np.einsum("ij,jrl->irl", root, draw.standard_normal((2, runs, len(rows))))
    mean = both.mean(1)[:, None, None]
    found = rows * mean + np.sqrt(rows) * z
    return found[0], found[1]


def steady(share: float = 0.5, looks: int = LOOKS, **ratio: float) -> World:
    return World(np.full(looks, share), np.ones(looks), ratio)


def wave(looks: int) -> Floats:
    return np.asarray(1 + 0.8 * np.sin(np.arange(looks) / 4))


def staircase(steps: int, looks: int = LOOKS) -> Floats:
    return np.repeat(np.linspace(0.05, 0.5, steps), math.ceil(looks / steps))[:looks]


def failed(verdict: Verdict) -> set[str]:
    return {made.name for made in verdict.checks if made.outcome == "FAIL"}
