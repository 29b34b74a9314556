"""`mainstay serve`: one worker process, or several behind one socket, that answer for what is live."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mainstay.adapters.online import online_from
from mainstay.digests import new_id
from mainstay.errors import MainstayError, Misconfigured, Refused, Unavailable
from mainstay.nouns import ApiKey
from mainstay.records import decode
from mainstay.serving.child import Child, begun
from mainstay.serving.exposure import check_access
from mainstay.serving.kept_keys import read_keys
from mainstay.serving.logs import saying
from mainstay.serving.shipper import shipping
from mainstay.serving.work import DRAIN, Part, Work
from mainstay.settings import Settings, make_home

if TYPE_CHECKING:
    from mainstay.serving.supervisor import Supervisor

BACKLOG = 2048
LOOK = 0.2
"""Seconds between two looks at whether every worker still runs."""

Say = Callable[[str], None]


def serve(settings: Settings, use_case: str, host: str, port: int, workers: int, open_: bool, say: Say) -> None:
    """Serve a use case until SIGTERM or SIGINT; requests in flight are ended first.

    Once requests are taken, one line on stdout names the address (with the real port, where `port` is 0) and the
    version; `say` hears what people should know (stderr). Refused where nobody has a key, unless `open_`;
    Misconfigured for a host, port or certificate that cannot be; Unavailable where the port is taken, or where workers
    die before they are ready.
    """
    say = saying(settings.logs, say)
    online_from(settings.online)  # opens nothing yet; says what is wrong with the address before anything starts
    if settings.otlp_endpoint:
        from mainstay.serving.tracing import check_tracing  # what is imported here delays the workers

        check_tracing(settings)
    tls = check_tls(settings)
    make_home(settings)
    with listen(host, port) as listener:
        address = _address(listener, tls)
        directory = _metrics_directory(settings, address) if workers > 1 else None
        crew = _Workers(settings, use_case, listener, open_, directory, say)
        try:
            crew.run(workers, address, lambda asked: check_access(open_, asked, tls, host, say))
        finally:
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises as `serve`."""
    place = f"{host}:{port}"
    # The protocol is named, because asyncio turns Nagle's algorithm off only then: the body of an answer would wait
    # 40 ms for the client to acknowledge the headers.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise _refusal(error, place) from error
    return listener


def _refusal(error: OSError | OverflowError, place: str) -> MainstayError:
    match error:
        case OverflowError():
            return Misconfigured("a port is a number from 0 to 65535", place)
        case socket.gaierror():
            return Misconfigured("this host has no address: use 127.0.0.1, or 0.0.0.0 for every network", place)
        case PermissionError():
            return Refused("this user may not listen there: choose a port above 1023", place)
    words = (error.strerror or str(error)).lower()
    return Unavailable(f"{words}: choose another port with --port, or 0 for any that is free", place)


def check_tls(settings: Settings) -> bool:
    """Whether requests come over TLS. Misconfigured where the certificate and the key are not there, or not a pair."""
    if not settings.tls_cert and not settings.tls_key:
        return False
    if not settings.tls_cert or not settings.tls_key:
        raise Misconfigured("TLS needs both, a certificate (--tls-cert) and its key (--tls-key)")
    import ssl  # as little as possible is imported before the workers are started

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        place = f"{settings.tls_cert}, {settings.tls_key}"
        raise Misconfigured("these are not a certificate and its key, as unencrypted PEM files", place) from error
    return True


def _anybody(settings: Settings, use_case: str, keys: Part) -> bool:
    """Whether anybody has a key that is believed now, or could show a token. Unavailable where that is not known."""
    if settings.oidc_jwks or settings.oidc_issuer or settings.oidc_audience:
        from mainstay.serving.tokens import tokens_of  # only here: it costs as much as the ledger

        if tokens_of(settings.oidc_jwks, settings.oidc_issuer, settings.oidc_audience) is not None:
            return True
    known = read_keys(settings.home / "access" / f"{use_case}.json") or []
    if keys.trouble is None:
        known = [decode(ApiKey, each) for each in json.loads(keys.text or "[]")]
    now = settings.clock()
    found = any(key.revoked is None and (key.expires is None or key.expires > now) for key in known)
    if not found and keys.trouble is not None:
        raise Unavailable(f"the keys cannot be read, and none are kept here that are believed: {keys.trouble}")
    return found


