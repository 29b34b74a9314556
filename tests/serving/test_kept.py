"""The split on disk: whole or not there."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.errors import Refused, Unavailable
from mainstay.nouns import Arm, Split
from mainstay.serving.kept import Applied, Kept, Standing
from mainstay.usecase import Serving

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def applied(number: int = 1) -> Applied:
    split = Split(number, "tiny", (Arm("1.0.0", 0.9), Arm("1.1.0", 0.1)), "default")
    return Applied(Standing(split, {"1.0.0": NOW}), Serving(unseen_category="refuse"))


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "serving" / "tiny.json")
    assert kept.read() is None
    kept.write(applied(1))
    kept.write(applied(2))
    assert kept.read() == applied(2)
    assert [path.name for path in (tmp_path / "serving").iterdir()] == ["tiny.json"]
    assert (tmp_path / "serving" / "tiny.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"schema": "x"}', '{"schema": 1, "standing": 3}', "\x00" * 9])
def test_what_is_damaged_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "tiny.json").write_text(damage)
    with pytest.raises(Refused):
        Kept(tmp_path / "tiny.json").read()


def test_a_disk_that_takes_nothing_leaves_what_was_kept(tmp_path: Path) -> None:
    (tmp_path / "serving").write_text("a file in the way")
    with pytest.raises(Unavailable, match="while keeping the split"):
        Kept(tmp_path / "serving" / "tiny.json").write(applied())
    with pytest.raises(Unavailable, match="while reading the kept split"):
        Kept(tmp_path / "serving" / "tiny.json").read()


def test_workers_that_write_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "tiny.json")

    def write(number: int) -> None:
        for _ in range(10):
            kept.write(applied(number))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(1, 5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert json.loads((tmp_path / "tiny.json").read_text())["standing"]["split"]["number"] in range(1, 5)
