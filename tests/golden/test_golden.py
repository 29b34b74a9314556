"""Every record ever written is read for ever: `NAME.SCHEMA.json` here is a record as that schema wrote it.

A new record, or a new schema of one, needs its file here; a file is never changed once a release has written it.
"""

import dataclasses
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mainstay import alerts, decided, defined, gathered, nouns, observed, verdicts
from mainstay.digests import canonical_json
from mainstay.errors import Refused
from mainstay.examined import Examination
from mainstay.records import decode, encode, schema_of
from mainstay.registry.manifest import Manifest
from mainstay.scoring.bundle import Golden
from mainstay.scoring.decide import Calibration, Decide
from mainstay.scoring.encode import Encoder
from mainstay.scoring.profile import Profile
from mainstay.serving.kept import Applied

HERE = Path(__file__).parent
# Every dataclass of these modules is a record.
MODULES: tuple[ModuleType, ...] = (alerts, decided, defined, gathered, nouns, observed, verdicts)
# Records that live elsewhere, among classes that are never written.
DOCUMENTS: tuple[type, ...] = (Manifest, Encoder, Calibration, Decide, Profile, Golden, Examination, Applied)


def _dataclasses_of(module: ModuleType) -> list[type]:
    found = (made for _, made in inspect.getmembers(module, inspect.isclass) if made.__module__ == module.__name__)
    return [made for made in found if dataclasses.is_dataclass(made)]


KINDS = {kind.__name__: kind for kind in [*(made for each in MODULES for made in _dataclasses_of(each)), *DOCUMENTS]}
FIXTURES = sorted(HERE.glob("*.json"))


def _read(path: Path) -> tuple[type, int, dict[str, Any]]:
    name, schema, _ = path.name.split(".")
    body: dict[str, Any] = json.loads(path.read_text())
    return KINDS[name], int(schema), body


def test_every_record_has_a_fixture_of_every_schema() -> None:
    wanted = {f"{name}.{schema}.json" for name, kind in KINDS.items() for schema in range(1, schema_of(kind) + 1)}
    assert {path.name for path in FIXTURES} == wanted


def test_no_two_records_share_a_name() -> None:
    every = [made.__name__ for each in MODULES for made in _dataclasses_of(each)]
    every += [made.__name__ for made in DOCUMENTS]
    assert sorted(every) == sorted(set(every))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_a_record_is_read_and_written_again_as_it_was(path: Path) -> None:
    kind, schema, body = _read(path)
    record: object = decode(kind, body, schema)
    again = encode(record)
    assert canonical_json(encode(decode(kind, again, schema_of(kind)))) == canonical_json(again)
    if schema == schema_of(kind):
        assert canonical_json(again) == canonical_json(body)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_a_fixture_shows_every_field_with_something_in_it(path: Path) -> None:
    kind, schema, body = _read(path)
    if schema < schema_of(kind):
        pytest.skip("an older schema shows the fields that it had")
    empty = {field.name for field in dataclasses.fields(kind) if body[field.name] in (None, [], {})}
    # Of these two a record has one or the other.
    exclusive = {"Pin": {"where"}, "Label": {"prediction_id"}, "Action": {"prediction_id"}, "Check": {"evidence"}}
    assert empty <= exclusive.get(kind.__name__, set())


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_times_are_written_in_utc_with_microseconds(path: Path) -> None:
    times = re.findall(r'"(\d{4}-\d\d-\d\d[^"]*)"', path.read_text())
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) for time in times)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_a_record_of_a_later_release_is_refused(path: Path) -> None:
    kind, _, body = _read(path)
    with pytest.raises(Refused, match="upgrade Mainstay"):
        decode(kind, body, schema_of(kind) + 1)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_a_record_that_lost_a_field_is_refused_with_its_place(path: Path) -> None:
    kind, schema, body = _read(path)
    required = [field.name for field in dataclasses.fields(kind) if field.default is field.default_factory]
    for name in [name for name in required if name in body]:  # an older schema lacks what its upgrade gives it
        damaged = {key: value for key, value in body.items() if key != name}
        with pytest.raises(Refused, match=rf"^{kind.__name__}\.{name}: "):
            decode(kind, damaged, schema)
