"""One process that serves: how it ends, and what its log looks like."""

import logging
import signal

import uvicorn

from mainstay.serving.arms import Arms
from mainstay.serving.worker import OneLine, Server


def test_from_the_first_signal_on_a_server_is_not_ready(arms: Arms) -> None:
    server = Server(uvicorn.Config("none"), arms, lambda health: None)
    assert arms.health().ready
    server.handle_exit(signal.SIGTERM, None)
    assert arms.health().status == "draining"
    assert server.should_exit


def test_a_record_of_the_log_is_one_line_with_its_traceback() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("serving", logging.ERROR, __file__, 1, "a defect", None, caught)
    line = OneLine("%(levelname)s %(message)s").format(record)
    assert line.startswith("ERROR a defect | Traceback")
    assert "\n" not in line
