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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from mainstay.digests import new_id
from mainstay.ledger.feedback import note
from mainstay.ledger.kinds import API_KEYS, SPLITS
from mainstay.ledger.progress import read_progress
from mainstay.ledger.replicas import report, sign_off
from mainstay.nouns import ApiKey
from mainstay.observed import Replica
from mainstay.registry.live import configuration
from mainstay.registry.manifest import Manifest
from mainstay.registry.shelf import load
from mainstay.scoring.bundle import Bundle
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms, Health
from mainstay.serving.challenge import hanging
from mainstay.serving.connection import Connection, Sweep
from mainstay.serving.feedback import Feedback
from mainstay.serving.hot import ROUTE, Hot
from mainstay.serving.kept import Kept, Standing, since
from mainstay.serving.log import Log
from mainstay.serving.logs import say_on_stderr
from mainstay.serving.shipped import ShipperProgress
from mainstay.serving.tally import Tally
from mainstay.serving.tokens import Tokens, tokens_of
from mainstay.serving.tracing import traces_from
from mainstay.settings import Settings
from mainstay.usecase import Serving
from mainstay.wiring import Platform, platform

FIRST_LOOK = 1.5
"""Seconds to wait for the first split before listening without one."""
TOGETHER = 0.25
"""Seconds until every worker that was told to stop has closed its socket; uvicorn looks every 0.1 s."""
LEAVE = 0.5
"""Seconds in which busy connections hear, with an answer, that they end with it. Then those at rest are closed."""
DRAIN = 20
"""Seconds that requests in flight are given to end; Kubernetes kills after 30."""


def arms_of(opened: Platform, use_case: str) -> Arms:
    """The arms of a use case, as the ledger and the blobs of a platform tell them."""
    replica = Replica(new_id(opened.settings.clock()), socket.gethostname(), use_case, 0, (), opened.settings.clock())
    known: tuple[int, Standing] | None = None

    def read_split() -> Standing | None:
        nonlocal known
        fact = opened.ledger.latest(use_case, SPLITS, use_case)
        if fact is None:
            return None
        if known is None or known[0] != fact.number:
            history = opened.ledger.history(use_case, SPLITS, use_case)
            known = history[-1].number, Standing(history[-1].body, since(history))
        return known[1]

    def load_arm(version: str) -> tuple[Manifest, Bundle]:
        # The trusted keys are read again for every arm: a key withdrawn meanwhile opens nothing.
        return load(use_case, version, opened.blobs, opened.trusted())

    def read_policies(digest: str) -> Serving:
        return configuration(digest, opened.blobs).serving

    return Arms(
        read_split,
        load_arm,
        read_policies,
        read_key=opened.pseudonym_key,
        kept=Kept(opened.settings.home / "serving" / f"{use_case}.json"),
        report=lambda split, warm: report(opened.ledger, replace(replica, split=split, warm=warm)),
        sign_off=lambda: sign_off(opened.ledger, use_case, replica.id),
    )


def feedback_of(opened: Platform, use_case: str, written: Log) -> Feedback:
    """What takes feedback about a use case: into the log, and into the ledger's index of it."""
    return Feedback(
        written,
        horizon=lambda digest: configuration(digest, opened.blobs).label.horizon,
        note=lambda told, at: note(opened.ledger, use_case, told, at),
        clock=opened.settings.clock,
    )


def access_of(opened: Platform, use_case: str, open_: bool) -> Access:
    """Who may ask for a use case, as the ledger of a platform and its settings tell. Misconfigured as `tokens_of`."""

    def read() -> list[ApiKey]:
        return [fact.body for fact in opened.ledger.latest_of_each(use_case, API_KEYS)]

    settings = opened.settings
    tokens: Tokens | None = tokens_of(settings.oidc_jwks, settings.oidc_issuer, settings.oidc_audience)
    kept = settings.home / "access" / f"{use_case}.json"
    rate = (settings.oidc_rate, settings.oidc_burst) if settings.oidc_rate else None
    return Access(read, kept, settings.clock, tokens, open_, token_rate=rate)


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


def serve_socket(
    settings: Settings,
    use_case: str,
    listener: socket.socket,
    ready: Callable[[Health], None],
    open_: bool,
    shared_metrics: Path | None = None,
    parent: Any = None,
) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; requests in flight are ended first.

    `ready` is called once, when requests are taken. Where `parent` is a stream, its end stops the server as a signal
    would: a worker does not outlive whoever started it.
    """
    say_on_stderr(settings.logs)
    opened = platform(settings)
    arms = arms_of(opened, use_case)
    access = access_of(opened, use_case, open_)
    written = Log(opened.stream(), use_case, socket.gethostname(), settings.clock, settings.fsync)
    answering = Answering(written, settings.clock)
    tally = Tally(ROUTE)
    feedback = feedback_of(opened, use_case, written)
    traces = traces_from(settings, use_case)
    shipped = ShipperProgress(lambda: read_progress(settings.home, use_case), settings.clock)
    app = create_app(arms, use_case, answering, access, shared_metrics, feedback, tally, shipped, traces)
    config = uvicorn.Config(
        Hot(app, arms, answering, access, tally, traces),
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
    server = Server(config, arms, ready)
    stop, looked = threading.Event(), threading.Event()
    follower = threading.Thread(target=arms.follow, args=(stop,), kwargs={"looked": looked}, daemon=True)
    follower.start()
    written.start()
    known = threading.Event()
    watch = threading.Thread(target=access.follow, args=(stop,), kwargs={"looked": known}, daemon=True)
    watch.start()
    until = time.monotonic() + FIRST_LOOK
    for first in (looked, known):
        first.wait(max(0.0, until - time.monotonic()))
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent, server), daemon=True).start()
    # What was imported and loaded stays: looking through it for garbage holds requests up for tens of milliseconds.
    gc.collect()
    gc.freeze()
    try:
        server.run(sockets=[listener])
    finally:
        stop.set()
        follower.join(FIRST_LOOK)
        watch.join(FIRST_LOOK)
        answering.listeners.close(LEAVE)
        arms.sign_off()
        written.close()
        if traces is not None:
            traces.close()
        opened.ledger.close()
    if hanging():
        logging.getLogger(__name__).warning("an arm still scores, and is left to itself")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _end_with(parent: Any, server: Server) -> None:
    parent.read()
    server.handle_exit(signal.SIGTERM, None)


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker is told on its standard input, as one line of JSON."""

    settings: dict[str, Any]
    use_case: str
    listener: int
    open_: bool
    shared_metrics: str

    def line(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}) + "\n"


def run() -> None:
    """A worker among several: told what to do on stdin, it answers with one line on stdout once it is ready."""
    work = Work(**json.loads(sys.stdin.readline()))

    def ready(health: Health) -> None:
        sys.stdout.write(json.dumps({"version": health.version, "reason": health.reason}) + "\n")
        sys.stdout.flush()

    listener = socket.socket(fileno=work.listener)
    with suppress(KeyboardInterrupt):
        serve_socket(
            Settings(**work.settings),
            work.use_case,
            listener,
            ready,
            work.open_,
            Path(work.shared_metrics),
            parent=sys.stdin,
        )


if __name__ == "__main__":
    run()
