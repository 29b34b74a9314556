"""The process beside the workers that takes their sealed segments to the observations."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mainstay.settings import Settings

PATIENCE = 15.0
"""Seconds in which it ships what the workers sealed last, once they have ended."""
NEEDED = ("duckdb", "pyarrow")


@contextmanager
def shipping(settings: Settings, use_case: str, say: Callable[[str], None]) -> Iterator[None]:
    """Ship while the block runs, and what was sealed in it before it is left.

    Several servers of one host may each start one: one of them ships, and the others stand by. Where what it needs is
    not installed, `say` hears that segments stay on disk. One that dies is missed by nobody but the readers: segments
    wait for the next.
    """
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        say(
            f"segments stay on disk: shipping needs {' and '.join(absent)}: pip install 'mainstay[observations]', and "
            "run `mainstay observations ship --follow`"
        )
        yield
        return
    process = _started(settings, use_case)
    try:
        yield
    finally:
        _ended(process, say)


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


def _ended(process: "subprocess.Popen[bytes]", say: Callable[[str], None]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        say("the shipper did not end in time: what it had not shipped stays in the segments for the next one")
