"""A shelf with two signed versions of the tiny use case, and clients of an app over arms that tests hold."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI

from mainstay.adapters.blobs import Blobs
from mainstay.adapters.signing import Signer
from mainstay.errors import MainstayError, NotFound
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Arm, Holdout, Split
from mainstay.registry.live import store_configuration
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Manifest, document
from mainstay.scoring.bundle import Bundle, candidate_id, stored, to_files
from mainstay.serving.access import Access
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
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

    def goes_live(self, *arms: Arm, configuration: str = "default") -> Split:
        """Write the next split."""
        number = self.split.number + 1 if isinstance(self.split, Split) else 1
        self.split = Split(number, "tiny", arms, configuration)
        return self.split

    def arms(self) -> Arms:
        return Arms(self.read_split, self.load_arm, self.read_policies)

    def read_split(self) -> Split | None:
        return _or_raise(self.split)

    def load_arm(self, version: str) -> Bundle:
        self.loads.append(version)
        return _or_raise(self.bundles.get(version, NotFound("there is no such version on the shelf", version)))

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


@pytest.fixture
def client(arms: Arms) -> Iterator[Client]:
    """A client of an app over those arms."""
    with asyncio.Runner() as runner:
        yield Client(create_app(arms, "tiny", lambda: NOW, everybody()), runner)


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


def shelve(version: str, bundle: Bundle, blobs: Blobs, signer: Signer) -> None:
    """Put a signed version on the shelf."""
    files = to_files(bundle)
    manifest = Manifest(
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
        signer.key_id,
        NOW,
    )
    data = document(manifest)
    for name, content in {**files, MANIFEST: data, SIGNATURE: signer.sign(data)}.items():
        blobs.put(f"versions/tiny/{version}/{name}", content)
