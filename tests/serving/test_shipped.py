"""What Prometheus is told about the shipper."""

from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from mainstay.progress import Progress, keep_progress, read_progress
from mainstay.serving.shipped import ShipperProgress
from mainstay.settings import Settings

NOW = Settings().clock()


def told(shipped: ShipperProgress) -> list[str]:
    registry = CollectorRegistry()
    registry.register(shipped)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_what_was_shipped_is_told_as_it_is_now(tmp_path: Path) -> None:
    keep_progress(tmp_path, "tiny", Progress(NOW - timedelta(seconds=7), 3, {"prediction": 40, "label": 2}, 1))
    assert told(ShipperProgress(lambda: read_progress(tmp_path, "tiny"), lambda: NOW)) == [
        "mainstay_shipper_age_seconds 7.0",
        "mainstay_shipper_segments_total 3.0",
        'mainstay_shipper_rows_total{kind="label"} 2.0',
        'mainstay_shipper_rows_total{kind="prediction"} 40.0',
        "mainstay_shipper_damaged_total 1.0",
    ]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    shipped = ShipperProgress(lambda: read_progress(tmp_path, "tiny"), lambda: NOW)
    nothing = ["mainstay_shipper_segments_total", "mainstay_shipper_damaged_total"]
    assert not [line for line in told(shipped) if line.startswith(tuple(nothing))]
    (tmp_path / "shipper-tiny.json").write_text("{")
    assert told(shipped) == []


def test_a_full_disk_leaves_the_last_progress_as_it_was(tmp_path: Path) -> None:
    kept = Progress(NOW, 1, {}, 0)
    keep_progress(tmp_path, "tiny", kept)
    (tmp_path / "shipper-tiny.new").mkdir()
    keep_progress(tmp_path, "tiny", Progress(NOW, 2, {}, 0))
    found = read_progress(tmp_path, "tiny")
    assert found is not None
    assert found.segments == 1
