"""`mainstay serve`: one process, or several behind one socket, that answer for what is live."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from mainstay.errors import MainstayError, Misconfigured, Refused, Unavailable
from mainstay.serving.arms import Health
from mainstay.serving.guard import check_access
from mainstay.serving.logs import saying
from mainstay.serving.shipper import shipping
from mainstay.serving.tracing import check_tracing
from mainstay.serving.worker import DRAIN, Work, access_of, serve_socket
from mainstay.settings import Settings
from mainstay.wiring import platform

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
    check_tracing(settings)
    tls = check_tls(settings)
    check_access(open_, _anybody(settings, use_case, open_), tls, host, say)
    listener = listen(host, port)
    address = _address(listener, tls)
    # Its imports would take the processor from the workers', so it starts once they take requests.
    ready = threading.Event()

    def announce(health: Health) -> None:
        _announce(address, use_case, health)
        ready.set()

    with listener, shipping(settings, use_case, say, ready):
        if workers == 1:
            serve_socket(settings, use_case, listener, announce, open_)
        else:
            platform(settings)  # settings that can never work are told here, once, and not by every worker
            directory = _metrics_directory(settings, address)
            try:
                _Workers(settings, use_case, listener, open_, directory, say).run(workers, address, announce)
            finally:
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
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        place = f"{settings.tls_cert}, {settings.tls_key}"
        raise Misconfigured("these are not a certificate and its key, as unencrypted PEM files", place) from error
    return True


def _anybody(settings: Settings, use_case: str, open_: bool) -> bool:
    """Whether anybody has a key that is believed now, or could show a token. Unavailable where that is not known."""
    if open_:
        return True
    opened = platform(settings)
    with opened.ledger:
        access = access_of(opened, use_case, open_=False)
        access.refresh()
    if not access.anybody and access.trouble is not None:
        raise Unavailable(access.trouble)
    return access.anybody


def _address(listener: socket.socket, tls: bool) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(address: str, use_case: str, health: Health) -> None:
    words = f"serves {use_case}@{health.version}" if health.version else f"is up, and not ready: {health.reason}"
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
    """Worker processes that share one listening socket, and one directory of metrics."""

    settings: Settings
    use_case: str
    listener: socket.socket
    open_: bool
    directory: Path
    say: Say
    running: "list[subprocess.Popen[str]]" = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, count: int, address: str, announce: Callable[[Health], None]) -> None:
        """Start them, replace those that die, and stop them all on SIGTERM or SIGINT."""
        before = {each: signal.signal(each, lambda *_: self.stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.running = [self._start() for _ in range(count)]
            told = [worker.stdout.readline() for worker in self.running if worker.stdout is not None]
            if not all(told) and not self.stop.is_set():
                raise Unavailable("a worker ended before it was ready; its reason is above", address)
            if all(told):
                found = json.loads(told[0])
                announce(Health("ok", found["version"], None, found["reason"]))
            while not self.stop.wait(LOOK):
                self._replace()
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start(self) -> "subprocess.Popen[str]":
        settings = self.settings.model_dump(mode="json")
        work = Work(settings, self.use_case, self.listener.fileno(), self.open_, str(self.directory))
        # Prometheus's library decides by the environment, when it is imported, that it shares its counts.
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(self.directory)}  # noqa: TID251
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "mainstay.serving.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            pass_fds=(self.listener.fileno(),),
        )
        # Not in its arguments, where every user of the machine could read the ledger's password.
        if worker.stdin is not None:
            worker.stdin.write(work.line())
            worker.stdin.flush()
        return worker

    def _replace(self) -> None:
        for place, worker in enumerate(self.running):
            if worker.poll() is None:
                continue
            self.say(f"worker {worker.pid} ended with {worker.returncode}; another takes its place")
            mark_process_dead(worker.pid, str(self.directory))  # type: ignore[no-untyped-call]
            _close(worker)
            if not self.stop.wait(1.0):  # one that dies at once is not started more often than this
                self.running[place] = self._start()

    def _end(self) -> None:
        self.listener.close()  # or connections would be made that nobody takes any more
        for worker in self.running:
            worker.terminate()
        until = time.monotonic() + DRAIN + 5
        for worker in self.running:
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            _close(worker)


def _close(worker: "subprocess.Popen[str]") -> None:
    for stream in (worker.stdin, worker.stdout):
        if stream is not None:
            stream.close()
