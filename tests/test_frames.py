"""What is damaged is lost, known to be, and nothing else with it."""

import random

import pytest

from mainstay.errors import Refused
from mainstay.frames import HEAD, LONGEST, checksum, frame, opening, scan, sound

HEADER = b"header of the run"
PAYLOADS = [b"first", b"\x00" * 40, b"x", b"last one, a little longer"]


def run(payloads: list[bytes], header: bytes = HEADER) -> bytes:
    begin, salt = opening(header)
    return begin + b"".join(frame(each, salt) for each in payloads)


def told(data: bytes) -> list[bytes]:
    return [bytes(each) for each in scan(data).payloads]


def test_the_checksum_is_crc32c() -> None:
    assert checksum(b"123456789") == 0xE3069283  # RFC 3720's polynomial, the check value of its catalogue


def test_what_was_framed_is_found_in_order() -> None:
    found = scan(run(PAYLOADS))
    assert found.header == HEADER
    assert [bytes(each) for each in found.payloads] == PAYLOADS
    assert (found.damaged, found.end, found.torn) == ((), len(run(PAYLOADS)), False)
    assert sound(run(PAYLOADS)) == (PAYLOADS, len(run(PAYLOADS)))


def test_nothing_holds_nothing() -> None:
    assert scan(b"").payloads == []
    assert sound(b"") == ([], 0)
    assert scan(b"\x01").header is None


def test_an_empty_or_endless_payload_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be logged"):
        frame(b"")
    with pytest.raises(Refused, match="cannot be logged"):
        frame(bytes(LONGEST + 1))


def test_a_run_torn_at_any_byte_holds_every_frame_that_is_whole() -> None:
    data = run(PAYLOADS)
    begin = len(run([]))
    ends = [len(run(PAYLOADS[:count])) for count in range(len(PAYLOADS) + 1)]
    for stop in range(begin, len(data)):
        found = scan(data[:stop])
        whole = sum(end <= stop for end in ends) - 1
        assert [bytes(each) for each in found.payloads] == PAYLOADS[:whole]
        assert found.damaged == ()
        assert found.end == ends[whole]
        assert found.torn == (stop > ends[whole])


def test_a_header_torn_at_any_byte_gives_no_payload() -> None:
    for stop in range(len(run([]))):
        assert told(run([])[:stop]) == []


@pytest.mark.parametrize("bit", range(8))
def test_a_bit_flipped_anywhere_costs_only_the_frame_it_is_in(bit: int) -> None:
    data = run(PAYLOADS)
    spans = []
    at = len(run([]))
    for payload in PAYLOADS:
        spans.append((at, at + HEAD.size + len(payload)))
        at = spans[-1][1]
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        found = scan(bytes(flipped))
        kept = [each for each, (start, stop) in zip(PAYLOADS, spans, strict=True) if not start <= place < stop]
        assert [bytes(each) for each in found.payloads] == kept, place
        assert found.header == HEADER
        whole = not found.damaged and found.end == len(data)
        assert not whole, "damage is always known"
        assert not found.torn, "a flipped bit is no torn end"
        assert len(sound(bytes(flipped))[0]) <= len(kept)


def test_many_flipped_bits_never_make_a_payload_that_was_not_written() -> None:
    chance = random.Random(7)
    data = run([bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60))) for _ in range(30)])
    written = set(told(data))
    for _ in range(300):
        flipped = bytearray(data)
        for _ in range(chance.randrange(1, 40)):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        assert set(told(bytes(flipped))) <= written


def test_a_frame_that_a_client_hid_in_a_text_is_never_taken_for_one() -> None:
    forged = frame(b"forged") + frame(b"forged", checksum(b"guess")) + frame(b"forged", 0)
    data = bytearray(run([b"before", b"text " + forged + b" text", b"behind"]))
    start = len(run([b"before"]))
    for place in range(start, start + HEAD.size):  # its length or its checksum: the bytes of the text are searched
        data[place] ^= 0x01
        assert told(bytes(data)) == [b"before", b"behind"]
        data[place] ^= 0x01
    assert told(bytes(data[: start + len(forged)])) == [b"before"]


def test_zeros_behind_the_last_frame_are_a_torn_end() -> None:
    found = scan(run(PAYLOADS) + bytes(4096))
    assert len(found.payloads) == len(PAYLOADS)
    assert found.torn


def test_a_record_like_the_header_is_a_record() -> None:
    assert told(run([HEADER, HEADER])) == [HEADER, HEADER]


def test_what_is_no_run_at_all_holds_nothing() -> None:
    assert told(b"not a segment, but a text of some length that somebody put here") == []
