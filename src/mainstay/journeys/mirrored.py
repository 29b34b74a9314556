"""MLflow's registry brought in line with the ledger: it is for people, and moves no traffic."""

from mainstay.journeys.rollout import running
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import ModelVersion
from mainstay.registry.mirror import Mirror
from mainstay.registry.shelf import versions
from mainstay.wiring import Platform


def mirror(platform: Platform, use_case: str) -> None:
    """Show every version, and name the champion and, while a rollout runs, the challenger. May be repeated.

    Unavailable while MLflow is down.
    """

    def location(version: ModelVersion) -> str:
        return f"{platform.settings.blobs_url}/versions/{version.use_case}/{version.version}"

    split = platform.ledger.latest(use_case, SPLITS, use_case)
    rollout = running(platform.ledger, use_case)
    aliases = {} if split is None else {"champion": split.body.champion}
    if rollout is not None:
        aliases = {"champion": rollout.body.champion, "challenger": rollout.body.challenger}
    known = versions(platform.ledger, use_case)
    Mirror(platform.settings.mlflow_url, location).sync(use_case, known, aliases)
