"""Which splits of a rollout are one epoch: those in a row whose shares are the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mainstay.ledger.facts import Fact
from mainstay.nouns import Arm, Rollout, Split

Mode = Literal["split", "paired", "alone"]
_NOBODY = Arm("")


@dataclass(frozen=True, slots=True)
class Stage:
    """One split of a rollout: its epoch, counted from 0, and how its two arms can be compared.

    `split`: both answer, and `share` is the challenger's part of what the two answer. `paired`: one answers everything
    and the other listens. `alone`: nothing can be compared. `share` is 1/2 save where both answer.
    """

    number: int
    epoch: int
    mode: Mode
    share: float


def stages(splits: Sequence[Fact[Split]], rollout: Rollout) -> tuple[Stage, ...]:
    """The splits that belong to a rollout, by number. An epoch starts when shares change, not with every split.

    Pins, configuration and everything else may be rewritten meanwhile. The same shares that come back later are
    another epoch: the traffic between them was another.
    """
    made: list[Stage] = []
    before: tuple[float, float, Mode] | None = None
    ours = [fact.body for fact in splits if fact.body.rollout == rollout.id]
    for split in sorted(ours, key=lambda each: each.number):
        arms = {arm.version: arm for arm in split.arms}
        challenger, champion = (arms.get(name, _NOBODY) for name in (rollout.challenger, rollout.champion))
        mode = _mode(challenger, champion)
        now = (challenger.share, champion.share, mode)
        epoch = 0 if not made else made[-1].epoch + (now != before)
        share = challenger.share / (challenger.share + champion.share) if mode == "split" else 0.5
        made.append(Stage(split.number, epoch, mode, share))
        before = now
    return tuple(made)


def _mode(challenger: Arm, champion: Arm) -> Mode:
    if challenger.share > 0 and champion.share > 0:
        return "split"
    if (challenger.share > 0 and champion.listens) or (champion.share > 0 and challenger.listens):
        return "paired"
    return "alone"
