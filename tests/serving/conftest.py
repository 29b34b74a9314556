"""A shelf with two signed versions of the tiny use case, and clients of an app over arms that tests hold."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI

from mainstay.adapters.blobs import Blobs
from mainstay.adapters.signing import Signer
from mainstay.errors import MainstayError, NotFound, Unavailable
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.logged import encoded, observed
from mainstay.nouns import Arm, Holdout, Split
from mainstay.observed import SegmentHeader
from mainstay.registry.configured import store_configuration
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Entity, Manifest, document
from mainstay.scoring.bundle import Bundle, candidate_id, stored, to_files
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.kept import Kept, Standing
from mainstay.settings import Settings
from mainstay.usecase import Serving
from mainstay.usecase_file import loads
from mainstay.wiring import platform

NOW = datetime(2026, 1, 1, tzinfo=UTC)
T = TypeVar("T")
YAML = """
schema: 1
name: tiny
source: tiny.csv
label: {column: left, positive: "Yes"}
contract:
  columns:
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
serving: {unseen_category: refuse}
"""


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
        )

    def read_key(self) -> tuple[str, bytes]:
        return _or_raise(self.key)

    def report(self, split: int, warm: tuple[str, ...]) -> None:
        if self.silent is not None:
            raise self.silent
        self.reports.append((split, warm))

    def read_split(self) -> Standing | None:
        split = _or_raise(self.split)
        return None if split is None else Standing(split, {arm.version: NOW for arm in split.arms})

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

    def append(self, kind: str, features: Mapping[str, str] | None, contract: str, record: Sequence[Any]) -> None:
        _or_raise(self.full)
        self.records.append((kind, dict(features or {}), contract, tuple(record)))

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
def home(tmp_path: Path, tiny_keys: Path, tiny_signer: Signer, tiny_bundle: Bundle, tiny_other_bundle: Bundle) -> Path:
    """The home of a real platform: 1.0.0 and 1.1.0 signed and on the shelf, 1.0.0 live, unseen categories refused."""
    opened = platform(Settings(home=tmp_path / "home"))
    shutil.copytree(tiny_keys, opened.settings.keys)
    shelve("1.0.0", tiny_bundle, opened.blobs, tiny_signer)
    shelve("1.1.0", tiny_other_bundle, opened.blobs, tiny_signer)
    strict = loads(YAML)
    split = Split(1, "tiny", (Arm("1.0.0", 1.0),), store_configuration(strict, opened.blobs))
    with opened.ledger:
        opened.ledger.write("tiny", Entry(SPLITS, "tiny", split), at=NOW, actor="user:ada", reason="the first")
    return opened.settings.home


def shelve(version: str, bundle: Bundle, blobs: Blobs, signer: Signer, entity: Entity | None = None) -> None:
    """Put a signed version on the shelf."""
    data = document(manifest_of(version, bundle, signer.key_id, entity))
    for name, content in {**to_files(bundle), MANIFEST: data, SIGNATURE: signer.sign(data)}.items():
        blobs.put(f"versions/tiny/{version}/{name}", content)


@pytest.fixture(name="shelve")
def _shelve() -> Callable[..., None]:
    """Puts a signed version on the shelf."""
    return shelve


START = """
import sys
from pathlib import Path
from mainstay.serving.main import serve
from mainstay.settings import Settings

settings = Settings(home=Path(sys.argv[1]), ledger=sys.argv[3])
serve(settings, "tiny", "127.0.0.1", 0, int(sys.argv[2]), True, lambda words: print(words, file=sys.stderr))
"""


@pytest.fixture
def running() -> Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]]:
    """Runs the real server in a process of its own: the process, and the line that begins with its address.

    It is ended with SIGTERM, and must then end well.
    """

    @contextmanager
    def run(home: Path, workers: int = 1, ledger: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
        command = [sys.executable, "-c", START, str(home), str(workers), ledger]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            if not line:
                pytest.fail(server.communicate()[1])
            yield server, line
        finally:
            server.send_signal(signal.SIGTERM)
            _, errors = server.communicate(timeout=15)
        assert server.returncode == 0, errors

    return run


def manifest_of(version: str, bundle: Bundle, key_id: str, entity: Entity | None = None) -> Manifest:
    """The manifest of a version, about nobody where no entity is named."""
    files = to_files(bundle)
    return Manifest(
        "tiny",
        version,
        candidate_id(files),
        stored(files),
        bundle.decide.classes,
        bundle.encoder.inputs,
        "tiny_v1",
        "ds_0",
        Holdout("tiny", 0.2),
        "run",
        "recipe",
        {"version": "0.1.0"},
        {},
        None,
        1,
        key_id,
        NOW,
        entity,
    )
