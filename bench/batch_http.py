"""Rows a second of `/predict_batch` over HTTP, in every format: the server on one core, the client on another.

    python bench/batch_http.py [--rows 100000] [--seconds 5] [--least 150000]

Ends with 1 where the fastest format scores fewer than `--least` rows a second, from the first byte of a body to the
last of its answer, with the log on. The model is a LightGBM of 300 trees with 7 leaves, released as any other.
"""

import argparse
import http.client
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from report import record, table
from work import Released, released

from mainstay.churn import simulate
from mainstay.scoring.graph import graph_nodes

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
JSON_ROWS = 10_000


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=100_000)
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--least", type=float, default=150_000)
    given = asked.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        work = released(Path(folder) / "home", "[lightgbm]")
        leaves = leaves_of(work)
        bodies = bodies_of(given.rows, work.use_case.entity or "entity")
        os.sched_setaffinity(0, {cores[-1]})
        with serving(work, cores[0]) as (port, pid):
            before = memory(pid)
            found = []
            for name, kind, body in bodies:
                began = processor(pid)
                times, size = timed(port, kind, body, work.key, given.seconds)
                found.append((name, times[1:], size, (processor(pid) - began) / len(times)))
            told = {"before_mb": before, "after_mb": memory(pid), "leaves": leaves}
    rows = {name: (JSON_ROWS if name == "JSON" else given.rows) for name, *_ in found}
    return report(found, rows, told, given.least)


def leaves_of(work: Released) -> int:
    """Leaves of the version that is measured."""
    model = work.home.blobs.get(f"versions/{work.use_case.name}/{work.version}/model.onnx")
    return sum(len(node.attributes.get("class_nodeids", ())) for node in graph_nodes(model))


def bodies_of(rows: int, entity: str) -> list[tuple[str, str, bytes]]:
    """The same customers in every format; of JSON as many as a body may have."""
    parts = simulate.chunks(simulate.Population(rows, seed=11))
    whole = pa.concat_tables(
        [pa.table({name: pa.array(values, from_pandas=True) for name, values in part.items()}) for part in parts],
        promote_options="permissive",
    )
    kept = [name for name in whole.column_names if name not in ("Churn", "observed_at")]
    plain = whole.select(kept).combine_chunks()
    coded = pa.table({name: narrow(plain[name], name == entity) for name in kept})
    json_rows = [{"entity": row.pop(entity), "features": row} for row in plain.slice(0, JSON_ROWS).to_pylist()]
    csv, parquet = io.BytesIO(), io.BytesIO()
    pc.write_csv(plain, csv)
    pq.write_table(plain, parquet)
    return [
        ("Arrow, texts as dictionaries, no entity", ARROW, stream(coded.drop_columns([entity]))),
        ("Arrow, texts as dictionaries", ARROW, stream(coded)),
        ("Arrow, texts as texts", ARROW, stream(plain)),
        ("Parquet", PARQUET, parquet.getvalue()),
        ("CSV", "text/csv", csv.getvalue()),
        ("JSON", "application/json", json.dumps({"rows": json_rows}).encode()),
    ]


def narrow(column: pa.ChunkedArray, plain: bool) -> pa.ChunkedArray:
    """A column of few texts as a dictionary with places of one byte, as pandas keeps categories."""
    if plain or not pa.types.is_string(column.type):
        return column
    coded = column.combine_chunks().dictionary_encode()
    return pa.chunked_array([pa.DictionaryArray.from_arrays(coded.indices.cast(pa.int8()), coded.dictionary)])


def stream(rows: pa.Table) -> bytes:
    into = io.BytesIO()
    with pa.ipc.new_stream(into, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return into.getvalue()


@contextmanager
def serving(work: Released, core: int) -> Iterator[tuple[int, int]]:
    """A server on one core that asks for a key: its port, and the process that answers."""
    start = "from mainstay.cli.main import run; run()"
    server = subprocess.Popen(
        [sys.executable, "-c", start, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MAINSTAY_HOME": str(work.home.settings.home)},  # noqa: TID251
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        line = server.stdout.readline() if server.stdout is not None else ""
        found = re.search(r":(\d+) serves", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line}")
        yield int(found[1]), worker_of(server.pid)
    finally:
        server.terminate()
        server.wait(30)


def timed(port: int, kind: str, body: bytes, key: str, seconds: float) -> tuple[list[float], int]:
    """Seconds of each request, one after the other on one connection, and the bytes of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"content-type": kind, "authorization": f"Bearer {key}"}
    times: list[float] = []
    size = 0
    until = time.perf_counter() + seconds
    while len(times) < 4 or time.perf_counter() < until:
        began = time.perf_counter()
        connection.request("POST", "/predict_batch", body, headers)
        answer = connection.getresponse()
        data = answer.read()
        times.append(time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(f"{kind}: {answer.status} {data[:300]!r}")
        size = len(data)
    return times, size


def worker_of(supervisor: int) -> int:
    """The process that answers: the supervisor's only worker."""
    text = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
    return next(int(pid) for pid in text.split() if b"serving.worker" in Path(f"/proc/{pid}/cmdline").read_bytes())


def processor(pid: int) -> float:
    """Seconds of a processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Resident MB of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else float("nan")


def report(found: list[Any], rows: dict[str, int], told: dict[str, float], least: float) -> int:
    columns = ["format", "rows a body", "median s", "rows a second", "rows a processor second", "bytes of an answer"]
    shown = []
    rates = {}
    for name, times, size, cpu in found:
        middle = statistics.median(times)
        rates[name] = rows[name] / middle
        shown.append(
            [name, f"{rows[name]:,}", f"{middle:.3f}", f"{rates[name]:,.0f}", f"{rows[name] / cpu:,.0f}", f"{size:,}"]
        )
    best = max(rates, key=lambda name: rates[name])
    words = f"The fastest ({best}) scores {rates[best]:,.0f} rows a second; it must be {least:,.0f}. "
    words += f"The server took {told['before_mb']:.0f} MB before, and {told['after_mb']:.0f} MB after all of it."
    sys.stdout.write(f"{table(columns, shown)}\n\n{words}\n")
    section = {
        "title": "Batches over HTTP",
        "question": "How many rows a second does `/predict_batch` answer, from the first byte of a body to the last "
        "of its answer, with the server on one core and the log on?",
        "how": f"A LightGBM of 300 trees with 7 leaves ({told['leaves']:,} in all); every row is checked against the "
        "contract and logged before it is answered, for a key that is checked, in the format in which it came. One "
        "request after the other on one connection; medians. Where other work shares the core, the processor's seconds "
        "tell what is ours.",
    }
    section |= {"columns": columns, "rows": shown, "found": words, "rates": rates, "least": least, **told}
    record("batch_http", section)
    return 0 if rates[best] >= least else 1


if __name__ == "__main__":
    sys.exit(main())
