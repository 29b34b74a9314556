"""Where a process writes down what it observed, before it answers, and where it is taken up again.

What is written is a run of payloads behind a header (frames.py); what they mean is not known here.
"""

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mainstay.digests import new_id
from mainstay.durable import keep_entries
from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused, Unavailable
from mainstay.frames import HEAD, Bytes, frame, opening, scan

OPEN, SEALED, DAMAGED = ".open", ".sealed", ".damaged"
_TOPIC = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class Run:
    """A run of records whose writer is done with it.

    `digest` is the SHA-256 of the whole of it: the same records read again have the same. `header` is None, and there
    are no payloads, where damage left nothing to read them by; `damaged` are the spans of bytes that hold none.
    """

    name: str
    digest: str
    size: int
    header: Bytes | None
    payloads: list[Bytes]
    damaged: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What was appended and is not `done`: bytes, and since when the oldest of it waits (None where nothing does)."""

    bytes: int
    since: datetime | None


class Writer(Protocol):
    """Appends to one run. One thread at a time. Every method raises Unavailable, and nothing else of the world's."""

    @property
    def size(self) -> int:
        """Bytes of the run until now."""

    def append(self, *payloads: bytes) -> None:
        """Write them down: once this returns they survive the death of this process. If it raises, none was written.

        Refused where one is empty or longer than 256 MB.
        """

    def sync(self) -> None:
        """Once this returns, all that was appended survives power loss."""

    def seal(self) -> None:
        """End the run, as durable as `sync` does; nothing can be appended any more, and readers may have it."""


class Stream(Protocol):
    """Runs of records, by topic: a name of letters, digits, `_`, `-` and `.`; anything else is Refused.

    Every method raises Unavailable while the world is down. A run that its writer died over is sealed by whoever
    looks next: nothing that was appended is lost.
    """

    def write(self, topic: str, header: bytes, now: datetime) -> Writer:
        """Begin a run."""

    def sealed(self, topic: str) -> list[str]:
        """The names of the runs that can be read, and are not done, oldest first."""

    def read(self, topic: str, name: str) -> Run:
        """The run of that name. NotFound where there is none, or it is done."""

    def done(self, topic: str, name: str, keep: bool = False) -> None:
        """Nobody needs this run any more: it is kept somewhere else. Doing it twice is the same as once.

        With `keep` it stays where people can look at it (what was damaged), and is not among the sealed any more.
        """

    def waiting(self, topic: str) -> Waiting:
        """What has not been done yet."""


