"""What was decided of a rollout, with everything needed to decide it again."""

from dataclasses import dataclass
from enum import StrEnum

from mainstay.gathered import Gathered
from mainstay.nouns import Instant
from mainstay.verdicts import Verdict


class Move(StrEnum):
    """What a rollout does next: stay, take its next step, move a bandit's shares, or end in one of four ways."""

    HOLD = "hold"
    ADVANCE = "advance"
    REALLOCATE = "reallocate"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    GO_HOME = "go_home"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of the judge, or of a person: `step` is where the rollout stood, counted from 0.

    A hold is written down when its words change, not at every look. `policy` is the digest of the configuration it
    was decided under. `verdict` and `gathered` are None where a person decided (`promote`, `abort`). `share` is the
    challenger's from now on, where a bandit's shares move.
    """

    rollout: str
    at: Instant
    step: int
    move: Move
    reason: str
    policy: str
    verdict: Verdict | None = None
    gathered: Gathered | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded request, asked again of a version that was restored."""

    prediction_id: str
    recorded: float
    replayed: float


@dataclass(frozen=True, slots=True)
class Proof:
    """That a rollback did what it said: every replica reports the split, and the restored version answers as it did.

    `verdict` has a check for the replay of recorded requests, the replicas, and the window of stability; `differing`
    are the worst of the requests that were answered otherwise.
    """

    split: int
    version: str
    at: Instant
    verdict: Verdict
    replayed: int
    differing: tuple[Replayed, ...] = ()
