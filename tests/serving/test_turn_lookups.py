"""Requests by entity are answered together too, as the application answers them, from stores near and far."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from stored import FULL, NOW, SERVICE, YESTERDAY, Stored
from wired import House, alike, given, request, settled

from mainstay.adapters.online import Read, SQLiteOnline, Wanted
from mainstay.errors import Unavailable
from mainstay.observed import Prediction
from mainstay.registry.manifest import Entity
from mainstay.serving import metrics
from mainstay.serving.connection import Connection
from mainstay.usecase import Serving

if TYPE_CHECKING:
    from tests.serving.conftest import Run, World, Written


class Near(SQLiteOnline):
    """A store that is read at once; `reads` are the entities of each round trip."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: list[list[str]] = []
        self.down: Unavailable | None = None

    def read(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        self.reads.append(list(entities))
        if self.down is not None:
            raise self.down
        return super().read(project, join_key, wanted, entities)


class Far(Near):
    """A store that is awaited: it answers while `open` is set."""

    quick: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open = asyncio.Event()
        self.open.set()

    async def read_soon(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        await self.open.wait()
        return self.read(project, join_key, wanted, entities)


@pytest.fixture(params=[Near, Far], ids=["near", "far"])
def store(request: pytest.FixtureRequest, tmp_path: Path, world: "World") -> Near:
    """A store that knows `a` in both views, `b` in the source alone, and `old` as it was long ago."""
    made = Stored(tmp_path / "online.db")
    made.put("a", "tiny", age=40, plan="basic")
    made.put("a", "usage", at=YESTERDAY, spent=120.5)
    made.put("b", "tiny", age=41, plan="plus")
    made.put("old", "tiny", age=42, plan="plus")
    made.put("old", "usage", at=NOW - timedelta(days=50), spent=1)
    world.services = {"tiny_v1": SERVICE}
    world.entity = Entity("id", "identifier")
    opened: Near = request.param(made.path)
    world.online = opened
    return opened


@pytest.fixture
def far(store: Near) -> Far:
    if not isinstance(store, Far):
        pytest.skip("of a store that is awaited")
    return store


@pytest.fixture
def looked(store: Near, house: House) -> House:
    """A server that looks up there."""
    return house


def by(entity: Any, **more: Any) -> bytes:
    return request(json.dumps({"entity": entity, **more}).encode())


def answers(written: bytes) -> list[dict[str, Any]]:
    return [json.loads(each.partition(b"\r\n\r\n")[2]) for each in written.split(b"HTTP/1.1 ")[1:]]


ANSWERED: list[dict[str, Any]] = [
    {"entity": "a"},
    {"entity": "a", "request_id": "r"},
    {"entity": "a", "features": {}},
    {"entity": "a", "features": {"plan": "plus", "spent": None}},
    {"entity": "a", "features": {"age": 41.0}},
    {"entity": "a", "features": FULL},
    {"entity": "a", "features": {"age": 1000, "plan": "gold"}},
    {"entity": "b"},
    {"entity": "b", "features": {"spent": 3}},
    {"features": FULL},
]
BY_POLICY: list[dict[str, Any]] = [
    {"entity": "old"},
    {"entity": "nobody", "features": {"age": 40, "plan": "basic"}},
    {"entity": "nobody"},
]
REFUSED: list[dict[str, Any]] = [
    {"entity": "a", "features": {"plam": "plus"}},
    {"entity": "a", "features": None},
    {"entity": "  "},
    {"entity": True},
    {"entity": "a", "feature": {}},
    {"request_id": "r"},
]
CHANGING = {"prediction_id", "request_id", "unit", "trace_id", "scoring_us", "before_log_us", "tensor"}


@pytest.mark.parametrize("policy", ["flag", "refuse"])
def test_the_same_requests_get_the_same_answers_and_records(
    store: Near, world: "World", house: House, written: "Written", run: "Run", policy: Any
) -> None:
    world.policies["default"] = Serving(unknown_entity=policy, stale_features=policy)
    world.goes_live(*world.split.arms)  # type: ignore[union-attr]  # it is one
    house.arms.refresh(1.0)

    async def ask() -> None:
        other, around = house.connect(turn=False)
        for body in ANSWERED + BY_POLICY + REFUSED:
            around.writes.clear()
            connection, wire = await house.warm()
            written.records.pop()
            await given(connection, request(json.dumps(body).encode()))
            taken = house.passed_on == 0
            await given(other, request(json.dumps(body).encode()))
            (head, told), (wanted, expected) = alike(wire.written), alike(around.written)
            assert told == expected
            assert head[0] == wanted[0]
            assert taken == (body in ANSWERED or (policy == "flag" and body in BY_POLICY))

    run(ask())
    records = [each for each in written.observed() if isinstance(each, Prediction)]
    assert len(records) == 2 * len(ANSWERED + BY_POLICY * (policy == "flag"))
    for turn, app in zip(records[::2], records[1::2], strict=True):
        assert {name for name in Prediction.__slots__ if getattr(turn, name) != getattr(app, name)} <= CHANGING


def test_all_of_a_turn_are_looked_up_in_one_round_trip(looked: House, store: Near, run: "Run") -> None:
    async def ask() -> None:
        several = [await looked.warm() for _ in range(6)]
        for (connection, _), entity in zip(several, ["a", "b", "a", "nobody", "b", "a"], strict=True):
            connection.data_received(by(entity))
        await settled()
        assert store.reads[0] == ["a", "b", "nobody"]
        assert [answers(wire.written)[0].get("entity") for _, wire in several] == ["a", "b", "a", None, "b", "a"]
        assert looked.passed_on == 1
        assert store.reads[1:] == [["nobody"]]

    run(ask())


def test_lookups_are_counted_once_whoever_answers(looked: House, run: "Run") -> None:
    def counted(outcome: str) -> float:
        return metrics.REGISTRY.get_sample_value("mainstay_lookups_total", {"outcome": outcome}) or 0.0

    before = {outcome: counted(outcome) for outcome in ("found", "unknown")}

    async def ask() -> None:
        connection, _ = await looked.warm()
        for entity in ("a", "nobody", "a"):
            await given(connection, by(entity))
        connection, _ = await looked.warm()
        await given(connection, by("b"))

    run(ask())
    assert counted("found") - before["found"] == 3
    assert counted("unknown") - before["unknown"] == 1


def test_a_store_that_is_down_is_asked_by_the_application_alone_until_it_is_back(
    looked: House, store: Near, run: "Run"
) -> None:
    async def ask() -> None:
        store.down = Unavailable("connection refused")
        for n in range(3):
            connection, wire = await looked.warm()
            await given(connection, by("a"))
            assert wire.written.startswith(b"HTTP/1.1 503 ")
            assert len(store.reads) == 2 + n
        await given(connection, by("a", features=FULL))
        assert answers(wire.written)[-1]["entity"] == "a"
        store.down = None
        for passed_on in (1, 0):
            connection, wire = await looked.warm()
            await given(connection, by("a"))
            assert (wire.written.startswith(b"HTTP/1.1 200 "), looked.passed_on) == (True, passed_on)

    run(ask())


def test_who_needs_nothing_does_not_wait_and_answers_keep_their_order(
    looked: House, far: Far, written: "Written", run: "Run"
) -> None:
    async def ask() -> None:
        waits, wire = await looked.warm()
        quick, other = await looked.warm()
        written.records.clear()
        far.open.clear()
        waits.data_received(by("a"))
        quick.data_received(by("q", features=FULL))
        await settled()
        waits.data_received(by("x", features=FULL) + by("b"))
        waits.data_received(by("y", features=FULL))
        await settled()
        assert [each["entity"] for each in answers(other.written)] == ["q"]
        assert (wire.writes, len(written.records)) == ([], 1)
        far.open.set()
        await settled()
        assert [each["entity"] for each in answers(wire.written)] == ["a", "x", "b", "y"]

    run(ask())


def test_what_comes_while_a_round_trip_is_awaited_shares_the_next(looked: House, far: Far, run: "Run") -> None:
    async def ask() -> None:
        several = [await looked.warm() for _ in range(5)]
        far.open.clear()
        for connection, _ in several:
            connection.data_received(by("a"))
            await settled()
        far.open.set()
        await settled()
        assert far.reads == [["a"], ["a"]]
        assert all(answers(wire.written)[0]["entity"] == "a" for _, wire in several)

    run(ask())


def waiting(connection: Connection, far: Far) -> None:
    far.open.clear()
    connection.data_received(by("a"))


def test_who_left_while_it_was_looked_up_gets_nothing_and_harms_nobody(
    looked: House, far: Far, written: "Written", run: "Run"
) -> None:
    async def ask() -> None:
        (left, gone), (stays, wire) = await looked.warm(), await looked.warm()
        waiting(left, far)
        stays.data_received(by("b"))
        await settled()
        left.connection_lost(None)
        gone.closed = True
        far.open.set()
        await settled()
        assert gone.writes == []
        assert answers(wire.written)[0]["entity"] == "b"

    run(ask())


@pytest.mark.parametrize("ends", ["eof_received", "shutdown"])
def test_who_waits_for_a_lookup_is_answered_before_its_connection_ends(
    looked: House, far: Far, run: "Run", ends: str
) -> None:
    async def ask() -> None:
        connection, wire = await looked.warm()
        waiting(connection, far)
        await settled()
        stays_open = getattr(connection, ends)()
        assert (stays_open, wire.closed) == (True if ends == "eof_received" else None, False)
        far.open.set()
        await settled()
        assert answers(wire.written)[0]["entity"] == "a"
        assert wire.closed

    run(ask())


def test_a_server_that_says_it_ends_while_something_is_looked_up_says_so_in_the_answer(
    looked: House, far: Far, run: "Run"
) -> None:
    async def ask() -> None:
        connection, wire = await looked.warm()
        waiting(connection, far)
        await settled()
        looked.state.default_headers.append((b"connection", b"close"))
        far.open.set()
        await settled()
        assert answers(wire.written)[0]["entity"] == "a"
        assert b"connection: close" in wire.written
        assert wire.closed

    run(ask())


def test_a_split_that_goes_live_meanwhile_answers_as_the_application_would(
    looked: House, far: Far, world: "World", run: "Run"
) -> None:
    async def ask() -> None:
        (first, _), (connection, wire) = await looked.warm(), await looked.warm()
        waiting(first, far)
        await settled()
        connection.data_received(by("b"))
        await settled()
        world.goes_live(*world.split.arms)  # type: ignore[union-attr]  # it is one
        looked.arms.refresh(1.0)
        far.open.set()
        await settled()
        assert answers(wire.written)[0]["entity"] == "b"
        assert looked.passed_on == 1

    run(ask())
