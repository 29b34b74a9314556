"""A rollout gathered unit by unit, as `measures.sequential` weighs them: what `traffic.py` draws as sums, one by one.

A unit is given to an arm, or to both where one listens; its numbers are added to what was gathered.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from tests.alarms.traffic import START

from mainstay.gathered import Compared, Epoch, Gathered, Moments
from mainstay.measures.sequential import moments, weighted_difference

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
RATES = ("errors", "slow", "missing")
THRESHOLD = 20 / 120


@dataclass(slots=True)
class Sofar:
    """What was gathered so far. `requests` are the challenger's, `step` those of the present step."""

    hours: float = 0.0
    requests: int = 0
    step: int = 0
    labels: int = 0
    exposed: list[Epoch] = field(default_factory=list)
    counted: dict[str, list[Epoch]] = field(default_factory=lambda: {"errors": [], "missing": []})
    by_mean: dict[str, Compared] = field(default_factory=dict)

    def split(self, share: float, challenged: Flags, values: dict[str, Floats]) -> None:
        """Units of split traffic: each has the numbers (n,) of the arm that it was given to."""
        given = int(challenged.sum())
        self.requests, self.step = self.requests + given, self.step + given
        self._epoch(self.exposed, given, len(challenged) - given, share)
        for name, outcome in values.items():
            hit = outcome > 0 if name in RATES or name == "log_loss" else np.ones(len(outcome), dtype=np.bool_)
            of, other = int((hit & challenged).sum()), int((hit & ~challenged).sum())
            self._add(name, moments(weighted_difference(outcome, challenged, share)), of, other, given)
            if name in self.counted:
                self._epoch(self.counted[name], of, other, share)

    def paired(self, one: dict[str, Floats], two: dict[str, Floats]) -> None:
        """Units that both arms scored: the challenger's numbers, and the champion's."""
        size = len(next(iter(one.values())))
        self.requests, self.step = self.requests + size, self.step + size
        for name in one:
            apart = one[name] - two[name]
            of, other = (int((arm[name] > 0).sum()) if name in RATES else size for arm in (one, two))
            self._add(name, moments(apart), of, other, size)
            if name == "shift":
                self._add("disagreement", moments(np.abs(apart)), size, size, size)
                flips = (one[name] >= THRESHOLD) != (two[name] >= THRESHOLD)
                flipped = int(flips.sum())
                self._add("flipped", moments(flips.astype(np.float64)), flipped, flipped, size)
            if name in self.counted:
                self._epoch(self.counted[name], int((apart > 0).sum()), int((apart < 0).sum()), 0.5)

    def labelled(self, losses: Floats, left: Flags) -> None:
        """Paired losses, challenger minus champion, of customers of whom it is known whether they left."""
        self.labels += len(losses)
        self._add("log_loss_paired", moments(losses), int(left.sum()), int(left.sum()), len(losses))

    def gathered(self) -> Gathered:
        until = START + timedelta(hours=self.hours + 1)
        errors, missing = tuple(self.counted["errors"]), tuple(self.counted["missing"])
        return Gathered(
            until,
            int(self.hours),
            2,
            2,
            self.requests,
            self.step,
            tuple(self.exposed),
            errors,
            missing,
            dict(self.by_mean),
            self.labels,
            complete_through=until,
            slow_over_us=900.0,
        )

    def _add(self, name: str, found: Moments, of: int, other: int, units: int) -> None:
        before = self.by_mean.get(name, Compared())
        self.by_mean[name] = Compared(
            before.difference + found, before.challenger + of, before.champion + other, before.units + units
        )

    @staticmethod
    def _epoch(epochs: list[Epoch], of: int, other: int, share: float) -> None:
        if epochs and epochs[-1].share == share:
            of, other = of + epochs[-1].challenger, other + epochs.pop().champion
        epochs.append(Epoch(of, other, share))
