"""Nouns to JSON and back. Every record that touches disk or wire goes through here, with its schema number.

A reader upgrades an older schema by a pure function, kept in UPGRADES under the schema it upgrades from. A record
from the future is refused, never guessed at. `tests/golden/` holds a fixture of every schema ever written.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mainstay.errors import Refused

T = TypeVar("T")
Body = Mapping[str, Any]

SCHEMAS: dict[str, int] = {
    "Applied": 2,
    "DatasetVersion": 2,
    "Manifest": 2,
    "Rollout": 2,
    "SegmentHeader": 3,
}
UPGRADES: dict[tuple[str, int], Callable[[Body], Body]] = {
    ("Applied", 1): lambda body: body,  # the feature services of its `standing` have a default
    ("DatasetVersion", 1): lambda body: {**body, "views": {}},
    ("Manifest", 1): lambda body: {**body, "entity": None},
    ("Rollout", 1): lambda body: body,  # its allocation and what was measured have a default
    ("SegmentHeader", 1): lambda body: {**body, "features": {}},
    ("SegmentHeader", 2): lambda body: {**body, "cpu": None},
}


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Pydantic's reader and writer of a kind of record, built once."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def schema_of(kind: type) -> int:
    """The schema number that this release writes for a kind of record."""
    return SCHEMAS.get(kind.__name__, 1)


def encode(record: object) -> dict[str, Any]:
    """A record as a JSON object: times as RFC 3339, NaN as null."""
    made: dict[str, Any] = adapter(type(record)).dump_python(record, mode="json")
    return made


def decode(kind: type[T], body: Body, schema: int = 1) -> T:
    """The record that a JSON object holds. Refused if it is malformed or from a later release."""
    known = schema_of(kind)
    if schema > known:
        raise Refused(
            f"written with schema {schema}; this release reads up to {known}: upgrade Mainstay", kind.__name__
        )
    for older in range(schema, known):
        body = UPGRADES[kind.__name__, older](body)
    try:
        return adapter(kind).validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (kind.__name__, *first["loc"]))
        raise Refused(f"{first['msg']} ({error.error_count()} in all)", place) from error
