"""What a judge of rollouts goes by: everything that traffic said of two arms, as counts and sums.

It is small enough to be written down with every decision, and enough to judge again: `rollout/gather.py` makes it
from observations, `rollout/judge.py` reads it. An *exposure* is an entity's first request of a rollout (a request
itself where it names no entity), in the arm that it was assigned to; pinned ones are in none of the numbers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mainstay.nouns import Instant


@dataclass(frozen=True, slots=True)
class Epoch:
    """Events while the shares stood: in the challenger and in the champion, and the challenger's share, in (0, 1)."""

    challenger: int
    champion: int
    share: float

    def __post_init__(self) -> None:
        if self.challenger < 0 or self.champion < 0:
            raise ValueError("counts are not negative")
        if not 0 < self.share < 1:
            raise ValueError(f"a share is strictly between 0 and 1, not {self.share:g}: one arm alone compares nothing")


@dataclass(frozen=True, slots=True)
class Moments:
    """What is kept of n numbers: their count, their sum and the sum of their squares. Adding is merging."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.rows + other.rows, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        return self.total / self.rows if self.rows else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation, n - 1 below; NaN of fewer than two numbers."""
        if self.rows < 2:
            return math.nan
        return math.sqrt(max(0.0, self.squares - self.total**2 / self.rows) / (self.rows - 1))


@dataclass(frozen=True, slots=True)
class Compared:
    """How much worse the challenger is, a unit at a time: challenger minus champion, so that above 0 is worse.

    `difference` are the moments of ψ (`measures.sequential.weighted_difference`, by the logged shares) where arms
    split the traffic, or of paired differences where both scored the same unit. `challenger` and `champion` count
    what makes an asymptotic bound believable in each arm: events (errors, slow requests, positive labels), or units
    where there are no events. Paired units count in both. `units` are those of the challenger among the rows (all of
    them where they are paired, as many as the largest weight goes into them where those are weighted): with its
    events they bound a rate that is too rare for anything asymptotic, and say how much one unit may weigh.
    """

    difference: Moments = Moments()
    challenger: int = 0
    champion: int = 0
    units: int = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence of one rollout, of everything asked before `until`, as the observations stood at `seq`.

    `replicas` are the live serving processes, `warm` those that hold both arms warm. `requests` are those that the
    challenger was given (answered, attempted or listened to) since the rollout began, `step_requests` since its step
    began. `exposed` counts exposures of split traffic. `errors` and `missing` count an entity's first error and its
    first request that lacked a feature, once per rollout, in the epoch in which they happened; epochs in which one
    arm listened hold the discordant requests, at a share of 1/2. `by_mean` holds what bounds are computed on, by
    name: `errors`, `slow`, `missing`, `shift` (the change of the mean probability), `disagreement` (mean absolute
    change of the probability; paired only), `flipped` (the share decided otherwise; paired only), and what labels said:
    `log_loss` (of probabilities clipped to [.01, .99]), `brier`, `profit` (its negative). `log_loss_paired` are paired
    losses where one arm listened: of an entity not acted upon divided by its logged probability of that, 0 of one acted
    upon: their mean is everybody's. `labels` are ripe predictions that entered, `unripe` those that may still,
    `contradicted` the share of labels in [0, 1] that were
    told otherwise later, `complete_through` how far every feed of labels is complete. `shed` are requests that a
    listening arm let go unheard. `slow_over_us` is a millisecond above the 95th percentile of the champion's first
    scorings of the rollout, in microseconds: a request above it is slow, for the whole of it; None until there are
    enough to tell. `newest` is when the newest prediction of the rollout was asked; None where nobody told.
    """

    until: Instant
    seq: int
    replicas: int = 0
    warm: int = 0
    requests: int = 0
    step_requests: int = 0
    exposed: tuple[Epoch, ...] = ()
    errors: tuple[Epoch, ...] = ()
    missing: tuple[Epoch, ...] = ()
    by_mean: Mapping[str, Compared] = field(default_factory=dict)
    labels: int = 0
    unripe: int = 0
    contradicted: float = 0.0
    complete_through: Instant | None = None
    shed: int = 0
    slow_over_us: float | None = None
    newest: Instant | None = None
