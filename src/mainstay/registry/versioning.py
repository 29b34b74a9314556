"""Which number a version gets: what changes for those who ask, not how much work it was.

    major   a request that was valid before is refused now, or the classes it is answered with are others
    minor   more than a stated share of the holdout is decided otherwise
    patch   anything else

Numbers follow the newest version there is, live or not, so that no two are ever the same.
"""

import re

from mainstay.errors import Refused
from mainstay.scoring.encode import Input

Number = tuple[int, int, int]
FIRST = "1.0.0"
MINOR_ABOVE = 0.01
"""More flipped decisions than this share of the holdout are news to those who act on them."""

_NUMBER = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)


def number(version: str) -> Number:
    """The three numbers of a version such as `1.4.0`: versions sort by them. Refused for any other text."""
    found = _NUMBER.fullmatch(version)
    if found is None:
        raise Refused(f"{version!r} is no version: write three numbers, as in 1.4.0")
    return int(found[1]), int(found[2]), int(found[3])


def next_version(last: str | None, broken: bool, flipped_share: float, minor_above: float = MINOR_ABOVE) -> str:
    """The version after `last`, the newest there is (None: there is none, and the first is 1.0.0).

    `flipped_share` is the share of the holdout that the champion decides otherwise, in [0, 1]; NaN, where nobody
    measured it, counts as a change.
    """
    if last is None:
        return FIRST
    major, minor, patch = number(last)
    if broken:
        return f"{major + 1}.0.0"
    if not flipped_share <= minor_above:
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def inputs_broken(old: tuple[Input, ...], new: tuple[Input, ...]) -> tuple[str, ...]:
    """Why a request that kept the old contract would break the new one, a sentence for each input; empty if none would.

    A removed input breaks (the old request carries a field that is now unknown), and so does a new one that must be
    given, a narrower range, fewer categories, a null no longer taken, a type that takes less. A new input that may be
    null, and anything wider, does not; the order of inputs says nothing, for requests name them.
    """
    before, after = {each.name: each for each in old}, {each.name: each for each in new}
    reasons = [f"`{name}` is no longer taken" for name in before if name not in after]
    reasons += [f"`{name}` must be given" for name in after if name not in before and not after[name].nullable]
    shared = ((before[name], after[name]) for name in after if name in before)
    return (*reasons, *(reason for one, other in shared for reason in _narrower(one, other)))


def _narrower(old: Input, new: Input) -> list[str]:
    if old.kind != new.kind or (old.type == "number" and new.type == "integer"):
        return [f"`{old.name}` was of type {old.type} and is now {new.type}"]
    reasons = []
    if old.nullable and not new.nullable:
        reasons.append(f"`{old.name}` may no longer be null")
    if new.range is not None and (old.range is None or old.range[0] < new.range[0] or old.range[1] > new.range[1]):
        reasons.append(f"`{old.name}` has a narrower range")
    if new.values is not None and (old.values is None or not set(old.values) <= set(new.values)):
        reasons.append(f"`{old.name}` has lost categories")
    return reasons
