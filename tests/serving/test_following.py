"""What the supervisor reads in the ledger, and what a worker hears of it: the same, whatever was told before."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.errors import Refused, Unavailable
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import API_KEYS, SPLITS
from mainstay.nouns import ApiKey, Arm, Split
from mainstay.serving.following import Following, since
from mainstay.serving.heard import SILENT, Heard
from mainstay.serving.work import News, Part, news_line

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ApiKey("ada", "ada", "0" * 64, ("predict",), NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as made:
        yield made


class Wire:
    """A supervisor's look at the ledger, told to a worker; `lines` are what went over the wire."""

    def __init__(self, ledger: Ledger, open_: bool = False) -> None:
        self.now = 100.0
        self.heard = Heard(lambda: self.now)
        self.lines: list[str] = []
        self._told: News = {}
        self._following = Following(ledger, "tiny", open_)

    def look(self) -> Heard:
        news = self._following.look(lambda: self.now)
        self.lines.append(news_line(news, self._told))
        self._told = news
        self.heard.take(self.lines[-1])
        return self.heard


def goes_live(ledger: Ledger, number: int, *versions: str) -> None:
    arms = (Arm(versions[0], 1.0), *(Arm(version, standby=True) for version in versions[1:]))
    split = Split(number, "tiny", arms, "default")
    at = NOW + timedelta(days=number)
    ledger.write("tiny", Entry(SPLITS, "tiny", split, after=number - 1), at=at, actor="user:ada", reason="next")


def test_a_worker_hears_what_stands_in_the_ledger_and_when_it_changes(ledger: Ledger) -> None:
    wire = Wire(ledger)
    assert wire.look().standing() is None
    goes_live(ledger, 1, "1.0.0")
    ledger.write("tiny", Entry(API_KEYS, "ada", KEY), at=NOW, actor="user:ada", reason="hers")
    standing = wire.look().standing()
    assert standing is not None
    assert (standing.split.champion, standing.since) == ("1.0.0", {"1.0.0": NOW + timedelta(days=1)})
    assert list(wire.heard.keys()) == [KEY]
    wire.now = 101.0
    assert wire.look().standing() is standing  # told once, not every second
    assert "1.0.0" not in wire.lines[-1]
    assert wire.heard.read_at() == 101.0
    goes_live(ledger, 2, "1.1.0", "1.0.0")
    standing = wire.look().standing()
    assert standing is not None
    assert standing.since == {"1.1.0": NOW + timedelta(days=2), "1.0.0": NOW + timedelta(days=1)}


def test_a_worker_hears_why_the_ledger_cannot_be_read_and_keeps_what_it_heard(tmp_path: Path) -> None:
    class Flaky(Ledger):
        trouble: Exception | None = None

        def latest(self, *asked: object) -> object:  # type: ignore[override]
            if self.trouble is not None:
                raise self.trouble
            return super().latest(*asked)  # type: ignore[arg-type]

    with Flaky(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        goes_live(ledger, 1, "1.0.0")
        wire = Wire(ledger, open_=True)
        before = wire.look().standing()
        for raised, kind, words in (
            (Unavailable("gone", "db"), Unavailable, "db: gone"),
            (Refused("of a later release"), Refused, "of a later release"),
            (ZeroDivisionError(), Unavailable, "a defect kept it from being read"),
        ):
            ledger.trouble, wire.now = raised, wire.now + 1
            with pytest.raises(kind, match=words):
                wire.look().standing()
            assert wire.heard.read_at() == 100.0
        ledger.trouble = None
        assert wire.look().standing() is before


def test_a_silent_supervisor_is_a_ledger_out_of_reach(ledger: Ledger) -> None:
    wire = Wire(ledger)
    with pytest.raises(Unavailable, match="has not answered"):
        wire.heard.standing()
    with pytest.raises(Unavailable, match="has not answered"):
        wire.heard.keys()
    assert wire.look().standing() is None
    wire.now += SILENT + 1
    with pytest.raises(Unavailable, match="has not answered"):
        wire.heard.standing()


def test_news_that_cannot_be_read_are_no_reason_to_hear_no_others(ledger: Ledger) -> None:
    goes_live(ledger, 1, "1.0.0")
    wire = Wire(ledger)
    wire.heard.take(news_line({"split": Part('{"no": "split"}', 1.0), "keys": Part("[]", 1.0)}, {}))
    with pytest.raises(Refused, match="a defect"):
        wire.heard.standing()
    assert list(wire.heard.keys()) == []
    assert wire.look().standing() is not None


def test_without_keys_none_are_read_where_everybody_may_ask(ledger: Ledger) -> None:
    wire = Wire(ledger, open_=True)
    wire.look()
    assert "keys" not in wire.lines[0]


def test_a_version_is_live_since_the_split_that_it_has_been_in_without_a_break() -> None:
    live = [["1.0.0"], ["1.1.0", "1.0.0"], ["1.1.0"], ["1.2.0", "1.1.0", "1.0.0"], ["1.2.0", "1.1.0", "1.0.0"]]
    history = [
        Fact(n, "tiny", "split", "tiny", n, NOW + timedelta(days=n), "ada", "", Split(n, "tiny", arms, "default"))
        for n, versions in enumerate(live)
        if (arms := (Arm(versions[0], 1.0), *(Arm(version, standby=True) for version in versions[1:])))
    ]
    days = {version: (at - NOW).days for version, at in since(history).items()}
    assert days == {"1.2.0": 3, "1.1.0": 1, "1.0.0": 3}
    assert since(history[:1]) == {"1.0.0": NOW}
