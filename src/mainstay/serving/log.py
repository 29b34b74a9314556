"""The write-ahead log of one process: what it answers, refuses and is told is on disk before anybody hears of it."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mainstay.adapters.stream import Stream, Writer
from mainstay.errors import MainstayError, Unavailable
from mainstay.logged import encode_header, encoded
from mainstay.observed import SegmentHeader
from mainstay.serving import metrics

SEAL_AFTER = 5.0
"""Seconds that a segment stays open: a reader has what is in it soon after."""
SEAL_AT = 16_000_000
"""Bytes at which a segment is sealed before its time."""
LOOK = 0.25
"""Seconds between two looks at which segments are to be sealed."""
MEASURE = 1.0
"""Seconds between two counts of what waits to be shipped."""

log = logging.getLogger(__name__)

Kind = tuple[str, str]
"""What a segment holds: a kind of record, under a contract."""


@dataclass(slots=True)
class _Open:
    writer: Writer
    since: float


class Log:
    """Appends records to segments, one for each kind and contract; any thread may.

    `fsync` is `off` (what was appended survives the death of this process) or `group` (after `committed` it survives
    power loss). A thread of its own, from `start` on, seals what is old or large enough, and commits.
    """

    def __init__(
        self,
        stream: Stream,
        use_case: str,
        host: str,
        clock: Callable[[], datetime],
        fsync: Literal["off", "group"] = "off",
        cpu: str | None = None,
    ) -> None:
        """`cpu` is the kind of processor that scores what is logged."""
        self.failures = 0  # appends that raised
        self._cpu = cpu
        self._stream, self._use_case, self._host, self._clock = stream, use_case, host, clock
        self._group = fsync == "group"
        self._open: dict[Kind, _Open] = {}
        self._appending = threading.Lock()
        self._sealing = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._unsealed: Unavailable | None = None
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Seal and commit on a thread, until `close`."""
        self._thread.start()

    def append(self, kind: str, features: Mapping[str, str] | None, contract: str, record: Sequence[Any]) -> None:
        """Write a record down: when this returns, it survives the death of this process.

        `kind` is one of logged.KINDS and `record` its fields in order; `features` are the kinds of the features by
        name, in the order of the record's values, and `contract` the digest they belong to (empty, both, for kinds
        without features). Unavailable where the disk is full or fails: then nothing was written, and a later call
        may work.
        """
        self.append_all(kind, features, contract, [record])

    def append_all(
        self, kind: str, features: Mapping[str, str] | None, contract: str, records: Iterable[Sequence[Any]]
    ) -> None:
        """As `append`, for records that are written down together (in one write), or none of them."""
        payloads = [encoded(record) for record in records]
        try:
            with self._appending:
                found = self._open.get((kind, contract)) or self._begin((kind, contract), features or {})
                found.writer.append(*payloads)
                large = found.writer.size >= SEAL_AT
        except Unavailable:
            self.failures += 1
            metrics.LOG_FAILURES.inc()
            raise
        if large:
            self._wake.set()

    @property
    def at_once(self) -> bool:
        """Whether what was appended is as durable as the setting promises already: `committed` never waits."""
        return not self._group

    async def committed(self) -> None:
        """Return once all that was appended before this call is as durable as the setting promises.

        With `group`, one fsync serves all who wait at that moment. Unavailable where it failed: then what was appended
        may or may not be found later.
        """
        if not self._group:
            return
        loop = asyncio.get_running_loop()
        waits = loop.create_future()
        with self._appending:
            self._waiting.append((loop, waits))
        self._wake.set()
        await waits

    def tick(self, now: float) -> None:
        """Seal segments that have been open for 5 s at this monotonic time, or hold 16 MB."""
        self._seal(lambda each: now - each.since >= SEAL_AFTER or each.writer.size >= SEAL_AT)

    def close(self) -> None:
        """Seal everything. What is appended afterwards is written down all the same, and sealed by the shipper."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._commit()
        self._seal(lambda _: True)

    def backlog(self) -> tuple[int, float]:
        """Bytes of this host's segments that were not shipped yet, and the age of the oldest of them in seconds."""
        waiting = self._stream.waiting(self._use_case)
        if waiting.since is None:
            return waiting.bytes, 0.0
        return waiting.bytes, max(0.0, (self._clock() - waiting.since).total_seconds())

    def _begin(self, what: Kind, features: Mapping[str, Any]) -> _Open:
        now = self._clock()
        header = SegmentHeader(self._use_case, *what, self._host, now, features, self._cpu)
        made = _Open(self._stream.write(self._use_case, encode_header(header), now), time.monotonic())
        self._open[what] = made
        return made

    def _run(self) -> None:
        measured = 0.0
        while not self._closed:
            self._wake.wait(LOOK)
            self._wake.clear()
            self._commit()
            now = time.monotonic()
            self.tick(now)
            if now - measured >= MEASURE:
                measured = now
                self._measure()

    def _measure(self) -> None:
        with suppress(Unavailable):  # the disk is told of where it fails a request
            size, age = self.backlog()
            metrics.LOG_BACKLOG.set(size)
            metrics.LOG_AGE.set(age)

    def _commit(self) -> None:
        """One fsync for all who wait."""
        with self._sealing:  # what is being sealed right now is on the disk when this is ours
            failed: MainstayError | None = self._unsealed
            with self._appending:
                waiting, self._waiting = self._waiting, []
                opened = list(self._open.values()) if waiting else []
            if waiting:
                self._unsealed = None
            for each in opened:
                try:
                    each.writer.sync()
                except Unavailable as error:
                    failed = error
        for loop, future in waiting:
            with suppress(RuntimeError):  # whoever waited there is gone, with its loop
                loop.call_soon_threadsafe(_resolve, future, failed)

    def _seal(self, due: Callable[[_Open], bool]) -> None:
        with self._sealing:
            with self._appending:
                done = [what for what, each in self._open.items() if due(each)]
                ended = [self._open.pop(what) for what in done]
            for each in ended:
                try:
                    each.writer.seal()
                except Unavailable as error:
                    # The file is there, unlocked: the shipper seals it as it would a dead process's.
                    log.error("a segment was left to the shipper: %s", error)
                    self._unsealed = error  # whoever waits may have written there


def _resolve(future: "asyncio.Future[None]", failed: MainstayError | None) -> None:
    if future.done():
        return
    if failed is None:
        future.set_result(None)
    else:
        future.set_exception(failed)
