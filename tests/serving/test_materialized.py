"""What Prometheus is told about materialisation."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mainstay.nouns import rfc3339
from mainstay.serving.materialized import Materialized
from mainstay.settings import Settings

NOW = Settings().clock()


def told(home: Path) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Materialized(home, "tiny", lambda: NOW))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_how_far_each_view_is_grows_old_though_nobody_looks_anything_up(tmp_path: Path) -> None:
    left = {"watermark": rfc3339(NOW - timedelta(seconds=90)), "rows": 12, "total": 30, "written": 5, "project": "x"}
    (tmp_path / "features-tiny.json").write_text(json.dumps({"usage": left}))
    assert told(tmp_path) == [
        'mainstay_materialized_age_seconds{view="usage"} 90.0',
        'mainstay_materialized_rows{view="usage"} 12.0',
        'mainstay_materialized_entities_total{view="usage"} 30.0',
    ]


@pytest.mark.parametrize("left", [None, "{", "[]", '{"usage": 7}', '{"usage": {"watermark": "x"}}'])
def test_what_is_not_there_or_damaged_is_left_out(tmp_path: Path, left: str | None) -> None:
    if left is not None:
        (tmp_path / "features-tiny.json").write_text(left)
    assert told(tmp_path) == []
