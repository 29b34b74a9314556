"""The files of a bundle: what decides an answer, and the golden rows that a warm-up must reproduce."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mainstay.digests import canonical_json, digest, sha256
from mainstay.errors import Refused
from mainstay.nouns import Real, StoredFile, Value
from mainstay.records import decode, encode, schema_of
from mainstay.scoring.decide import Calibration, Decide
from mainstay.scoring.encode import Encoder
from mainstay.scoring.profile import Profile

T = TypeVar("T")

MODEL = "model.onnx"
GOLDEN = "golden.json"
DECIDING = (MODEL, "encoder.json", "calibration.json", "decide.json", "profile.json")
FILES = (*DECIDING, GOLDEN)


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows drawn from the profile (never customers), with the tensor and the scores they must give again."""

    rows: tuple[Mapping[str, Value], ...]
    tensor: tuple[tuple[Real, ...], ...]
    scores: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that scoring needs."""

    model: bytes
    encoder: Encoder
    calibration: Calibration
    decide: Decide
    profile: Profile
    golden: Golden


def to_files(bundle: Bundle) -> dict[str, bytes]:
    """The bytes of each file, by name; the JSON ones are canonical, so the same bundle has the same bytes."""
    return {
        MODEL: bundle.model,
        "encoder.json": _document(bundle.encoder),
        "calibration.json": _document(bundle.calibration),
        "decide.json": _document(bundle.decide),
        "profile.json": _document(bundle.profile),
        GOLDEN: _document(bundle.golden),
    }


def from_files(files: Mapping[str, bytes]) -> Bundle:
    """The bundle that the files hold. Refused if one is missing or malformed: call after belief, never before."""
    missing = [name for name in FILES if name not in files]
    if missing:
        raise Refused(f"the bundle has no {missing[0]}")
    return Bundle(
        files[MODEL],
        _parse(Encoder, files, "encoder.json"),
        _parse(Calibration, files, "calibration.json"),
        _parse(Decide, files, "decide.json"),
        _parse(Profile, files, "profile.json"),
        _parse(Golden, files, GOLDEN),
    )


def candidate_id(files: Mapping[str, bytes]) -> str:
    """`cd_` and the digest of the files that decide an answer: model, encoder, calibration, decide and profile."""
    return f"cd_{digest({name: sha256(files[name]) for name in DECIDING})}"


def stored(files: Mapping[str, bytes]) -> dict[str, StoredFile]:
    """The digest and size of each file, by name."""
    return {name: StoredFile(sha256(data), len(data)) for name, data in files.items()}


def _document(record: object) -> bytes:
    return canonical_json({"schema": schema_of(type(record)), **encode(record)})


def _parse(kind: type[T], files: Mapping[str, bytes], name: str) -> T:
    try:
        body: dict[str, Any] = json.loads(files[name])
        return decode(kind, body, int(body.pop("schema")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused("not a JSON document of a bundle", name) from error
