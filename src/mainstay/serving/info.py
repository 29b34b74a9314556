"""`/info`: which versions are live in this process, in which part, and since when."""

from importlib.metadata import version as installed

from fastapi import FastAPI
from pydantic import Field
from starlette.responses import Response

from mainstay.nouns import rfc3339
from mainstay.serving.arms import Arms, Live
from mainstay.serving.problems import as_json
from mainstay.serving.schemas import Shape

PACKAGE = installed("mainstay")


class LiveVersion(Shape):
    """One arm of the split."""

    version: str
    share: float = Field(ge=0, le=1, description="of the traffic that it answers")
    listens: bool = Field(description="it scores what it did not answer, afterwards")
    standby: bool = Field(description="it gets nothing, and is ready to")
    incumbent: bool = Field(description="it is the one that answers where a challenger fails")
    loaded: bool = Field(description="believed and warm in this process")
    since: str | None = Field(description="from when on it has been live without a break; null where nobody knows")
    candidate: str | None = Field(description="what it is made of; null where it is not loaded")
    released_at: str | None = Field(description="when it was signed; null where it is not loaded")


class Info(Shape):
    """What this process answers with."""

    use_case: str
    package: str = Field(description="the version of Mainstay")
    split: int | None = Field(description="the number of the split that is applied; null where none is")
    configuration: str | None = Field(description="the digest of the configuration that is live")
    feature_service: str | None
    dataset_head: str | None
    rollout: str | None
    pins: int = Field(ge=0, description="how many overrides there are")
    hashed: bool = Field(description="whether entities are stored as pseudonyms")
    arms: list[LiveVersion]


def add_info(app: FastAPI, arms: Arms, use_case: str) -> None:
    """Add the route. It answers from memory, also while the ledger is down or nothing is live."""

    @app.get("/info", response_model=Info, summary="Which versions are live, and since when")
    async def read_info() -> Response:
        told = info(arms.live, use_case)
        return Response(as_json(told.model_dump()), 200, {"cache-control": "no-store"}, "application/json")


def info(live: Live | None, use_case: str) -> Info:
    """What is live, the arms in the split's order; without any where nothing is."""
    if live is None:
        return Info(
            use_case=use_case,
            package=PACKAGE,
            split=None,
            configuration=None,
            feature_service=None,
            dataset_head=None,
            rollout=None,
            pins=0,
            hashed=False,
            arms=[],
        )
    split = live.split
    return Info(
        use_case=use_case,
        package=PACKAGE,
        split=split.number,
        configuration=split.configuration,
        feature_service=split.feature_service,
        dataset_head=split.dataset_head,
        rollout=split.rollout,
        pins=len(split.pins),
        hashed=any(each.entity is not None and each.entity.personal == "hash" for each in live.manifests.values()),
        arms=[_version(live, place) for place in range(len(split.arms))],
    )


def _version(live: Live, place: int) -> LiveVersion:
    arm = live.split.arms[place]
    since, manifest = live.since.get(arm.version), live.manifests.get(arm.version)
    return LiveVersion(
        version=arm.version,
        share=arm.share,
        listens=arm.listens,
        standby=arm.standby,
        incumbent=arm.version == live.incumbent,
        loaded=arm.version in live.arms,
        since=None if since is None else rfc3339(since),
        candidate=None if manifest is None else manifest.candidate,
        released_at=None if manifest is None else rfc3339(manifest.at),
    )
