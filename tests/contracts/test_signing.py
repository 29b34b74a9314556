"""What every signing key promises, and the files of the embedded one."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mainstay.adapters.signing import (
    KeyFile,
    Signer,
    key_id,
    make_key,
    make_pseudonym_key,
    pseudonym_key,
    public_keys,
    signer_from,
)
from mainstay.digests import sha256
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable

OrdinaryUser = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory that holds one signing key."""
    directory = tmp_path / "keys"
    make_key(directory, "signing")
    return directory


@pytest.fixture(params=["file"])
def signer(keys: Path) -> Signer:
    return signer_from((keys / "signing.key").as_uri())


def write_private(path: Path, pem: bytes) -> None:
    path.write_bytes(pem)
    path.chmod(0o600)


# Every signing key


def test_what_was_signed_is_verified_by_the_public_key_of_that_id(signer: Signer, keys: Path) -> None:
    public_keys(keys)[signer.key_id].verify(signer.sign(b"manifest"), b"manifest")


def test_other_bytes_are_not_verified(signer: Signer, keys: Path) -> None:
    with pytest.raises(InvalidSignature):
        public_keys(keys)[signer.key_id].verify(signer.sign(b"manifest"), b"manifesto")


def test_signing_twice_gives_the_same_signature(signer: Signer) -> None:
    assert signer.sign(b"manifest") == signer.sign(b"manifest")
    assert len(signer.sign(b"")) == 64


# The embedded key file


def test_a_key_is_named_by_the_digest_of_its_raw_public_bytes(keys: Path) -> None:
    ((name, key),) = public_keys(keys).items()
    assert name == key_id(key) == sha256(key.public_bytes_raw())[:16]
    assert KeyFile(keys / "signing.key").key_id == name


def test_making_a_key_writes_a_private_file_for_its_owner_alone(keys: Path) -> None:
    assert sorted(path.name for path in keys.iterdir()) == ["signing.key", "signing.pub"]
    assert stat.S_IMODE((keys / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700


def test_a_key_is_never_overwritten(keys: Path) -> None:
    before = (keys / "signing.key").read_bytes(), (keys / "signing.pub").read_bytes()
    with pytest.raises(Refused, match="never overwritten"):
        make_key(keys, "signing")
    (keys / "signing.pub").rename(keys / "moved.pub")
    with pytest.raises(Refused, match="never overwritten"):
        make_key(keys, "signing")
    (keys / "moved.pub").rename(keys / "signing.pub")
    (keys / "signing.key").rename(keys / "moved.key")
    with pytest.raises(Refused, match="never overwritten"):
        make_key(keys, "signing")
    assert before == ((keys / "moved.key").read_bytes(), (keys / "signing.pub").read_bytes())


def test_every_public_key_of_the_directory_is_trusted(keys: Path) -> None:
    second = make_key(keys, "second")
    (keys / "second.key").unlink()
    (keys / "notes.txt").write_text("no key")
    assert set(public_keys(keys)) == {second, KeyFile(keys / "signing.key").key_id}


def test_without_a_directory_nobody_is_trusted(tmp_path: Path) -> None:
    assert public_keys(tmp_path / "none") == {}


@pytest.mark.parametrize("name", ["", "../signing", "a/b", ".a", "Signing", "a b", "pseudonym", "a\n", "x" * 65])
def test_a_name_that_is_none_for_a_key_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="name"):
        make_key(tmp_path / "keys", name)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_private_key_that_others_may_touch_is_refused_with_the_command_to_run(keys: Path, mode: int) -> None:
    path = keys / "signing.key"
    path.chmod(mode)
    with pytest.raises(Refused, match=rf"mode {mode:04o}.*run chmod 600 {path}"):
        KeyFile(path)


def test_an_absent_key_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="mainstay keys init"):
        signer_from((tmp_path / "signing.key").as_uri())


def test_a_damaged_private_key_is_refused(keys: Path) -> None:
    path = keys / "signing.key"
    for pem in (b"", b"no key", path.read_bytes()[:-40], (keys / "signing.pub").read_bytes()):
        write_private(path, pem)
        with pytest.raises(Refused, match=rf"{path}: not a private key in PEM"):
            KeyFile(path)


