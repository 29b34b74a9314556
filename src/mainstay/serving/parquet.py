"""Parquet bodies, by a process of its own: pyarrow is too large for a worker, and reads what a stranger sent.

The process (`adapters/parquet.py`) is started for the first Parquet body and kept; one that dies, or is late, is
replaced by the next body's. It needs the extra `serving-batch`.
"""

import importlib.util
import os
import select
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence

from mainstay.serving.problems import Rejected

PATIENCE = 30.0
"""Seconds that a conversion may take."""
COMMAND = (sys.executable, "-P", "-m", "mainstay.adapters.parquet")
_PART = 1 << 16
_HINT = "Parquet needs the extra `serving-batch` (pip install 'mainstay[serving-batch]'): send text/csv or Arrow"


class Parquet:
    """Conversions of Parquet, one at a time. Any thread may ask, and waits."""

    def __init__(self, seconds: float = PATIENCE, command: Sequence[str] = COMMAND, needs: str = "pyarrow") -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._seconds, self._command, self._needs = seconds, command, needs
        self._lock = threading.Lock()
        self._end: weakref.finalize[..., Parquet] | None = None

    def check(self) -> None:
        """Rejected with 415 where there is nothing here that reads Parquet."""
        if importlib.util.find_spec(self._needs) is None:
            raise Rejected(415, _HINT)

    def to_arrow(self, body: bytes | bytearray) -> bytes:
        """A Parquet file as an Arrow stream. Rejected with 400 where it is none that can be read, 413 for its size."""
        return self._asked(b"r", bytes(body))

    def from_arrow(self, stream: bytes) -> bytes:
        """An Arrow stream as a Parquet file."""
        return self._asked(b"w", stream)

    def close(self) -> None:
        """End the process, if there is one."""
        end, self._end, self.process = self._end, None, None
        if end is not None:
            end()

    def _asked(self, what: bytes, data: bytes) -> bytes:
        with self._lock:
            try:
                status, made = self._exchange(what, data)
            except (OSError, struct.error) as error:
                self.close()
                raise Rejected(503, "the process that reads Parquet failed", headers={"retry-after": "1"}) from error
        if status == 200:
            return made
        raise Rejected(status, made.decode())

    def _exchange(self, what: bytes, data: bytes) -> tuple[int, bytes]:
        process = self.process
        if process is None or process.poll() is not None:
            self.close()
            process = self.process = subprocess.Popen(  # noqa: S603  (our own module)
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            # Whoever forgets to close this does not leave a process behind.
            self._end = weakref.finalize(self, _ended, process)
            if process.stdin is not None:
                os.set_blocking(process.stdin.fileno(), False)
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        into, out = process.stdin.fileno(), process.stdout.fileno()
        until = time.monotonic() + self._seconds
        self._send(into, what + struct.pack("<Q", len(data)), until)
        self._send(into, data, until)
        status, size = struct.unpack("<HQ", self._receive(out, 10, until))
        return status, self._receive(out, size, until)

    def _send(self, into: int, data: bytes, until: float) -> None:
        left = memoryview(data)
        while left:
            if not select.select([], [into], [], max(0.0, until - time.monotonic()))[1]:
                raise TimeoutError
            left = left[os.write(into, left[:_PART]) :]

    def _receive(self, out: int, size: int, until: float) -> bytes:
        made = bytearray()
        while len(made) < size:
            if not select.select([out], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            part = os.read(out, min(1 << 20, size - len(made)))
            if not part:
                raise OSError("the process ended")
            made += part
        return bytes(made)


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()
