"""Protobuf's integers, for readers that do without its package. IndexError where the bytes end too early."""


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    made = shift = 0
    while True:
        byte = data[at]
        at += 1
        made |= (byte & 0x7F) << shift
        if byte < 0x80:
            return made, at
        shift += 7


def signed(number: int) -> int:
    """A varint as the int64 that it stands for."""
    return number - (1 << 64) if number >> 63 else number
