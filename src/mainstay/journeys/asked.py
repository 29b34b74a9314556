"""Who asks for a journey, and why: what every fact it writes will say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """`actor` is a person, `operator` or a job; `reason` a sentence; relative sources are relative to `folder`.

    Those of feature views are relative to `beside`, where the use case is; None: to `folder` too.
    """

    actor: str
    reason: str
    folder: Path
    beside: Path | None = None
