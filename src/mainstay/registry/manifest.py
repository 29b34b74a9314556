"""What a version is: one signed document that binds its files, by digest, to all that made them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mainstay.digests import canonical_json
from mainstay.errors import Refused
from mainstay.nouns import Estimate, Holdout, Instant, StoredFile
from mainstay.records import decode, encode, schema_of
from mainstay.scoring.encode import Input

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
class Manifest:
    """The account of one version (`manifest.json`): what `manifest.sig` signs.

    `files` maps each file of the bundle to its digest and size; `inputs` is the contract that requests are held to;
    `recipe` a digest; `code` the package's version and commit; `metrics` the scores on the holdout; `against` is None
    for a first version; `verdict` is the `seq` of the fact that let it through; `key_id` names the key that signed.
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
