"""No name of a customer is written down where the contract wants a pseudonym: with the real server, in a whole home."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.adapters.signing import Signer, make_pseudonym_key, pseudonym_key
from mainstay.digests import pseudonym
from mainstay.registry.manifest import Entity
from mainstay.scoring.bundle import Bundle
from mainstay.settings import Settings
from mainstay.wiring import platform

NAME = "Ann-Katrin-Unmistakable"


@pytest.fixture
def personal_home(home: Path, tiny_bundle: Bundle, tiny_signer: Signer, shelve: Callable[..., None]) -> Path:
    """The home with a pseudonym key, and 1.0.0 trained under it."""
    key_id = make_pseudonym_key(home / "keys")
    opened = platform(Settings(home=home))
    shutil.rmtree(home / "blobs" / "versions" / "tiny" / "1.0.0")
    shelve("1.0.0", tiny_bundle, opened.blobs, tiny_signer, Entity("id", "identifier", "hash", key_id))
    opened.ledger.close()
    return home


def holding(folder: Path, text: bytes) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and text in path.read_bytes())


def test_a_name_is_answered_and_never_written_down(personal_home: Path, row: dict[str, Any], running: Any) -> None:
    _, key = pseudonym_key(personal_home / "keys")
    with running(personal_home) as (_, line), httpx.Client(base_url=line.split()[0]) as client:
        asked = {"entity": NAME, "features": row}
        assert client.post("/predict", json=asked).json()["entity"] == NAME
        batch = client.post("/predict_batch", json={"rows": [asked, asked | {"features": {}}]}).json()
        assert batch["predictions"][0]["entity"] == NAME
        assert client.get("/info").json()["hashed"] is True
        assert holding(personal_home, NAME.encode()) == []
    assert holding(personal_home, NAME.encode()) == []
    assert holding(personal_home, pseudonym(NAME, key).encode()) != []


def test_without_the_key_nothing_is_answered(personal_home: Path, row: dict[str, Any], running: Any) -> None:
    (personal_home / "keys" / "pseudonym.key").unlink()
    with running(personal_home) as (_, line), httpx.Client(base_url=line.split()[0]) as client:
        assert "not ready: split 1 is not applied: its entity is a pseudonym under key" in line
        assert client.get("/health/ready").status_code == 503
        answer = client.post("/predict", json={"entity": NAME, "features": row})
        assert answer.status_code == 503
        assert "the home has no pseudonym key" in answer.json()["detail"]
