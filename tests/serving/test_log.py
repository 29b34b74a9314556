"""The write-ahead log of one process: when segments end, what `committed` waits for, what waits to be shipped."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.stream import Run, Spool, Stream, Waiting, Writer
from mainstay.errors import Unavailable
from mainstay.logged import decode_header, decode_row
from mainstay.observed import SegmentHeader
from mainstay.serving.log import SEAL_AFTER, SEAL_AT, Log

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FEED = ("crm", 1, 2)


class Disk:
    """A stream on a disk that counts what is made durable, and fails when told to."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.syncs = self.appends = 0
        self.failing = ""
        self.slow = 0.0

    def write(self, topic: str, header: bytes, now: datetime) -> "Disk.Kept":
        return self.Kept(self, self.spool.write(topic, header, now))

    def sealed(self, topic: str) -> list[str]:
        return self.spool.sealed(topic)

    def read(self, topic: str, name: str) -> Run:
        return self.spool.read(topic, name)

    def done(self, topic: str, name: str, keep: bool = False) -> None:
        self.spool.done(topic, name, keep)

    def waiting(self, topic: str) -> Waiting:
        return self.spool.waiting(topic)

    class Kept:
        def __init__(self, disk: "Disk", writer: Writer) -> None:
            self._disk, self._writer = disk, writer

        @property
        def size(self) -> int:
            return self._writer.size

        def append(self, *payloads: bytes) -> None:
            self._check("append")
            self._disk.appends += 1
            self._writer.append(*payloads)

        def sync(self) -> None:
            self._check("sync")
            time.sleep(self._disk.slow)
            self._disk.syncs += 1
            self._writer.sync()

        def seal(self) -> None:
            self._check("seal")
            self._writer.seal()

        def _check(self, doing: str) -> None:
            if self._disk.failing == doing:
                raise Unavailable("disk full", doing)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(Spool(tmp_path))


def log_on(stream: Stream, **settings: Any) -> Log:
    return Log(stream, "churn", "host-a", lambda: NOW, **settings)


@pytest.fixture
def log(disk: Disk) -> Log:
    return log_on(disk)


def headers(disk: Disk) -> list[SegmentHeader]:
    return [decode_header(disk.read("churn", name).header or b"") for name in disk.sealed("churn")]


def rows(disk: Disk) -> list[Any]:
    found = []
    for name in disk.sealed("churn"):
        run = disk.read("churn", name)
        header = decode_header(run.header or b"")
        found += [decode_row(header, each) for each in run.payloads]
    return found


def test_what_was_appended_is_on_disk_at_once_and_read_once_it_is_sealed(disk: Disk, log: Log) -> None:
    log.append("feed", None, "", FEED)
    assert log.backlog()[0] > 0
    assert disk.sealed("churn") == []
    log.close()
    (header,) = headers(disk)
    assert (header.use_case, header.kind, header.host, header.opened_at) == ("churn", "feed", "host-a", NOW)
    assert [row.source for row in rows(disk)] == ["crm"]


def test_records_that_are_written_together_are_so_in_one_write(disk: Disk, log: Log) -> None:
    log.append_all("feed", None, "", [FEED] * 3)
    log.append("feed", None, "", FEED)
    assert disk.appends == 2
    disk.failing = "append"
    with pytest.raises(Unavailable):
        log.append_all("feed", None, "", [FEED] * 3)
    assert log.failures == 1
    log.close()
    assert len(rows(disk)) == 4


def test_every_kind_and_contract_has_a_segment_of_its_own(disk: Disk, log: Log) -> None:
    rejection = (1, 422, "tenure", "is missing", None)
    for _ in range(2):
        log.append("feed", None, "", FEED)
        log.append("rejection", None, "", rejection)
        log.append("rejection", {"tenure": "number"}, "abc", rejection)
    log.close()
    found = sorted((each.kind, each.contract, dict(each.features)) for each in headers(disk))
    assert found == [("feed", "", {}), ("rejection", "", {}), ("rejection", "abc", {"tenure": "number"})]
    assert len(rows(disk)) == 6


def test_a_segment_is_sealed_after_five_seconds_also_when_nothing_more_comes(disk: Disk, log: Log) -> None:
    began = time.monotonic()
    log.append("feed", None, "", FEED)
    log.tick(began + SEAL_AFTER - 1)
    assert disk.sealed("churn") == []
    log.tick(began + SEAL_AFTER + 1)
    assert len(disk.sealed("churn")) == 1
    log.append("feed", None, "", FEED)  # the next one begins with the next record
    log.close()
    assert len(disk.sealed("churn")) == 2