def _address(listener: socket.socket, tls: bool) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(address: str, use_case: str, version: str | None, reason: str | None) -> None:
    words = f"serves {use_case}@{version}" if version else f"is up, and not ready: {reason}"
    sys.stdout.write(f"{address} {words}\n")
    sys.stdout.flush()


def _metrics_directory(settings: Settings, address: str) -> Path:
    """A directory that these workers count in, and nobody else: the socket is theirs alone. Empty."""
    directory = settings.home / "metrics" / re.sub(r"[^0-9A-Za-z.]+", "-", address.partition("//")[2]).strip("-")
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    except OSError as error:
        raise Unavailable(
            f"{(error.strerror or str(error)).lower()} while making a place for metrics", str(directory)
        ) from error
    return directory.absolute()


@dataclass(slots=True)
class _Workers:
    """Worker processes that share one listening socket, and one directory of metrics where they are several."""

    settings: Settings
    use_case: str
    listener: socket.socket
    open_: bool
    directory: Path | None
    say: Say
    running: list[Child] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    changed: threading.Event = field(default_factory=threading.Event)

    def run(self, count: int, address: str, check: Callable[[bool], None]) -> None:
        """Start them, replace those that die, and stop them all on SIGTERM or SIGINT.

        `check` is told whether anybody may ask, and raises where nothing is to be served.
        """
        before = {each: signal.signal(each, lambda *_: self.stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
        self.running = [self._begun() for _ in range(count)]
        try:
            # The workers import what they need at the same time: half of the start would be waiting for it.
            from mainstay.ledger.facts import Ledger
            from mainstay.serving.supervisor import Supervisor

            with Ledger(self.settings.ledger_url) as ledger, ExitStack() as stack:
                supervisor = Supervisor(
                    self.settings, self.use_case, ledger, self.open_, self.running, self.say, self.changed
                )
                news = supervisor.look()
                check(self.open_ or _anybody(self.settings, self.use_case, news["keys"]))
                for worker in self.running:
                    worker.tell(self._work(), news, supervisor.note)
                supervisor.start()
                stack.callback(supervisor.end)
                stack.callback(self._end)
                self._settle(address)
                # It ends after the workers, for what they seal last; and begins after them, or would delay them.
                with shipping(self.settings, self.use_case, self.say):
                    self._watch(supervisor)
                    self._end()
                    supervisor.end()
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _begun(self) -> Child:
        return begun(new_id(self.settings.clock()), self.changed.set, (self.listener.fileno(),), self.directory)

    def _work(self) -> Work:
        shared = "" if self.directory is None else str(self.directory)
        return Work(self.settings.model_dump(mode="json"), self.use_case, self.listener.fileno(), self.open_, shared)

    def _settle(self, address: str) -> None:
        """Wait until every worker takes requests, and say so."""
        for worker in self.running:
            while not worker.settled.wait(LOOK) and not self.stop.is_set():
                pass
        if self.stop.is_set():
            return
        if any(worker.health is None for worker in self.running):
            raise Unavailable("a worker ended before it was ready; its reason is above", address)
        _announce(address, self.use_case, **(self.running[0].health or {}))

    def _watch(self, supervisor: "Supervisor") -> None:
        while not self.stop.wait(LOOK):
            for place, worker in enumerate(self.running):
                if worker.process.poll() is None:
                    continue
                self.say(f"worker {worker.process.pid} ended with {worker.process.returncode}; another takes its place")
                if self.directory is not None:
                    from prometheus_client.multiprocess import mark_process_dead  # once a worker died, and not before

                    mark_process_dead(worker.process.pid, str(self.directory))  # type: ignore[no-untyped-call]
                worker.close()
                supervisor.sign_off(worker)
                if not self.stop.wait(1.0):  # one that dies at once is not started more often than this
                    other = self._begun()
                    other.tell(self._work(), supervisor.news, supervisor.note)
                    self.running[place] = other

    def _end(self) -> None:
        """End every worker: those that were told what to do end what was asked of them. Twice is the same as once."""
        self.listener.close()  # or connections would be made that nobody takes any more
        for worker in self.running:
            worker.process.terminate()
        until = time.monotonic() + DRAIN + 5
        for worker in self.running:
            try:
                worker.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.close()
