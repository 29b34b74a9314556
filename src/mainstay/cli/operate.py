"""`operate`: the operator, which moves rollouts as their evidence says."""

import os
import signal
import socket
import threading
from datetime import timedelta
from typing import Annotated

import typer

from mainstay.cli.door import UseCaseFile, open_platform, open_use_case
from mainstay.cli.given import span_of
from mainstay.digests import new_id
from mainstay.errors import Refused
from mainstay.journeys import operate as journey
from mainstay.serving.logs import saying


def operate(
    use_case_file: UseCaseFile = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    every: Annotated[str, typer.Option("--every", metavar="SPAN", help="Between two looks, as in 10s.")] = "10s",
    lag: Annotated[
        str, typer.Option("--lag", metavar="SPAN", help="How long answers may take to be readable; 0 for not at all.")
    ] = "60s",
    every_use_case: Annotated[bool, typer.Option("--all", help="Every use case of the ledger, not one alone.")] = False,
) -> int:
    """Move rollouts: judge what traffic said, take the next step or go back, and write down why. Ends on SIGTERM."""
    seconds = span_of(every, "--every").total_seconds()
    behind = timedelta(0) if lag.strip() == "0" else span_of(lag, "--lag")
    if seconds <= 0:
        raise Refused("a span above zero, as in 10s", "--every")
    platform = open_platform()
    memory = journey.Memory()
    if not every_use_case:
        use_case, _ = open_use_case(use_case_file)
        memory = journey.Memory({use_case.name: use_case})
    names = tuple(memory.definitions)
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    holder = f"{socket.gethostname()}:{os.getpid()}:{new_id(platform.settings.clock())[-8:]}"
    tell = saying(platform.settings.logs, lambda words: typer.echo(words, err=True))
    wait = (lambda _: True) if once else stop.wait
    journey.operate(
        platform, (lambda: names or platform.ledger.use_cases()), seconds, holder, wait, tell, memory, behind
    )
    return 0
