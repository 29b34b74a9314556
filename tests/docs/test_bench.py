"""What stands in the bench's folder agrees with itself; the bench itself is run by `make bench`."""

import json
import re
import runpy
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PEERS = sorted(each.parent.name for each in (BENCH / "peers").glob("*/requirements.in"))


def test_the_results_for_people_are_written_from_those_for_machines() -> None:
    report = runpy.run_path(str(BENCH / "report.py"))
    kept = json.loads((BENCH / "results.json").read_text())
    assert (BENCH / "RESULTS.md").read_text() == report["rendered"](kept)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_pinned_as_it_is_wanted_and_every_package_by_hash(name: str) -> None:
    wanted = (BENCH / "peers" / name / "requirements.in").read_text().splitlines()
    pinned = (BENCH / "peers" / name / "requirements.txt").read_text()
    heads = [line for line in pinned.splitlines() if line and line[0].isalnum()]
    assert {re.sub(r"\[.*?\]", "", each) for each in wanted} <= {re.split(r"[ ;]", line)[0] for line in heads}
    assert all(re.match(r"[\w.-]+==\S+ .*\\$", line) for line in heads)
    assert pinned.count("--hash=sha256:") >= len(heads)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_named_where_the_peers_are_explained_and_measured(name: str) -> None:
    assert f"- `{name}/`:" in (BENCH / "peers" / "README.md").read_text()
    assert f'    "{name}": Peer(' in (BENCH / "side_by_side.py").read_text()
