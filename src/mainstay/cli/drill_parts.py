"""What the drill works with: customers that count every answer, processes that it may kill, and a version that errs."""

import contextlib
import dataclasses
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mainstay.churn.simulate import Population, chunks
from mainstay.errors import NotFound
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import CANDIDATES, DATASETS, RUNS, VERDICTS
from mainstay.registry.loading import load
from mainstay.registry.shelf import Admission, admit, signed, store_candidate, versions
from mainstay.scoring.bundle import Bundle, candidate_id, stored, to_files
from mainstay.scoring.encode import encode
from mainstay.verdicts import Check, Outcome, Verdict
from mainstay.wiring import Platform

COMMAND = (sys.executable, "-m", "mainstay.cli.main")
OLDEST = 118
"""The tenure, in months, of customers whom no simulator draws: the version that errs fails for them alone."""
PATIENCE = 120.0


class Broken(Exception):
    """A promise that did not hold."""


@dataclass
class Load:
    """Customers who ask at a steady pace, each answer counted.

    A connection that breaks is made again, and the request asked again under its id, as a client should: `again` counts
    those. What is answered with anything but 200, or not at all, is `failed`. `acknowledged` are the ids of predictions
    that were answered.
    """

    host: str
    pace: float = 0.02
    clients: int = 2
    turning: float = 0.0  # the share of customers whom the version that errs fails for
    acknowledged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    versions: list[tuple[float, str]] = field(default_factory=list)
    again: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def asking(self) -> Iterator["Load"]:
        rows = _rows(2000)
        threads = [threading.Thread(target=self._ask, args=(n, rows), daemon=True) for n in range(self.clients)]
        for each in threads:
            each.start()
        try:
            yield self
        finally:
            self._stop.set()
            for each in threads:
                each.join(PATIENCE)

    def _ask(self, client: int, rows: Sequence[dict[str, Any]]) -> None:
        random = np.random.default_rng(client)
        connection = http.client.HTTPConnection(self.host, timeout=30)
        while not self._stop.wait(self.pace):
            row = rows[int(random.integers(len(rows)))]
            if random.random() < self.turning:
                row = {**row, "tenure": OLDEST, "TotalCharges": OLDEST * row["MonthlyCharges"]}
            name = uuid.uuid4().hex
            self._one(connection, {"request_id": name, "entity": f"drill-{name[:12]}", "features": row})
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, asked: dict[str, Any]) -> None:
        body = json.dumps(asked)
        for left in (2, 1, 0):
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                if not left:
                    self.failed.append(repr(error))
                self.again += 1
                continue
            if answer.status == 200:
                self.acknowledged.append(told["prediction_id"])
                self.versions.append((time.monotonic(), told["version"]))
            else:
                self.failed.append(f"{answer.status}: {told.get('detail')}")
            return

    def since(self, moment: float) -> set[str]:
        """The versions that answered since a moment, by the monotonic clock."""
        return {version for at, version in list(self.versions) if at > moment}


def _rows(count: int) -> list[dict[str, Any]]:
    """Customers of the simulator whom no release has seen, as requests give them."""
    (drawn,) = chunks(Population(count, seed=41), count)
    wanted = {name: values for name, values in drawn.items() if name not in ("customerID", "Churn", "observed_at")}
    return [{name: _plain(values[n]) for name, values in wanted.items()} for n in range(count)]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


@dataclass
class Home:
    """A fresh home, its use case, and commands run in it."""

    place: Path
    use_case: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "MAINSTAY_HOME": str(self.place)}  # noqa: TID251  (handed on to the commands it runs)

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command; what it wrote. Broken where it ends with another code."""
        line = [*COMMAND, *words, "--use-case", str(self.use_case)]
        done = subprocess.run(line, env=self.environment, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode != code:
            said = (done.stderr or done.stdout).strip()[-800:]
            raise Broken(f"`mainstay {' '.join(words)}` ended with {done.returncode}, not {code}: {said}")
        return done.stdout + done.stderr

    def told(self, *words: str) -> Any:
        """What a command says with `--json`."""
        line = [*COMMAND, *words, "--json", "--use-case", str(self.use_case)]
        done = subprocess.run(line, env=self.environment, check=False, capture_output=True, text=True)  # noqa: S603
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise Broken(f"`mainstay {' '.join(words)}` said: {(done.stderr or done.stdout).strip()[-800:]}") from error

    def begin(self, name: str, *words: str) -> "subprocess.Popen[str]":
        """Start a process that goes on; what it says on stderr is in a log of its name."""
        line = [*COMMAND, *words, "--use-case", str(self.use_case)]
        with (self.place / f"{name}.log").open("a") as log:
            return subprocess.Popen(line, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603

    def said(self, name: str) -> str:
        return (self.place / f"{name}.log").read_text()


def address_of(server: "subprocess.Popen[str]") -> str:
    """Where a server answers, once it says that it does."""
    for line in server.stdout or ():
        if found := re.search(r"http://([\w.:]+)", line):
            return found[1]
    raise Broken(f"the server ended before it was ready, with exit code {server.wait(PATIENCE)}")


def children(parent: int, word: str) -> list[int]:
    """The processes that a process started, whose command line has a word in it."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if not place.name.isdigit() or int((place / "stat").read_text().rsplit(")", 1)[1].split()[1]) != parent:
                continue
            if word in (place / "cmdline").read_text():
                found.append(int(place.name))
        except (OSError, IndexError):
            continue  # it ended meanwhile
    return found


