"""MLflow's address, its silence and its absence, with a small stand-in for the package: no test here imports it."""

import errno
import os
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy

from mainstay.adapters.tracking import Connection, quiet
from mainstay.errors import Misconfigured, Refused, Unavailable


class MlflowError(Exception):
    def __init__(self, message: str, error_code: str = "INTERNAL_ERROR") -> None:
        super().__init__(message)
        self.error_code = error_code


def package(make_tables: Callable[[sqlalchemy.Engine], None] | None = None) -> Any:
    """What the connection uses of MLflow: its error, its client and how it makes its tables."""

    def tables(engine: sqlalchemy.Engine) -> None:
        with engine.begin() as opened:
            opened.execute(sqlalchemy.text("CREATE TABLE ours (x)"))

    schema = SimpleNamespace(
        create_sqlalchemy_engine=sqlalchemy.create_engine, _initialize_tables=make_tables or tables
    )
    return SimpleNamespace(
        MlflowException=MlflowError,
        MlflowClient=lambda tracking_uri, registry_uri: f"client of {tracking_uri}",
        store=SimpleNamespace(db=SimpleNamespace(utils=schema)),
    )


def tables_in(database: Path) -> list[str]:
    opened = sqlite3.connect(database)
    try:
        return [name for (name,) in opened.execute("SELECT name FROM sqlite_master")]
    finally:
        opened.close()


@pytest.mark.parametrize(
    "url",
    ["", "mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x.db",
     "sqlite:////tmp/x.db?timeout=3", "http://", "https:///x", "postgresql://host/mlflow", "sqlite"],
)  # fmt: skip
def test_an_address_that_can_never_work_is_refused_with_one_that_can(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"use sqlite:////ABSOLUTE/FILE or http://HOST:PORT"):
        Connection(url, package)


def test_nothing_is_loaded_before_it_is_asked(tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError("imported too early")

    connection = Connection(f"sqlite:///{tmp_path}/mlflow.db", load)
    assert connection.place == str(tmp_path / "mlflow.db")
    assert not list(tmp_path.iterdir())


def test_telemetry_is_off_before_mlflow_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    seen: list[str | None] = []

    def load() -> Any:
        seen.extend((os.getenv("MLFLOW_DISABLE_TELEMETRY"), os.getenv("DO_NOT_TRACK")))
        return package()

    with Connection(f"sqlite:///{tmp_path}/mlflow.db", load).asking("looking"):
        pass
    assert seen == ["true", "1"]


def test_a_timeout_that_somebody_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    with quiet():
        assert os.getenv("MLFLOW_HTTP_REQUEST_TIMEOUT") == "60"


def test_its_warnings_are_silent_and_ours_are_not() -> None:
    with quiet():
        warnings.warn("the noload strategy is deprecated", DeprecationWarning, stacklevel=1)
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", UserWarning, stacklevel=1)


def test_credentials_are_not_shown() -> None:
    assert Connection("https://me:secret@mlflow.example:5000/x", package).place == "https://mlflow.example:5000"


def test_artifacts_lie_beside_an_embedded_store_and_where_a_server_says(tmp_path: Path) -> None:
    embedded = Connection(f"sqlite:///{tmp_path}/a home/mlflow.db", package)
    assert embedded.artifacts("churn") == (tmp_path / "a home" / "mlartifacts" / "churn").as_uri()
    assert Connection("http://mlflow.example", package).artifacts("churn") is None


def test_a_new_store_is_put_in_place_whole(tmp_path: Path) -> None:
    database = tmp_path / "home" / "mlflow.db"
    with Connection(f"sqlite:///{database}", package).asking("looking") as client:
        assert client == f"client of sqlite:///{database}"
    assert tables_in(database) == ["ours"]
    assert list(database.parent.iterdir()) == [database]


def test_a_store_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"

    def meanwhile(engine: sqlalchemy.Engine) -> None:
        opened = sqlite3.connect(database)
        opened.execute("CREATE TABLE theirs (x)")
        opened.close()
        engine.connect().close()

    with Connection(f"sqlite:///{database}", lambda: package(meanwhile)).asking("looking"):
        pass
    assert tables_in(database) == ["theirs"]
    assert list(tmp_path.iterdir()) == [database]


def test_a_disk_that_fills_up_while_the_store_is_made_leaves_nothing(tmp_path: Path) -> None:
    def full(engine: sqlalchemy.Engine) -> None:
        engine.connect().close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    connection = Connection(f"sqlite:///{tmp_path}/mlflow.db", lambda: package(full))
    with (
        pytest.raises(Unavailable, match="while starting a run: no space left on device"),
        connection.asking("starting a run"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_no_database_is_said_at_once(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_text("not a database at all, but long enough to be taken for one" * 20)
    with (
        pytest.raises(Unavailable, match=r"mlflow\.db: MLflow failed while looking: file is not a database"),
        Connection(f"sqlite:///{database}", package).asking("looking"),
    ):
        pass


def refused_connection() -> None:
    """As MLflow tells of one: in words, with the error itself only in the context."""
    try:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    except OSError:
        raise MlflowError("API request to a long address failed with exception …") from None


def test_the_reason_is_what_began_it() -> None:
    with pytest.raises(Unavailable) as raised, Connection("http://mlflow.example", package).asking("looking"):
        refused_connection()
    assert str(raised.value) == "http://mlflow.example: MLflow failed while looking: connection refused"


def test_what_mlflow_itself_refuses_is_refused() -> None:
    with (
        pytest.raises(Refused, match="MLflow refused while naming: Not a name"),
        Connection("http://mlflow.example", package).asking("naming"),
    ):
        raise MlflowError("Not a name", "INVALID_PARAMETER_VALUE")


def test_a_defect_of_ours_stays_one() -> None:
    with pytest.raises(KeyError), Connection("http://mlflow.example", package).asking("looking"):
        raise KeyError("x")


def test_a_missing_package_is_named() -> None:
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    with (
        pytest.raises(Misconfigured, match=r"package mlflow: install it, or mainstay\[training\]"),
        Connection("http://mlflow.example", load).asking("looking"),
    ):
        pass
    with (
        pytest.raises(Misconfigured, match="package boto3"),
        Connection("http://mlflow.example", package).asking("looking"),
    ):
        raise ModuleNotFoundError("No module named 'boto3'", name="boto3")
