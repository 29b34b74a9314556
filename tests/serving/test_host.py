"""What Prometheus is told about a host."""

from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from mainstay.errors import Unavailable
from mainstay.ledger.progress import Progress, keep_progress, read_progress
from mainstay.serving.host import Host
from mainstay.settings import Settings

NOW = Settings().clock()


def told(host: Host) -> list[str]:
    registry = CollectorRegistry()
    registry.register(host)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_the_backlog_and_the_shipper_are_told_as_they_are_now(tmp_path: Path) -> None:
    keep_progress(tmp_path, "tiny", Progress(NOW - timedelta(seconds=7), 3, {"prediction": 40, "label": 2}, 1))
    assert told(Host(lambda: (512, 2.5), lambda: read_progress(tmp_path, "tiny"), lambda: NOW)) == [
        "mainstay_log_backlog_bytes 512.0",
        "mainstay_log_backlog_age_seconds 2.5",
        "mainstay_shipper_age_seconds 7.0",
        "mainstay_shipper_segments_total 3.0",
        'mainstay_shipper_rows_total{kind="label"} 2.0',
        'mainstay_shipper_rows_total{kind="prediction"} 40.0',
        "mainstay_shipper_damaged_total 1.0",
    ]


def test_what_cannot_be_looked_up_is_left_out(tmp_path: Path) -> None:
    def gone() -> tuple[int, float]:
        raise Unavailable("no such disk")

    assert told(Host(gone, lambda: read_progress(tmp_path, "tiny"), lambda: NOW)) == []
    (tmp_path / "shipper-tiny.json").write_text("{")
    assert told(Host(lambda: (0, 0.0), lambda: read_progress(tmp_path, "tiny"), lambda: NOW))[2:] == []


def test_a_full_disk_leaves_the_last_progress_as_it_was(tmp_path: Path) -> None:
    kept = Progress(NOW, 1, {}, 0)
    keep_progress(tmp_path, "tiny", kept)
    (tmp_path / "shipper-tiny.new").mkdir()
    keep_progress(tmp_path, "tiny", Progress(NOW, 2, {}, 0))
    found = read_progress(tmp_path, "tiny")
    assert found is not None
    assert found.segments == 1
