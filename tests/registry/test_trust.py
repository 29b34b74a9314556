"""What is believed, and why not: one test a threat."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.signing import key_id
from mainstay.digests import canonical_json
from mainstay.errors import Refused
from mainstay.nouns import Estimate, Holdout, StoredFile
from mainstay.registry.manifest import Manifest, document
from mainstay.registry.trust import believe
from mainstay.scoring.bundle import DECIDING, FILES, Bundle, candidate_id, stored, to_files

OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OUR_ID, THEIR_ID = key_id(OURS.public_key()), key_id(THEIRS.public_key())
TRUSTED = {OUR_ID: OURS.public_key()}
Files = dict[str, bytes]


def manifest_of(files: Files, key: str = OUR_ID) -> Manifest:
    return Manifest(
        "tiny", "1.0.0", candidate_id(files), stored(files), ("No", "Yes"), (), "tiny_v1", "ds_1",
        Holdout("tiny", 0.2), "run-1", "a" * 64, {"mainstay": "0.1.0"}, {"roc_auc": Estimate(0.8, 0.7, 0.9, 100)},
        None, 3, key, datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture
def files(tiny_bundle: Bundle) -> Files:
    return to_files(tiny_bundle)


def signed(manifest: Manifest, key: Ed25519PrivateKey = OURS) -> tuple[bytes, bytes]:
    data = document(manifest)
    return data, key.sign(data)


def test_what_a_trusted_key_signed_is_believed(files: Files) -> None:
    manifest = manifest_of(files)
    assert believe(*signed(manifest), files, TRUSTED) == manifest


def test_no_trusted_key_means_no_trust(files: Files) -> None:
    with pytest.raises(Refused, match="no key is trusted, so nothing can be believed"):
        believe(*signed(manifest_of(files)), files, {})


def test_an_unsigned_version_is_refused(files: Files) -> None:
    data, _ = signed(manifest_of(files))
    with pytest.raises(Refused, match=r"it is not signed: there is no manifest\.sig"):
        believe(data, b"", files, TRUSTED)


@pytest.mark.parametrize("size", [1, 63, 65, 128])
def test_a_signature_of_the_wrong_size_is_refused(files: Files, size: int) -> None:
    data, signature = signed(manifest_of(files))
    with pytest.raises(Refused, match=f"has {size} bytes; an Ed25519 signature has 64"):
        believe(data, (signature * 2)[:size], files, TRUSTED)


def test_a_version_without_manifest_is_refused(files: Files) -> None:
    with pytest.raises(Refused, match=r"there is no manifest\.json"):
        believe(b"", OURS.sign(b""), files, TRUSTED)


def test_a_stranger_is_refused_and_not_quoted(files: Files) -> None:
    stranger = dataclasses.replace(manifest_of(files, THEIR_ID), use_case="send-your-password")
    with pytest.raises(Refused, match="a stranger signed it") as refused:
        believe(*signed(stranger, THEIRS), files, TRUSTED)
    assert "send-your-password" not in str(refused.value)
    assert THEIR_ID not in str(refused.value)


def test_nothing_is_parsed_before_it_is_believed(files: Files) -> None:
    bomb = b"[" * 100_000
    with pytest.raises(Refused, match="the trusted key did not sign it"):
        believe(bomb, THEIRS.sign(bomb), files, TRUSTED)
    with pytest.raises(Refused, match="not JSON"):
        believe(bomb, OURS.sign(bomb), files, TRUSTED)


def test_a_signature_of_another_manifest_is_refused(files: Files) -> None:
    first, _ = signed(manifest_of(files))
    _, other = signed(dataclasses.replace(manifest_of(files), version="2.0.0"))
    with pytest.raises(Refused, match="it was changed after signing"):
        believe(first, other, files, TRUSTED)


def test_keys_are_rotated_by_trusting_both(files: Files) -> None:
    both = {**TRUSTED, THEIR_ID: THEIRS.public_key()}
    old, new = manifest_of(files), manifest_of(files, THEIR_ID)
    assert believe(*signed(old), files, both) == old
    assert believe(*signed(new, THEIRS), files, both) == new
    with pytest.raises(Refused, match="the trusted key did not sign it"):
        believe(*signed(old), files, {THEIR_ID: THEIRS.public_key()})
    third = Ed25519PrivateKey.generate()
    with pytest.raises(Refused, match="none of the 2 trusted keys signed it"):
        believe(*signed(old, third), files, both)


def test_a_manifest_that_names_another_key_than_signed_it_is_refused(files: Files) -> None:
    both = {**TRUSTED, THEIR_ID: THEIRS.public_key()}
    with pytest.raises(Refused, match=f"names key {OUR_ID}, but key {THEIR_ID} signed it"):
        believe(*signed(manifest_of(files), THEIRS), files, both)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_in_any_file_is_refused(files: Files, name: str) -> None:
    data, signature = signed(manifest_of(files))
    changed = bytearray(files[name])
    changed[len(changed) // 2] ^= 1
    with pytest.raises(Refused, match=f"tiny@1.0.0: {name} was changed after it was signed"):
        believe(data, signature, files | {name: bytes(changed)}, TRUSTED)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_size_is_refused(files: Files, name: str) -> None:
    data, signature = signed(manifest_of(files))
    for other in (files[name][:-1], files[name] + b" ", b""):
        with pytest.raises(
            Refused, match=f"{name} has {len(other)} bytes, not the {len(files[name])} that were signed"
        ):
            believe(data, signature, files | {name: other}, TRUSTED)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(files: Files, name: str) -> None:
    data, signature = signed(manifest_of(files))
    del files[name]
    with pytest.raises(Refused, match=f"tiny@1.0.0: {name} is missing"):
        believe(data, signature, files, TRUSTED)


def test_a_file_that_the_manifest_does_not_name_is_refused(files: Files) -> None:
    data, signature = signed(manifest_of(files))
    with pytest.raises(Refused, match=r"'model\.pkl' is not named in its manifest"):
        believe(data, signature, files | {"model.pkl": b"cos\nsystem"}, TRUSTED)


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_that_does_not_name_every_file_is_refused(files: Files, name: str) -> None:
    whole = manifest_of(files)
    named: dict[str, StoredFile] = {each: file for each, file in whole.files.items() if each != name}
    with pytest.raises(Refused, match=f"its manifest names no {name}"):
        believe(*signed(dataclasses.replace(whole, files=named)), files, TRUSTED)


def test_swapped_files_are_refused(files: Files) -> None:
    data, signature = signed(manifest_of(files))
    swapped = files | {"encoder.json": files["decide.json"], "decide.json": files["encoder.json"]}
    with pytest.raises(Refused, match="that were signed"):
        believe(data, signature, swapped, TRUSTED)


def test_files_of_another_candidate_than_the_manifest_names_are_refused(files: Files) -> None:
    other = dataclasses.replace(manifest_of(files), candidate="cd_" + "0" * 64)
    with pytest.raises(Refused, match="not those of candidate cd_000000000000"):
        believe(*signed(other), files, TRUSTED)


def test_signed_bytes_that_are_not_canonical_are_refused(files: Files) -> None:
    loose = document(manifest_of(files)).replace(b'":', b'": ')
    with pytest.raises(Refused, match="not in canonical form"):
        believe(loose, OURS.sign(loose), files, TRUSTED)
    empty = canonical_json({"schema": 1})
    with pytest.raises(Refused, match=r"Manifest\.use_case"):
        believe(empty, OURS.sign(empty), files, TRUSTED)


@pytest.fixture(scope="session")
def refuses_a_flip(tiny_bundle: Bundle) -> Callable[[str, int, int], None]:
    """Flips one bit of one file, of the manifest or of its signature, and expects Refused."""
    whole = to_files(tiny_bundle)
    data, signature = signed(manifest_of(whole))
    every = {**whole, "manifest.json": data, "manifest.sig": signature}
    keys: dict[str, Ed25519PublicKey] = TRUSTED

    def flip(name: str, place: int, bit: int) -> None:
        changed = bytearray(every[name])
        changed[place % len(changed)] ^= 1 << bit
        tampered = {**every, name: bytes(changed)}
        with pytest.raises(Refused):
            believe(tampered.pop("manifest.json"), tampered.pop("manifest.sig"), tampered, keys)

    return flip


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([*DECIDING, "golden.json", "manifest.json", "manifest.sig"]),
    place=st.integers(0, 2**16),
    bit=st.integers(0, 7),
)
def test_no_single_bit_can_be_flipped(
    refuses_a_flip: Callable[[str, int, int], None], name: str, place: int, bit: int
) -> None:
    refuses_a_flip(name, place, bit)
