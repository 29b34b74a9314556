"""The API keys as they were last read, kept on disk: a restart without the ledger locks nobody out."""

import json
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mainstay.durable import keep_entries
from mainstay.errors import MainstayError, Unavailable
from mainstay.nouns import ApiKey
from mainstay.records import decode, encode, schema_of

log = logging.getLogger(__name__)


def read_keys(path: Path) -> list[ApiKey] | None:
    """The keys in a file; None where it is not there, or cannot be read, which the log is told."""
    try:
        body = json.loads(path.read_bytes())
        return [decode(ApiKey, each, body["schema"]) for each in body["keys"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, MainstayError) as error:
        log.warning("the keys kept in %s cannot be read (%s): the ledger alone is believed", path, error)
        return None


def keep_keys(path: Path, keys: Sequence[ApiKey]) -> None:
    """Keep the keys in a file. Raises as `write_private`."""
    body = {"schema": schema_of(ApiKey), "keys": [encode(key) for key in keys]}
    write_private(path, json.dumps(body).encode())


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone and safe from power loss. Unavailable where it cannot."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
        keep_entries(path.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise Unavailable(f"cannot be written ({(error.strerror or str(error)).lower()})", str(path)) from error
