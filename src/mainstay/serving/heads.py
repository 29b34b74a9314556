"""The head of a request as its connection sent it before, but for the length of the body.

A client that keeps its connection sends the same bytes again and again. They were read by the HTTP server once, and
were found to ask for nothing but JSON for JSON: what is the same but for the digits of the length means the same.
A head holds the client's key; it is kept for as long as its connection lives, and nowhere else.
"""

import re
from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

from mainstay.serving.access import digest_of

FIRST = b"POST /predict HTTP/1.1\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,7})[ \t]*\r\n", re.IGNORECASE)
_CHANGING = frozenset(
    (b"expect", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"content-encoding", b"traceparent")
)
"""Headers that ask for something else than a plain answer, or are another one each time."""
_DIGITS = 7
_LONGEST = 4096
"""Bytes of a head that is kept: nobody who opens many connections has more than that remembered for each."""


class Head(NamedTuple):
    """What stands before and after the digits of the length, and the digest of the key that asks, where one does."""

    before: bytes
    after: bytes
    key: bytes | None

    def body(self, data: bytes) -> bytes | None:
        """The body of a request that came whole and alone, empty where it has still to come; None of anything else.

        The head holds a key: how long this takes tells nothing about it.
        """
        start = len(self.before)
        end = data.find(b"\r\n", start, start + _DIGITS + 2)
        if end <= start or not compare_digest(data[:start], self.before):
            return None
        digits, begins = data[start:end], end + len(self.after)
        if not digits.isdigit() or len(data) - begins not in (int(digits), 0) or digits.strip(b"0") == b"":
            return None
        return data[begins:] if compare_digest(data[end:begins], self.after) else None


def head_of(data: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Head | None:
    """The head of a request that came whole and alone, and was read as these headers; None where it is not plain."""
    stop = data.find(b"\r\n\r\n")
    named = dict(headers)
    if (
        not data.startswith(FIRST)
        or stop > _LONGEST
        or len(named) != len(headers)
        or not _CHANGING.isdisjoint(named)
        or named.get(b"content-type") != b"application/json"
        or named.get(b"accept", b"*/*") not in (b"*/*", b"application/json")
    ):
        return None
    length = b"%d" % (len(data) - stop - 4)
    found = _LENGTH.search(data, 0, stop + 2)
    # By the server's reading too: so the head ends where it was read to end.
    if found is None or found[1] != length or named.get(b"content-length") != length:
        return None
    return Head(data[: found.start(1)], data[found.end(1) : stop + 4], digest_of(named.get(b"authorization", b"")))
