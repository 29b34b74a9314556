"""One process that serves: the arms kept fresh on a thread, the routes on an event loop, until it is told to stop."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from mainstay.adapters.online import online_from
from mainstay.cpu import kind_of_cpu
from mainstay.errors import Unavailable
from mainstay.progress import read_progress
from mainstay.registry.configured import configuration
from mainstay.registry.loading import load
from mainstay.registry.manifest import Manifest
from mainstay.scoring.bundle import Bundle
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms, Health
from mainstay.serving.asking import Asking
from mainstay.serving.challenge import hanging
from mainstay.serving.connection import Connection, Sweep
from mainstay.serving.feedback import Feedback
from mainstay.serving.heard import Heard
from mainstay.serving.hot import ROUTE, Hot
from mainstay.serving.kept import Kept
from mainstay.serving.log import Log
from mainstay.serving.logs import say_on_stderr
from mainstay.serving.materialized import Materialized
from mainstay.serving.shipped import ShipperProgress
from mainstay.serving.tally import Tally
from mainstay.serving.tokens import Tokens, tokens_of
from mainstay.serving.tracing import traces_from
from mainstay.serving.work import DRAIN, EVERY, Work
from mainstay.settings import Settings
from mainstay.stores import Stores, stores
from mainstay.usecase import Serving

FIRST_LOOK = 1.5
"""Seconds to wait for the first split before listening without one."""
TOGETHER = 0.25
"""Seconds until every worker that was told to stop has closed its socket; uvicorn looks every 0.1 s."""
LEAVE = 0.5
"""Seconds in which busy connections hear, with an answer, that they end with it. Then those at rest are closed."""
HEAR, HEAR_KEYS = 0.25, 0.5
"""Seconds between two looks at what the supervisor has told of the split, and of the keys."""


def arms_of(opened: Stores, use_case: str, heard: Heard, report: Callable[[int, tuple[str, ...]], None]) -> Arms:
    """The arms of a use case, as the supervisor and the blobs tell them."""

    def load_arm(version: str) -> tuple[Manifest, Bundle]:
        # The trusted keys are read again for every arm: a key withdrawn meanwhile opens nothing.
        return load(use_case, version, opened.blobs, opened.trusted())

    def read_policies(digest: str) -> Serving:
        return configuration(digest, opened.blobs).serving

    return Arms(
        heard.standing,
        load_arm,
        read_policies,
        read_key=opened.pseudonym_key,
        kept=Kept(opened.settings.home / "serving" / f"{use_case}.json"),
        report=report,
        read_at=heard.read_at,
        online=online_from(opened.settings.online),
    )


def feedback_of(opened: Stores, written: Log, asking: Asking) -> Feedback:
    """What takes feedback: into the log, and by the supervisor into the ledger's index of it."""
    return Feedback(
        written,
        horizon=lambda digest: configuration(digest, opened.blobs).label.horizon,
        note=asking.note,
        clock=opened.settings.clock,
    )


def access_of(settings: Settings, use_case: str, heard: Heard, open_: bool) -> Access:
    """Who may ask for a use case, as the supervisor and the settings tell. Misconfigured as `tokens_of`."""
    tokens: Tokens | None = tokens_of(settings.oidc_jwks, settings.oidc_issuer, settings.oidc_audience)
    kept = settings.home / "access" / f"{use_case}.json"
    rate = (settings.oidc_rate, settings.oidc_burst) if settings.oidc_rate else None
    return Access(heard.keys, kept, settings.clock, tokens, open_, token_rate=rate)


def config_of(settings: Settings, hot: Hot) -> uvicorn.Config:
    """How the HTTP server is set up. Nothing stands before the hot route: connections ask its turn themselves."""
    return uvicorn.Config(
        hot,
        loop="uvloop",
        http=Connection,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN,
    )


class Server(uvicorn.Server):
    """Uvicorn that says when it is ready, is not ready from the first signal on, and then ends as if by itself."""

    def __init__(self, config: uvicorn.Config, arms: Arms, ready: Callable[[Health], None]) -> None:
        super().__init__(config)
        self._arms = arms
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweep = asyncio.ensure_future(Sweep().follow(self.server_state.connections))
        self._ready(self._arms.health())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Uvicorn's own closes at once what has no request, while a busy client's next one is already on its way: it
        # would be lost without a word. Whoever is told to leave comes back, so every socket has to be closed before.
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        if self.server_state.connections:
            await asyncio.sleep(TOGETHER)
            self.server_state.default_headers.append((b"connection", b"close"))
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE):
                    while self.server_state.connections:
                        await asyncio.sleep(LEAVE / 20)
        await super().shutdown(sockets)
        self._sweep.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Uvicorn's own raises the signal again at the end, so that a stop that was asked for would read as a death.
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._arms.drain()
        super().handle_exit(sig, frame)


