"""A configuration made live without a release: one fact, followed by servers, and gone back from."""

import dataclasses
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from mainstay.errors import NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.configure import apply, difference, history
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import ROLLOUTS, SPLITS
from mainstay.nouns import Arm, Phase, Rollout, Split
from mainstay.registry.configured import Change
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, platform

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REFUSE = "serving: {unseen_category: refuse}\n"
STRANGE = {"features": {"age": 40, "spent": 10, "plan": "gold"}}
Use = Callable[[str], UseCase]


@pytest.fixture
def but(tiny_text: str) -> Use:
    """The tiny use case with something more said."""
    return lambda more: loads(tiny_text + more)


@pytest.fixture
def opened(strict_home: Path) -> Platform:
    return platform(Settings(home=strict_home))


@pytest.fixture
def ada(tmp_path: Path) -> Asked:
    return Asked("user:ada", "Unknown plans are mistakes.", tmp_path)


def splits(opened: Platform) -> list[Fact[Split]]:
    return opened.ledger.history("tiny", SPLITS, "tiny")


def test_one_fact_changes_the_configuration_and_nothing_else(opened: Platform, but: Use, ada: Asked) -> None:
    apply(opened, but(""), ada)
    before = splits(opened)[-1]
    made = apply(opened, but(REFUSE), ada)
    after = splits(opened)[-1]
    number = before.body.number + 1
    assert made.changes == (Change("serving.unseen_category", "flag", "refuse"),)
    assert (made.split, after.number) == (number, before.number + 1)
    assert after.body == dataclasses.replace(before.body, number=number, configuration=made.digest)
    assert (after.actor, after.reason) == ("user:ada", "Unknown plans are mistakes.")


def test_nothing_is_written_where_nothing_differs(opened: Platform, but: Use, ada: Asked) -> None:
    apply(opened, but(""), ada)
    count = len(splits(opened))
    made = apply(opened, but("monitors: {window: 24h}\n"), ada)
    assert (made.split, made.changes, len(splits(opened))) == (None, (), count)
    assert made.digest == splits(opened)[-1].body.configuration


def test_the_difference_is_told_before_anything_changes(opened: Platform, but: Use, ada: Asked) -> None:
    apply(opened, but(""), ada)
    found = difference(opened, but(REFUSE + "monitors: {window: 2d}\n"))
    assert [each.path for each in found.changes] == ["serving.unseen_category", "monitors.window"]
    assert found.live == splits(opened)[-1].body.configuration


def test_an_earlier_configuration_comes_back_by_the_start_of_its_digest(opened: Platform, but: Use, ada: Asked) -> None:
    first = apply(opened, but(""), ada).digest
    second = apply(opened, but(REFUSE), ada).digest
    made = apply(opened, but("monitors: {window: 9d}\n"), ada, to=first[:8])
    assert made.changes == (Change("serving.unseen_category", "refuse", "flag"),)
    assert [past.digest for past in history(opened, "tiny")][-3:] == [first, second, first]
    assert [past.changes for past in history(opened, "tiny")][-1] == made.changes
    with pytest.raises(NotFound, match="no configuration `123456` was ever live"):
        apply(opened, but(""), ada, to="123456")
    with pytest.raises(Refused, match="too short"):
        apply(opened, but(""), ada, to=first[:3])


def test_a_lost_configuration_can_be_replaced(opened: Platform, but: Use, ada: Asked) -> None:
    lost = Split(2, "tiny", (Arm("1.0.0", 1.0),), "0" * 64)
    opened.ledger.write("tiny", Entry(SPLITS, "tiny", lost, 1), at=NOW, actor="ada", reason="Lost.")
    made = apply(opened, but(""), ada)
    assert made.split == 3
    assert Change("serving.unseen_category", None, "flag") in made.changes
    assert history(opened, "tiny")[-1].changes is None


def test_what_the_champion_learned_is_not_changed_by_words(
    opened: Platform, but: Use, ada: Asked, tiny_text: str
) -> None:
    apply(opened, but(""), ada)
    other = loads(tiny_text.replace('positive: "Yes"', 'positive: "No"'))
    with pytest.raises(Refused, match=r"1\.0\.0 learned `Yes`, not `No`: release a model of the other label"):
        apply(opened, other, ada)


def test_where_nothing_is_live_a_release_comes_first(tmp_path: Path, but: Use, ada: Asked) -> None:
    fresh = platform(Settings(home=tmp_path / "fresh"))
    for ask in (lambda: apply(fresh, but(""), ada), lambda: difference(fresh, but(""))):
        with pytest.raises(NotFound, match="the first release makes its configuration live"):
            ask()
    assert history(fresh, "tiny") == []


def test_a_running_rollout_keeps_its_own_and_is_named(opened: Platform, but: Use, ada: Asked) -> None:
    own = splits(opened)[-1].body.configuration
    rollout = Rollout("r1", "1.0.0", "1.1.0", own, 0, NOW, NOW, NOW + timedelta(days=14))
    opened.ledger.write("tiny", Entry(ROLLOUTS, "r1", rollout), at=NOW, actor="ada", reason="It passed.")
    assert apply(opened, but("monitors: {window: 3d}\n"), ada).running == "r1"
    assert [fact.body.configuration for fact in opened.ledger.all_of("tiny", ROLLOUTS)] == [own]
    ended = dataclasses.replace(rollout, phase=Phase.PROMOTED)
    opened.ledger.write("tiny", Entry(ROLLOUTS, "r1", ended, 1), at=NOW, actor="ada", reason="Done.")
    assert apply(opened, but("monitors: {window: 4d}\n"), ada).running is None


def test_somebody_elses_split_meanwhile_is_kept(opened: Platform, but: Use, ada: Asked) -> None:
    """Whoever is slower reads again: both changes stand."""
    ledger = opened.ledger

    class Hurried:
        """A ledger that somebody else always writes to first, once."""

        def __init__(self) -> None:
            self.left = 1

        def write(self, use_case: str, *entries: Entry[Split], **told: object) -> object:
            if self.left and entries:
                self.left -= 1
                last = splits(opened)[-1]
                moved = dataclasses.replace(
                    last.body, number=last.body.number + 1, arms=(Arm("1.0.0", 1.0), Arm("1.1.0", standby=True))
                )
                ledger.write("tiny", Entry(SPLITS, "tiny", moved, last.number), at=NOW, actor="bob", reason="First.")
            return ledger.write(use_case, *entries, **told)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(ledger, name)

    made = apply(dataclasses.replace(opened, ledger=Hurried()), but(""), ada)  # type: ignore[arg-type]
    last = splits(opened)[-1].body
    assert (last.number, last.configuration) == (made.split, made.digest)
    assert last.arms[1] == Arm("1.1.0", standby=True)


def test_a_server_follows_within_three_seconds(
    strict_home: Path,
    opened: Platform,
    but: Use,
    ada: Asked,
    served: Callable[..., AbstractContextManager[str]],
) -> None:
    with served(strict_home, open_=True) as address, httpx.Client(base_url=address) as client:
        assert client.post("/predict", json=STRANGE).status_code == 422
        apply(opened, but(""), ada)
        until = time.monotonic() + 3
        while time.monotonic() < until and client.post("/predict", json=STRANGE).status_code == 422:
            time.sleep(0.1)
        answer = client.post("/predict", json=STRANGE)
        assert answer.status_code == 200
        assert answer.json()["flags"]
