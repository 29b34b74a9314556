"""What somebody has to see: alerts, and incidents with what happened in them."""

from dataclasses import dataclass
from enum import StrEnum

from mainstay.nouns import Instant


class Severity(StrEnum):
    PAGE = "page"
    TICKET = "ticket"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something somebody has to see. The same fingerprint is the same trouble, `occurrence` its n-th coming."""

    name: str
    fingerprint: str
    subject: str
    severity: Severity
    reason: str
    raised_at: Instant
    occurrence: int = 1
    resolved_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of an incident's timeline."""

    at: Instant
    actor: str
    what: str


@dataclass(frozen=True, slots=True)
class Incident:
    """A span of trouble with one owner."""

    id: str
    title: str
    owner: str
    opened_at: Instant
    alerts: tuple[str, ...]
    timeline: tuple[Moment, ...] = ()
    mitigated_at: Instant | None = None
    closed_at: Instant | None = None