def test_a_private_key_of_another_sort_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    other = generate_private_key(SECP256R1())
    write_private(path, other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(Refused, match="an Ed25519 key is needed"):
        KeyFile(path)


def test_a_private_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    write_private(path, locked)
    with pytest.raises(Refused, match="without a passphrase"):
        KeyFile(path)


def test_a_damaged_public_key_is_refused_by_name(keys: Path) -> None:
    (keys / "damaged.pub").write_bytes((keys / "signing.pub").read_bytes()[:-40])
    with pytest.raises(Refused, match=r"damaged\.pub: not a public key in PEM"):
        public_keys(keys)


def test_a_public_key_of_another_sort_is_refused_by_name(keys: Path) -> None:
    other = generate_private_key(SECP256R1()).public_key()
    (keys / "other.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(Refused, match=r"other\.pub: an Ed25519 key is needed"):
        public_keys(keys)


def test_a_directory_without_rights_is_unavailable(open_place: Path, ordinary_user: OrdinaryUser) -> None:
    make_key(open_place / "keys", "signing")
    with ordinary_user():
        with pytest.raises(Unavailable, match="permission denied while making the directory of keys"):
            make_key(open_place / "more", "signing")
        with pytest.raises(Unavailable, match="permission denied while reading the key"):
            KeyFile(open_place / "keys" / "signing.key")
        with pytest.raises(Unavailable, match="permission denied while reading the trusted keys"):
            public_keys(open_place / "keys")


FULL = """
import resource, sys
from pathlib import Path
from mainstay.adapters.signing import make_key
from mainstay.errors import Unavailable

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    make_key(Path(sys.argv[1]), "signing")
except Unavailable as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_of_a_key(tmp_path: Path) -> None:
    source = str(Path(sys.modules[make_key.__module__].__file__ or "").parents[2])
    environment = {"PYTHONPATH": source, "PATH": os.defpath}

    command = [sys.executable, "-c", FULL, str(tmp_path), "50"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert b"while writing the key" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_public_key_that_cannot_be_written_takes_its_private_key_with_it(tmp_path: Path) -> None:
    (tmp_path / "signing.pub").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused, match="never overwritten"):
        make_key(tmp_path, "signing")
    assert [path.name for path in tmp_path.iterdir()] == ["signing.pub"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no address for the signing key: use file:///"),
        ("awskms://x", "no signing key is kept at awskms: use file:///"),
        ("file://keys/signing.key", "names a host"),
    ],
)
def test_an_address_that_is_none_is_misconfigured(url: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        signer_from(url)


# The pseudonym key


def test_the_pseudonym_key_is_32_bytes_for_its_owner_alone(tmp_path: Path) -> None:
    made = make_pseudonym_key(tmp_path / "keys")
    path = tmp_path / "keys" / "pseudonym.key"
    name, key = pseudonym_key(tmp_path / "keys")
    assert (name, len(key)) == (made, 32)
    assert name == sha256(key)[:16]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_pseudonym_keys_differ(tmp_path: Path) -> None:
    assert make_pseudonym_key(tmp_path / "a") != make_pseudonym_key(tmp_path / "b")


def test_the_pseudonym_key_is_never_overwritten(tmp_path: Path) -> None:
    make_pseudonym_key(tmp_path)
    before = pseudonym_key(tmp_path)
    with pytest.raises(Refused, match="never overwritten"):
        make_pseudonym_key(tmp_path)
    assert pseudonym_key(tmp_path) == before


def test_a_pseudonym_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    make_pseudonym_key(tmp_path)
    (tmp_path / "pseudonym.key").chmod(0o644)
    with pytest.raises(Refused, match="run chmod 600"):
        pseudonym_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64])
def test_a_damaged_pseudonym_key_is_refused(tmp_path: Path, content: bytes) -> None:
    write_private(tmp_path / "pseudonym.key", content)
    with pytest.raises(Refused, match="not 64 hex digits"):
        pseudonym_key(tmp_path)


def test_an_absent_pseudonym_key_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such key"):
        pseudonym_key(tmp_path)


def test_public_keys_are_ed25519(keys: Path) -> None:
    assert all(isinstance(key, Ed25519PublicKey) for key in public_keys(keys).values())
