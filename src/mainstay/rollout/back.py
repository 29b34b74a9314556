"""The way back: which version was champion before, what was live with it, and the split that restores it. Pure."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from mainstay.decided import Decision, Move
from mainstay.errors import NotFound, Refused
from mainstay.nouns import Arm, Rollout, Split
from mainstay.rollout.advance import moved


def was_live(history: Sequence[Split], version: str) -> Split:
    """The split that says what was live while a version was champion: the last in which no rollout ran, if any.

    Refused where it never was champion: a rollback goes back, and only a rollout goes forward.
    """
    reigned = [split for split in history if split.reigning == version]
    if not reigned:
        raise Refused(
            f"{version} was never champion, so there is nothing to go back to; a release and its rollout go forward",
            version,
        )
    settled = [split for split in reigned if split.rollout is None]
    return (settled or reigned)[-1]


def former(history: Sequence[Split]) -> str:
    """Where `mainstay rollback` goes when nobody says where: to the champion of the rollout, else to the former one.

    `history` holds every split, the first first. The former champion is the arm that stands by and became champion
    before the one that is now; one that a rollback left standing by came later, and is never meant: asked twice, a
    rollback does not go forward again. NotFound where there is none.
    """
    if not history:
        raise NotFound("nothing is live, so there is nothing to go back from")
    standing = history[-1]
    now = standing.reigning
    if any(arm.version != now and not arm.standby for arm in standing.arms):
        return now
    first = [split.reigning for split in history]
    older = [arm.version for arm in standing.arms if arm.standby and arm.version in first[: first.index(now)]]
    if older:
        return older[0]
    beside = ", ".join(arm.version for arm in standing.arms if arm.standby and arm.version in first)
    later = f" ({beside} stands by, and came after it: `--to` goes there)" if beside else ""
    raise NotFound(f"{now} is live, and no champion from before it stands by{later}; say which with `--to VERSION`")


def with_standby(standing: Split, version: str) -> Split:
    """The split after `standing` in which a version stands by besides."""
    arms = (*standing.arms, Arm(version, standby=True))
    return dataclasses.replace(standing, number=standing.number + 1, arms=arms)


def without(standing: Split, version: str) -> Split:
    """The split after `standing` in which a version that stood by no longer does."""
    arms = tuple(arm for arm in standing.arms if arm.version != version or not arm.standby)
    return dataclasses.replace(standing, number=standing.number + 1, arms=arms)


def restored(standing: Split, version: str, was: Split, challenger: str | None = None) -> Split:
    """The split after `standing` that restores a version and what `was` live with it; `standing` if all of that is so.

    Feature service, dataset head and configuration are those of `was`; the salt stays. The champion that is left
    stands by, so that a mistaken rollback is undone by one fact; the `challenger` of the rollout that ends with it
    goes, also where it only stands by as yet. Only pins to the restored version stay: one to an arm that was left would
    lead its customers to what everybody else was taken from.
    """
    left = standing.reigning
    stood = [arm for arm in standing.arms if arm.standby and arm.version != challenger]
    kept = stood if left == version else [Arm(left, standby=True)]
    made = dataclasses.replace(
        standing,
        arms=(Arm(version, 1.0), *(arm for arm in kept if arm.version != version)),
        pins=tuple(pin for pin in standing.pins if pin.arm == version),
        configuration=was.configuration,
        feature_service=was.feature_service,
        dataset_head=was.dataset_head,
        rollout=None,
    )
    return standing if made == standing else dataclasses.replace(made, number=standing.number + 1)


def ended(rollout: Rollout, reason: str, now: datetime) -> tuple[Rollout, Decision]:
    """A running rollout as it stands once a person ended it, and the decision that says so."""
    decision = Decision(rollout.id, now, rollout.step, Move.GO_HOME, f"by hand: {reason}", rollout.configuration)
    return moved(rollout, decision), decision
