"""What may come in: how large a body, in which encoding, which JSON, and from whom."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.requests import Request

from mainstay.serving.problems import Rejected

BATCH_ROWS = 10_000
JSON = "application/json"


@dataclass(slots=True)
class Room:
    """What bodies of one kind may take: bytes and seconds each, and bytes together while they wait for their answers.

    `held` is what they take now. A body takes only what was sent of it, so clients that send nothing keep nobody out.
    """

    most: int
    seconds: float
    together: int
    held: int = 0


def single_room() -> Room:
    """Room for the bodies of single requests: 1 MB each."""
    return Room(most=1_000_000, seconds=10, together=64_000_000)


def batch_room() -> Room:
    """Room for the bodies of batches: 32 MB each, four of the largest together."""
    return Room(most=32_000_000, seconds=20, together=128_000_000)


_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@asynccontextmanager
async def read_body(request: Request, room: Room, kinds: Collection[str] = ()) -> AsyncIterator[bytearray]:
    """The bytes of a JSON body, or of one of these media types; they take up room until the context is left.

    Rejected with 415 or 413 before more than is allowed was read, with 408 where it takes too long, and with 503 where
    there is no room for it now.
    """
    check_media_type(request, kinds)
    too_large = Rejected(413, f"the body is larger than {room.most:,} bytes, the most that is read here")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > room.most:
        raise too_large
    body = bytearray()
    try:
        try:
            async with asyncio.timeout(room.seconds):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > room.most:
                        raise too_large
                    if room.held + len(chunk) > room.together:
                        detail = "too many bodies wait for their answers: send this one again later"
                        raise Rejected(503, detail, headers={"retry-after": "5"})
                    room.held += len(chunk)
                    body += chunk
        except TimeoutError as error:
            detail = f"the body took longer than {room.seconds:g} seconds, the most that is waited for here"
            raise Rejected(408, detail, headers={"connection": "close"}) from error
        yield body
    finally:
        room.held -= len(body)


def check_media_type(request: Request, kinds: Collection[str] = ()) -> str:
    """The media type of a request's body: `application/json` for any kind of JSON, or one of `kinds`.

    Rejected with 415 where it is another, or where it is compressed or in another encoding than UTF-8.
    """
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    if kind.startswith("application/") and kind.endswith("+json"):
        kind = JSON
    if kind != JSON and kind not in kinds:
        others = f"; or as {', '.join(kinds)}" if kinds else ""
        raise Rejected(415, f"the body must be declared as JSON, with `Content-Type: application/json`{others}")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]*)", parameters)
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise Rejected(415, f"{'JSON' if kind == JSON else 'text'} is read as UTF-8 only")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Rejected(415, "the body must not be compressed")
    return kind


def parse_json(data: bytes | bytearray) -> Any:
    """The value of a JSON text (RFC 8259) in UTF-8. Rejected with 400 for anything else.

    So for NaN and infinities, an object that gives a field twice, half a character (a lone surrogate), nesting deeper
    than the interpreter's stack and integers of more than 4,300 digits. A float beyond 1.8e308 is read as an infinity.
    """
    try:
        text = data.decode()
        value = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Rejected(400, f"the body is not UTF-8: byte {error.start} fits no character") from error
    except UnicodeEncodeError as error:
        raise Rejected(400, "a text in the body holds half a character (a lone surrogate)") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Rejected(400, f"the body is not JSON: {error.msg.lower()}, at {where}") from error
    except RecursionError as error:
        raise Rejected(400, "the body is nested too deeply") from error
    except ValueError as error:
        raise Rejected(400, "a number in the body has too many digits") from error
    return value


def _constant(name: str) -> Any:
    raise Rejected(400, f"the body is not JSON: {name} is no number there; send null for what is missing")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Rejected(400, f"an object in the body gives the field {shown(twice)} twice")
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def shown(name: str) -> str:
    """A client's name for a field as it is repeated to them: quoted, and not at any length."""
    return ascii(name if len(name) <= 64 else name[:64] + "…")


class Context(NamedTuple):
    """A trace: its id (32 hex digits), and of the span that asks its id and whether it is recorded, where one asks."""

    trace_id: str
    parent: str | None = None
    sampled: bool | None = None


def context_of(request_headers: Sequence[str]) -> Context:
    """W3C Trace Context, given every `traceparent` of a request; a fresh trace where there is none that is sound."""
    if len(request_headers) == 1:
        found = _TRACEPARENT.fullmatch(request_headers[0].strip())
        sound = found and found[1] != "ff" and (found[1] != "00" or not found[5])
        if found and sound and found[2].strip("0") and found[3].strip("0"):
            return Context(found[2], found[3], bool(int(found[4], 16) & 1))
    return Context(secrets.token_hex(16))
