"""Somebody can write to the blob store. What they can make a server load: nothing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mainstay.adapters.blobs import BlobDirectory
from mainstay.adapters.signing import KeyFile
from mainstay.errors import Refused
from mainstay.ledger.facts import Ledger
from mainstay.nouns import ModelVersion
from mainstay.registry.loading import load
from mainstay.registry.manifest import document
from mainstay.registry.shelf import Admission, admit, signed
from mainstay.scoring.bundle import FILES, Bundle, to_files

Trusted = dict[str, Ed25519PublicKey]
SHELF = "versions/tiny/1.0.0/"
EIGHT = (*FILES, "manifest.json", "manifest.sig")


@pytest.fixture
def second(
    tiny_live: ModelVersion,
    tiny_other_bundle: Bundle,
    tiny_admission: Callable[..., Admission],
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> ModelVersion:
    """Version 1.1.0, as honestly signed as 1.0.0."""
    asked = tiny_admission(tiny_other_bundle)
    now = signed(tiny_live, tiny_blobs).at
    return admit(asked, tiny_ledger, tiny_blobs, tiny_signer, now=now, actor="ada", reason="It passed.")


@pytest.mark.parametrize("name", EIGHT)
def test_a_changed_byte_on_the_shelf_is_refused(
    name: str, tiny_live: ModelVersion, tiny_blobs: BlobDirectory, tiny_trusted: Trusted
) -> None:
    whole = tiny_blobs.get(SHELF + name)
    for place in (0, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 0x20
        tiny_blobs.put(SHELF + name, bytes(changed))
        with pytest.raises(Refused):
            load("tiny", "1.0.0", tiny_blobs, tiny_trusted)
    tiny_blobs.put(SHELF + name, whole)
    load("tiny", "1.0.0", tiny_blobs, tiny_trusted)


@pytest.mark.parametrize("name", EIGHT)
def test_a_file_that_was_removed_is_refused(
    name: str, tiny_live: ModelVersion, tiny_blobs: BlobDirectory, tiny_trusted: Trusted, tmp_path: Path
) -> None:
    copy = BlobDirectory(tmp_path / "copy")
    for each in EIGHT:
        if each != name:
            copy.put(SHELF + each, tiny_blobs.get(SHELF + each))
    with pytest.raises(Refused, match=f"{name} is missing|there is no {name}"):
        load("tiny", "1.0.0", copy, tiny_trusted)


def test_a_file_that_was_added_is_refused(
    tiny_live: ModelVersion, tiny_blobs: BlobDirectory, tiny_trusted: Trusted
) -> None:
    tiny_blobs.put(f"{SHELF}extra/model.pkl", b"cos\nsystem")
    with pytest.raises(Refused, match="is not named in its manifest"):
        load("tiny", "1.0.0", tiny_blobs, tiny_trusted)


def test_an_older_version_under_a_newer_number_is_refused_though_it_is_signed(
    second: ModelVersion, tiny_blobs: BlobDirectory, tiny_trusted: Trusted
) -> None:
    for name in EIGHT:
        tiny_blobs.put(f"versions/tiny/1.1.0/{name}", tiny_blobs.get(SHELF + name))
    with pytest.raises(Refused, match=r"tiny@1\.1\.0: what stands there is tiny@1\.0\.0"):
        load("tiny", "1.1.0", tiny_blobs, tiny_trusted)


def test_a_version_of_another_use_case_is_refused_though_it_is_signed(
    tiny_live: ModelVersion, tiny_blobs: BlobDirectory, tiny_trusted: Trusted
) -> None:
    for name in EIGHT:
        tiny_blobs.put(f"versions/credit/1.0.0/{name}", tiny_blobs.get(SHELF + name))
    with pytest.raises(Refused, match=r"credit@1\.0\.0: what stands there is tiny@1\.0\.0"):
        load("credit", "1.0.0", tiny_blobs, tiny_trusted)


def test_the_files_of_another_version_are_refused(
    second: ModelVersion, tiny_blobs: BlobDirectory, tiny_trusted: Trusted
) -> None:
    for name in FILES:
        tiny_blobs.put(SHELF + name, tiny_blobs.get(f"versions/tiny/1.1.0/{name}"))
    with pytest.raises(Refused, match=r"tiny@1\.0\.0: \w+\.json has .* that were signed"):
        load("tiny", "1.0.0", tiny_blobs, tiny_trusted)


def test_a_version_signed_by_a_key_that_is_no_longer_trusted_is_refused(
    tiny_live: ModelVersion, tiny_blobs: BlobDirectory
) -> None:
    with pytest.raises(Refused, match="no key is trusted"):
        load("tiny", "1.0.0", tiny_blobs, {})


def test_a_manifest_that_tells_of_other_inputs_than_the_encoder_is_refused(
    tiny_live: ModelVersion, tiny_blobs: BlobDirectory, tiny_signer: KeyFile, tiny_trusted: Trusted
) -> None:
    manifest = signed(tiny_live, tiny_blobs)
    for mistaken in (
        dataclasses.replace(manifest, inputs=manifest.inputs[1:]),
        dataclasses.replace(manifest, classes=("Yes", "No")),
    ):
        tiny_blobs.put(f"{SHELF}manifest.json", document(mistaken))
        tiny_blobs.put(f"{SHELF}manifest.sig", tiny_signer.sign(document(mistaken)))
        with pytest.raises(Refused, match="different inputs or classes"):
            load("tiny", "1.0.0", tiny_blobs, tiny_trusted)


@pytest.mark.parametrize("version", ["../1.0.0", "1.0.0/..", "1.0", "latest", ""])
def test_a_version_that_is_a_path_is_refused(version: str, tiny_blobs: BlobDirectory, tiny_trusted: Trusted) -> None:
    with pytest.raises(Refused, match="is no version"):
        load("tiny", version, tiny_blobs, tiny_trusted)


def test_candidate_files_that_were_changed_do_not_reach_a_version(
    tiny_live: ModelVersion,
    tiny_bundle: Bundle,
    tiny_admission: Callable[..., Admission],
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
    tiny_trusted: Trusted,
) -> None:
    asked = tiny_admission(tiny_bundle)
    tiny_blobs.put(f"candidates/tiny/{asked.candidate.id}/model.onnx", b"another graph")
    with pytest.raises(Refused, match=r"model\.onnx is not what it was"):
        admit(asked, tiny_ledger, tiny_blobs, tiny_signer, now=asked.verdict.at, actor="ada", reason="Again.")
    _, bundle = load("tiny", "1.0.0", tiny_blobs, tiny_trusted)
    assert to_files(bundle) == to_files(tiny_bundle)