def ended(process: "subprocess.Popen[str]") -> int:
    """Wait for a process that was told to end, and let go of what it said; its exit code."""
    code = process.wait(PATIENCE)
    if process.stdout is not None:
        process.stdout.close()
    return code


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def errs(bundle: Bundle) -> Bundle:
    """The bundle with a graph that raises for whoever stayed for `OLDEST` months, and else does as ever."""
    import onnx
    from onnx import TensorProto, helper

    place, limit = _place_of_tenure(bundle)
    model = onnx.load_from_string(bundle.model)
    graph, name = model.graph, model.graph.output[-1].name
    for node in graph.node:
        node.output[:] = ["tame" if each == name else each for each in node.output]
    constants: list[tuple[str, int, list[Any]]] = [
        ("drill.place", TensorProto.INT64, [place]),
        ("drill.limit", TensorProto.FLOAT, [limit]),
        ("drill.zero", TensorProto.FLOAT, [0.0]),
    ]
    graph.initializer.extend(helper.make_tensor(each, kind, [1], values) for each, kind, values in constants)
    graph.node.extend(
        [
            helper.make_node("Gather", [graph.input[0].name, "drill.place"], ["drill.tenure"], axis=1),
            helper.make_node("Greater", ["drill.tenure", "drill.limit"], ["drill.turns"]),
            helper.make_node("Cast", ["drill.turns"], ["drill.each"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["drill.each"], ["drill.any"], keepdims=0),
            helper.make_node("Gather", ["drill.zero", "drill.any"], ["drill.nothing"]),  # out of bounds: it raises
            helper.make_node("Add", ["tame", "drill.nothing"], [name]),
        ]
    )
    return dataclasses.replace(bundle, model=model.SerializeToString())


def _place_of_tenure(bundle: Bundle) -> tuple[int, float]:
    """Where the tensor has the tenure, and a value that only the oldest customers pass."""
    (drawn,) = chunks(Population(1, seed=41), 1)
    names = [each.name for each in bundle.encoder.inputs]
    made = []
    for tenure in (90, OLDEST):
        columns = {name: np.asarray(drawn[name]) for name in names}
        columns = {n: v.astype(np.float64) if v.dtype.kind in "if" else v for n, v in columns.items()}
        for each in bundle.encoder.inputs:
            if each.type == "category":
                columns[each.name] = np.array([str(value) for value in drawn[each.name]], dtype=object)
        made.append(encode(bundle.encoder, {**columns, "tenure": np.array([float(tenure)])})[0])
    rising = np.flatnonzero(made[1] > made[0])
    if not len(rising):
        raise NotFound("no place of the tensor tells the tenure")
    place = int(rising[0])
    return place, float((made[0][place] + made[1][place]) / 2)


def register_one_that_errs(platform: Platform, use_case: str, like: str) -> str:
    """Sign and shelve a version that does as another, and raises for certain customers; its number.

    No gate asked it anything: that is the drill's own doing, and the reason in the ledger says so.
    """
    facts = {each.version: each for each in versions(platform.ledger, use_case)}
    model = facts[like]
    manifest = signed(model, platform.blobs)
    _, bundle = load(use_case, like, platform.blobs, platform.trusted())
    files = to_files(errs(bundle))
    store_candidate(use_case, files, platform.blobs)
    before = platform.ledger.latest(use_case, CANDIDATES, model.candidate)
    run = platform.ledger.latest(use_case, RUNS, model.run)
    dataset = platform.ledger.latest(use_case, DATASETS, model.dataset)
    if before is None or run is None or dataset is None:
        raise Broken(f"the ledger lacks where {like} came from")
    made = dataclasses.replace(before.body, id=candidate_id(files), files=stored(files))
    verdict = Verdict(made.id, (Check("drill", Outcome.PASS, "the drill needs a version that no gate has seen"),))
    now, why = platform.settings.clock(), "A drill: this version errs on purpose."
    entries = (Entry(CANDIDATES, made.id, made), Entry(VERDICTS, made.id, verdict))
    written = platform.ledger.write(use_case, *entries, at=now, actor="user:drill", reason=why)
    asked = Admission(made, run.body, dataset.body, written[1], manifest.feature_service, None, manifest.entity)
    signer = platform.signer()
    done = admit(asked, platform.ledger, platform.blobs, signer, now=now, actor="user:drill", reason=why)
    return done.version
