"""How far the shipper of a host is: a small file in the home, for whoever watches it from beside."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mainstay.errors import Unavailable
from mainstay.nouns import rfc3339


@dataclass(frozen=True, slots=True)
class Progress:
    """When the last round of shipping ended well, and what was shipped from this home ever since it is a home.

    `rows` are those of each kind, `damaged` the records that could not be read.
    """

    at: datetime
    segments: int
    rows: Mapping[str, int]
    damaged: int


def read_progress(home: Path, use_case: str) -> Progress | None:
    """What the shipper left; None where none ever shipped. Unavailable where that cannot be read."""
    path = _path(home, use_case)
    try:
        told = json.loads(path.read_bytes())
        return Progress(datetime.fromisoformat(told["at"]), told["segments"], told["rows"], told["damaged"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable("what the shipper left about its progress cannot be read", str(path)) from error


def keep_progress(home: Path, use_case: str, progress: Progress) -> None:
    """Leave it for others, whole or not at all. One process at a time.

    Where the disk takes nothing, nothing is left: that the file grows old says as much, and shipping matters more.
    """
    path = _path(home, use_case)
    told = {
        "at": rfc3339(progress.at),
        "segments": progress.segments,
        "rows": dict(progress.rows),
        "damaged": progress.damaged,
    }
    new = path.with_suffix(".new")
    with suppress(OSError):
        new.write_text(json.dumps(told))
        new.replace(path)


def _path(home: Path, use_case: str) -> Path:
    return home / f"shipper-{use_case}.json"
