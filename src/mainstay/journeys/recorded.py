"""Finding what a person names by the start of its id, and writing facts where others may be writing too."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mainstay.digests import short
from mainstay.errors import Conflict, NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import DATASETS, SPLITS, TAGS, WITHDRAWALS, Kind
from mainstay.nouns import DatasetVersion
from mainstay.wiring import Platform

T = TypeVar("T")

ATTEMPTS = 5
LEAST = 4
"""Characters that the start of an id must have, beyond its prefix."""


def recorded(ledger: Ledger, use_case: str, kind: Kind[T], named: str) -> Fact[T]:
    """The latest fact about the one subject of a kind that `named` is, or is the start of.

    NotFound if there is none, saying which there are; Refused if there are several, or too little is given to tell.
    """
    exact = ledger.latest(use_case, kind, named) if named.strip() else None
    if exact is not None:
        return exact
    facts = ledger.latest_of_each(use_case, kind)
    if len(named.rpartition("_")[2]) < LEAST:
        raise Refused(f"`{named}` is too short to name a {kind.name}: give at least {LEAST} digits")
    found = [fact for fact in facts if fact.subject.startswith(named)]
    if len(found) > 1:
        shown = ", ".join(short(fact.subject) for fact in found[:5])
        raise Refused(f"`{named}` is the start of {len(found)} {kind.name}s: {shown}")
    if not found:
        last = ", ".join(short(fact.subject) for fact in facts[-5:])
        raise NotFound(
            f"there is no {kind.name} `{named}` of {use_case}" + (f" (the last are: {last})" if last else "")
        )
    return found[0]


def dataset_named(ledger: Ledger, use_case: str, named: str) -> Fact[DatasetVersion]:
    """The latest fact about the dataset version that `named` is: a tag, an id, or the start of an id.

    NotFound and Refused as for `recorded`.
    """
    tagged = ledger.latest(use_case, TAGS, named) if named.strip() else None
    return recorded(ledger, use_case, DATASETS, tagged.body.dataset if tagged else named)


def withdrawn_datasets(ledger: Ledger, use_case: str) -> frozenset[str]:
    """The dataset versions that were withdrawn when the data was rolled back; the one that is live never is."""
    fact = ledger.latest(use_case, WITHDRAWALS, use_case)
    if fact is None:
        return frozenset()
    split = ledger.latest(use_case, SPLITS, use_case)
    return frozenset(fact.body.datasets) - {split.body.dataset_head if split else None}


def standing_datasets(ledger: Ledger, use_case: str) -> list[Fact[DatasetVersion]]:
    """Every fact about a dataset version that was not withdrawn, in the order in which they were written."""
    facts = ledger.all_of(use_case, DATASETS)
    gone = withdrawn_datasets(ledger, use_case)
    return [fact for fact in facts if fact.subject not in gone]


def settle(platform: Platform, use_case: str, decide: Callable[[], Sequence[Entry[Any]]], asked: Asked) -> None:
    """Write what `decide` says of the ledger as it stands (nothing, too), and ask again where somebody was faster.

    Conflict where others were faster five times in a row.
    """
    for left in reversed(range(ATTEMPTS)):
        now = platform.settings.clock()
        try:
            platform.ledger.write(use_case, *decide(), at=now, actor=asked.actor, reason=asked.reason)
        except Conflict:
            if not left:
                raise
        else:
            return
