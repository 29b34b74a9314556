"""What every stream of records promises. A new one joins by being added to the fixture."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.adapters.stream import OPEN, SEALED, Segment, Stream, stream_from
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable
from mainstay.frames import opening

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = b"what follows"


@pytest.fixture(params=["spool"])
def stream(tmp_path: Path) -> Stream:
    return stream_from(f"spool://{tmp_path}/segments")


def payloads(stream: Stream, topic: str = "churn") -> list[bytes]:
    return [bytes(each) for name in stream.sealed(topic) for each in stream.read(topic, name).payloads]


# Every stream


def test_what_was_appended_is_read_in_order_once_it_is_sealed(stream: Stream) -> None:
    writer = stream.write("churn", HEADER, NOW)
    for each in (b"one", b"two", b"three"):
        writer.append(each)
    assert stream.sealed("churn") == []
    writer.seal()
    (name,) = stream.sealed("churn")
    run = stream.read("churn", name)
    assert run.header == HEADER
    assert [bytes(each) for each in run.payloads] == [b"one", b"two", b"three"]
    assert run.damaged == ()
    assert run.digest == stream.read("churn", name).digest


def test_what_is_done_is_gone_and_doing_it_twice_is_the_same_as_once(stream: Stream) -> None:
    writer = stream.write("churn", HEADER, NOW)
    writer.append(b"one")
    writer.seal()
    (name,) = stream.sealed("churn")
    stream.done("churn", name)
    stream.done("churn", name)
    assert stream.sealed("churn") == []
    assert stream.waiting("churn").bytes == 0
    with pytest.raises(NotFound, match="there is no sealed segment"):
        stream.read("churn", name)


def test_what_is_done_and_kept_is_not_read_again(stream: Stream) -> None:
    writer = stream.write("churn", HEADER, NOW)
    writer.append(b"one")
    writer.seal()
    (name,) = stream.sealed("churn")
    stream.done("churn", name, keep=True)
    assert stream.sealed("churn") == []


def test_topics_do_not_mix_and_the_oldest_run_comes_first(stream: Stream) -> None:
    for minute, (topic, text) in enumerate([("churn", b"1"), ("other", b"2"), ("churn", b"3")]):
        writer = stream.write(topic, HEADER, NOW + timedelta(minutes=minute))
        writer.append(text)
        writer.seal()
    assert payloads(stream) == [b"1", b"3"]
    assert payloads(stream, "other") == [b"2"]


def test_a_topic_nobody_wrote_about_holds_nothing(stream: Stream) -> None:
    assert stream.sealed("churn") == []
    assert stream.waiting("churn") == stream.waiting("other")
    assert stream.waiting("churn").since is None


@pytest.mark.parametrize("topic", ["", "..", ".hidden", "a/b", "a b", "x" * 201])
def test_a_topic_that_is_no_name_is_refused(stream: Stream, topic: str) -> None:
    with pytest.raises(Refused, match="is no topic"):
        stream.write(topic, HEADER, NOW)
    with pytest.raises(Refused, match="is no topic"):
        stream.sealed(topic)


def test_a_name_that_is_none_is_refused(stream: Stream) -> None:
    with pytest.raises(Refused, match="is no name of a segment"):
        stream.read("churn", "../ledger.db")
    with pytest.raises(Refused, match="is no name of a segment"):
        stream.done("churn", "*")


def test_an_empty_record_is_refused_and_the_run_goes_on(stream: Stream) -> None:
    writer = stream.write("churn", HEADER, NOW)
    with pytest.raises(Refused, match="cannot be logged"):
        writer.append(b"")
    writer.append(b"one")
    writer.seal()
    assert payloads(stream) == [b"one"]


def test_what_waits_is_known_in_bytes_and_since_when(stream: Stream) -> None:
    first = stream.write("churn", HEADER, NOW)
    first.append(b"one")
    first.seal()
    second = stream.write("churn", HEADER, NOW + timedelta(minutes=1))
    second.append(b"two")
    waiting = stream.waiting("churn")
    assert waiting.bytes == first.size + second.size
    assert waiting.since == NOW
    second.sync()
    second.seal()


def test_what_a_dead_process_appended_is_read(stream: Stream, tmp_path: Path) -> None:
    written = subprocess.run(
        [sys.executable, "-c", WRITER, f"spool://{tmp_path}/segments"], check=False, stdout=subprocess.PIPE, timeout=60
    )
    assert written.returncode == -signal.SIGKILL
    assert payloads(stream) == [b"%d" % number for number in range(int(written.stdout.split()[-1]) + 1)]
    assert stream.waiting("churn").bytes == sum(stream.read("churn", name).size for name in stream.sealed("churn"))


WRITER = """
import os, signal, sys
from datetime import UTC, datetime
from mainstay.adapters.stream import stream_from
writer = stream_from(sys.argv[1]).write("churn", b"header", datetime(2026, 1, 1, tzinfo=UTC))
for number in range(100):
    writer.append(b"%d" % number)
    os.write(1, b"%d\\n" % number)
