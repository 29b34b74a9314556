"""An index of what was told in feedback: what was told before, and what was told otherwise.

It counts, and nothing more: the observations hold what was told, and readers of them do without it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select
from sqlalchemy import update as change

from mainstay.ledger.database import FEEDBACK
from mainstay.ledger.facts import Ledger
from mainstay.observed import Counted, Told

AT_ONCE = 500
"""Anchors in one statement: databases limit how many values one may hold."""


def note(ledger: Ledger, use_case: str, told: Sequence[Told], known_at: datetime) -> Counted:
    """Count, and remember, what was told now, in its order. Raises what `Ledger` raises; then nothing is remembered.

    What is told again after something else was told is a contradiction again: only the last value counts.
    """
    with ledger.database.writing(use_case) as connection:
        standing: dict[str, str] = {}
        anchors = sorted({each.anchor for each in told})
        for start in range(0, len(anchors), AT_ONCE):
            asked = FEEDBACK.c.anchor.in_(anchors[start : start + AT_ONCE])
            rows = connection.execute(
                select(FEEDBACK.c.anchor, FEEDBACK.c.value).where(FEEDBACK.c.use_case == use_case, asked)
            )
            standing |= {row.anchor: row.value for row in rows}
        before = dict(standing)
        repeated = contradicted = 0
        for each in told:
            value = standing.get(each.anchor)
            repeated += value == each.value
            contradicted += value not in (None, each.value)
            standing[each.anchor] = each.value
        new = [name for name in anchors if name not in before]
        other = [name for name in anchors if name in before and before[name] != standing[name]]
        if new:
            rows_ = [
                {"use_case": use_case, "anchor": name, "value": standing[name], "known_at": known_at} for name in new
            ]
            connection.execute(insert(FEEDBACK), rows_)
        if other:
            where = (FEEDBACK.c.use_case == use_case, FEEDBACK.c.anchor == bindparam("at_anchor"))
            changed = [{"at_anchor": name, "value": standing[name], "known_at": known_at} for name in other]
            connection.execute(change(FEEDBACK).where(*where), changed)
    return Counted(repeated, contradicted)
