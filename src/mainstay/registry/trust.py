"""Believing a version. Order matters: the signature over the raw bytes, then the manifest, then every file it names.

Nothing here touches disk or network, parses what is not believed, or repeats what a stranger wrote.
"""

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mainstay.digests import sha256, short
from mainstay.errors import Refused
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Manifest, parse
from mainstay.scoring.bundle import FILES, candidate_id

SIGNATURE_BYTES = 64


def believe(
    manifest: bytes, signature: bytes, files: Mapping[str, bytes], keys: Mapping[str, Ed25519PublicKey]
) -> Manifest:
    """The manifest, if a trusted key (by id) signed these very bytes and the files are the ones it names, all of them.

    `files` are the bytes of the bundle's files by name, without the manifest and its signature. Refused otherwise,
    with the reason in words; what was not signed is not parsed, and is called by its digest alone.
    """
    signed_by = _signed_by(manifest, signature, keys)
    believed = parse(manifest)
    place = f"{believed.use_case}@{believed.version}"
    if believed.key_id != signed_by:
        raise Refused(f"its manifest names key {believed.key_id}, but key {signed_by} signed it", place)
    _compare(believed, files, place)
    if candidate_id(files) != believed.candidate:
        raise Refused(f"its files are not those of candidate {short(believed.candidate)}", place)
    return believed


def _signed_by(manifest: bytes, signature: bytes, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """The id of the trusted key that signed the manifest. Refused if none did."""
    place = f"manifest {sha256(manifest)[:12]}"
    if not keys:
        raise Refused("no key is trusted, so nothing can be believed: `mainstay keys init` makes one", place)
    if not manifest:
        raise Refused(f"there is no {MANIFEST}, or it is empty", place)
    if not signature:
        raise Refused(f"it is not signed: there is no {SIGNATURE}, or it is empty", place)
    if len(signature) != SIGNATURE_BYTES:
        raise Refused(f"{SIGNATURE} has {len(signature)} bytes; an Ed25519 signature has {SIGNATURE_BYTES}", place)
    for name, key in keys.items():
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return name
    nobody = f"none of the {len(keys)} trusted keys signed it" if len(keys) > 1 else "the trusted key did not sign it"
    raise Refused(f"{nobody}: it was changed after signing, or a stranger signed it", place)


def _compare(manifest: Manifest, files: Mapping[str, bytes], place: str) -> None:
    unnamed = [name for name in FILES if name not in manifest.files]
    if unnamed:
        raise Refused(f"its manifest names no {unnamed[0]}", place)
    missing = sorted(set(manifest.files) - set(files))
    if missing:
        raise Refused(f"{missing[0]} is missing", place)
    extra = sorted(set(files) - set(manifest.files))
    if extra:
        raise Refused(f"{extra[0]!r} is not named in its manifest", place)
    for name, named in manifest.files.items():
        found = files[name]
        if len(found) != named.bytes:
            raise Refused(f"{name} has {len(found)} bytes, not the {named.bytes} that were signed", place)
        if sha256(found) != named.sha256:
            raise Refused(f"{name} was changed after it was signed", place)