class Spool:
    """Runs as files of a directory of this host, one file each: `TOPIC/ID.open`, then `TOPIC/ID.sealed`.

    The writer holds a lock (flock) on its file, which ends with its process: whoever gets the lock of an open file
    knows that its writer is dead, cuts off what it was writing, and seals the file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, topic: str, header: bytes, now: datetime) -> "Segment":
        directory = self._directory(topic)
        with _world(directory, "making a segment"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            while True:
                with suppress(FileNotFoundError):  # a reader removed it while it was empty
                    return Segment(directory / (new_id(now) + OPEN), header)

    def sealed(self, topic: str) -> list[str]:
        directory = self._directory(topic)
        with _world(directory, "looking for segments"):
            for path in self._files(directory, OPEN):
                _take_over(path)
            return [path.name.removesuffix(SEALED) for path in self._files(directory, SEALED)]

    def read(self, topic: str, name: str) -> Run:
        path = self._path(topic, name)
        with _world(path, "reading a segment"):
            try:
                data = path.read_bytes()
            except FileNotFoundError as error:
                raise NotFound(f"there is no sealed segment {name}", str(path.parent)) from error
        found = scan(data)
        whole = found.header is None or found.end == len(data)
        damaged = found.damaged if whole else (*found.damaged, (found.end, len(data)))
        return Run(name, hashlib.sha256(data).hexdigest(), len(data), found.header, found.payloads, damaged)

    def done(self, topic: str, name: str, keep: bool = False) -> None:
        path = self._path(topic, name)
        with _world(path, "removing a segment"), suppress(FileNotFoundError):
            if keep:
                path.rename(path.with_suffix(DAMAGED))
            else:
                path.unlink()
            keep_entries(path.parent)

    def waiting(self, topic: str) -> Waiting:
        directory = self._directory(topic)
        total, oldest = 0, ""
        with _world(directory, "looking for segments"):
            for path in [*self._files(directory, OPEN), *self._files(directory, SEALED)]:
                with suppress(FileNotFoundError):  # it was done meanwhile
                    total += path.stat().st_size
                    oldest = min(oldest or path.stem, path.stem)
        since = datetime.fromtimestamp(int(oldest[:12], 16) / 1000, UTC) if oldest else None
        return Waiting(total, since)

    def _directory(self, topic: str) -> Path:
        if not _TOPIC.fullmatch(topic):
            raise Refused(f"{topic!r} is no topic: use letters, digits, `_`, `-` and `.`")
        return self._root / topic

    def _path(self, topic: str, name: str) -> Path:
        if not re.fullmatch("[0-9a-f]{32}", name):
            raise Refused(f"{name!r} is no name of a segment: those are 32 hex digits")
        return self._directory(topic) / (name + SEALED)

    @staticmethod
    def _files(directory: Path, suffix: str) -> list[Path]:
        try:
            names = [path.name for path in directory.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(directory / name for name in names if re.fullmatch("[0-9a-f]{32}" + re.escape(suffix), name))


class Segment:
    """One run in one file, locked by this process while it is open. Nothing touches the disk but its own calls."""

    def __init__(self, path: Path, header: bytes) -> None:
        """Make the file, with the header in it. OSError where that fails, and then there is no file.

        FileNotFoundError where a reader took it for one that its writer left empty, and removed it.
        """
        begin, self._salt = opening(header)
        self._path = path
        self._named = False
        self.size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(self._file), path.stat()):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            self._write(begin)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(self._file)
            raise

    def append(self, *payloads: bytes) -> None:
        salt = self._salt
        framed = b"".join([frame(payload, salt) for payload in payloads])
        try:
            self._write(framed)
        except OSError as error:
            raise _told(error, self._path.parent, "writing to the log") from error

    def sync(self) -> None:
        with _world(self._path.parent, "writing the log to the disk"):
            os.fsync(self._file)
            if not self._named:
                keep_entries(self._path.parent)
                self._named = True

    def seal(self) -> None:
        """If it raises, the lock is gone all the same, and whoever looks next seals the file."""
        try:
            with _world(self._path.parent, "sealing a segment"):
                os.fsync(self._file)
                self._path.rename(self._path.with_suffix(SEALED))
                keep_entries(self._path.parent)
        finally:
            os.close(self._file)

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            written = os.write(self._file, data)
            if written < len(data):  # the disk is full, or a signal came in between: the rest says which
                written += os.write(self._file, memoryview(data)[written:])
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += written


def _take_over(path: Path) -> None:
    """Seal a file whose writer is dead, without what it was writing when it died. Nothing where the writer lives."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with suppress(FileNotFoundError):  # the writer sealed it before it let go of its lock
            if not os.path.samestat(os.fstat(file), path.stat()):
                return
            data = path.read_bytes()
            found = scan(data)
            if not found.payloads and (_begun(data) or (not found.damaged and (found.torn or found.end == len(data)))):
                path.unlink()  # it died before it had written anything down
                return
            if found.torn:
                os.ftruncate(file, found.end)
            os.fsync(file)
            path.rename(path.with_suffix(SEALED))
            keep_entries(path.parent)
    finally:
        os.close(file)


def _begun(data: bytes) -> bool:
    """Whether a file is so short that no more than its header was being written."""
    return len(data) < HEAD.size or len(data) < 2 * (HEAD.size + HEAD.unpack_from(data)[0])


@contextmanager
def _world(place: Path, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _told(error, place, doing) from error


def _told(error: OSError, place: Path, doing: str) -> MainstayError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    words = "disk full" if full else (error.strerror or str(error)).lower()
    return Unavailable(f"{words} while {doing}", str(place))


def stream_from(url: str) -> Stream:
    """The stream at an address: `spool:///ABSOLUTE/DIRECTORY`. Misconfigured for any other."""
    parts = urlsplit(url)
    match parts.scheme:
        case "spool":
            if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
                raise Misconfigured(f"{url} is no directory: segments are kept at spool:///ABSOLUTE/DIRECTORY")
            return Spool(Path(unquote(parts.path)))
        case "":
            raise Misconfigured("no address for segments: use spool:///ABSOLUTE/DIRECTORY")
        case scheme:
            raise Misconfigured(f"no segments are kept at {scheme}: use spool:///ABSOLUTE/DIRECTORY")
