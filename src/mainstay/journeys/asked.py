"""Who asks for a journey, and why: what every fact it writes will say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """`actor` is a person, `operator` or a job; `reason` a sentence; relative sources are relative to `folder`."""

    actor: str
    reason: str
    folder: Path
