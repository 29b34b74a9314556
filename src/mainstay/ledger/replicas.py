"""Which serving processes there are: each reports its split and its warm versions, and signs off when it ends.

Not facts: one row a process, overwritten each second. Only the database's clock says how long ago a report was, so
hosts whose clocks differ agree on who is live. Every function raises what `Ledger` raises.
"""

import json
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, type_coerce
from sqlalchemy import update as change

from mainstay.errors import NotFound, Refused
from mainstay.ledger.database import REPLICAS, Time, clock
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import DISMISSALS
from mainstay.nouns import Dismissal
from mainstay.observed import Replica

LIVE_FOR = timedelta(seconds=10)
"""How long after its last report a process still counts as live."""


def report(ledger: Ledger, *replicas: Replica) -> None:
    """Say that these processes are here, under their splits and with their warm versions.

    When it was said is the database's to note: `Replica.at` is not kept. Also how one that vanished returns.
    """
    if not replicas:
        return
    with ledger.database.writing(None) as connection:  # no process writes another's row
        for replica in replicas:
            values = {"host": replica.host, "split": replica.split, "warm": json.dumps(replica.warm)}
            values_now = {**values, "at": clock(connection)}
            done = connection.execute(change(REPLICAS).where(*_is(replica.use_case, replica.id)).values(values_now))
            if done.rowcount == 0:
                named = {"use_case": replica.use_case, "id": replica.id}
                connection.execute(insert(REPLICAS).values(named | values_now))


def sign_off(ledger: Ledger, use_case: str, *replicas: str) -> None:
    """Say that these processes ended as they should. Saying so twice is the same as once."""
    if not replicas:
        return
    with ledger.database.writing(None) as connection:
        for replica in replicas:
            connection.execute(delete(REPLICAS).where(*_is(use_case, replica)))


def live(ledger: Ledger, use_case: str) -> list[Replica]:
    """Those heard of within the last 10 seconds, in the order of their ids."""
    return [replica for replica, since in _seen(ledger, use_case) if since <= LIVE_FOR]


def vanished(ledger: Ledger, use_case: str) -> list[Replica]:
    """Those not heard of for more than 10 seconds that never signed off, in the order of their ids.

    What they serve, if they serve, nobody knows: no proof that a rollback reached everyone can be had before each of
    them returns or is dismissed.
    """
    return [replica for replica, since in _seen(ledger, use_case) if since > LIVE_FOR]


def dismiss(ledger: Ledger, use_case: str, replica: str, *, at: datetime, actor: str, reason: str) -> Dismissal:
    """Write down that a vanished process is gone, by whose word and why. It may still return by reporting.

    NotFound where it is unknown or has signed off; Refused where it is live, or without a reason.
    """
    found = next((each for each in _seen(ledger, use_case) if each[0].id == replica), None)
    if found is None:
        raise NotFound("no such replica reported itself, or it has signed off", replica)
    if found[1] <= LIVE_FOR:
        raise Refused("it is live: stop it, and it signs off by itself", replica)
    gone = Dismissal(replica, found[0].host, found[0].at)
    before = ledger.latest(use_case, DISMISSALS, replica)
    entry = Entry(DISMISSALS, replica, gone, after=before.number if before else 0)
    ledger.write(use_case, entry, at=at, actor=actor, reason=reason)
    with ledger.database.writing(None) as connection:
        # Only as it was seen: what reported itself in between is back, and stays.
        connection.execute(delete(REPLICAS).where(*_is(use_case, replica), REPLICAS.c.at == gone.seen_at))
    return gone


def _seen(ledger: Ledger, use_case: str) -> list[tuple[Replica, timedelta]]:
    """Every process that has not signed off, and how long ago it was heard of."""
    with ledger.database.reading() as connection:
        now = _now(connection)
        rows = connection.execute(select(REPLICAS).where(REPLICAS.c.use_case == use_case)).all()
    return sorted(((_replica(row), now - row.at) for row in rows), key=lambda pair: pair[0].id)


def _now(connection: Connection) -> datetime:
    found: datetime = connection.execute(select(type_coerce(clock(connection), Time))).scalar_one()
    return found


def _is(use_case: str, replica: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return REPLICAS.c.use_case == use_case, REPLICAS.c.id == replica


def _replica(row: Row[tuple[object, ...]]) -> Replica:
    return Replica(row.id, row.host, row.use_case, row.split, tuple(json.loads(row.warm)), row.at)
