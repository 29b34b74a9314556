"""When Mainstay cannot do what was asked. Bad news is not here: that is a Verdict.

* MainstayError
  + Refused         understood, and not allowed: unreadable rows, an unsigned version, a hostile expression
  + NotFound        no such file, dataset, candidate or version
  + Conflict        somebody else moved first; read again and retry
  + Unavailable     the outside world failed (a dead server, a full disk); the same call may work later
  + Misconfigured   settings or a use case that can never work; raised before any work is done

Doors translate these to exit codes and HTTP statuses. Nothing else does.
"""


class MainstayError(Exception):
    """Every error this package raises on purpose.

    `message` is one sentence that says what was wrong and what would be right. `place` says where: a file, a
    column, a path into the YAML; empty where the message says it all.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message if not place else f"{place}: {message}")
        self.message = message
        self.place = place


class Refused(MainstayError):
    """Understood, and not allowed."""


class NotFound(MainstayError):
    """There is no such thing."""


class Conflict(MainstayError):
    """Somebody else moved first."""


class Unavailable(MainstayError):
    """The outside world failed; the same call may work later."""


class Misconfigured(MainstayError):
    """Settings that can never work."""
