"""One process that serves: how it ends."""

import signal

import uvicorn

from mainstay.serving.arms import Arms
from mainstay.serving.worker import Server


def test_from_the_first_signal_on_a_server_is_not_ready(arms: Arms) -> None:
    server = Server(uvicorn.Config("none"), arms, lambda health: None)
    assert arms.health().ready
    server.handle_exit(signal.SIGTERM, None)
    assert arms.health().status == "draining"
    assert server.should_exit
