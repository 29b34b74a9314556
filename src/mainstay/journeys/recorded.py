"""What the ledger has about a thing that a person names by the start of its id."""

from typing import TypeVar

from mainstay.digests import short
from mainstay.errors import NotFound, Refused
from mainstay.ledger.facts import Fact, Ledger
from mainstay.ledger.kinds import Kind

T = TypeVar("T")

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
