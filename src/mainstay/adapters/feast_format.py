"""How Feast 0.67 writes what its online stores hold, read without Feast: keys, values, times, names of fields.

Feast documents the key (serialisation version 3) and the Redis layout in docs/specs/online_store_format.md; a value is
a `feast.types.Value`, a time a `google.protobuf.Timestamp`, both in protobuf's wire format. Pure.
"""

import math
import struct
from functools import lru_cache
from typing import Final

from mainstay.errors import Refused
from mainstay.nouns import Value
from mainstay.varints import signed, varint

KEY_VERSION: Final = 3
"""How Feast serialises entity keys: this version is read, and no other."""

_STRING: Final = 2
_NULL: Final = b"\x98\x01\x00"
_FIXED64, _FIXED32 = struct.Struct("<d"), struct.Struct("<f")


def key_prefix(join_key: str) -> bytes:
    """What every key of an entity begins with."""
    name = join_key.encode()
    return struct.pack("<III", 1, _STRING, len(name)) + name


def entity_key(prefix: bytes, entity: str) -> bytes:
    """The key of one entity, whose values are texts."""
    text = entity.encode()
    return prefix + struct.pack("<II", _STRING, len(text)) + text


def after_entity(key: bytes, prefix: bytes) -> bytes | None:
    """What follows an entity in a Redis key: the project. None for what is no key of that kind of entity."""
    at = len(prefix) + 4
    if not key.startswith(prefix + struct.pack("<I", _STRING)) or len(key) < at + 4:
        return None
    return key[at + 4 + int(struct.unpack_from("<I", key, at)[0]) :]


def check_key(key: bytes, prefix: bytes, place: str) -> None:
    """Refused where a key that is stored was not written in the version that is read: nobody would ever be found."""
    if not key.startswith(prefix):
        raise Refused(
            f"the online store's keys are not in Feast's key serialisation version {KEY_VERSION}, the only one that is "
            "read; materialise with entity_key_serialization_version: 3",
            place,
        )


@lru_cache(maxsize=4096)
def redis_field(view: str, feature: str) -> bytes:
    """The field of an entity's hash that holds a feature: four bytes, little-endian."""
    return struct.pack("<I", murmur3(f"{view}:{feature}".encode()))


def murmur3(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0 (Appleby, 2011), in [0, 2**32)."""
    made, length = 0, len(data)
    whole = length // 4 * 4
    for (block,) in struct.iter_unpack("<I", data[:whole]):
        made ^= _mixed(block)
        made = (_rotated(made, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    if length > whole:
        made ^= _mixed(int.from_bytes(data[whole:], "little"))
    made ^= length
    made = (made ^ made >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    made = (made ^ made >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return made ^ made >> 16


def _mixed(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF


def _rotated(number: int, by: int) -> int:
    return (number << by | number >> 32 - by) & 0xFFFFFFFF


@lru_cache(maxsize=4096)  # categories are a few texts again and again
def value_of(data: bytes) -> Value:
    """A value as features have it: a float, a text, or None for none, null and NaN.

    Refused for what is no single number, truth or text.
    """
    if not data or data == _NULL:
        return None
    tag = data[0]
    try:
        if tag == 0x29:  # field 5, a double
            number: float = _FIXED64.unpack_from(data, 1)[0]
            return None if number != number else number
        if tag == 0x12:  # field 2, a text
            size, at = (data[1], 2) if data[1] < 0x80 else varint(data, 1)
            if at + size == len(data):
                return data[at:].decode()
        elif tag == 0x35:  # field 6, a float
            small: float = _FIXED32.unpack_from(data, 1)[0]
            return None if math.isnan(small) else small
        elif tag in (0x18, 0x20):  # fields 3 and 4, integers
            return float(signed(varint(data, 1)[0]))
        elif tag == 0x38:  # field 7, a truth
            return float(data[1])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Refused("a value in the online store is damaged") from error
    raise Refused("a value in the online store is neither a number nor a text")


def value_bytes(value: float | str | None) -> bytes:
    """A value as Feast stores it: its `Value` message, which is empty where there is none."""
    if value is None:
        return b""
    if isinstance(value, str):
        text = value.encode()
        return b"\x12" + _varint_bytes(len(text)) + text
    return b"\x29" + _FIXED64.pack(value)


def micros_of(data: bytes) -> int:
    """A time, in microseconds since the epoch. Refused where it is none."""
    seconds = nanos = at = 0
    try:
        while at < len(data):
            field = data[at]
            number, at = varint(data, at + 1)
            if field == 0x08:
                seconds = signed(number)
            elif field == 0x10:
                nanos = signed(number)
            else:
                raise Refused("a time in the online store is damaged")
    except IndexError as error:
        raise Refused("a time in the online store is damaged") from error
    return seconds * 1_000_000 + nanos // 1000


def time_bytes(micros: int) -> bytes:
    """A time, in microseconds since 1970, as a protobuf Timestamp."""
    seconds, rest = divmod(micros, 1_000_000)
    made = b"\x08" + _varint_bytes(seconds) if seconds else b""
    return made + (b"\x10" + _varint_bytes(rest * 1000) if rest else b"")


def _varint_bytes(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])
