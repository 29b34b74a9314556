"""What ripe labels said of the two arms of a rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mainstay.gathered import Compared
from mainstay.ledger.joined import Rules, joined, proven
from mainstay.ledger.observations import EVER
from mainstay.measures.sequential import moments, weighted_difference
from mainstay.nouns import Window
from mainstay.observed import HELD_BACK
from mainstay.rollout.exposures import SCORED, Asking
from mainstay.usecase import Profit

LEAST = 0.01
"""Probabilities are clipped to [.01, .99] before their logarithm is taken."""
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of ripe predictions: `ripe` are all of them, `labels` those whose value is known, and so entered."""

    ripe: int = 0
    labels: int = 0
    contradicted: float = 0.0
    complete_through: datetime | None = None
    by_mean: Mapping[str, Compared] = field(default_factory=dict)


def outcomes(
    asking: Asking, window: Window, rules: Rules, profit: Profit | None, action_changes_outcome: bool
) -> Outcomes:
    """What became of the units of a window, as it was known at its end.

    `log_loss`, `brier` and `profit` are of units exposed while both arms answered. A log loss is taken minus the one
    that the champion's score foretells, where it scored the entity before there was an assignment. The profit of a
    unit is what its action cost and what was lost if it is positive after all; where actions change no outcome, what
    acting on the decision would have earned (`measures.money.Offer`). `log_loss_paired` are losses of both arms at
    one unit, alike for all where actions change no outcome, else as if nobody had been acted upon (`unacted`). Whoever
    was held back by chance is told as an action of kind `none` with its probability; who was not told of at all would
    not have been acted upon.
    """
    feeds = asking.observations.feeds(Window(EVER, window.end + HOUR), asking.seq)
    through = proven(feeds, window.end)
    complete = through[-1][0] if through else None
    end = min(window.end, window.end - rules.horizon - rules.grace + MICROSECOND)
    if end <= window.start:
        return Outcomes(complete_through=complete)
    kept = asking.answer(SCORED, Window(window.start, end), window.end)
    since = Window(window.start - HOUR, window.end + HOUR)
    labels, actions = (read(since, asking.seq) for read in (asking.observations.labels, asking.observations.actions))
    found = joined(kept, labels, actions, feeds, Window(window.start, end), rules, window.end)
    known = _Known(found.filter(pa.compute.is_valid(found["entered_value"])), rules.positive)
    told = int(known.positive.size)
    return Outcomes(
        found.num_rows,
        told,
        float(known.flag("contradicted").mean()) if told else 0.0,
        complete,
        {**known.split(profit, action_changes_outcome), "log_loss_paired": known.paired(action_changes_outcome)},
    )


def log_loss(probability: Floats, positive: Bools) -> Floats:
    """-ln of the probability of what came true, the probability clipped to [.01, .99]; between .01 and 4.6."""
    clipped = np.clip(probability, LEAST, 1 - LEAST)
    return np.asarray(-np.where(positive, np.log(clipped), np.log1p(-clipped)))


def foretold_log_loss(probability: Floats) -> Floats:
    """The log loss to expect where a probability is true; 0 where there is none (NaN)."""
    clipped = np.clip(probability, LEAST, 1 - LEAST)
    expected = -(clipped * np.log(clipped) + (1 - clipped) * np.log1p(-clipped))
    return np.asarray(np.where(np.isnan(probability), 0.0, expected))


def unacted(numbers: Floats, acted: Bools, chance: Floats) -> tuple[Floats, float]:
    """Numbers whose mean is what everybody's would have been had nobody been acted upon, and the largest weight of one.

    Of each, its own number as it was seen, whether it was acted upon, and the probability of that, in [0, 1]: who was
    not acted upon stands for 1 / (1 - chance), who was for 0 (Horvitz and Thompson, 1952). Left out are those who are
    acted upon for certain: the mean is of the others. The weight is 1 where nobody is left.
    """
    among = chance < 1
    weight = 1 / (1 - chance[among])
    return np.where(acted[among], 0.0, numbers[among]) * weight, float(weight.max(initial=1.0))


class _Known:
    """Units whose outcome is known, as columns."""

    def __init__(self, table: pa.Table, positive: str) -> None:
        self._table = table
        self.positive: Bools = np.asarray(table["entered_value"].to_numpy() == positive, dtype=np.bool_)
        self.parted: Bools = np.asarray(table["mode"].to_numpy() == "split", dtype=np.bool_)
        kind = table["action"].to_numpy()
        told = np.asarray([each is not None for each in kind], dtype=np.bool_)
        self.held_back: Bools = told & np.asarray(kind == HELD_BACK, dtype=np.bool_)
        self.acted: Bools = told & ~self.held_back

    def number(self, name: str) -> Floats:
        return np.asarray(self._table[name].to_numpy(), dtype=np.float64)

    def flag(self, name: str) -> Bools:
        return np.asarray(self._table[name].to_numpy(), dtype=np.bool_)

    def split(self, profit: Profit | None, action_changes_outcome: bool) -> dict[str, Compared]:
        probability, positive = self.number("probability"), self.positive
        foretold = foretold_log_loss(self.number("foretold"))
        found = {
            "log_loss": self._compared(log_loss(probability, positive), foretold),
            "brier": self._compared(np.square(probability - positive)),
        }
        if profit is not None:
            lost = self._realised(profit) if action_changes_outcome else self._would_be(profit)
            found["profit"] = self._compared(lost)
        return found

    def _realised(self, profit: Profit) -> Floats:
        cost = np.where(self.acted, np.nan_to_num(self.number("action_cost")), 0.0)
        return np.asarray(cost + profit.value_saved * self.positive)

    def _would_be(self, profit: Profit) -> Floats:
        acting = self.number("probability") >= self.number("threshold")
        return np.asarray(acting * (profit.offer_cost - profit.value_saved * profit.save_rate * self.positive))

    def _compared(self, harm: Floats, foretold: Floats | float = 0.0) -> Compared:
        challenged = self.flag("challenged")
        among = self.parted & np.isfinite(harm)
        guessed = np.broadcast_to(foretold, harm.shape)[among]
        psi = weighted_difference(harm[among], challenged[among], self.number("odds")[among], guessed)
        events = self.positive & among
        of, other = int((events & challenged).sum()), int((events & ~challenged).sum())
        return Compared(moments(psi), of, other, int((among & challenged).sum()))

    def paired(self, action_changes_outcome: bool) -> Compared:
        theirs, ours = (log_loss(self.number(name), self.positive) for name in ("c_probability", "h_probability"))
        acted = self.acted & action_changes_outcome
        told = acted | (self.held_back & action_changes_outcome)
        chance = np.where(told, self.number("action_probability"), 0.0)
        among = ~self.parted
        numbers, heaviest = unacted((theirs - ours)[among], acted[among], chance[among])
        events = int((self.positive & among & ~acted & (chance < 1)).sum())
        return Compared(moments(numbers), events, events, int(len(numbers) / heaviest))
