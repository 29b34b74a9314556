"""Names made from content: canonical JSON, digests, the hash that assigns, pseudonyms, ids that sort by time."""

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import rfc8785

Purpose = Literal["holdout", "assign"]
_HEX_ID = re.compile(r"([a-z]+_)?([0-9a-f]{32,64})")


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value: the only bytes that are hashed or signed.

    Raises ValueError for what JSON cannot hold (NaN, infinities, integers past 2**53).
    """
    return rfc8785.dumps(value)


def sha256(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 over the canonical JSON of a value, as 64 hex digits."""
    return sha256(canonical_json(value))


def short(identifier: str) -> str:
    """An id or digest as people are shown it: its prefix, if it has one, and 12 hex digits. Other names stay whole."""
    found = _HEX_ID.fullmatch(identifier)
    return (found[1] or "") + found[2][:12] if found else identifier


def unit_interval(purpose: Purpose, salt: str, text: str) -> float:
    """Where `text` falls in [0, 1): uniform over texts, and independent between purposes and between salts.

    The first 8 bytes, big-endian, of SHA-256(purpose 0 salt 0 text) over 2**64, with the text as UTF-8 NFC.
    """
    named = f"{purpose}\0{salt}\0{unicodedata.normalize('NFC', text)}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8]) / 2**64


def pseudonym(text: str, key: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) of a text in UTF-8, which has to be in Unicode's NFC already, as 64 hex digits."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def pseudonyms(key: bytes) -> Callable[[str], str]:
    """As `pseudonym` under one key, which is taken in once: half the time. Threads may share it."""
    block = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(each ^ 0x36 for each in block)).copy
    outer = hashlib.sha256(bytes(each ^ 0x5C for each in block)).copy

    def named(text: str) -> str:
        first, second = inner(), outer()
        first.update(text.encode())
        second.update(first.digest())
        return second.hexdigest()

    return named


def new_id(now: datetime) -> str:
    """A fresh id of 32 hex digits that sorts by `now` to the millisecond; the rest is random (as UUIDv7)."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return f"{value:032x}"
