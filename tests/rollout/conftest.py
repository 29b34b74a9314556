"""A town in which each traffic is a use case of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout_traffic import Town

from mainstay.ledger.facts import Ledger


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home: Path = tmp_path_factory.mktemp("town")
    with Ledger(f"sqlite:///{home}/ledger.db") as ledger:
        yield Town(home, ledger)
