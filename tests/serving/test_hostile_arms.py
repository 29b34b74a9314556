"""Challengers that are signed, believed and warm, and turn on certain customers: nobody gets an error for it.

Each is a real graph that does what its version always did, save for those who are 120 years old: for them it raises, is
not a number, is slow, or hangs.
"""

import fcntl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hostile import HOSTILE, turned

from mainstay.adapters.signing import Signer
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.ledger.observations import Observations
from mainstay.ledger.shipping import ship
from mainstay.nouns import Arm, Split, Window
from mainstay.observed import Ending, Role
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.scorer import Scorer
from mainstay.settings import Settings
from mainstay.wiring import platform

Shelve = Callable[..., None]


def go_live(home: Path, *arms: Arm) -> None:
    """Write the next split, under the configuration that stands."""
    opened = platform(Settings(home=home))
    with opened.ledger:
        fact = opened.ledger.latest("tiny", SPLITS, "tiny")
        assert fact is not None
        split = Split(fact.body.number + 1, "tiny", arms, fact.body.configuration)
        entry = Entry(SPLITS, "tiny", split, after=fact.number)
        opened.ledger.write("tiny", entry, at=fact.at, actor="user:ada", reason="a canary")


@pytest.fixture
def hostile_home(home: Path, tiny_other_bundle: Bundle, tiny_signer: Signer, shelve: Shelve) -> Iterator[Path]:
    """The home with the hostile versions 2.0.0 to 2.3.0 on its shelf, in the order of HOSTILE.

    The test is its host's shipper: the segments stay where they can be read.
    """
    opened = platform(Settings(home=home))
    for minor, how in enumerate(HOSTILE):
        shelve(f"2.{minor}.0", turned(tiny_other_bundle, how), opened.blobs, tiny_signer)
    opened.ledger.close()
    with (home / "shipper-tiny.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_version_is_warm_and_tame_for_everybody_else(tiny_other_bundle: Bundle, how: str) -> None:
    Scorer(turned(tiny_other_bundle, how)).warm_up()


def counted(client: httpx.Client, metric: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(metric))


def logged(home: Path) -> Counter[tuple[Role, str, Ending]]:
    """How many predictions were written down, by role, version and outcome, once the rest of them is shipped."""
    opened = platform(Settings(home=home))
    with opened.ledger:
        now = opened.settings.clock()
        ship(opened.stream(), opened.ledger, opened.blobs, "tiny", now)
        observations = Observations(opened.ledger, opened.blobs, "tiny", home / "cache")
        rows = observations.predictions(Window(now - timedelta(hours=1), now + timedelta(hours=1)))
    named = zip(*(rows[name].to_pylist() for name in ("role", "version", "outcome")), strict=True)
    return Counter((Role(role), version, Ending(outcome)) for role, version, outcome in named)


@pytest.mark.parametrize(("how", "outcome"), [*zip(HOSTILE, ("raised", "not_finite", "late", "late"), strict=True)])
def test_no_customer_gets_an_error_because_of_a_challenger(
    hostile_home: Path, row: dict[str, Any], how: str, outcome: str, running: Any
) -> None:
    version = f"2.{HOSTILE.index(how)}.0"
    # The last step of a canary: the challenger answers everything, and the incumbent listens.
    go_live(hostile_home, Arm("1.0.0", listens=True), Arm(version, 1.0))
    with running(hostile_home) as (_, line), httpx.Client(base_url=line.split()[0], timeout=5) as client:
        address = line.split()[0]
        assert f"serves tiny@{version}" in line

        def ask(age: int) -> httpx.Response:
            with httpx.Client(base_url=address, timeout=5) as own:
                return own.post("/predict", json={"entity": f"c{age}", "features": row | {"age": age}})

        tame = ask(40)
        assert (tame.status_code, tame.json().get("version", tame.text)) == (200, version)
        started = time.perf_counter()
        with ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(ask, [120] * 40))
        took = time.perf_counter() - started
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["version"] for answer in answers} == {"1.0.0"}
        assert took < 8  # nobody waited longer than the budget of 50 ms; most of this is clients being made
        ended = {
            each: counted(client, f'mainstay_attempts_total{{outcome="{each}",version="{version}"}}')
            for each in ("raised", "not_finite", "late")
        }
        assert sum(ended.values()) == 40
        assert ended[outcome] >= 20  # on a machine that is busy elsewhere some are late before they do their worst
        batch = client.post("/predict_batch", json={"rows": [{"features": row | {"age": 120}}] * 3})
        assert [each["version"] for each in batch.json()["predictions"]] == ["1.0.0"] * 3
    kept = logged(hostile_home)
    # The batch's three rows beside the forty; what the incumbent listened to is the one that the challenger answered.
    assert kept[Role.ANSWERED, "1.0.0", Ending.OK] == 43
    assert kept[Role.ANSWERED, version, Ending.OK] == 1
    assert kept[Role.LISTENED, "1.0.0", Ending.OK] == 1
    assert sum(count for (role, arm, _), count in kept.items() if (role, arm) == (Role.ATTEMPTED, version)) == 43
    assert kept[Role.ATTEMPTED, version, Ending(outcome)] >= 20


def test_a_listener_that_hangs_costs_nobody_anything(hostile_home: Path, row: dict[str, Any], running: Any) -> None:
    go_live(hostile_home, Arm("1.0.0", 1.0), Arm("2.3.0", listens=True))
    with running(hostile_home) as (_, line), httpx.Client(base_url=line.split()[0], timeout=5) as client:
        for age in (120, 40, 50, 120):
            answer = client.post("/predict", json={"features": row | {"age": age}})
            assert (answer.status_code, answer.json()["version"]) == (200, "1.0.0")
