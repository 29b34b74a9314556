"""Look-ups by customer id, beside Feast's own, and `/predict` by id beside `/predict` with the features given.

    python bench/lookups.py [--pairs 5] [--seconds 3] [--reads 2000]

Ends with 1 where what `promises.py` says of either does not hold, with SQLite or with Redis. Without a redis-server
SQLite alone is measured, and that is said; with MAINSTAY_REQUIRE_TOOLS=1 it is an error.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import work
from promises import BY_ID_TO_GIVEN, LOOKUP_MILLISECONDS
from report import record, table
from servers import CONNECTIONS, Server, free_port, load, mainstay, needs, running

from mainstay.adapters.online import online_from
from mainstay.churn.simulate import chunks, parse
from mainstay.defined import project_of
from mainstay.digests import pseudonyms
from mainstay.features.feast import apply, open_store
from mainstay.journeys.features import described
from mainstay.journeys.materialize import feast_online, head, materialize
from mainstay.scoring.encode import Input
from mainstay.serving.lookup import Lookup, bound_views
from mainstay.usecase import Serving

CUSTOMERS = "customers=10000&seed=7&until=2026-01-01"
COLUMNS = ["what", "store", "p50 ms", "p99 ms"]
RATES = [
    "store",
    "with features, a second",
    "by id, a second",
    "by id, of with features",
    "p50 ms by id",
    "p99 ms by id",
]


OURS = "Mainstay, as serving looks up"


@dataclass(frozen=True)
class Stored:
    """A store that holds every customer, under an address of its own where it is not the one in the home."""

    name: str
    address: str
    made: work.Released
    entities: Sequence[str]

    @property
    def project(self) -> str:
        return project_of(self.made.use_case.name, self.made.dataset.id)

    @property
    def settings(self) -> Any:
        return self.made.home.settings.model_copy(update={"online_url": self.address})


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--pairs", type=int, default=5)
    given.add_argument("--seconds", type=int, default=3)
    given.add_argument("--reads", type=int, default=2000)
    chosen = given.parse_args()
    needs()
    os.environ["FEAST_USAGE"] = "False"  # noqa: TID251  (Feast reads it itself)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, redis() as url:
        if url is None:
            words = "there is no redis-server: install it (`apt-get install redis-server`) to measure Redis too"
            if os.environ.get("MAINSTAY_REQUIRE_TOOLS") == "1":  # noqa: TID251  (a setting of this bench alone)
                sys.exit(words)
            sys.stderr.write(words + "\n")
        return measure(Path(folder), url, chosen.pairs, chosen.seconds, chosen.reads)


def measure(folder: Path, url: str | None, pairs: int, seconds: int, reads: int) -> int:
    work.TELCO, work.SIMULATED = folder / "none", f"simulator://churn?{CUSTOMERS}"  # whose customers are known here
    made = work.released(folder / "home", "[lightgbm]")
    customers = list(rows())
    named = pseudonyms(made.home.pseudonym_key()[1])
    entities = [named(each["entity"]) for each in customers]
    looks: list[list[object]] = []
    rates: list[list[object]] = []
    ours: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for name, address in {"SQLite": "", "Redis": url}.items():
        if address is None:
            continue
        store = Stored(name, address, made, entities)
        if address:
            fill(store)
        found = {OURS: in_process(store, reads), **feasts(store, reads)}
        ours[name] = percentiles(found[OURS])[0]
        looks += [[what, name, *(f"{each:.3f}" for each in percentiles(times))] for what, times in found.items()]
        row, ratios[name] = throughput(store, customers, pairs, seconds)
        rates.append([name, *row])
    return told(looks, rates, ours, ratios)


def rows() -> Iterator[dict[str, Any]]:
    """Requests of every customer, with the features given."""
    for chunk in chunks(parse(CUSTOMERS)):
        for n, entity in enumerate(chunk["customerID"]):
            values = {name: chunk[name][n] for name in work.ROW}
            plain = {name: each.item() if isinstance(each, np.generic) else each for name, each in values.items()}
            features = {name: None if each != each else each for name, each in plain.items()}
            yield {"entity": str(entity), "features": features}


@contextmanager
def redis() -> Iterator[str | None]:
    """The address of a Redis of our own; None where there is none to start."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)


def fill(store: Stored) -> None:
    """Bring every customer there, as `mainstay features materialize` does; a release fills the store of the home."""
    opened = replace(store.made.home, settings=store.settings)
    with opened.ledger:
        fact = head(opened, store.made.use_case)
        materialize(opened, store.made.use_case, fact, datetime.now(UTC), lambda words: None)  # noqa: TID251  (a door)


def in_process(store: Stored, reads: int) -> list[float]:
    """Milliseconds of a look-up, with the watermark and the policies, as the hot route waits for it."""
    service = described(store.made.use_case)
    view = service.views[0]
    inputs = [Input(each.name, each.type, nullable=True) for each in view.features]
    bound = {"1.0.0": bound_views(service, inputs)}
    lookup = Lookup(online_from(store.settings.online), store.project, view.entity, bound, Serving())
    now = datetime.now(UTC)  # noqa: TID251  (a door)

    async def times() -> list[float]:
        made = []
        for entity in chosen(store, reads):
            began = time.perf_counter()
            found = lookup.found(entity, now) if lookup.quick else await lookup.found_soon(entity, now)
            found.merged("1.0.0", {})
            made.append((time.perf_counter() - began) * 1000)
            held = found.held[lookup.place_of("1.0.0")]
            if held is None or len(held.rows[view.name].values) != len(inputs):
                raise RuntimeError(f"{entity} was not found whole")
        return made

    import uvloop

    return uvloop.run(times())


