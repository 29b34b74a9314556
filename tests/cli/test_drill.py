"""The drill counts what it promises: a promise that breaks makes it end with 1. `make drill` plays the whole of it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mainstay.cli.drill import Drill, drill, must, use_case_text
from mainstay.cli.drill_parts import Broken, Home, Load, children
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import platform


@pytest.fixture
def day(tmp_path: Path) -> Drill:
    return Drill(Home(tmp_path, tmp_path / "mainstay.yaml"), platform(Settings(home=tmp_path)), frozenset())


def breaks() -> str:
    must(False, "the split does not follow")
    return "never said"


def test_a_drill_in_which_every_promise_held_ends_with_0(day: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    assert day.code == 1  # nothing was proved yet
    day.act("an act", lambda: "so it is")
    assert day.code == 0
    assert "held" in capsys.readouterr().out


def test_a_promise_that_breaks_is_told_in_its_words_and_the_drill_goes_on_and_ends_with_1(
    day: Drill, capsys: pytest.CaptureFixture[str]
) -> None:
    day.act("one that breaks", breaks)
    day.act("the next", lambda: "it holds")
    assert day.code == 1
    assert [held for *_, held in day.acts] == [False, True]
    assert "the split does not follow" in capsys.readouterr().out


def test_a_command_that_ends_otherwise_than_it_should_breaks_the_promise(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "mainstay.yaml")
    home.use_case.write_text(use_case_text())
    with pytest.raises(Broken, match="ended with 2, not 0"):
        home.run("rollout", "promote", "--why", "There is none.")
    assert "no rollout is running" in home.run("rollout", "promote", "--why", "There is none.", code=2)


def test_its_use_case_is_the_churn_that_ships_with_a_plan_of_seconds() -> None:
    made = loads(use_case_text())
    assert made.name == "churn"
    assert made.recipe.trials == 1
    assert made.plan is not None
    assert [step.share for step in made.plan.steps] == [0.2, 1]
    assert max(step.hold.total_seconds() for step in made.plan.steps) < 10


@contextmanager
def server(answers: Callable[[int], int]) -> Iterator[str]:
    """A server that answers the nth request with what it is told to; 0 breaks the connection."""
    asked = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            number = next(asked)
            code = answers(number)
            if code == 0:
                self.close_connection = True
                return
            body = json.dumps({"prediction_id": f"p{number}", "version": "1.0.0", "detail": "no"}).encode()
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "failed", "again"),
    [
        (lambda n: 200, 0, 0),
        (lambda n: 503 if n == 5 else 200, 1, 0),
        (lambda n: 0 if n == 5 else 200, 0, 1),
    ],
    ids=["all answered", "one refused", "one asked again"],
)
def test_customers_count_every_answer(answers: Callable[[int], int], failed: int, again: int) -> None:
    with server(answers) as host, Load(host, pace=0.001).asking() as load:
        until = time.monotonic() + 20
        while len(load.acknowledged) < 20:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert (len(load.failed), load.again) == (failed, again)
    assert len(set(load.acknowledged)) == len(load.acknowledged)
    assert load.since(0.0) == {"1.0.0"}


def test_processes_that_nobody_started_are_not_found() -> None:
    assert children(1, "mainstay.serving.worker of nobody") == []


@pytest.mark.long
def test_a_drill_without_an_operator_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert drill(frozenset({"operator"})) == 1
    assert "BROKEN" in capsys.readouterr().out