os.kill(os.getpid(), signal.SIGKILL)
"""


# Segments on disk


def test_a_writer_that_lives_is_left_alone(tmp_path: Path) -> None:
    stream = stream_from(f"spool://{tmp_path}")
    writer = stream.write("churn", HEADER, NOW)
    writer.append(b"one")
    other = stream_from(f"spool://{tmp_path}")
    assert other.sealed("churn") == []
    writer.append(b"two")
    writer.seal()
    assert payloads(other) == [b"one", b"two"]


def dead_segment(directory: Path, texts: list[bytes]) -> Path:
    """A segment whose writer died: nobody holds its lock."""
    segment = Segment(directory / ("0" * 31 + "1" + OPEN), HEADER)
    for each in texts:
        segment.append(each)
    os.close(segment._file)
    return segment._path


def test_a_torn_tail_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    stream = stream_from(f"spool://{tmp_path}")
    (tmp_path / "churn").mkdir()
    texts = [b"one", b"two", b"three"]
    data = dead_segment(tmp_path / "churn", texts).read_bytes()
    begin = len(opening(HEADER)[0])
    ends = [begin + sum(8 + len(each) for each in texts[:count]) for count in range(4)]
    for stop in range(len(data)):
        path = tmp_path / "churn" / ("0" * 31 + "1" + OPEN)
        path.write_bytes(data[:stop])
        whole = [each for each, end in zip(texts, ends[1:], strict=True) if end <= stop]
        assert payloads(stream) == whole, stop
        for name in stream.sealed("churn"):
            assert stream.read("churn", name).damaged == ()
            assert stream.read("churn", name).size == ends[len(whole)]
            stream.done("churn", name)
        assert list((tmp_path / "churn").iterdir()) == []


def test_a_bit_flipped_in_a_dead_writers_segment_costs_one_record_and_is_told(tmp_path: Path) -> None:
    stream = stream_from(f"spool://{tmp_path}")
    (tmp_path / "churn").mkdir()
    texts = [b"one", b"two", b"three"]
    path = dead_segment(tmp_path / "churn", texts)
    data = path.read_bytes()
    begin = len(opening(HEADER)[0])
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        path.write_bytes(flipped)
        (name,) = stream.sealed("churn")
        run = stream.read("churn", name)
        assert len(run.payloads) == (3 if place < begin else 2), place
        assert {bytes(each) for each in run.payloads} <= set(texts)
        assert len(run.damaged) == 1
        stream.done("churn", name)


def test_an_empty_file_that_a_writer_left_is_removed_and_one_being_made_is_not_lost(tmp_path: Path) -> None:
    stream = stream_from(f"spool://{tmp_path}")
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / ("0" * 32 + OPEN)).touch()
    assert stream.sealed("churn") == []
    assert list((tmp_path / "churn").iterdir()) == []
    stop = threading.Event()
    reader = threading.Thread(target=lambda: [stream.sealed("churn") for _ in iter(stop.is_set, True)])
    reader.start()
    try:
        for number in range(300):  # a reader that comes between the file and its lock removes it: another is made
            writer = stream.write("churn", HEADER, NOW)
            writer.append(b"%d" % number)
            writer.seal()
    finally:
        stop.set()
        reader.join()
    assert sorted(payloads(stream), key=int) == [b"%d" % number for number in range(300)]


def test_segments_are_for_their_owner_alone(tmp_path: Path) -> None:
    stream = stream_from(f"spool://{tmp_path}/segments")
    writer = stream.write("churn", HEADER, NOW)
    (path,) = (tmp_path / "segments" / "churn").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    writer.seal()
    assert path.with_suffix(SEALED).exists()


def test_a_file_in_the_way_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "segments").write_text("")
    stream = stream_from(f"spool://{tmp_path}/segments")
    for call in (lambda: stream.write("churn", HEADER, NOW), lambda: stream.sealed("churn")):
        with pytest.raises(Unavailable, match=r"not a directory|file exists"):
            call()


def test_a_directory_that_may_not_be_written_is_unavailable(
    tmp_path: Path, ordinary_user: Callable[[], AbstractContextManager[None]]
) -> None:
    stream = stream_from(f"spool://{tmp_path}/segments")
    writer = stream.write("churn", HEADER, NOW)
    writer.append(b"one")
    writer.seal()
    (name,) = stream.sealed("churn")
    with ordinary_user():
        with pytest.raises(Unavailable, match="permission denied"):
            stream.write("churn", HEADER, NOW)
        with pytest.raises(Unavailable, match="permission denied"):
            stream.read("churn", name)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no address for segments"),
        ("kafka://broker", "no segments are kept at kafka"),
        ("spool:relative", "is no directory"),
        ("spool://host/segments", "is no directory"),
        ("/segments", "no address for segments"),
        ("spool:///segments?x=1", "is no directory"),
    ],
)
def test_an_address_that_is_none_is_misconfigured(url: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        stream_from(url)
