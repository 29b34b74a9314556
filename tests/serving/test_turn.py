"""What is answered before the HTTP server hears of it is answered as the application does, over the real protocol."""

import asyncio
import json
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from wired import ROW, USUAL, House, alike, given, request, settled

from mainstay.errors import Unavailable
from mainstay.nouns import ApiKey, Arm
from mainstay.observed import Prediction, Role
from mainstay.scoring.rowwise import ScoredRow
from mainstay.serving.arms import Arms
from mainstay.serving.connection import Connection, Sweep
from mainstay.serving.worker import config_of
from mainstay.settings import Settings
from mainstay.usecase import Serving

if TYPE_CHECKING:
    from tests.serving.conftest import Run, World, Written


class Raises:
    """A scorer of rows that raises so often, and then scores."""

    def __init__(self, times: int) -> None:
        self.left = times

    def score(self, values: Any) -> ScoredRow:
        self.left -= 1
        if self.left >= 0:
            raise RuntimeError("no such kernel")
        return ScoredRow([0.5, 0.5], 0.5, "Yes", "High")


SHAPED = [
    {"features": ROW},
    {"entity": "a", "features": ROW},
    {"entity": 7, "features": ROW, "request_id": "r"},
    {"entity": "Müller-Lüdenscheidt", "features": ROW},
    {"entity": None, "request_id": None, "features": ROW},
    {"entity": "x" * 200, "features": ROW | {"age": 40.0, "spent": None}},
    {"features": {"age": 18, "plan": "plus"}},
]
OTHERS = [
    {"entity": 'ü:\u00e9 " \\ \u2028', "features": ROW},
    {"entity": "", "features": ROW},
    {"entity": True, "features": ROW},
    {"entity": "x" * 201, "features": ROW},
    {"features": ROW | {"age": 40.5}},
    {"features": ROW | {"age": 121, "plan": "gold"}},
    {"features": ROW | {"plan": " basic "}},
    {"features": ROW | {"spend": 1}},
    {"features": {"age": {"a": 1}, "plan": []}},
    {"features": []},
    {},
    [],
    None,
]


@pytest.mark.parametrize("body", SHAPED + OTHERS, ids=range(len(SHAPED + OTHERS)))
def test_the_same_request_gets_the_same_answer(house: House, run: "Run", body: Any) -> None:
    async def ask() -> None:
        connection, wire = await house.warm()
        other, around = house.connect(turn=False)
        data = request(json.dumps(body, ensure_ascii=False).encode())
        await given(connection, data)
        assert house.passed_on == (body not in SHAPED)
        await given(other, data)
        # The application's answer is the hot route's, but for the order of its headers.
        (head, told), (wanted, expected) = alike(wire.written), alike(around.written)
        assert told == expected
        assert sorted(each for each in head if b"retry" not in each) == sorted(
            each for each in wanted if b"retry" not in each
        )
        if body in SHAPED:
            assert len(wire.writes) == 1

    run(ask())


def test_the_connections_of_a_worker_have_the_turn_of_its_hot_route(house: House, run: "Run") -> None:
    async def connect() -> Connection:
        config = config_of(Settings(), house.hot)
        config.load()
        return Connection(config, house.state, {})

    assert house.hot.turn is not None
    assert run(connect()).turn is house.hot.turn


def test_the_first_answer_and_those_of_the_turn_are_the_same_bytes(house: House, run: "Run") -> None:
    async def ask() -> None:
        connection, wire = house.connect()
        for _ in range(3):
            await given(connection, request(USUAL))
        answers = wire.written.split(b"HTTP/1.1 ")[1:]
        assert len(answers) == 3
        assert alike(answers[0]) == alike(answers[1]) == alike(answers[2])
        assert house.passed_on == 1

    run(ask())


def test_the_same_record_is_written(house: House, written: "Written", run: "Run") -> None:
    async def ask() -> None:
        connection, _ = await house.warm()
        other, _ = house.connect(turn=False)
        written.records.clear()
        for body in SHAPED:
            data = request(json.dumps(body).encode().replace(b"\\u00fc", "ü".encode()))
            await given(connection, data)
            await given(other, data)

    run(ask())
    records: list[Prediction] = written.observed()
    assert len(records) == 2 * len(SHAPED)
    assert house.passed_on == len(SHAPED)
    for hot, app in zip(records[::2], records[1::2], strict=True):
        assert hot.prediction_id < app.prediction_id
        changing = {"prediction_id", "request_id", "unit", "trace_id", "scoring_us", "before_log_us", "tensor"}
        assert {name for name in Prediction.__slots__ if getattr(hot, name) != getattr(app, name)} <= changing
        assert hot.role is Role.ANSWERED
        assert 0 < hot.scoring_us < hot.before_log_us


