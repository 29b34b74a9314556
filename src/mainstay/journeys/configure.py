"""The configuration that is live: what of it the file would change, how it is changed, and what it was before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mainstay.digests import short
from mainstay.errors import NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.recorded import LEAST, settle
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import ROLLOUTS, SPLITS
from mainstay.nouns import Phase, Split
from mainstay.registry.configured import (
    Change,
    Configuration,
    changes,
    configuration,
    configuration_of,
    store_configuration,
)
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

LEARNED = ("label.column", "label.positive")
"""What a configuration says and the model that is live was trained on."""


@dataclass(frozen=True, slots=True)
class Different:
    """What another configuration changes of the one that is live. `live` is the digest of that one."""

    live: str
    wanted: Configuration
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Configured:
    """What was made live: `split` is the number of the split that says so, None where nothing had to change.

    `running` is the rollout that goes on under the configuration it was started with, where one runs.
    """

    digest: str
    split: int | None
    changes: tuple[Change, ...]
    running: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """One configuration, live from the split of this fact on, and what it changed of the one before it.

    `changes` is None where either of the two cannot be read any more.
    """

    digest: str
    fact: Fact[Split]
    changes: tuple[Change, ...] | None


def difference(platform: Platform, use_case: UseCase, to: str | None = None) -> Different:
    """What `apply` would change: to what the file says, or to an earlier configuration by (the start of) its digest.

    NotFound where nothing is live, or no earlier configuration is named so; Refused where several are.
    """
    live = _standing(platform, use_case.name).body.configuration
    wanted = (
        configuration_of(use_case) if to is None else configuration(_named(platform, use_case.name, to), platform.blobs)
    )
    return Different(live, wanted, changes(_readable(platform, live), wanted))


def apply(platform: Platform, use_case: UseCase, asked: Asked, to: str | None = None) -> Configured:
    """Make a configuration live by one Split fact that changes nothing else; nothing is written where it is already.

    Servers follow it as they follow any split. A running rollout is judged by the configuration it was started with,
    to its end. Raises as `difference`; Refused where it means another label than the one the champion learned;
    Conflict where others were faster five times in a row.
    """
    name = use_case.name
    digest = store_configuration(use_case, platform.blobs) if to is None else _named(platform, name, to)
    wanted = configuration(digest, platform.blobs)
    made = Configured(digest, None, (), None)

    def decide() -> list[Entry[Split]]:
        nonlocal made
        standing = _standing(platform, name)
        split = standing.body
        found = changes(_readable(platform, split.configuration), wanted)
        if not found:
            made = Configured(split.configuration, None, (), None)
            return []
        _check_learned(found, split)
        made = Configured(digest, split.number + 1, found, _running(platform, name))
        return [Entry(SPLITS, name, replace(split, number=split.number + 1, configuration=digest), standing.number)]

    settle(platform, name, decide, asked)
    return made


def history(platform: Platform, use_case: str) -> list[Past]:
    """Every configuration that was live, the first first; one that came back is in it again."""
    found: list[Past] = []
    last: str | None = None
    for fact in platform.ledger.history(use_case, SPLITS, use_case):
        digest = fact.body.configuration
        if digest == last:
            continue
        before = None if last is None else _readable(platform, last)
        after = _readable(platform, digest)
        told = None if after is None or (last is not None and before is None) else changes(before, after)
        found.append(Past(digest, fact, () if last is None and told is not None else told))
        last = digest
    return found


def _check_learned(found: Sequence[Change], split: Split) -> None:
    for each in found:
        if each.path in LEARNED and each.before is not None:
            said = f"{split.reigning} learned `{each.before}`, not `{each.after}`: release a model of the other label"
            raise Refused(said, each.path)


def _standing(platform: Platform, use_case: str) -> Fact[Split]:
    fact = platform.ledger.latest(use_case, SPLITS, use_case)
    if fact is None:
        raise NotFound("nothing is live yet: the first release makes its configuration live with it", use_case)
    return fact


def _readable(platform: Platform, digest: str) -> Configuration | None:
    """None for one that is lost, changed or of a later release: it can be replaced, and says nothing."""
    try:
        return configuration(digest, platform.blobs)
    except (NotFound, Refused):
        return None


def _named(platform: Platform, use_case: str, named: str) -> str:
    known = [past.digest for past in history(platform, use_case)]
    if len(named) < LEAST:
        raise Refused(f"`{named}` is too short to name a configuration: give at least {LEAST} digits", use_case)
    found = sorted({digest for digest in known if digest.startswith(named)})
    if len(found) > 1:
        raise Refused(
            f"`{named}` is the start of {len(found)} configurations: {', '.join(map(short, found))}", use_case
        )
    if not found:
        raise NotFound(
            f"no configuration `{named}` was ever live; `mainstay config history` lists those that were", use_case
        )
    return found[0]


def _running(platform: Platform, use_case: str) -> str | None:
    facts = platform.ledger.latest_of_each(use_case, ROLLOUTS)
    return next((fact.subject for fact in facts if fact.body.phase is Phase.RUNNING), None)
