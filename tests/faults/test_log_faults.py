"""The write-ahead log in a failing world: a disk that is really full, writers that are killed."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.adapters.stream import Spool
from mainstay.errors import Unavailable
from mainstay.logged import decode_header, decode_row
from mainstay.serving.log import Log

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def logged(spool: Spool) -> list[str]:
    """The sources of all records, in order; each segment is whole."""
    found = []
    for name in spool.sealed("churn"):
        run = spool.read("churn", name)
        assert run.damaged == ()
        header = decode_header(run.header or b"")
        found += [getattr(decode_row(header, each), "source") for each in run.payloads]  # noqa: B009
    return found


def log_on(spool: Spool) -> Log:
    return Log(spool, "churn", "host-a", lambda: NOW)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_loses_nothing_acknowledged_and_the_log_goes_on_when_there_is_space(small_disk: Path) -> None:
    spool = Spool(small_disk / "segments")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    log = log_on(spool)
    acknowledged, refused, said = [], 0, set()
    for number in range(400):
        if number == 300:
            ballast.unlink()  # somebody makes space
        name = f"{number} " + "x" * (number * 7 % 900)
        try:
            log.append("feed", None, "", (name, 1, 2))
            acknowledged.append(name)
        except Unavailable as error:
            said.add(error.message)
            refused += 1
    assert said == {"disk full while writing to the log"}
    assert refused > 10
    assert log.failures == refused
    assert any(int(each.split()[0]) >= 300 for each in acknowledged)
    log.close()
    assert logged(spool) == acknowledged


def test_a_disk_without_space_for_a_new_segment_is_unavailable_and_leaves_no_file(small_disk: Path) -> None:
    spool = Spool(small_disk / "segments")
    (small_disk / "segments" / "churn").mkdir(parents=True)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    log = log_on(spool)
    for _ in range(3):
        with pytest.raises(Unavailable, match="disk full while making a segment"):
            log.append("feed", None, "", ("crm", 1, 2))
    assert list((small_disk / "segments" / "churn").iterdir()) == []
    ballast.unlink()
    log.append("feed", None, "", ("crm", 1, 2))
    log.close()
    assert logged(spool) == ["crm"]


@pytest.mark.parametrize("together", [1, 3])
def test_a_file_that_may_not_grow_any_more_holds_whole_records(tmp_path: Path, together: int) -> None:
    """Of records that are written together all, or none."""
    spool = Spool(tmp_path)
    log = log_on(spool)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    acknowledged, said = [], set()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limit[1]))
        for number in range(20):
            words = [f"{number}.{each} " + "x" * 300 for each in range(together)]
            try:
                log.append_all("feed", None, "", [(each, 1, 2) for each in words])
                acknowledged += words
            except Unavailable as error:
                said.add(error.message)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert 0 < len(acknowledged) < 20 * together
    assert said == {"disk full while writing to the log"}
    log.append("feed", None, "", ("afterwards", 1, 2))
    log.close()
    assert logged(spool) == [*acknowledged, "afterwards"]


WRITER = """
import os, sys, threading
from datetime import UTC, datetime
from pathlib import Path
from mainstay.adapters.stream import Spool
from mainstay.serving.log import Log
log = Log(Spool(Path(sys.argv[1])), "churn", "host-a", lambda: datetime.now(UTC))
log.start()
said = threading.Lock()
def write(me):
    number = 0
    while True:
        log.append("feed", None, "", (f"{sys.argv[2]}.{me}.{number}", 1, 2))
        with said:
            os.write(1, f"{sys.argv[2]}.{me}.{number}\\n".encode())
        number += 1
        if me == 0 and number % 50 == 0:
            log.tick(1e12)
for me in range(3):
    threading.Thread(target=write, args=(me,)).start()
"""


def test_every_record_acknowledged_before_a_kill_is_in_the_log_exactly_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "segments")
    chance = random.Random(5)
    acknowledged: list[str] = []
    for life in range(20):
        output = tmp_path / f"said-{life}"
        with output.open("wb") as said:
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path / "segments"), str(life)], stdout=said
            )
            try:
                until = time.monotonic() + 30
                while not output.stat().st_size and time.monotonic() < until:
                    time.sleep(0.005)
                time.sleep(chance.random() * 0.05)
                spool.sealed("churn")  # a shipper looks while it writes
            finally:
                os.kill(writer.pid, signal.SIGKILL)
                writer.wait()
        acknowledged += output.read_text().split("\n")[:-1]
    found = Counter(logged(spool))
    assert len(acknowledged) > 200
    assert [each for each in acknowledged if found[each] != 1] == []
    # One record of each thread may be written, and not yet acknowledged, when the kill comes.
    assert len(found) - len(acknowledged) <= 20 * 3
    assert set(found.values()) == {1}
    assert not [path for path in (tmp_path / "segments" / "churn").iterdir() if path.suffix != ".sealed"]
