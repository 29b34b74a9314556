"""Where things are kept: defaults under one home, whatever the home is called."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.adapters.blobs import blobs_from
from mainstay.adapters.tracking import Connection
from mainstay.errors import Misconfigured
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import JOBS
from mainstay.nouns import Job
from mainstay.settings import Settings, read_settings

NAMES = ["plain", "with space", "per%41cent", "what?", "sharp#1", "Zürich", "a+b&c=d", "semi;colon", "at@home:1"]


def test_everything_is_under_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    assert settings.mlflow_url == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.blobs_url == f"file://{tmp_path}/blobs"
    assert settings.signing_url == f"file://{tmp_path}/keys/signing.key"
    assert settings.keys == tmp_path / "keys"


def test_a_relative_home_is_under_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAINSTAY_HOME", raising=False)
    assert read_settings().ledger_url == f"sqlite:///{tmp_path}/.mainstay/ledger.db"


@pytest.mark.parametrize("name", NAMES)
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    settings = Settings(home=home)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with Ledger(settings.ledger_url) as ledger:
        ledger.write("churn", Entry(JOBS, "j", Job("j", ("x",), "Why.", "queued")), at=now, actor="ada", reason="Try.")
    blobs_from(settings.blobs_url).put("a", b"bytes")
    place = Connection(settings.mlflow_url, lambda: None).place
    assert (home / "ledger.db").is_file()
    assert (home / "blobs" / "a").read_bytes() == b"bytes"
    assert place == str(home / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "LEDGER", "BLOBS", "MLFLOW", "SIGNING", "NOW"):
        monkeypatch.setenv(f"MAINSTAY_{name}", "")
    assert read_settings() == Settings(home=Path(".mainstay"), ledger="", blobs="", mlflow="", signing="", now=None)


def test_the_clock_is_the_simulated_one_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_NOW", "2026-03-01T12:00:00+02:00")
    assert read_settings().clock() == datetime(2026, 3, 1, 10, tzinfo=UTC)
    monkeypatch.delenv("MAINSTAY_NOW")
    assert read_settings().clock().tzinfo is UTC


@pytest.mark.parametrize("given", ["garbage", "2026-01-01", "2026-01-01T00:00:00"])
def test_a_time_that_is_none_is_told_by_name(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("MAINSTAY_NOW", given)
    with pytest.raises(Misconfigured, match=r"MAINSTAY_NOW: a time with its zone, as in 2026-01-01T00:00:00Z, not"):
        read_settings()
