"""Clients of an app over arms that tests hold."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI
from served import manifest_of
from wired import House

from mainstay.adapters.online import Online
from mainstay.defined import FeatureService
from mainstay.errors import MainstayError, NotFound, Unavailable
from mainstay.logged import encoded, observed
from mainstay.nouns import Arm, Split
from mainstay.observed import SegmentHeader
from mainstay.registry.manifest import Entity, Manifest
from mainstay.scoring.bundle import Bundle
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.kept import Kept, Standing
from mainstay.usecase import Serving

NOW = datetime(2026, 1, 1, tzinfo=UTC)
T = TypeVar("T")


@dataclass
class World:
    """Ledger, shelf and configurations as serving sees them: dictionaries, and errors where a test put one."""

    split: Split | MainstayError | None
    bundles: dict[str, Bundle | MainstayError]
    policies: dict[str, Serving | MainstayError] = field(default_factory=lambda: {"default": Serving()})
    loads: list[str] = field(default_factory=list)
    entity: Entity | None = None
    key: tuple[str, bytes] | MainstayError = field(default_factory=lambda: NotFound("there is no such key"))
    kept: Kept | None = None
    reports: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    silent: MainstayError | None = None
    services: dict[str, FeatureService] = field(default_factory=dict)
    online: Online | None = None

    def goes_live(self, *arms: Arm, configuration: str = "default") -> Split:
        """Write the next split."""
        number = self.split.number + 1 if isinstance(self.split, Split) else 1
        self.split = Split(number, "tiny", arms, configuration)
        return self.split

    def arms(self) -> Arms:
        return Arms(
            self.read_split,
            self.load_arm,
            self.read_policies,
            read_key=self.read_key,
            kept=self.kept,
            report=self.report,
            online=self.online,
        )

    def read_key(self) -> tuple[str, bytes]:
        return _or_raise(self.key)

    def report(self, split: int, warm: tuple[str, ...]) -> None:
        if self.silent is not None:
            raise self.silent
        self.reports.append((split, warm))

    def read_split(self) -> Standing | None:
        split = _or_raise(self.split)
        return None if split is None else Standing(split, {arm.version: NOW for arm in split.arms}, self.services)

    def load_arm(self, version: str) -> tuple[Manifest, Bundle]:
        self.loads.append(version)
        bundle = _or_raise(self.bundles.get(version, NotFound("there is no such version on the shelf", version)))
        return manifest_of(version, bundle, "0" * 16, self.entity), bundle

    def read_policies(self, digest: str) -> Serving:
        return _or_raise(self.policies.get(digest, NotFound("there is no blob", digest)))


def _or_raise(found: T | MainstayError) -> T:
    if isinstance(found, MainstayError):
        raise found
    return found


@pytest.fixture
def world(tiny_bundle: Bundle, tiny_other_bundle: Bundle) -> World:
    """Version 1.0.0 answers everything; 1.1.0, another model, is on the shelf."""
    made = World(None, {"1.0.0": tiny_bundle, "1.1.0": tiny_other_bundle})
    made.goes_live(Arm("1.0.0", 1.0))
    return made


@pytest.fixture
def arms(world: World) -> Arms:
    """The arms of that world, refreshed once."""
    made = world.arms()
    made.refresh(0.0)
    return made


class Client:
    """Asks an app over ASGI, one request after the other; what the app raises is an answer, as for any client."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner) -> None:
        self.app = app
        self._runner = runner

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://tiny") as client:
                return await client.request(method, path, **options)

        return self._runner.run(asked())


def everybody() -> Access:
    """Access as it is with `--open`."""
    return Access(list, None, lambda: NOW, open_=True)


@dataclass
class Written:
    """A log in memory. `full` is the error that it answers with while its disk is full."""

    records: list[tuple[str, dict[str, Any], str, tuple[Any, ...]]] = field(default_factory=list)
    full: Unavailable | None = None
    lost: Unavailable | None = None
    calls: int = 0  # records that were written down together are one

    def append(self, kind: str, features: Mapping[str, str] | None, contract: str, record: Sequence[Any]) -> None:
        self.append_all(kind, features, contract, [record])

    def append_all(
        self, kind: str, features: Mapping[str, str] | None, contract: str, records: Iterable[Sequence[Any]]
    ) -> None:
        _or_raise(self.full)
        self.calls += 1
        self.records += [(kind, dict(features or {}), contract, tuple(each)) for each in records]

    @property
    def at_once(self) -> bool:
        return self.lost is None

    async def committed(self) -> None:
        _or_raise(self.lost)

    def observed(self) -> list[Any]:
        """What was written, as a reader has it."""
        return [
            each
            for kind, features, contract, record in self.records
            for each in observed(SegmentHeader("tiny", kind, contract, "host", NOW, dict(features)), encoded(record))
        ]


@pytest.fixture
def written() -> Written:
    """An empty log."""
    return Written()


@pytest.fixture
def answering(written: Written) -> Answering:
    """What answers, and writes to that log."""
    return Answering(written, lambda: NOW)


@pytest.fixture
def client(arms: Arms, answering: Answering) -> Iterator[Client]:
    """A client of an app over those arms."""
    with asyncio.Runner() as runner:
        yield Client(create_app(arms, "tiny", answering, everybody()), runner)


@pytest.fixture
def row() -> dict[str, Any]:
    """Features of a customer."""
    return {"age": 40, "spent": 120.5, "plan": "basic"}


@pytest.fixture
def house(arms: Arms, answering: Answering) -> House:
    """A server of those arms, with the turn in front."""
    return House(arms, answering)


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs what is awaited, in one loop."""
    with asyncio.Runner() as runner:
        yield runner.run
