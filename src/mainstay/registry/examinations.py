"""Where the examination of a run is kept: one document beside the bundles, outside every candidate's digest.

examinations/USE_CASE/SHA256.json     canonical JSON; the fact of the run holds the digest
"""

import json

from mainstay.adapters.blobs import Blobs
from mainstay.digests import canonical_json, sha256
from mainstay.errors import Refused
from mainstay.examined import Examination
from mainstay.nouns import Run
from mainstay.records import decode, encode, schema_of


def keep_examination(examined: Examination, blobs: Blobs) -> str:
    """Keep it, and return its SHA-256, for the fact of the run. The same one twice is the same as once."""
    data = canonical_json({"schema": schema_of(Examination), **encode(examined)})
    blobs.put(_named(examined.use_case, sha256(data)), data)
    return sha256(data)


def examination(run: Run, blobs: Blobs) -> Examination | None:
    """What the run kept; None if it kept nothing. NotFound if it is gone, Refused if it was changed since."""
    if run.examination is None:
        return None
    name = _named(run.use_case, run.examination)
    data = blobs.get(name)
    if sha256(data) != run.examination:
        raise Refused("it was changed after the run wrote it", name)
    body = json.loads(data)
    return decode(Examination, body, body.pop("schema"))


def _named(use_case: str, digest: str) -> str:
    return f"examinations/{use_case}/{digest}.json"
