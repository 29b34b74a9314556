"""Bytes kept under a name: datasets, bundles, configurations. In a directory, or in an object store."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from mainstay.durable import keep_entries
from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused, Unavailable

PART_BYTES = 200  # of one part of a name: file systems hold 255, and a temporary name needs some
NAME_BYTES = 900  # of a whole name: object stores hold 1,024, and a store's own prefix needs some
_NO_NAME = "{!r} is no name for a blob: use parts of letters and digits between slashes"
_ABSENT = ("404", "NoSuchKey", "NotFound")
_UNDER = ("ObjectParentIsFile", "ExistingObjectIsDirectory")  # of a store that keeps its objects as files


class Blobs(Protocol):
    """A store of bytes under names.

    A name is a relative POSIX path of at most 900 bytes: parts between slashes, none of them empty, beginning with a
    dot, longer than 200 bytes, or holding a control character or a backslash; anything else is Refused. Every method
    raises Unavailable, and nothing else, while the store cannot be used.
    """

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`: once this returns it survives power loss.

        A reader sees all of it or none. The same bytes put twice are the same as once; other bytes replace what was
        there. Refused where `name` lies under another blob's name, or others lie under it.
        """

    def get(self, name: str) -> bytes:
        """What was put last. NotFound if nothing was."""

    def exists(self, name: str) -> bool:
        """Whether something was put."""

    def remove(self, name: str) -> None:
        """Keep it no longer. Where nothing was put, nothing happens."""

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, in order; `prefix` need not end at a slash."""


class BlobDirectory:
    """Blobs as files under a directory, which the first one makes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with self._world("writing", name):
            _make_directories(path.parent)
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            keep_entries(path.parent)

    def get(self, name: str) -> bytes:
        path = self._path(name)
        with self._world("reading", name):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise NotFound(f"there is no blob {name}", str(self._root)) from error

    def exists(self, name: str) -> bool:
        path = self._path(name)
        with self._world("reading", name):
            try:
                path.open("rb").close()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return False
            return True

    def remove(self, name: str) -> None:
        path = self._path(name)
        with self._world("removing", name), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
            keep_entries(path.parent)

    def file(self, name: str) -> Path:
        """Where a blob lies, for readers of files; whether one is there is for `exists` to say."""
        return self._path(name)

    def names(self, prefix: str = "") -> list[str]:
        folder = prefix.rpartition("/")[0]
        if folder and not _sound(folder):
            return []
        found: list[str] = []
        with self._world("listing", prefix or "everything"):
            for directory, folders, files in os.walk(self._root / folder, onerror=_raise_unless_absent):
                folders[:] = [below for below in folders if not below.startswith(".")]
                at = Path(directory).relative_to(self._root)
                found += [(at / file).as_posix() for file in files if not file.startswith(".")]
        return sorted(name for name in found if name.startswith(prefix))

    def _path(self, name: str) -> Path:
        if not _sound(name):
            raise Refused(_NO_NAME.format(name))
        return self._root / name

    @contextmanager
    def _world(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._told(error, f"{doing} {name}") from error

    def _told(self, error: OSError, doing: str) -> MainstayError:
        place = str(self._root)
        if isinstance(error, (NotADirectoryError, IsADirectoryError, FileExistsError)) and self._root.is_dir():
            return Refused(f"{doing}: a blob's name cannot lie under another blob's name", place)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return Unavailable(f"disk full while {doing}", place)
        return Unavailable(f"{(error.strerror or str(error)).lower()} while {doing}", place)


class Bucket:
    """Blobs as objects (`s3://`) of a bucket that is there already, under a prefix.

    Where the store is, and what opens it, is for AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    AWS_REGION to say, as for every client of it. An object is there whole or not at all, and what a put has answered
    survives power loss: both are the store's own promise.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._place = f"s3://{bucket}/{prefix}".rstrip("/")

    def put(self, name: str, data: bytes) -> None:
        with self._world("writing", name):
            self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=data)

    def get(self, name: str) -> bytes:
        with self._world("reading", name):
            found: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
            return found

    def exists(self, name: str) -> bool:
        try:
            with self._world("reading", name):
                self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except NotFound:
            return False
        return True

    def remove(self, name: str) -> None:
        with self._world("removing", name), suppress(NotFound):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def names(self, prefix: str = "") -> list[str]:
        folder = prefix.rpartition("/")[0]
        if folder and not _sound(folder):
            return []
        with self._world("listing", prefix or "everything"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return sorted(key.removeprefix(self._prefix) for key in keys if not key.endswith("/"))

    def _key(self, name: str) -> str:
        if not _sound(name):
            raise Refused(_NO_NAME.format(name))
        return self._prefix + name

    @cached_property
    def _client(self) -> Any:
        try:
            import boto3  # the extra `s3`: a home in a directory does without
            from botocore.config import Config
        except ImportError as error:
            raise Misconfigured("blobs at s3:// need boto3: pip install 'mainstay[s3]'", self._place) from error
        config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
        return boto3.Session().client("s3", config=config)

    @contextmanager
    def _world(self, doing: str, name: str) -> Iterator[None]:
        _ = self._client  # Misconfigured, where the next line would fail
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._told(error, f"{doing} {name}", name) from error

    def _told(self, error: Exception, doing: str, name: str) -> MainstayError:
        code = str(getattr(error, "response", {}).get("Error", {}).get("Code", "")) or type(error).__name__
        if code in _ABSENT:
            return NotFound(f"there is no blob {name}", self._place)
        if code in _UNDER:
            return Refused(f"{doing}: a blob's name cannot lie under another blob's name", self._place)
        return Unavailable(f"the store answers {code} while {doing}", self._place)


def blobs_from(url: str) -> Blobs:
    """The store at an address: `file:///ABSOLUTE/DIRECTORY` or `s3://BUCKET/PREFIX`. Misconfigured for any other."""
    match url.partition("://")[0]:
        case "file":
            parts = urlsplit(url)
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise Misconfigured(f"{url} names a host: a directory is file:///ABSOLUTE/DIRECTORY")
            if parts.query or parts.fragment:
                raise Misconfigured(f"{url} holds a ? or #: write them as %3F and %23")
            return BlobDirectory(Path(unquote(parts.path)))
        case "s3":
            parts = urlsplit(url)
            prefix = unquote(parts.path).strip("/")
            named = parts.netloc and "@" not in parts.netloc and not parts.query and not parts.fragment
            if not named or (prefix and not _sound(prefix)):
                raise Misconfigured("blobs in an object store are at s3://BUCKET/PREFIX; AWS_* variables hold its keys")
            return Bucket(parts.netloc, prefix)
        case "":
            raise Misconfigured("no address for blobs: use file:///ABSOLUTE/DIRECTORY or s3://BUCKET/PREFIX")
        case scheme:
            raise Misconfigured(f"no blobs are kept at {scheme}: use file:///ABSOLUTE/DIRECTORY or s3://BUCKET/PREFIX")


def _sound(name: str) -> bool:
    """Whether a name has only parts that every file system and object store keeps as they are."""
    if "\\" in name or not name.isprintable() or len(name.encode()) > NAME_BYTES:  # no surrogate is printable
        return False
    return all(part and not part.startswith(".") and len(part.encode()) <= PART_BYTES for part in name.split("/"))


def _make_directories(path: Path) -> None:
    """Make a directory and those above it, each entry durable before anything is put below it."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    path.mkdir(exist_ok=True)
    keep_entries(path.parent)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error