def test_a_segment_is_sealed_at_sixteen_megabytes(disk: Disk, log: Log) -> None:
    record = ("x" * 1_000_000, 1, 2)
    for _ in range(SEAL_AT // 1_000_000):
        log.append("feed", None, "", record)
    log.tick(time.monotonic())
    assert len(disk.sealed("churn")) == 1
    log.close()


def test_without_fsync_nobody_waits(disk: Disk, log: Log) -> None:
    log.append("feed", None, "", FEED)
    asyncio.run(log.committed())
    assert disk.syncs == 0
    log.close()


@pytest.fixture
def committing(disk: Disk) -> Iterator[Log]:
    made = log_on(disk, fsync="group")
    made.start()
    yield made
    disk.failing = ""
    made.close()


def test_one_fsync_serves_all_who_wait(disk: Disk, committing: Log) -> None:
    disk.slow = 0.02

    async def answer() -> None:
        committing.append("feed", None, "", FEED)
        await committing.committed()

    async def load() -> None:
        await asyncio.gather(*(answer() for _ in range(200)))

    asyncio.run(load())
    assert 1 <= disk.syncs <= 4


def test_committed_returns_only_after_an_fsync_that_began_after_the_append(disk: Disk, committing: Log) -> None:
    async def load() -> None:
        for _ in range(20):
            before = disk.syncs
            committing.append("feed", None, "", FEED)
            await committing.committed()
            assert disk.syncs > before

    asyncio.run(load())


def test_a_failed_fsync_reaches_whoever_waits_and_a_later_one_works(disk: Disk, committing: Log) -> None:
    async def load() -> None:
        committing.append("feed", None, "", FEED)
        disk.failing = "sync"
        with pytest.raises(Unavailable, match="disk full"):
            await committing.committed()
        disk.failing = ""
        committing.append("feed", None, "", FEED)
        await committing.committed()

    asyncio.run(load())


def test_who_left_meanwhile_holds_up_nobody(disk: Disk, committing: Log) -> None:
    disk.slow = 0.05

    async def load() -> None:
        committing.append("feed", None, "", FEED)
        left = asyncio.ensure_future(committing.committed())
        await asyncio.sleep(0)
        left.cancel()
        await committing.committed()

    asyncio.run(load())


def test_a_full_disk_is_unavailable_and_counted_and_the_log_recovers_by_itself(disk: Disk, log: Log) -> None:
    log.append("feed", None, "", FEED)
    disk.failing = "append"
    for _ in range(3):
        with pytest.raises(Unavailable, match="disk full"):
            log.append("feed", None, "", FEED)
    assert log.failures == 3
    disk.failing = ""
    log.append("feed", None, "", FEED)
    log.close()
    assert len(rows(disk)) == 2


def test_a_segment_that_cannot_be_sealed_is_left_to_the_shipper(disk: Disk, log: Log) -> None:
    log.append("feed", None, "", FEED)
    disk.failing = "seal"
    log.close()
    disk.failing = ""
    assert log.backlog()[0] > 0


def test_the_backlog_tells_how_long_the_oldest_waits(tmp_path: Path) -> None:
    now = [NOW]
    log = Log(Spool(tmp_path), "churn", "host-a", lambda: now[0])
    assert log.backlog() == (0, 0.0)
    log.append("feed", None, "", FEED)
    now[0] += timedelta(seconds=90)
    size, age = log.backlog()
    assert size > 0
    assert age == pytest.approx(90, abs=0.01)
    log.close()


def test_whoever_waits_hears_of_an_fsync_that_failed_as_the_segment_was_sealed(disk: Disk) -> None:
    log = log_on(disk, fsync="group")

    async def answer() -> None:
        log.append("feed", None, "", FEED)
        waits = asyncio.ensure_future(log.committed())
        await asyncio.sleep(0)
        disk.failing = "seal"
        log.tick(time.monotonic() + SEAL_AFTER)  # sealed before the next commit: there is nothing left to sync
        disk.failing = ""
        log.start()
        await waits

    with pytest.raises(Unavailable):
        asyncio.run(answer())
    log.append("feed", None, "", FEED)
    asyncio.run(log.committed())
    log.close()


def test_threads_may_append_while_segments_are_sealed(disk: Disk, log: Log) -> None:
    async def load() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(asyncio.to_thread(append, number))
            for _ in range(50):
                await asyncio.sleep(0.001)
                log.tick(time.monotonic() + 100)

    def append(number: int) -> None:
        for count in range(500):
            log.append("feed", None, "", (f"{number}", count, 0))

    asyncio.run(load())
    log.close()
    assert sorted((row.source, row.complete_through) for row in rows(disk)) == sorted(
        (str(number), count) for number in range(4) for count in range(500)
    )
