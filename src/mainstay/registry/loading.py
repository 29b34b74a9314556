"""A version taken from the shelf: believed before it is parsed. No ledger is needed for it."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mainstay.adapters.blobs import Blobs
from mainstay.errors import NotFound, Refused
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Manifest
from mainstay.registry.trust import believe
from mainstay.registry.versioning import number
from mainstay.scoring.bundle import Bundle, from_files


def load(use_case: str, version: str, blobs: Blobs, keys: Mapping[str, Ed25519PublicKey]) -> tuple[Manifest, Bundle]:
    """A version, believed before it is parsed. NotFound if it is not on the shelf; Refused with the reason, as `trust`.

    Refused as well where another version's files stand in its place, however well they are signed.
    """
    number(version)
    place = f"{use_case}@{version}"
    folder = f"versions/{use_case}/{version}/"
    names = blobs.names(folder)
    if not names:
        raise NotFound("there is no such version on the shelf", place)
    files = {name.removeprefix(folder): blobs.get(name) for name in names}
    manifest = believe(files.pop(MANIFEST, b""), files.pop(SIGNATURE, b""), files, keys)
    if (manifest.use_case, manifest.version) != (use_case, version):
        raise Refused(f"what stands there is {manifest.use_case}@{manifest.version}", place)
    bundle = from_files(files)
    if (bundle.encoder.inputs, bundle.decide.classes) != (manifest.inputs, manifest.classes):
        raise Refused("its encoder and its manifest tell of different inputs or classes", place)
    return manifest, bundle