def test_the_tensor_of_one_answer_in_256_is_kept(house: House, written: "Written", run: "Run") -> None:
    async def ask() -> None:
        connection, _ = await house.warm()
        for _ in range(512):
            connection.data_received(request(USUAL))
            assert house.hot.turn is not None
            house.hot.turn.end()

    run(ask())
    records: list[Prediction] = written.observed()
    kept = [each for each in records if each.tensor]
    assert {each.prediction_id[-2:] for each in kept} == {"00"}
    assert 2 <= len(kept) <= 3
    assert len(records) == 513


def test_answers_leave_in_the_order_in_which_they_were_asked_for(house: House, run: "Run") -> None:
    async def ask() -> None:
        connection, wire = await house.warm()
        for n in range(4):  # in one turn, and the last of them two at once
            connection.data_received(request(json.dumps({"entity": n, "features": ROW}).encode()))
        connection.data_received(b"".join(request(json.dumps({"entity": n, "features": ROW}).encode()) for n in (4, 5)))
        connection.data_received(request(json.dumps({"entity": 6, "features": ROW}).encode()))
        await settled()
        # One that the turn leaves to the server, and those behind it.
        connection.data_received(request(json.dumps({"entity": True, "features": ROW}).encode()))
        connection.data_received(request(json.dumps({"entity": 7, "features": ROW}).encode()))
        await settled()
        told = [json.loads(each.partition(b"\r\n\r\n")[2]) for each in wire.written.split(b"HTTP/1.1 ")[1:]]
        assert [each.get("entity") for each in told] == [*range(7), None, 7]

    run(ask())


def test_a_key_is_looked_at_for_every_request(house: House, written: "Written", run: "Run") -> None:
    house.access.open = False
    now = house.answering.clock()
    key = ApiKey("k", "mine", sha256(b"secret").hexdigest(), ("predict",), now)
    house.keys = [key]
    house.access.refresh()

    async def ask() -> None:
        connection, wire = await house.warm()
        await given(connection, request(USUAL))
        assert (wire.written.count(b" 200 OK"), house.passed_on) == (1, 0)
        house.keys = [ApiKey("k", "mine", key.sha256, ("predict",), now, rate=0.001, burst=2)]
        house.access.refresh()
        for _ in range(3):
            await given(connection, request(USUAL))
        assert (wire.written.count(b" 200 OK"), wire.written.count(b" 429 "), house.passed_on) == (3, 1, 3)
        for keys, status in (
            ([ApiKey("k", "mine", key.sha256, ("read",), now)], b" 403 "),
            ([], b" 401 "),
        ):
            house.keys = keys
            house.access.refresh()
            await given(connection, request(USUAL))
            assert wire.written.count(status) == 1

    run(ask())
    assert len(written.records) == 4


def test_many_connections_are_answered_together_and_each_gets_its_own(
    house: House, written: "Written", run: "Run"
) -> None:
    async def ask() -> None:
        several = [await house.warm() for _ in range(40)]
        before = written.calls
        for n, (connection, _) in enumerate(several):
            connection.data_received(request(json.dumps({"entity": n, "features": ROW}).encode()))
        several[5][0].connection_lost(None)
        several[5][1].closed = True
        await settled()
        assert written.calls - before == 2  # 32 at most in one
        for n, (_, wire) in enumerate(several):
            if n == 5:
                assert wire.writes == []
            else:
                assert json.loads(wire.written.partition(b"\r\n\r\n")[2])["entity"] == n
        assert house.state.total_requests >= 80

    run(ask())
    assert len({record[0] for *_, record in written.records}) == 80


def test_a_full_log_answers_nobody_of_a_turn_and_recovers(house: House, written: "Written", run: "Run") -> None:
    async def ask() -> None:
        several = [await house.warm() for _ in range(4)]
        written.records.clear()
        written.full = Unavailable("no space left on device")
        for connection, _ in several:
            connection.data_received(request(USUAL))
        await settled()
        for _, wire in several:
            assert wire.written.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 5" in wire.written
            wire.writes.clear()
        assert written.records == []
        written.full = None
        for connection, wire in several:
            await given(connection, request(USUAL))
            assert wire.written.startswith(b"HTTP/1.1 200 ")
        assert len(written.records) == 4

    run(ask())


def test_what_has_to_wait_for_the_disk_is_left_to_who_can_wait(house: House, written: "Written", run: "Run") -> None:
    async def ask() -> None:
        connection, wire = await house.warm()
        written.lost = Unavailable("input/output error")
        await given(connection, request(USUAL))
        assert wire.written.startswith(b"HTTP/1.1 503 ")
        assert house.passed_on == 1

    run(ask())
    assert len(written.records) == 2


