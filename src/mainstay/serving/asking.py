"""What a worker has the supervisor ask the ledger: how much of the feedback had been told before."""

import itertools
import json
import queue
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from mainstay.errors import Unavailable
from mainstay.nouns import rfc3339
from mainstay.observed import Counted, Told
from mainstay.serving.work import ANSWER, trouble_heard

PATIENCE = 12.0
"""Seconds to wait for an answer: a little longer than the supervisor waits for the ledger."""


class Asking:
    """Asks by `say`, and is given the answers by `take`. Threads may share it."""

    def __init__(self, say: Callable[[dict[str, Any]], None], patience: float = PATIENCE) -> None:
        self._say, self._patience = say, patience
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}

    def note(self, told: Sequence[Told], at: datetime) -> Counted:
        """Count, and remember, what was told now. Raises what the ledger raised; Unavailable where no answer comes."""
        number = next(self._numbers)
        answer = self._waiting[number] = queue.SimpleQueue()
        try:
            self._say({"note": number, "at": rfc3339(at), "told": [[each.anchor, each.value] for each in told]})
            words = answer.get(timeout=self._patience)
        except (OSError, queue.Empty) as error:
            raise Unavailable("the supervisor does not answer") from error
        finally:
            del self._waiting[number]
        if "trouble" in words:
            raise trouble_heard(words["trouble"])
        return Counted(words["repeated"], words["contradicted"])

    def take(self, line: str) -> bool:
        """Take a line, if it is an answer; whether it was. One that nobody waits for any more is let go."""
        if not line.startswith(ANSWER):
            return False
        words = json.loads(line)
        waiting = self._waiting.get(words["noted"])
        if waiting is not None:
            waiting.put(words)
        return True
