"""Keys: what signs a version, whom we trust, and what makes a person's name a pseudonym. Embedded: files.

A directory of keys holds `NAME.key` (private, mode 0600) and `NAME.pub` (public) for each signing key, and
`pseudonym.key`. A key's id is the first 16 hex digits of the SHA-256 of its raw public bytes.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from mainstay.digests import sha256
from mainstay.durable import keep_entries
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable

PSEUDONYM = "pseudonym"
PSEUDONYM_BYTES = 32


class Signer(Protocol):
    """One signing key, wherever it is kept."""

    @property
    def key_id(self) -> str:
        """16 hex digits, under which verifiers find the public key."""

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature (RFC 8032): the same data gives the same. Or Unavailable."""


class KeyFile:
    """An Ed25519 private key read from a PEM file (PKCS 8, no passphrase).

    NotFound if there is no such file; Refused if others may read it, or it holds anything else.
    """

    def __init__(self, path: Path) -> None:
        pem = _secret(path)
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it asks for a passphrase
            raise Refused("not a private key in PEM without a passphrase: restore it from a copy", str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Refused(f"an Ed25519 key is needed, not {type(key).__name__}", str(path))
        self._key = key
        self._id = key_id(key.public_key())

    @property
    def key_id(self) -> str:
        return self._id

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


def signer_from(url: str) -> Signer:
    """The signer at an address: `file:///ABSOLUTE/NAME.key`. Misconfigured for any other; else as KeyFile."""
    match url.partition("://")[0]:
        case "file":
            parts = urlsplit(url)
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise Misconfigured(f"{url} names a host: a key file is file:///ABSOLUTE/NAME.key")
            return KeyFile(Path(unquote(parts.path)))
        case "":
            raise Misconfigured("no address for the signing key: use file:///ABSOLUTE/NAME.key")
        case scheme:
            raise Misconfigured(f"no signing key is kept at {scheme}: use file:///ABSOLUTE/NAME.key")


def key_id(key: Ed25519PublicKey) -> str:
    """The id of a public key: 16 hex digits."""
    return sha256(key.public_bytes_raw())[:16]


def make_key(directory: Path, name: str) -> str:
    """A new signing key in `directory`, as `NAME.key` and `NAME.pub`; its id.

    Refused if either file is there (a key is never overwritten) or `name` is not lower-case letters, digits and
    dashes. Unavailable if they cannot be written; then neither is left behind.
    """
    _check_name(name)
    key = Ed25519PrivateKey.generate()
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    if public.exists():
        raise Refused("there is a key already, and keys are never overwritten: choose another name", str(public))
    _write_secret(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    except BaseException:
        with suppress(OSError):
            private.unlink()
        raise
    return key_id(key.public_key())


def public_keys(directory: Path) -> dict[str, Ed25519PublicKey]:
    """The keys that are trusted, by id: every `*.pub` in `directory`. Empty where there is no such directory.

    Refused if one of them is damaged or not Ed25519, naming the file.
    """
    found = {}
    with _world("reading the trusted keys", directory):
        try:
            pems = {path: path.read_bytes() for path in sorted(directory.iterdir()) if path.suffix == ".pub"}
        except FileNotFoundError:
            return {}
    for path, pem in pems.items():
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Refused("not a public key in PEM: restore it from a copy, or remove it", str(path)) from error
        if not isinstance(key, Ed25519PublicKey):
            raise Refused(f"an Ed25519 key is needed, not {type(key).__name__}", str(path))
        found[key_id(key)] = key
    return found


def make_pseudonym_key(directory: Path) -> str:
    """A new pseudonym key in `directory`, as `pseudonym.key` (64 hex digits); its id. Refused if there is one."""
    key = secrets.token_bytes(PSEUDONYM_BYTES)
    _write_secret(directory / f"{PSEUDONYM}.key", f"{key.hex()}\n".encode())
    return sha256(key)[:16]


def pseudonym_key(directory: Path) -> tuple[str, bytes]:
    """The pseudonym key of `directory`: its id (16 hex digits) and its 32 bytes.

    NotFound if there is none; Refused if others may read it, or it is damaged.
    """
    path = directory / f"{PSEUDONYM}.key"
    try:
        key = bytes.fromhex(_secret(path).decode("ascii"))
    except ValueError as error:
        raise Refused("not 64 hex digits: restore it from a copy", str(path)) from error
    if len(key) != PSEUDONYM_BYTES:
        raise Refused("not 64 hex digits: restore it from a copy", str(path))
    return sha256(key)[:16], key


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name):
        raise Refused(f"{name!r} is no name for a key: use lower-case letters, digits and dashes")
    if name == PSEUDONYM:
        raise Refused(f"{name} is the pseudonym key's name: choose another")


def _secret(path: Path) -> bytes:
    """The content of a file that only its owner may touch."""
    with _world("reading the key", path):
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise NotFound("there is no such key: `mainstay keys init` makes one", str(path)) from error
        with file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise Refused(f"others may use this key (mode {mode:04o}): run chmod 600 {path}", str(path))
            return file.read()


def _write_secret(path: Path, data: bytes) -> None:
    with _world("making the directory of keys", path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(path, data, 0o600)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet; it appears whole, and survives power loss."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with _world("writing the key", path):
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(temporary)  # unlike a rename, this never replaces what is there
        except FileExistsError as error:
            raise Refused("there is a key already, and keys are never overwritten", str(path)) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        keep_entries(path.parent)


@contextmanager
def _world(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{(error.strerror or str(error)).lower()} while {doing}", str(path)) from error