def test_what_a_challenger_is_to_answer_goes_the_longer_way_and_what_others_hear_does_not(
    world: "World", arms: Arms, house: House, written: "Written", run: "Run"
) -> None:
    async def ask(several: int) -> int:
        connection, wire = await house.warm()
        for n in range(several):
            await given(connection, request(json.dumps({"entity": f"c{n}", "features": ROW}).encode()))
            until = asyncio.get_running_loop().time() + 5
            while wire.written.count(b" 200 OK") <= n and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.001)
        assert wire.written.count(b" 200 OK") == several
        return house.passed_on

    world.policies["default"] = Serving(challenger_budget=timedelta(seconds=1))  # enough for a busy machine
    world.goes_live(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5))
    arms.refresh(1.0)
    assert 0 < run(ask(20)) < 20
    answered: list[Prediction] = written.observed()
    assert {each.version for each in answered} == {"1.0.0", "1.1.0"}
    assert all(each.version == each.assigned and each.share == 0.5 for each in answered)
    world.goes_live(Arm("1.0.0", 1.0), Arm("1.1.0", 0.0, listens=True))
    arms.refresh(2.0)
    written.records.clear()
    assert run(ask(3)) == 0
    assert house.answering.listeners.close(5.0)
    observed: list[Prediction] = written.observed()
    told = {role: [each for each in observed if each.role is role] for role in (Role.ANSWERED, Role.LISTENED)}
    assert len(told[Role.ANSWERED]) == len(told[Role.LISTENED]) == 4  # the first of them made the connection warm
    for answered, listened in zip(*told.values(), strict=True):
        assert (listened.version, listened.assigned) == ("1.1.0", "1.0.0")
        same = ("prediction_id", "trace_id", "asked_at", "entity", "unit", "features", "share", "split", "origins")
        assert all(getattr(answered, name) == getattr(listened, name) for name in same)


def test_a_busy_connection_stays_and_one_at_rest_is_closed(house: House, run: "Run") -> None:
    house.keep_alive = 0.3

    async def ask() -> None:
        connection, wire = await house.warm()
        sweep = Sweep(0.3)
        clock = asyncio.get_running_loop().time
        for _ in range(8):
            await given(connection, request(USUAL))
            sweep.look([connection], clock())
            await asyncio.sleep(0.1)
            assert not wire.closed
        assert wire.written.count(b" 200 OK") == 8
        await asyncio.sleep(0.5)
        assert wire.closed

    run(ask())


def test_a_server_that_ends_answers_what_it_took_and_says_so(house: House, run: "Run") -> None:
    async def ask() -> None:
        taken, first = await house.warm()
        later, second = await house.warm()
        held, third = await house.warm()
        data = request(USUAL)
        at = data.index(b"{")
        held.data_received(data[:at])
        taken.data_received(data)
        for each in (taken, held):
            each.shutdown()
        assert b" 200 OK" in first.written
        assert first.closed
        assert not third.closed
        house.state.default_headers.append((b"connection", b"close"))
        await given(later, data)
        await given(held, data[at:])
        for wire in (second, third):
            assert b" 200 OK" in wire.written
            assert b"connection: close" in wire.written
            assert wire.closed

    run(ask())


def test_a_model_that_raises_or_makes_no_number_is_told_of_by_the_application(
    world: "World", arms: Arms, house: House, written: "Written", run: "Run"
) -> None:
    async def ask() -> None:
        connection, wire = await house.warm()
        arm = house.arms.live.rows["1.0.0"]  # type: ignore[union-attr]
        arm._idle[:] = [Raises(3)] * 3  # type: ignore[list-item]  # by the turn, the hot route and the application
        for status in (b"500", b"200"):
            wire.writes.clear()
            await given(connection, request(USUAL))
            assert wire.written.startswith(b"HTTP/1.1 " + status)

    run(ask())
    assert [each.role for each in written.observed()] == [Role.ANSWERED, Role.ATTEMPTED, Role.ANSWERED]


def test_who_stops_sending_is_answered_all_the_same(house: House, run: "Run") -> None:
    async def ask() -> None:
        connection, wire = await house.warm()
        connection.data_received(request(USUAL))
        connection.eof_received()
        assert b" 200 OK" in wire.written

    run(ask())


def test_a_defect_that_every_turn_meets_is_told_of_now_and_then(
    house: House, run: "Run", caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise OSError("no random bytes")

    async def ask() -> None:
        connection, wire = await house.warm()
        sound, house.answering.ids.trace = house.answering.ids.trace, broken  # type: ignore[method-assign]
        for _ in range(3):
            connection.data_received(request(USUAL))
            assert house.hot.turn is not None
            house.hot.turn.end()
            house.answering.ids.trace = sound  # type: ignore[method-assign]
            await settled()
            house.answering.ids.trace = broken  # type: ignore[method-assign]
        assert wire.written.count(b" 200 OK") == 3

    run(ask())
    assert sum("answered together" in each.message for each in caplog.records) == 1
