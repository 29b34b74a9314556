"""MLflow's registry brought in line with the ledger: it is for people, and moves no traffic."""

import threading
from collections.abc import Callable

from mainstay.errors import MainstayError, Unavailable
from mainstay.journeys.rollout import running
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import ModelVersion
from mainstay.registry.mirror import Mirror
from mainstay.registry.shelf import versions
from mainstay.wiring import Platform

PATIENCE = 10.0
"""Seconds that anybody waits for MLflow who has something better to do."""


def mirror(platform: Platform, use_case: str) -> None:
    """Show every version, and name the champion and, while a rollout runs, the challenger. May be repeated.

    Unavailable while MLflow is down.
    """
    _sync(platform, use_case)()


def _sync(platform: Platform, use_case: str) -> Callable[[], None]:
    """What is to be shown, read from the ledger now; called, it is shown."""

    def location(version: ModelVersion) -> str:
        return f"{platform.settings.blobs_url}/versions/{version.use_case}/{version.version}"

    split = platform.ledger.latest(use_case, SPLITS, use_case)
    rollout = running(platform.ledger, use_case)
    aliases = {} if split is None else {"champion": split.body.reigning}
    if rollout is not None:
        aliases = {"champion": rollout.body.champion, "challenger": rollout.body.challenger}
    known = versions(platform.ledger, use_case)
    shown = Mirror(platform.settings.mlflow_url, location)
    return lambda: shown.sync(use_case, known, aliases)


class Mirroring:
    """Mirrors beside other work: whoever asks waits for so many seconds at most, and one sync runs at a time.

    What was shown is remembered, so that nothing is asked of MLflow while nothing changed.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._shown: dict[str, int] = {}
        self._asking: threading.Thread | None = None

    def bring(self, platform: Platform, use_case: str) -> None:
        """Bring MLflow in line with the split that stands, unless it is.

        Unavailable while it is down, or does not answer in time; a sync that hangs holds up no exit of the process, and
        until it ends no other is begun.
        """
        split = platform.ledger.latest(use_case, SPLITS, use_case)
        if split is None or self._shown.get(use_case) == split.number:
            return
        if self._asking is not None and self._asking.is_alive():
            raise Unavailable("MLflow has not answered yet")
        sync, number = _sync(platform, use_case), split.number
        trouble: list[MainstayError] = []

        def ask() -> None:
            try:
                sync()
            except MainstayError as error:
                trouble.append(error)
            else:
                self._shown[use_case] = number

        self._asking = threading.Thread(target=ask, name="mlflow", daemon=True)
        self._asking.start()
        self._asking.join(self._patience_with(platform.settings.mlflow_url))
        if self._asking.is_alive():
            raise Unavailable(f"MLflow did not answer within {self._patience:g} s")
        if trouble:
            raise trouble[0]

    def _patience_with(self, url: str) -> float | None:
        """The embedded store does not hang, and left half-made it would have to be mended by hand: it is waited for."""
        return None if url.startswith("sqlite:") else self._patience


def mirror_or_tell(platform: Platform, use_case: str, tell: Callable[[str], None], patience: float = PATIENCE) -> None:
    """Mirror what was just moved. While MLflow is down that is told, and what was moved stands."""
    try:
        Mirroring(patience).bring(platform, use_case)
    except MainstayError as error:
        tell(f"MLflow's registry was not brought up to date, which the operator and the next release do: {error}")
