"""Rollouts as a judge sees them: counts and moments by run and look, drawn at once, of whatever a world is like.

Every arm's requests have an error or none, are slow or not, lack a feature or not, and have a score; labels ripen
`LAG` looks later. Numbers of an arm within a look are drawn as their sum and sum of squares (bivariate normal, of 200
or more), everything else as counts.
"""

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


def against(shift: float = 0.0, disagreement: float = 0.01) -> Against:
    return Against(CHAMPION, around(0.02, 0.007), around(shift, 0.002), around(disagreement, 0.001))


@dataclass(frozen=True, slots=True)
class World:
    """What traffic is like, look by look: the challenger's share, and what the base rates are multiplied by."""

    shares: Floats
    level: Floats
    ratio: Mapping[str, float] = field(default_factory=dict)
    score: Floats = field(default_factory=lambda: SCORE)
    loss: Floats = field(default_factory=lambda: LOSS)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Cumulative, by run and look: of each name ψ's total and squares, and the events of each arm."""

    world: World
    challenger: Counts
    champion: Counts
    events: Mapping[str, tuple[Counts, Counts]]
    total: Mapping[str, Floats]
    squares: Mapping[str, Floats]
    left: tuple[Counts, Counts]

    def __iter__(self) -> Iterator[Callable[[int], Gathered]]:
        """Each run, as what was gathered by its n-th look."""
        for run in range(len(self.total["errors"])):
            yield lambda look, run=run: self.gathered(run, look)  # type: ignore[misc]

    def gathered(self, run: int, look: int) -> Gathered:
        treated, control = int(self.challenger[: look + 1].sum()), int(self.champion[: look + 1].sum())
        by_mean = {}
        for name in self.total:
            units = treated, treated + control
            of = self.events[name][0][run, : look + 1].sum() if name in BASE else treated
            other = self.events[name][1][run, : look + 1].sum() if name in BASE else control
            seen = look
            if name == "log_loss":
                seen = look - LAG
                if seen < 0:
                    continue
                units = int(self.challenger[: seen + 1].sum()), int((self.challenger + self.champion)[: seen + 1].sum())
                of, other = (arm[run, seen] for arm in self.left)
            moments = Moments(units[1], float(self.total[name][run, seen]), float(self.squares[name][run, seen]))
            by_mean[name] = Compared(moments, int(of), int(other), units[0])
        until = START + timedelta(hours=look + 1)
        errors, missing = (self.epochs(run, look, name) for name in ("errors", "missing"))
        exposed = self.epochs(run, look, None)
        return Gathered(
            until, look, 2, 2, treated, treated, exposed, errors, missing, by_mean, labels=1, slow_over_us=900.0
        )

    def epochs(self, run: int, look: int, name: str | None) -> tuple[Epoch, ...]:
        begins = [0, *(np.flatnonzero(np.diff(self.world.shares[: look + 1])) + 1), look + 1]
        found = []
        for start, stop in itertools.pairwise(begins):
            if name is None:
                of, other = self.challenger[start:stop].sum(), self.champion[start:stop].sum()
            else:
                of, other = (arm[run, start:stop].sum() for arm in self.events[name])
            found.append(Epoch(int(of), int(other), float(self.world.shares[start])))
        return tuple(found)


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
    left = tuple(draw.binomial(arm, LEFT.mean(), (runs, len(share))).cumsum(1) for arm in (treated, control))
    return Traffic(world, treated, control, events, total, squares, (left[0], left[1]))


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
