"""Whether a rollback did what it said: the replay of recorded requests, the replicas, and a window of stability. Pure.

Sources of the limits: a single is repeated exactly on the same kind of CPU, and within 1e-6 elsewhere; the rows of a
batch within 1e-6; a decision may differ only where the probability lies that close to the threshold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mainstay.decided import Replayed
from mainstay.observed import Replica
from mainstay.verdicts import Check, Need, Outcome, Verdict

TOLERANCE = 1e-6
WORST = 10
"""How many of the requests that were answered otherwise a proof names."""
NAMED = 5


@dataclass(frozen=True, slots=True)
class Again:
    """A recorded request, asked again: as it was answered, and as the restored version answers it now.

    `exactly` says whether the numbers have to be the same to the bit; `encoded` is False where the recorded tensor is
    there, and the features as served no longer give it.
    """

    prediction_id: str
    recorded: float
    replayed: float
    threshold: float
    decided: str | None
    decides: str | None
    exactly: bool = False
    encoded: bool = True

    @property
    def holds(self) -> bool:
        """Whether it is answered as it was."""
        apart = abs(self.recorded - self.replayed)
        alike = self.decided == self.decides or abs(self.recorded - self.threshold) <= TOLERANCE
        return self.encoded and alike and (apart == 0 if self.exactly else apart <= TOLERANCE)


@dataclass(frozen=True, slots=True)
class Repeats:
    """What was asked again. `trouble` says why recorded requests could not be had, or that there are none.

    `golden` is how many golden rows, signed with the version, gave their recorded tensors and scores again; they stand
    in where nothing was recorded, and `again` is empty then. `thresholds` are those that the recorded requests were
    decided by.
    """

    version: str
    threshold: float
    again: Sequence[Again] = ()
    thresholds: Sequence[float] = ()
    trouble: str | None = None
    golden: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """The replicas that are live, and those that vanished without signing off, so many seconds after the move.

    `later` are the numbers of later splits under which the restored version is champion too.
    """

    split: int
    live: Sequence[Replica]
    vanished: Sequence[Replica]
    seconds: float
    later: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of the requests that the restored version was given since the move; None of them where not watched."""

    seconds: float
    requests: int = 0
    errors: int = 0
    trouble: str | None = None


def prove(repeats: Repeats, reach: Reach, watched: Watched) -> tuple[Verdict, tuple[Replayed, ...]]:
    """The verdict on a rollback, and the worst of the requests that were answered otherwise.

    The window of stability does not block where nobody asked for it (0 seconds).
    """
    differing = sorted((each for each in repeats.again if not each.holds), key=_apart, reverse=True)
    subject = f"split {reach.split}"
    checks = (
        _replay(repeats, differing, subject),
        _replicas(reach, subject),
        _stability(watched, repeats.version, subject),
    )
    worst = tuple(Replayed(each.prediction_id, each.recorded, each.replayed) for each in differing[:WORST])
    return Verdict(subject, checks), worst


def _apart(each: Again) -> float:
    apart = abs(each.recorded - each.replayed)
    return math.inf if math.isnan(apart) else apart


def _replay(repeats: Repeats, differing: Sequence[Again], subject: str) -> Check:
    def said(outcome: Outcome, reason: str) -> Check:
        return Check("replay", outcome, reason, subject)

    version, count = repeats.version, len(repeats.again)
    others = sorted({each for each in repeats.thresholds if each != repeats.threshold})
    if others:
        return said(
            Outcome.FAIL, f"requests were decided at {others[0]:g}, and {version} decides at {repeats.threshold:g}"
        )
    if differing:
        encoded = sum(not each.encoded for each in differing)
        odd = f"; {encoded} of them encode to another tensor" if encoded else ""
        return said(
            Outcome.FAIL,
            f"{len(differing)} of {count:,} recorded requests are answered otherwise by {version}, the worst "
            f"{_apart(differing[0]):.2g} from what was recorded{odd}",
        )
    if count:
        same = sum(each.recorded == each.replayed for each in repeats.again)
        rest = "" if same == count else f", the others within {TOLERANCE:g}"
        had_to = sum(each.exactly for each in repeats.again)
        rest += f" ({had_to:,} had to be: singles, on this kind of processor)" if had_to else ""
        return said(
            Outcome.PASS,
            f"{count:,} recorded requests are answered as they were by {version}: {same:,} to the bit{rest}",
        )
    why = repeats.trouble or f"no recorded request that {version} answered as champion"
    if repeats.golden:
        return said(Outcome.PASS, f"{why}; its {repeats.golden} golden rows, signed with it, score as they did instead")
    return said(Outcome.INCONCLUSIVE, why)


def _replicas(reach: Reach, subject: str) -> Check:
    def said(outcome: Outcome, reason: str) -> Check:
        return Check("replicas", outcome, reason, subject)

    behind = [each for each in reach.live if each.split not in {reach.split, *reach.later}]
    if behind:
        moved = [each for each in behind if each.split > reach.split]
        if moved:
            return said(
                Outcome.INCONCLUSIVE, f"split {max(each.split for each in moved)} was written meanwhile: it is live now"
            )
        return said(
            Outcome.FAIL,
            f"{_named(behind)} still on another split {reach.seconds:.1f} s after the move, of"
            f" {len(reach.live)} live replicas",
        )
    if reach.vanished:
        return said(
            Outcome.INCONCLUSIVE,
            f"{_named(reach.vanished)} vanished without signing off: what it serves nobody knows until it returns or"
            " `mainstay replicas dismiss` says that it is gone",
        )
    if not reach.live:
        return said(Outcome.INCONCLUSIVE, "no replica is live: nothing serves")
    now = max(each.split for each in reach.live)
    since = f", and split {now} by now, with the same champion" if now != reach.split else ""
    return said(
        Outcome.PASS,
        f"all {len(reach.live)} live replicas report split {reach.split} {reach.seconds:.1f} s after the move{since}",
    )


def _stability(watched: Watched, version: str, subject: str) -> Check:
    def said(outcome: Outcome, reason: str, blocking: bool = True) -> Check:
        return Check("stability", outcome, reason, subject, Need.PASS, blocking)

    if not watched.seconds:
        return said(Outcome.INCONCLUSIVE, "not watched, as was asked", blocking=False)
    window = f"{watched.seconds:g} s after the move"
    if watched.trouble is not None:
        return said(Outcome.INCONCLUSIVE, f"what was asked in the {window} cannot be read: {watched.trouble}")
    if watched.errors:
        return said(
            Outcome.FAIL, f"{version} failed {watched.errors:,} of the {watched.requests:,} requests of the {window}"
        )
    if not watched.requests:
        return said(Outcome.INCONCLUSIVE, f"nobody asked {version} anything in the {window}, as far as is recorded")
    return said(Outcome.PASS, f"{version} answered each of the {watched.requests:,} requests of the {window}")


def _named(replicas: Sequence[Replica]) -> str:
    names = ", ".join(f"{each.id} on {each.host}" for each in replicas[:NAMED])
    more = len(replicas) - NAMED
    return f"{names} and {more} more" if more > 0 else names
