"""The process beside the workers that takes their sealed segments to the observations."""

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mainstay.settings import Settings

PATIENCE = 15.0
"""Seconds in which it ships what the workers sealed last, once they have ended."""
LOOK, AGAIN = 0.5, 5.0
"""Seconds between two looks whether it still runs, and before one that died is started again."""
NEEDED = ("duckdb", "pyarrow")


@contextmanager
def shipping(settings: Settings, use_case: str, say: Callable[[str], None]) -> Iterator[None]:
    """Ship while the block runs, and what was sealed in it before it is left.

    Several servers of one host may each start one: one of them ships, and the others stand by. Where what it needs is
    not installed, `say` hears that segments stay on disk. One that dies is started again; segments wait for it
    meanwhile.
    """
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        say(
            f"segments stay on disk: shipping needs {' and '.join(absent)}: pip install 'mainstay[observations]', and "
            "run `mainstay observations ship --follow`"
        )
        yield
        return
    beside = _Beside(settings, use_case, say, _started(settings, use_case))
    watch = threading.Thread(target=beside.watch, name="shipper", daemon=True)
    watch.start()
    try:
        yield
    finally:
        beside.ending.set()
        watch.join()
        beside.end()


@dataclass(slots=True)
class _Beside:
    """The process that ships, started again when it dies."""

    settings: Settings
    use_case: str
    say: Callable[[str], None]
    process: "subprocess.Popen[bytes]"
    ending: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.ending.wait(LOOK):
            if self.process.poll() is not None:
                self.say(f"the shipper ended with {self.process.returncode}; another takes its place")
                _close(self.process)
                if not self.ending.wait(AGAIN):
                    self.process = _started(self.settings, self.use_case)

    def end(self) -> None:
        _close(self.process)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.say("the shipper did not end in time: what it had not shipped stays in the segments for the next one")


def _started(settings: Settings, use_case: str) -> "subprocess.Popen[bytes]":
    told = {f"MAINSTAY_{name.upper()}": str(value) for name, value in settings.model_dump(mode="json").items() if value}
    return subprocess.Popen(  # noqa: S603  (our own program; the use case's name is one argument)
        [
            sys.executable,
            "-P",
            "-m",
            "mainstay.cli.main",
            "observations",
            "ship",
            "--follow",
            "--held",
            "--name",
            use_case,
        ],
        stdin=subprocess.PIPE,  # closes with this process, however it ends
        stdout=subprocess.DEVNULL,
        env={**os.environ, **told},  # noqa: TID251  (a process of ours inherits the environment of this one)
        start_new_session=True,  # Ctrl-C at the terminal is for the server: it ends its shipper, last
    )


def _close(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
