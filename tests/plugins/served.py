"""A real platform with signed versions of the tiny use case, the real server over it, and keys to ask it with."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.blobs import Blobs
from mainstay.adapters.signing import Signer
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import API_KEYS, SPLITS
from mainstay.nouns import ApiKey, Arm, Holdout, Split
from mainstay.registry.configured import store_configuration
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Entity, Manifest, document
from mainstay.scoring.bundle import Bundle, candidate_id, stored, to_files
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import platform

NOW = datetime(2026, 1, 1, tzinfo=UTC)
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
START = """
import sys
from pathlib import Path
from mainstay.serving.main import serve
from mainstay.settings import Settings

home, workers, ledger, open_, cert, key = sys.argv[1:]
settings = Settings(home=Path(home), ledger=ledger, tls_cert=cert, tls_key=key)
serve(settings, "tiny", "127.0.0.1", 0, int(workers), bool(open_), lambda words: print(words, file=sys.stderr))
"""


@pytest.fixture
def home(strict_home: Path) -> Path:
    """The home of a real platform, as `strict_home`."""
    return strict_home


@pytest.fixture
def strict_home(
    tmp_path: Path, tiny_keys: Path, tiny_signer: Signer, tiny_bundle: Bundle, tiny_other_bundle: Bundle
) -> Path:
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


@pytest.fixture
def running() -> Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]]:
    """Runs the real server in a process of its own: the process, and the line that begins with its address.

    What it says is in `server.log` of the home. It is ended with SIGTERM, and must then end well.
    """

    @contextmanager
    def run(
        home: Path, workers: int = 1, ledger: str = "", open_: bool = True, tls: tuple[str, str] = ("", "")
    ) -> Iterator[tuple[subprocess.Popen[str], str]]:
        command = [sys.executable, "-c", START, str(home), str(workers), ledger, "open" if open_ else "", *tls]
        said = home / "server.log"
        with said.open("w") as errors:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, said.read_text()
            yield server, line
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
        assert server.returncode == 0, said.read_text()

    return run


@pytest.fixture
def served(
    running: Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]],
) -> Callable[..., AbstractContextManager[str]]:
    """Runs the real server as `running` does, with keys asked for: its address. It must never meet a defect."""

    @contextmanager
    def run(home: Path, **options: Any) -> Iterator[str]:
        with running(home, **{"open_": False, **options}) as (server, line):
            yield line.split()[0]
            assert server.poll() is None
        said = (home / "server.log").read_text()
        assert "Traceback" not in said
        assert "a defect" not in said

    return run


@pytest.fixture
def give_key() -> Callable[..., None]:
    """Writes the next fact about an API key: its home, its secret, after how many facts, and its fields."""

    def write(home: Path, secret: str, after: int = 0, **given: Any) -> None:
        fields = {"scopes": ("predict",), "created": NOW, **given}
        key = ApiKey(f"key_{secret}", secret, sha256(secret.encode()).hexdigest(), **fields)
        with platform(Settings(home=home)).ledger as ledger:
            ledger.write("tiny", Entry(API_KEYS, key.id, key, after), at=NOW, actor="user:ada", reason="a test")

    return write


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