def feasts(store: Stored, reads: int) -> dict[str, list[float]]:
    """Milliseconds of the same look-up by Feast: its SDK in this process, and its feature server over HTTP."""
    service = described(store.made.use_case)
    view, folder, online = service.views[0], store.settings.feast, feast_online(store.settings)
    apply(service, folder, store.project, online)
    opened = open_store(folder, store.project, online)
    names = [f"{view.name}:{each.name}" for each in view.features]

    def sdk(entity: str) -> Any:
        return opened.get_online_features(names, [{view.entity: entity}]).to_dict()[view.features[0].name][0]

    made = {"Feast's SDK, get_online_features": timed(store, reads, sdk)}
    port = free_port()
    program = (
        "import sys, json; from pathlib import Path; from mainstay.features.feast import open_store;"
        f"open_store(Path({str(folder)!r}), {store.project!r}, {online!r}).serve('127.0.0.1', {port})"
    )
    body = {"features": names, "entities": {view.entity: [store.entities[0]]}}
    server = Server([sys.executable, "-c", program], port, body=body, path="/get-online-features")
    with running(server):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

        def over_http(entity: str) -> Any:
            asked = json.dumps({"features": names, "entities": {view.entity: [entity]}})
            connection.request("POST", "/get-online-features", asked, {"content-type": "application/json"})
            return json.loads(connection.getresponse().read())["results"][1]["values"][0]

        made["Feast's feature server, over HTTP"] = timed(store, min(reads, 500), over_http)
    return made


def timed(store: Stored, reads: int, ask: Callable[[str], Any]) -> list[float]:
    """Milliseconds of a call for each of some customers, each of which has to be found."""
    made = []
    for entity in chosen(store, reads):
        began = time.perf_counter()
        found = ask(entity)
        made.append((time.perf_counter() - began) * 1000)
        if found is None:
            raise RuntimeError(f"{entity} was not found")
    return made[len(made) // 10 :]  # the first open connections and fill caches


def chosen(store: Stored, count: int) -> list[str]:
    return list(np.random.default_rng(7).choice(store.entities, count))


def throughput(
    store: Stored, customers: Sequence[Mapping[str, Any]], pairs: int, seconds: int
) -> tuple[list[object], float]:
    """The same customers, by id and with their features, one after the other on the same server."""
    plain = mainstay(store.settings.home, store.made.key)
    environment = {**plain.environment, "MAINSTAY_ONLINE_URL": store.address}
    alone = [{"entity": each["entity"]} for each in customers]
    kinds = {
        "given": replace(plain, environment=environment, bodies=customers),
        "by id": replace(plain, environment=environment, bodies=alone),
    }
    runs: dict[str, list[Any]] = {name: [] for name in kinds}
    with running(kinds["given"]):
        for _ in range(pairs):
            for name, server in kinds.items():
                load(server, 1, CONNECTIONS)
                runs[name].append(load(server, seconds, CONNECTIONS))
    ratio = statistics.median(mine.rate / given.rate for mine, given in zip(runs["by id"], runs["given"], strict=True))
    given_rate, rate = (statistics.median(each.rate for each in runs[name]) for name in ("given", "by id"))
    median, late = (statistics.median(getattr(each, name) for each in runs["by id"]) for name in ("median", "late"))
    return [f"{given_rate:,.0f}", f"{rate:,.0f}", f"{ratio:.2f}", f"{median:.2f}", f"{late:.2f}"], ratio


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def told(
    looks: Sequence[Sequence[object]],
    rates: Sequence[Sequence[object]],
    ours: Mapping[str, float],
    ratios: Mapping[str, float],
) -> int:
    kept = max(ours.values()) <= LOOKUP_MILLISECONDS and min(ratios.values()) >= BY_ID_TO_GIVEN
    slowest, least = max(ours.values()), min(ratios.values())
    missing = "" if "Redis" in ours else " Redis was not measured: there was no redis-server."
    found_looks = f"A look-up takes {slowest:.3f} ms at the median, and may take {LOOKUP_MILLISECONDS:g}.{missing}"
    found_rates = f"By id {least:.2f} as many are answered as with features; it must be {BY_ID_TO_GIVEN:g}.{missing}"
    sys.stdout.write(f"{table(COLUMNS, looks)}\n\n{found_looks}\n\n{table(RATES, rates)}\n\n{found_rates}\n")
    record(
        "lookups",
        {
            "title": "Look-ups by customer id",
            "question": "How long does it take to have one customer's 19 features, by id?",
            "how": "10,000 customers, drawn at random, one after the other, from the same store for all. Ours is the "
            "look-up that a prediction waits for, with the watermark and the policies, on an event loop; Feast's SDK "
            "is called in process, and its feature server has one worker and a connection that is kept.",
            "columns": COLUMNS,
            "rows": looks,
            "found": found_looks,
            "milliseconds": ours,
            "kept": kept,
        },
    )
    record(
        "by_id",
        {
            "title": "Predictions by customer id",
            "question": "How many requests a second does one core answer that name a customer alone?",
            "how": "The same customers, once with their features and once by id, over 16 connections to the same "
            "server, interleaved; nobody is kept in memory between requests. The ratio is the median of the pairs'.",
            "columns": RATES,
            "rows": rates,
            "found": found_rates,
            "ratio": ratios,
            "kept": kept,
        },
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
