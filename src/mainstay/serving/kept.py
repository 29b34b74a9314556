"""The split as it was last applied, kept on disk: a server starts and answers while the ledger is down."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mainstay.defined import FeatureService
from mainstay.errors import Refused, Unavailable
from mainstay.nouns import Instant, Split
from mainstay.records import decode, encode, schema_of
from mainstay.usecase import Serving


@dataclass(frozen=True, slots=True)
class Standing:
    """A split, since when each of its versions has been live without a break, and the use case's feature services.

    A version's is named in its manifest; one that was never recorded is not among them.
    """

    split: Split
    since: Mapping[str, Instant]
    services: Mapping[str, FeatureService] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a server needs beside the bytes of its versions: what stands, and the policies of its configuration."""

    standing: Standing
    policies: Serving


class Kept:
    """One file, written whole or not at all. Servers of one home share it: they apply the same splits."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, applied: Applied) -> None:
        """Keep what was applied. Unavailable where the disk does not take it; what was kept before stays then."""
        data = json.dumps({"schema": schema_of(Applied), **encode(applied)}).encode()
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())  # or a power cut could leave the new name with nothing behind it
                temporary.replace(self._path)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(
                f"{(error.strerror or str(error)).lower()} while keeping the split", str(self._path)
            ) from error

    def read(self) -> Applied | None:
        """What was kept; None where nothing was. Refused where it is damaged, Unavailable where it cannot be read."""
        try:
            body = json.loads(self._path.read_bytes())
            return decode(Applied, body, int(body.pop("schema")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(
                f"{(error.strerror or str(error)).lower()} while reading the kept split", str(self._path)
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused("not a split that was kept here", str(self._path)) from error
