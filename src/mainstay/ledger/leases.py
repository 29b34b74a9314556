"""Which process does what only one may do at a time: it holds a lease, and renews it while it lives.

Not facts: one row for each work of a use case. A lease ends by the database's clock alone, so that hosts whose clocks
differ agree on it; whoever was killed holds it no longer than it was taken for. It keeps two from doing the same work
twice and no more: what is written is guarded by the numbers of the facts.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, type_coerce
from sqlalchemy import update as change

from mainstay.ledger.database import LEASES, Time, clock
from mainstay.ledger.facts import Ledger


def take(ledger: Ledger, use_case: str, work: str, holder: str, seconds: float) -> bool:
    """Whether `holder` has the lease, from now on for so many seconds: it was free, had run out, or was its own.

    Raises what `Ledger` raises.
    """
    with ledger.database.writing(use_case) as connection:
        now = _now(connection)
        ours = (LEASES.c.use_case == use_case, LEASES.c.work == work)
        standing = connection.execute(select(LEASES).where(*ours)).one_or_none()
        values = {"holder": holder, "until": now + timedelta(seconds=seconds)}
        if standing is None:
            connection.execute(insert(LEASES).values(use_case=use_case, work=work, **values))
        elif standing.holder == holder or standing.until <= now:
            connection.execute(change(LEASES).where(*ours).values(values))
        else:
            return False
    return True


def give_back(ledger: Ledger, use_case: str, work: str, holder: str) -> None:
    """End a lease before its time, so that nobody waits for it. Another's is left alone."""
    with ledger.database.writing(use_case) as connection:
        theirs = (LEASES.c.use_case == use_case, LEASES.c.work == work, LEASES.c.holder == holder)
        connection.execute(delete(LEASES).where(*theirs))


def _now(connection: Connection) -> datetime:
    found: datetime = connection.execute(select(type_coerce(clock(connection), Time))).scalar_one()
    return found
