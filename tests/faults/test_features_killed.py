"""`kill -9` of whoever pushes events and of whoever brings them online: what was acknowledged is there, once."""

import multiprocessing
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from eventful import EVENTS, TEXT, following, pushing
from redised import RedisServer

from mainstay.adapters.online import Wanted, online_from
from mainstay.defined import project_of
from mainstay.features.materialize import differing
from mainstay.journeys import progress
from mainstay.journeys.asked import Asked
from mainstay.journeys.features import described
from mainstay.journeys.materialize import head, offline, writer_of
from mainstay.journeys.push import take_up
from mainstay.journeys.release import ingest
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, platform

KILLS = 20


@pytest.fixture(params=["sqlite", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Platform:
    """A home in which two lines were frozen."""
    url = ""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        url = f"redis://127.0.0.1:{server.port}/{next(server.databases)}"
    made = platform(Settings(home=tmp_path / "home", online_url=url))
    instant, then = pa.timestamp("us", "UTC"), made.settings.clock() - timedelta(days=5)
    twice = pa.array([then] * 2, instant)
    rows = {"id": ["x", "y"], "seen": twice, "age": [30, 40], "left": ["No", "Yes"]}
    pq.write_table(pa.table(rows), tmp_path / "lines.parquet")
    usage = {"id": ["x", "y"], "measured": twice, "loaded": twice, "calls": [1.0, 2.0]}
    pq.write_table(pa.table(usage), tmp_path / "usage.parquet")
    asked = Asked("user:ada", "a test", tmp_path)
    assert ingest(made, loads(TEXT), asked, progress.Release("lines"), lambda noun: None) is not None
    return made


@pytest.mark.long
def test_killed_twenty_times_at_random_nothing_acknowledged_is_lost_and_nothing_is_there_twice(
    opened: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    use_case = loads(TEXT)
    home, url = opened.settings.home, opened.settings.online_url
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["eventful"])
    random, acknowledged = np.random.default_rng(6), []
    for run in range(KILLS):
        hears, says = processes.Pipe(duplex=False)
        pusher = processes.Process(target=pushing, args=(home, url, run, says), daemon=True)
        follower = processes.Process(target=following, args=(home, url), daemon=True)
        pusher.start()
        follower.start()
        says.close()
        assert hears.poll(60)  # it is at work
        time.sleep(float(random.uniform(0, 0.6)))
        for process in (pusher, follower) if run % 2 else (follower, pusher):
            process.kill()
            process.join()
        try:
            while True:
                acknowledged.append(hears.recv())
        except EOFError:
            hears.close()
    take_up(opened, use_case, lambda noun: None)
    check(opened, use_case, {f"{run}.{n}.{each}" for run, n in acknowledged for each in range(EVENTS)})


def check(opened: Platform, use_case: UseCase, names: set[str]) -> None:
    """Every event is offline once and online, whole pushes or none, and a watermark promises no more than there is."""
    from mainstay.journeys.observations import stored_name

    fact = head(opened, use_case)
    (_, view) = described(use_case).views
    rows = offline(opened, use_case, fact, described(use_case))["usage"]
    there = rows["id"].to_pylist()
    assert len(there) == len(set(there))
    assert (len(there) - 2) % EVENTS == 0
    wanted = [stored_name(opened, use_case, name) for name in sorted(names)]
    assert len(wanted) >= KILLS * EVENTS
    assert set(wanted) <= set(there)
    project = project_of("lines", fact.body.id)
    online = online_from(opened.settings.online)
    read = online.read(project, "id", [Wanted("usage", ("calls",))], wanted).rows
    assert [row["usage"].values["calls"] for row in read] == [float(name.split(".")[1]) for name in sorted(names)]
    mark = writer_of(opened.settings).watermarks(project)["usage"]
    assert differing(online, project, view, rows, mark) == 0
