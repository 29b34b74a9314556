"""Bytes kept under a name: datasets, bundles, configurations. The embedded store is a directory."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused, Unavailable

PART_BYTES = 200  # of one part of a name: file systems hold 255, and a temporary name needs some
NAME_BYTES = 900  # of a whole name: object stores hold 1,024, and a store's own prefix needs some


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
            _keep_entries(path.parent)

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
            raise Refused(f"{name!r} is no name for a blob: use parts of letters and digits between slashes")
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


def blobs_from(url: str) -> Blobs:
    """The store at an address: `file:///ABSOLUTE/DIRECTORY`. Misconfigured for any other."""
    match url.partition("://")[0]:
        case "file":
            parts = urlsplit(url)
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise Misconfigured(f"{url} names a host: a directory is file:///ABSOLUTE/DIRECTORY")
            if parts.query or parts.fragment:
                raise Misconfigured(f"{url} holds a ? or #: write them as %3F and %23")
            return BlobDirectory(Path(unquote(parts.path)))
        case "":
            raise Misconfigured("no address for blobs: use file:///ABSOLUTE/DIRECTORY")
        case scheme:
            raise Misconfigured(f"no blobs are kept at {scheme}: use file:///ABSOLUTE/DIRECTORY")


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
    _keep_entries(path.parent)


def _keep_entries(directory: Path) -> None:
    """Make the names in a directory, not only the bytes behind them, survive power loss."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error
