"""What a version is: one signed document that binds its files, by digest, to all that made them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mainstay.digests import canonical_json
from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion, Estimate, Holdout, Instant, StoredFile
from mainstay.records import decode, encode, schema_of
from mainstay.scoring.encode import Input
from mainstay.usecase import UseCase

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"


@dataclass(frozen=True, slots=True)
class Against:
    """How a version's answers differ from its champion's, row by row on the holdout.

    `flipped_share` is the share of rows decided otherwise; `score_shift` the mean of the new probability minus the
    champion's, in [-1, 1]; `disagreement` the mean absolute difference, in [0, 1].
    """

    champion: str
    flipped_share: Estimate
    score_shift: Estimate
    disagreement: Estimate


@dataclass(frozen=True, slots=True)
class Entity:
    """Whom rows are about: the contract's column, and how its values are kept.

    `personal` says that they are kept as pseudonyms (`hash`) or not at all (`drop`); `pseudonym_key` is the id of the
    key that makes the pseudonyms, None where nothing is hashed.
    """

    name: str
    type: str
    personal: Literal["hash", "drop"] | None = None
    pseudonym_key: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The account of one version (`manifest.json`): what `manifest.sig` signs.

    `files` maps each file of the bundle to its digest and size; `inputs` is the contract that requests are held to;
    `recipe` a digest; `code` the package's version and commit; `metrics` the scores on the holdout; `against` is None
    for a first version; `verdict` is the `seq` of the fact that let it through; `key_id` names the key that signed;
    `entity` is None where rows are about nobody (and in a manifest of schema 1, which did not say).
    """

    use_case: str
    version: str
    candidate: str
    files: Mapping[str, StoredFile]
    classes: tuple[str, ...]
    inputs: tuple[Input, ...]
    feature_service: str
    dataset: str
    holdout: Holdout
    run: str
    recipe: str
    code: Mapping[str, str]
    metrics: Mapping[str, Estimate]
    against: Against | None
    verdict: int
    key_id: str
    at: Instant
    entity: Entity | None = None


def entity_of(use_case: UseCase, dataset: DatasetVersion) -> Entity | None:
    """Whom the rows of a dataset version are about, as its use case tells; None for nobody."""
    if use_case.entity is None:
        return None
    column = use_case.contract.columns[use_case.entity]
    key = dataset.pseudonym_key if column.personal == "hash" else None
    return Entity(use_case.entity, column.type, column.personal, key)


def document(manifest: Manifest) -> bytes:
    """The bytes that are signed: canonical JSON, so that the same manifest has the same bytes."""
    return canonical_json({"schema": schema_of(Manifest), **encode(manifest)})


def parse(data: bytes) -> Manifest:
    """The manifest in these bytes: call after belief, never before.

    Refused unless they are canonical JSON (no key twice, nothing between the tokens), from this release or an older
    one, and hold every field. A field that this release does not know is passed over.
    """
    try:
        body = json.loads(data, parse_int=_whole)
        canonical = canonical_json(body) == data
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON", MANIFEST) from error
    if not canonical:
        raise Refused("not in canonical form: it says the same in other bytes than were meant to be signed", MANIFEST)
    schema = body.pop("schema", None) if isinstance(body, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise Refused("names no schema", MANIFEST)
    return decode(Manifest, body, schema)


def _whole(digits: str) -> float:
    """Canonical JSON writes a float as digits up to 1e21; past 2**53 that is what they are."""
    number = int(digits)
    return number if abs(number) < 2**53 else float(number)
