"""Records one after the other in a file, each with its length and checksum: what was damaged is known, and skipped.

A frame is its payload's length (u32, little-endian), a checksum (u32, little-endian) and the payload. A run of frames
begins with its header, framed twice, so that one flipped bit never costs more than one frame. The checksum is CRC32C:
of the first frame over its payload; of every later one continued from the first one's checksum. That makes it the
run's own: bytes inside a payload that look like frames (a client may send any) are never taken for one.
"""

import struct
from dataclasses import dataclass

import google_crc32c

from mainstay.errors import Refused

HEAD = struct.Struct("<II")
LONGEST = 1 << 28
"""Bytes of a payload: a length beyond it is damage."""

Bytes = bytes | memoryview


def checksum(payload: Bytes, salt: int = 0) -> int:
    """CRC32C (RFC 3720, appendix B.4) of a payload, continued from `salt`."""
    found: int = google_crc32c.extend(salt, payload if isinstance(payload, bytes) else bytes(payload))
    return found


def frame(payload: bytes, salt: int = 0) -> bytes:
    """A payload as a frame of the run with this salt. Refused where it is empty or longer than 256 MB."""
    if not 0 < len(payload) <= LONGEST:
        raise Refused(f"a record of {len(payload):,} bytes cannot be logged: 1 to {LONGEST:,} can")
    return HEAD.pack(len(payload), google_crc32c.extend(salt, payload)) + payload


def opening(header: bytes) -> tuple[bytes, int]:
    """The bytes that a run begins with, and the salt of the frames that follow."""
    salt = checksum(header)
    return frame(header) + frame(header, salt), salt


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a run of frames.

    `header` is None where neither copy is sound: then nothing is, as nothing says what the rest means. `damaged` are
    the spans (start, stop) that hold no sound frame and have sound ones behind them; `end` is where the last sound
    frame ends. What lies behind it is `torn` where it can be the beginning of a frame whose writer died over it (or
    zeros, which file systems leave after power loss); otherwise it is damaged too.
    """

    header: Bytes | None
    payloads: list[Bytes]
    damaged: tuple[tuple[int, int], ...]
    end: int
    torn: bool


def sound(data: bytes) -> tuple[list[Bytes], int]:
    """The payloads after the header up to the first frame that is torn or damaged, and the offset where that is."""
    found = scan(data)
    if found.header is None or (found.damaged and found.damaged[0][0] == 0):
        return [], 0
    stop = found.damaged[0][0] if found.damaged else found.end
    kept, offset = [], 2 * (HEAD.size + len(found.header))
    for payload in found.payloads:
        if offset >= stop:
            break
        kept.append(payload)
        offset += HEAD.size + len(payload)
    return kept, stop


def scan(data: bytes) -> Found:
    """Every sound frame of a run, wherever it stands.

    Behind damage, the next frame is where the damaged frame says that it ends, if a sound one begins there; else at
    the first offset at which a sound one does. So a flipped bit costs the frame that it is in, and no other.
    """
    for salt in _salts(data):
        found = _scanned(data, salt)
        if found.header is not None:
            return found
    return Found(None, [], ((0, len(data)),) if data else (), 0, False)


def _salts(data: bytes) -> list[int]:
    """What the salt may be: the first frame's checksum as it is written, or as it should have been."""
    if len(data) < HEAD.size:
        return []
    length, written = HEAD.unpack_from(data)
    made = checksum(data[HEAD.size : HEAD.size + length]) if length <= len(data) - HEAD.size else written
    return [written] if made == written else [written, made]


def _scanned(data: bytes, salt: int) -> Found:
    view = memoryview(data)
    copies: list[Bytes] = []
    payloads: list[Bytes] = []
    damaged: list[tuple[int, int]] = []
    offset = end = 0
    stop = _sound_at(data, 0, 0)
    if stop:
        copies.append(view[HEAD.size : stop])
        offset = end = stop
    while offset < len(data):
        stop = _sound_at(data, offset, salt)
        if not stop:
            offset = _next_sound(data, offset, salt)
            continue
        if end < offset:
            damaged.append((end, offset))
        payload = view[offset + HEAD.size : stop]
        if not payloads and len(copies) < 2 and checksum(payload) == salt:
            copies.append(payload)  # the only payload whose own checksum is the salt is the header
        else:
            payloads.append(payload)
        offset = end = stop
    torn = end < len(data) and _torn(data[end:], salt)
    return Found(copies[0] if copies else None, payloads, tuple(damaged), end, torn)


def _torn(tail: bytes, salt: int) -> bool:
    if len(tail) < HEAD.size or not any(tail):
        return True
    length, written = HEAD.unpack_from(tail)
    # A whole frame of which the length alone was damaged is not torn: its checksum fits.
    return bool(length > len(tail) - HEAD.size and checksum(tail[HEAD.size :], salt) != written)


def _sound_at(data: bytes, offset: int, salt: int) -> int:
    """Where the sound frame that begins at an offset ends; 0 where none does."""
    if offset + HEAD.size > len(data):
        return 0
    length: int
    length, written = HEAD.unpack_from(data, offset)
    stop = offset + HEAD.size + length
    if not 0 < length <= LONGEST or stop > len(data):
        return 0
    return stop if checksum(data[offset + HEAD.size : stop], salt) == written else 0


def _next_sound(data: bytes, offset: int, salt: int) -> int:
    """Where the next sound frame behind a damaged one begins; the end of the data where none does."""
    if offset + HEAD.size <= len(data):
        told: int = offset + HEAD.size + HEAD.unpack_from(data, offset)[0]
        if told < len(data) and _sound_at(data, told, salt):
            return told
    for place in range(offset + 1, len(data) - HEAD.size):
        if _sound_at(data, place, salt):
            return place
    return len(data)
