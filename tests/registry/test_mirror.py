"""MLflow's registry as people see it, on a real embedded store."""

import dataclasses
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mainstay.adapters.tracking import Connection
from mainstay.errors import NotFound, Unavailable
from mainstay.nouns import Estimate, ModelVersion
from mainstay.registry.mirror import Mirror
from mainstay.training.track import Tracker

pytestmark = pytest.mark.xdist_group("mlflow")  # importing MLflow takes seconds: once is enough
FIRST = ModelVersion(
    "churn",
    "1.0.0",
    "cd_" + "b" * 64,
    "ds_" + "a" * 64,
    "run1",
    "c" * 64,
    "key1",
    {"log_loss": Estimate(0.41, 0.4, 0.42, 1409)},
)
SECOND = dataclasses.replace(FIRST, version="1.1.0", candidate="cd_" + "d" * 64, run="run2")
Answer = TypeVar("Answer")


@pytest.fixture(scope="session")
def tracked_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with one tracked run, `run1`, and MLflow's id of it."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    tracker = Tracker(f"sqlite:///{database}", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    with tracker.start("run1", "churn", dataset=FIRST.dataset, seed=7, code={}, parameters={}) as run:
        run.finish({}, {}, {})
    return database, run.id


@pytest.fixture
def database(tracked_store: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copy(tracked_store[0], tmp_path / "mlflow.db"))


def load() -> Any:
    import mlflow
    import mlflow.store.db.utils

    return mlflow


def read(database: Path, ask: Callable[[Any], Answer]) -> Answer:
    with Connection(f"sqlite:///{database}", load).asking("reading") as client:
        return ask(client)


def mirror(database: Path, root: str = "file:///blobs") -> Mirror:
    return Mirror(f"sqlite:///{database}", lambda version: f"{root}/{version.candidate}")


def versions(database: Path) -> dict[str, Any]:
    found = read(database, lambda client: client.search_model_versions("name = 'churn'"))
    return {each.tags.get("mainstay.version", ""): each for each in found}


def aliases(database: Path) -> dict[str, str]:
    """Whom each alias names, by our version."""
    names = read(database, lambda client: client.get_registered_model("churn")).aliases
    ours = {str(each.version): version for version, each in versions(database).items()}
    return {alias: ours[str(number)] for alias, number in names.items()}


def test_a_version_is_linked_to_its_run_and_says_where_it_comes_from(
    database: Path, tracked_store: tuple[Path, str]
) -> None:
    assert mirror(database).show(FIRST, {"team": "retention"}) == "1"
    shown = versions(database)["1.0.0"]
    assert shown.run_id == tracked_store[1]
    assert shown.source == f"runs:/{tracked_store[1]}/bundle"
    assert shown.current_stage in (None, "None")
    assert shown.tags == {
        "mainstay.version": "1.0.0",
        "mainstay.candidate": FIRST.candidate,
        "mainstay.dataset": FIRST.dataset,
        "mainstay.run": "run1",
        "mainstay.manifest": FIRST.manifest,
        "mainstay.key": "key1",
        "mainstay.bundle": f"file:///blobs/{FIRST.candidate}",
        "team": "retention",
    }
    assert "log_loss: 0.41 [0.4, 0.42] on 1,409 rows" in shown.description


def test_a_version_shown_twice_is_there_once_and_gets_the_tags_it_lacked(database: Path) -> None:
    first = mirror(database).show(FIRST)
    assert mirror(database).show(FIRST, {"team": "retention"}) == first
    assert list(versions(database)) == ["1.0.0"]
    assert versions(database)["1.0.0"].tags["team"] == "retention"


@pytest.mark.parametrize(
    ("root", "source"),
    [("file:///blobs", f"mainstay:/{SECOND.candidate}"), ("s3://bucket", f"s3://bucket/{SECOND.candidate}")],
)
def test_a_version_whose_run_mlflow_does_not_know_is_shown_without_one(database: Path, root: str, source: str) -> None:
    mirror(database, root).show(SECOND)
    shown = versions(database)["1.1.0"]
    assert shown.run_id is None
    assert shown.source == source


def test_an_alias_follows_our_versions(database: Path) -> None:
    shown = mirror(database)
    shown.show(SECOND)
    shown.show(FIRST)
    shown.alias("churn", "champion", "1.0.0")
    shown.alias("churn", "champion", "1.0.0")
    assert aliases(database) == {"champion": "1.0.0"}
    shown.alias("churn", "champion", "1.1.0")
    assert aliases(database) == {"champion": "1.1.0"}
    shown.alias("churn", "champion", None)
    shown.alias("churn", "champion", None)
    assert aliases(database) == {}


def test_an_alias_of_a_version_that_was_never_shown_is_not_found(database: Path) -> None:
    with pytest.raises(NotFound, match=r"churn@9\.0\.0 is not in MLflow's registry"):
        mirror(database).alias("churn", "champion", "9.0.0")


def test_a_mirror_that_missed_everything_catches_up(tmp_path: Path) -> None:
    database = tmp_path / "new" / "mlflow.db"
    for _ in range(2):
        mirror(database).sync("churn", [FIRST, SECOND], {"champion": "1.0.0", "challenger": "1.1.0"})
        assert {version: int(each.version) for version, each in versions(database).items()} == {"1.0.0": 1, "1.1.0": 2}
        assert aliases(database) == {"champion": "1.0.0", "challenger": "1.1.0"}
    mirror(database).sync("churn", [FIRST, SECOND], {"champion": "1.1.0"})
    assert aliases(database) == {"champion": "1.1.0"}


def test_a_ledger_without_versions_leaves_an_empty_model(database: Path) -> None:
    mirror(database).sync("churn", [], {})
    assert versions(database) == {}


def test_what_people_registered_and_named_stays(database: Path) -> None:
    mirror(database).show(FIRST)
    read(database, lambda client: client.create_model_version("churn", "s3://theirs", tags={}))
    read(database, lambda client: client.set_registered_model_alias("churn", "favourite", "2"))
    mirror(database).sync("churn", [FIRST, SECOND], {"champion": "1.1.0"})
    found = read(database, lambda client: client.get_registered_model("churn")).aliases
    assert {alias: int(number) for alias, number in found.items()} == {"favourite": 2, "champion": 3}


def test_a_registry_that_is_down_is_unavailable() -> None:
    dead = Mirror("http://127.0.0.1:9", lambda version: version.candidate)
    with pytest.raises(Unavailable, match=r"while showing churn@1\.0\.0: connection refused"):
        dead.sync("churn", [FIRST], {"champion": "1.0.0"})
    with pytest.raises(Unavailable, match="while naming the champion of churn: connection refused"):
        dead.alias("churn", "champion", "1.0.0")


def test_nothing_is_said_on_stdout_or_stderr(database: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mirror(database).sync("churn", [FIRST], {"champion": "1.0.0"})
    assert capfd.readouterr() == ("", "")