def serve_socket(settings: Settings, work: Work, lines: Iterable[str], say: Callable[[dict[str, Any]], None]) -> None:
    """Serve on the listening socket of the work until SIGTERM or SIGINT; requests in flight are ended first.

    `lines` are the supervisor's news; their end stops the server as a signal would: a worker does not outlive whoever
    started it. `say` is what the supervisor hears: what is warm, and how it stands once requests are taken.
    """
    use_case = work.use_case
    say_on_stderr(settings.logs)
    opened, heard, asking = stores(settings), Heard(), Asking(say)
    arms = arms_of(opened, use_case, heard, Word(say).holds)
    access = access_of(settings, use_case, heard, work.open_)
    written = Log(opened.stream(), use_case, socket.gethostname(), settings.clock, settings.fsync, kind_of_cpu())
    answering = Answering(written, settings.clock)
    tally = Tally(ROUTE)
    feedback = feedback_of(opened, written, asking)
    traces = traces_from(settings, use_case)
    beside = (
        ShipperProgress(lambda: read_progress(settings.home, use_case), settings.clock),
        Materialized(settings.home, use_case, settings.clock),
    )
    shared_metrics = Path(work.shared_metrics) if work.shared_metrics else None
    app = create_app(arms, use_case, answering, access, shared_metrics, feedback, tally, beside, traces)
    config = config_of(settings, Hot(app, arms, answering, access, tally, traces))
    server = Server(config, arms, lambda health: say({"version": health.version, "reason": health.reason}))
    threading.Thread(target=_hear, args=(lines, heard, asking, server), name="hearing", daemon=True).start()
    heard.first.wait(FIRST_LOOK)  # it has been on its way while this process was imported
    stop, looked = threading.Event(), threading.Event()
    follower = threading.Thread(target=arms.follow, args=(stop, HEAR, looked), daemon=True)
    follower.start()
    written.start()
    known = threading.Event()
    watch = threading.Thread(target=access.follow, args=(stop, HEAR_KEYS, known), daemon=True)
    watch.start()
    until = time.monotonic() + FIRST_LOOK
    for first in (looked, known):
        first.wait(max(0.0, until - time.monotonic()))
    # What was imported and loaded stays: looking through it for garbage holds requests up for tens of milliseconds.
    gc.collect()
    gc.freeze()
    try:
        server.run(sockets=[socket.socket(fileno=work.listener)])
    finally:
        stop.set()
        follower.join(FIRST_LOOK)
        watch.join(FIRST_LOOK)
        answering.listeners.close(LEAVE)
        written.close()
        if traces is not None:
            traces.close()
    if hanging():
        logging.getLogger(__name__).warning("an arm still scores, and is left to itself")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _hear(lines: Iterable[str], heard: Heard, asking: Asking, server: Server) -> None:
    for line in lines:
        if not asking.take(line):
            heard.take(line)
    server.handle_exit(signal.SIGTERM, None)


class Word:
    """Says which arms are warm: when that changes, and once a second, or the supervisor takes this process for hung."""

    def __init__(self, say: Callable[[dict[str, Any]], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._say, self._monotonic = say, monotonic
        self._said: tuple[int, tuple[str, ...]] | None = None
        self._next = 0.0

    def holds(self, split: int, warm: tuple[str, ...]) -> None:
        """Say it, if it is time to. Unavailable where nobody listens any more."""
        now = self._monotonic()
        if (split, warm) == self._said and now < self._next:
            return
        try:
            self._say({"split": split, "warm": warm})
        except OSError as error:
            raise Unavailable("the supervisor is gone") from error
        self._said, self._next = (split, warm), now + EVERY


def run() -> None:
    """A worker: told on stdin what to do, and then what the ledger says, it tells on stdout how it stands."""
    line = sys.stdin.readline()
    if not line:  # the supervisor found a reason not to serve while this process was imported
        return
    work = Work(**json.loads(line))
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anybody else prints is no word to the supervisor
    saying = threading.Lock()

    def say(words: dict[str, Any]) -> None:
        with saying:
            told.write(json.dumps(words) + "\n")
            told.flush()

    with suppress(KeyboardInterrupt):
        serve_socket(Settings(**work.settings), work, sys.stdin, say)


if __name__ == "__main__":
    run()
