"""Single predictions over HTTP, beside a bare echo on the same server: each on core 0, the load (wrk) on core 1.

    python bench/serving.py [--pairs 7] [--seconds 5]

Ends with 1 where what `promises.py` says of requests a second, their 99th percentile or a worker's memory does not
hold, all on: validation, routing, the log, metrics, a key for every request. The servers of a round are measured one
after the other, so that what else the machine does meets all of them; what counts is the median. The peers are in
`side_by_side.py`.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from promises import MEGABYTES_A_WORKER, P99_TO_BARE, REQUESTS_TO_BARE
from report import record, table
from servers import CONNECTIONS, Measured, Server, echo, load, mainstay, needs, running
from work import released

ECHO, MAINSTAY, ENSEMBLE = "bare echo", "Mainstay", "Mainstay, ensemble of 3"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pairs", type=int, default=7)
    asked.add_argument("--seconds", type=int, default=5)
    given = asked.parse_args()
    needs()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return compare(servers(Path(folder)), given.pairs, given.seconds)


def servers(folder: Path) -> dict[str, Server]:
    """Every server that is measured, by name."""
    made = {ECHO: echo()}
    recipes = {MAINSTAY: "[lightgbm]", ENSEMBLE: "[logistic, random_forest, lightgbm, ensemble]"}
    for name, recipe in recipes.items():
        home = folder / name.lower().replace(", ", "-").replace(" ", "-")
        made[name] = mainstay(home, released(home, recipe).key)
    return made


def compare(made: Mapping[str, Server], pairs: int, seconds: int) -> int:
    runs: dict[str, list[Measured]] = {name: [] for name in made}
    with ExitStack() as stack:
        started = {name: stack.enter_context(running(each)) for name, each in made.items()}
        for _ in range(pairs):
            for name, server in made.items():
                load(server, 1, CONNECTIONS)
                runs[name].append(load(server, seconds, CONNECTIONS))
        memory = {name: each.worker() for name, each in started.items()}
        growth = {count: load(made[MAINSTAY], seconds, count) for count in (1, 4, 16, 64, 256)}
    workers = {count: many(made[MAINSTAY], count, seconds) for count in (1, 2)}
    startup = {name: each.startup for name, each in started.items()}
    return told(runs, memory, startup, growth, workers)


def many(server: Server, workers: int, seconds: int) -> Measured:
    """With so many workers on all cores, which the load shares."""
    several = replace(server, command=[*server.command, "--workers", str(workers)])
    with running(several, ",".join(map(str, sorted(os.sched_getaffinity(0))))):
        load(several, 1, CONNECTIONS)
        return load(several, seconds, CONNECTIONS)


def told(
    runs: Mapping[str, Sequence[Measured]],
    memory: Mapping[str, float],
    startup: Mapping[str, float],
    growth: Mapping[int, Measured],
    workers: Mapping[int, Measured],
) -> int:
    rate = {name: statistics.median(each.rate for each in found) for name, found in runs.items()}
    late = {name: statistics.median(each.late for each in found) for name, found in runs.items()}
    # Of pairs: what slows the machine down for a while slows both.
    ratio = {
        name: statistics.median(each.rate / echo.rate for each, echo in zip(found, runs[ECHO], strict=True))
        for name, found in runs.items()
    }
    columns = ["what", "requests a second", "of the echo", "p50 ms", "p99 ms", "MB resident", "s to first answer"]
    shown = [
        [
            name,
            f"{rate[name]:,.0f}",
            f"{ratio[name]:.2f}",
            f"{statistics.median(each.median for each in found):.2f}",
            f"{late[name]:.2f}",
            f"{memory[name]:.0f}",
            f"{startup[name]:.1f}",
        ]
        for name, found in runs.items()
    ]
    shown += [[f"Mainstay, {n} connections", f"{m.rate:,.0f}", "", f"{m.median:.2f}", f"{m.late:.2f}", "", ""]
              for n, m in growth.items()]  # fmt: skip
    shown += [[f"Mainstay, {n} workers, all cores", f"{m.rate:,.0f}", "", f"{m.median:.2f}", f"{m.late:.2f}", "", ""]
              for n, m in workers.items()]  # fmt: skip
    slower = late[MAINSTAY] / late[ECHO]
    found = (
        f"Mainstay answers {ratio[MAINSTAY]:.2f} as many requests as the bare echo; it must be {REQUESTS_TO_BARE:g}. "
        f"Its p99 is {slower:.1f} times the echo's, and may be {P99_TO_BARE:g} times. "
        f"One worker takes {memory[MAINSTAY]:.0f} MB, and may take {MEGABYTES_A_WORKER:g}."
    )
    kept = ratio[MAINSTAY] >= REQUESTS_TO_BARE and slower <= P99_TO_BARE and memory[MAINSTAY] <= MEGABYTES_A_WORKER
    sys.stdout.write(f"{table(columns, shown)}\n\n{found}\n")
    record(
        "serving",
        {
            "title": "Single predictions over HTTP",
            "question": "How many requests a second does one core answer, one row each?",
            "how": "A LightGBM of 300 trees with 7 leaves on the Telco row, 16 connections kept open, the server on "
            "one core and wrk on another. Mainstay checks the key and every value, assigns an arm, writes the record "
            "to its log and counts; the echo sends back what it was sent, on the same server (uvicorn, uvloop and "
            "httptools). "
            f"Medians of {len(runs[ECHO])} interleaved rounds; the ratio is the median of the rounds' own.",
            "columns": columns,
            "rows": shown,
            "found": found,
            "ratio_to_bare": ratio,
            "p99_to_bare": slower,
            "megabytes": memory,
            "startup_seconds": startup,
            "runs": {name: [vars(each) for each in found] for name, found in runs.items()},
            "kept": kept,
        },
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
