"""MLflow beside other work: whoever asks waits a bounded time, and nothing is asked while nothing changed."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rolled import Trial

from mainstay.adapters.tracking import Connection
from mainstay.errors import Unavailable
from mainstay.journeys.mirrored import Mirroring, mirror_or_tell
from mainstay.registry.mirror import _mlflow
from mainstay.wiring import Platform, platform


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def at(here: Trial, mlflow: str) -> Platform:
    return platform(here.opened.settings.model_copy(update={"mlflow": mlflow}))


def test_a_server_that_hangs_holds_nobody_up_for_longer_than_the_patience(
    trial: Callable[..., Trial], silent: str
) -> None:
    opened, mirroring = at(trial(), silent), Mirroring(0.3)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
        mirroring.bring(opened, "tiny")
    assert time.monotonic() - began < 3
    began = time.monotonic()
    with pytest.raises(Unavailable, match="has not answered yet"):
        mirroring.bring(opened, "tiny")
    assert time.monotonic() - began < 0.2
    told: list[str] = []
    mirror_or_tell(opened, "tiny", told.append, 0.1)
    assert "MLflow's registry was not brought up to date" in told[0]


def test_the_aliases_follow_the_split_and_are_shown_once(trial: Callable[..., Trial], empty_store: Path) -> None:
    here, mirroring = trial(), Mirroring(60)
    shutil.copy(empty_store, here.opened.settings.home / "mlflow.db")
    mirroring.bring(here.opened, "tiny")
    assert champion(here) == "1.0.0"
    with Connection(here.opened.settings.mlflow_url, _mlflow).asking("taking it away") as client:
        client.delete_registered_model_alias("tiny", "champion")
    mirroring.bring(here.opened, "tiny")
    assert champion(here) is None, "nothing changed, and nothing was asked"
    here.start()
    mirroring.bring(here.opened, "tiny")
    assert champion(here) == "1.0.0"


def champion(here: Trial) -> str | None:
    with Connection(here.opened.settings.mlflow_url, _mlflow).asking("looking") as client:
        aliases = client.get_registered_model("tiny").aliases
        if "champion" not in aliases:
            return None
        found = client.get_model_version("tiny", aliases["champion"])
        return str(found.tags["mainstay.version"])
