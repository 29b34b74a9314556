"""What the simulations found is written where users read it: docs/alarms.md, a section for each file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "alarms.md"
HEADER = """# How far the numbers can be trusted

<!-- Written by `make alarms` (`pytest tests/alarms`). Do not edit: change the simulation and run it again. -->
"""


@pytest.fixture(scope="session")
def documented() -> Iterator[dict[str, str]]:
    """Sections by title. Those of simulations that did not run this time stay as they are."""
    sections: dict[str, str] = {}
    yield sections
    if sections:
        PAGE.parent.mkdir(exist_ok=True)
        kept = PAGE.read_text("utf-8").split("\n## ")[1:] if PAGE.exists() else []
        merged = {title: body for title, _, body in (part.partition("\n") for part in kept)} | sections
        page = HEADER + "".join(f"\n## {title}\n\n{merged[title].strip()}\n" for title in sorted(merged))
        PAGE.write_text(page, "utf-8")
