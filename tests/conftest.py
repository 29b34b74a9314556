"""A use case so small that its model is written by hand: a real bundle, a real graph and real keys, no training."""

import dataclasses
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from onnx import TensorProto, helper

from mainstay.adapters.blobs import BlobDirectory
from mainstay.adapters.signing import KeyFile, make_key, public_keys
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import VERDICTS
from mainstay.nouns import Candidate, DatasetVersion, Estimate, Holdout, ModelVersion, Run
from mainstay.registry.live import go_live
from mainstay.registry.manifest import Against
from mainstay.registry.shelf import Admission, admit, store_candidate
from mainstay.scoring.bundle import Bundle, Golden, candidate_id, stored, to_files
from mainstay.scoring.decide import Calibration, decision_at
from mainstay.scoring.encode import encode, fit, inputs_of
from mainstay.scoring.profile import draw, profile_of
from mainstay.scoring.scorer import Scorer, golden_of
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.verdicts import Limit, Verdict, check

pytest_plugins = ["redised", "served", "rolled"]

TINY = """
schema: 1
name: tiny
source: tiny.csv
entity: id
label: {column: left, positive: "Yes", horizon: 30d, absent_means: "No"}
contract:
  columns:
    id: {type: identifier}
    age: {type: integer, range: [18, 120], unit: years}
    spent: {type: number, nullable: true, range: [0, 1000], unit: USD}
    plan: {type: category, values: [basic, plus]}
    left: {type: category, values: ["No", "Yes"]}
profit: {offer_cost: 5, value_saved: 100, save_rate: 0.3}
protected: [plan]
"""
WEIGHTS = (0.03, -0.004, 0.5, 1.2, -0.6)  # age, spent, spent is missing, plan=basic, plan=plus
ROWS = 200
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def graph(weights: tuple[float, ...], offset: float) -> bytes:
    """Logistic regression as ONNX: a float tensor (n, places) in, two probabilities out; a missing number counts 0."""
    places = len(weights)
    constants = [
        helper.make_tensor("weights", TensorProto.FLOAT, [places, 1], weights),
        helper.make_tensor("offset", TensorProto.FLOAT, [1], [offset]),
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
    ]
    nodes = [
        helper.make_node("IsNaN", ["rows"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "rows"], ["present"]),
        helper.make_node("MatMul", ["present", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "offset"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]
    given = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, places])
    made = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    whole = helper.make_graph(nodes, "tiny", [given], [made], constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The text of the use case, as it stands in a `mainstay.yaml`."""
    return TINY


@pytest.fixture(scope="session")
def tiny_use_case() -> UseCase:
    """Inputs: age (integer 18 to 120), spent (a number or null), plan (basic or plus); does the customer leave?"""
    return loads(TINY)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_use_case: UseCase) -> Bundle:
    """A bundle of that use case with eight golden rows; its threshold is .5."""
    random = np.random.default_rng(7)
    spent = random.uniform(0, 1000, ROWS).round(2)
    spent[:20] = np.nan
    columns = {
        "age": random.integers(18, 90, ROWS).astype(np.float64),
        "spent": spent,
        "plan": random.choice(np.array(["basic", "plus"], dtype=object), ROWS),
    }
    inputs = inputs_of(tiny_use_case)
    encoder = fit(columns, inputs, tiny_use_case.derived)
    empty = Golden((), (), ())
    decide = decision_at(tiny_use_case.classes, tiny_use_case.label.positive, 0.5)
    blank = profile_of(columns, inputs, np.full(ROWS, 0.5), 0.5)
    unfinished = Bundle(graph(WEIGHTS, -1.0), encoder, Calibration(1.1, -0.05), decide, blank, empty)
    probability = Scorer(unfinished).score_tensor(encode(encoder, columns)).probability
    profile = profile_of(columns, inputs, probability, float(probability.mean()))
    profiled = dataclasses.replace(unfinished, profile=profile)
    return dataclasses.replace(profiled, golden=golden_of(Scorer(profiled), draw(profile, inputs, 8, seed=7)))


@pytest.fixture(scope="session")
def tiny_other_bundle(tiny_bundle: Bundle) -> Bundle:
    """Another candidate of the same use case: other weights, the same inputs, golden rows of its own."""
    changed = dataclasses.replace(tiny_bundle, model=graph(tuple(-each for each in WEIGHTS), 0.5))
    inputs = changed.encoder.inputs
    return dataclasses.replace(changed, golden=golden_of(Scorer(changed), draw(changed.profile, inputs, 8, seed=8)))


@pytest.fixture(scope="session")
def tiny_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of keys with one signing key, `signing.key` and `signing.pub`."""
    directory = tmp_path_factory.mktemp("keys")
    make_key(directory, "signing")
    return directory


@pytest.fixture(scope="session")
def tiny_signer(tiny_keys: Path) -> KeyFile:
    """What signs versions in tests."""
    return KeyFile(tiny_keys / "signing.key")


@pytest.fixture(scope="session")
def tiny_trusted(tiny_keys: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys that are trusted in tests, by id."""
    return public_keys(tiny_keys)


@pytest.fixture
def tiny_blobs(tmp_path: Path) -> BlobDirectory:
    """An empty store of bytes."""
    return BlobDirectory(tmp_path / "blobs")


@pytest.fixture
def tiny_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty book of facts."""
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as made:
        yield made


@pytest.fixture(scope="session")
def tiny_candidate() -> Callable[[Bundle], Candidate]:
    """The candidate that a bundle is, from run `run-1` on dataset `ds_1`."""

    def made(bundle: Bundle) -> Candidate:
        files = to_files(bundle)
        scores = {"roc_auc": Estimate(0.84, 0.82, 0.86, 1409, method="DeLong")}
        name = candidate_id(files)
        return Candidate(name, "tiny", "run-1", "ds_1", stored(files), ("No", "Yes"), scores, scores, {})

    return made


@pytest.fixture
def tiny_admission(
    tiny_candidate: Callable[[Bundle], Candidate], tiny_blobs: BlobDirectory, tiny_ledger: Ledger
) -> Callable[..., Admission]:
    """Asks for a bundle to be admitted: its files are stored, and its verdict, a PASS, is in the ledger."""

    def made(bundle: Bundle, against: Against | None = None) -> Admission:
        candidate = tiny_candidate(bundle)
        store_candidate("tiny", to_files(bundle), tiny_blobs)
        passed = check("skill", Estimate(0.3, 0.2, 0.4, 1409), Limit(at_least=0.1))
        written = tiny_ledger.latest("tiny", VERDICTS, candidate.id)
        if written is None:
            entry = Entry(VERDICTS, candidate.id, Verdict(candidate.id, (passed,)))
            (written,) = tiny_ledger.write("tiny", entry, at=NOW, actor="ada", reason="The gates were asked.")
        holdout = Holdout("tiny", 0.2)
        code = {"mainstay": "0.1.0", "commit": "b" * 40}
        run = Run("run-1", "tiny", "ds_1", "a" * 64, 7, "logistic", {}, code, None, holdout)
        columns = ("id", "age", "spent", "plan", "left")
        dataset = DatasetVersion("ds_1", "tiny", 7043, columns, "c" * 64, holdout)
        return Admission(candidate, run, dataset, written, "tiny_v1", against)

    return made


@pytest.fixture
def tiny_live(
    tiny_use_case: UseCase,
    tiny_bundle: Bundle,
    tiny_admission: Callable[..., Admission],
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> ModelVersion:
    """Version 1.0.0, signed, on the shelf of `tiny_blobs` and live in `tiny_ledger`."""
    asked = tiny_admission(tiny_bundle)
    version = admit(asked, tiny_ledger, tiny_blobs, tiny_signer, now=NOW, actor="ada", reason="It passed.")
    go_live(version, tiny_use_case, tiny_ledger, tiny_blobs, now=NOW, actor="ada", reason="It is the first.")
    return version


@pytest.fixture(scope="session")
def forest() -> Callable[..., bytes]:
    """Makes random trees as ONNX, boosted ones whose weights sum to a logit, over `places` of a tensor."""

    def made(places: int, trees: int = 20, depth: int = 3, seed: int = 0, **other: Any) -> bytes:
        random = np.random.default_rng(seed)
        nodes: list[tuple[object, ...]] = []
        leaves: list[tuple[int, int, float]] = []

        def grow(tree: int, node: int, left: int) -> None:
            if left and (node == 0 or random.random() < 0.9):
                mode = str(random.choice(other.get("modes", ["BRANCH_LEQ"])))
                threshold = float(random.choice([0.5, 18, 40, 50, 55.5, 200, 500]))
                true, false = 2 * node + 1, 2 * node + 2
                tracked = int(random.random() < 0.5)
                nodes.append((tree, node, int(random.integers(places)), mode, threshold, true, false, tracked))
                grow(tree, true, left - 1)
                grow(tree, false, left - 1)
            else:
                nodes.append((tree, node, 0, "LEAF", 0.0, 0, 0, 0))
                leaves.append((tree, node, float(random.normal(0, 0.3))))

        for tree in range(trees):
            grow(tree, 0, depth)
        names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
        columns = dict(zip((*names, "missing_value_tracks_true"), map(list, zip(*nodes, strict=True)), strict=True))
        node = helper.make_node(
            "TreeEnsembleClassifier",
            ["rows"],
            ["label", "probabilities"],
            domain="ai.onnx.ml",
            **{f"nodes_{name}": values for name, values in columns.items()},
            class_treeids=[tree for tree, _, _ in leaves],
            class_nodeids=[at for _, at, _ in leaves],
            class_ids=[int(random.integers(2)) if other.get("both") else 0 for _ in leaves],
            class_weights=[weight for _, _, weight in leaves],
            classlabels_int64s=[0, 1],
            post_transform=other.get("post_transform", "LOGISTIC"),
            **({"base_values": other["base"]} if "base" in other else {}),
        )
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ]
        given = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, places])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(
            helper.make_graph([node], "forest", [given], outputs), opset_imports=opsets, ir_version=9
        )
        return bytes(model.SerializeToString())

    return made


@pytest.fixture(scope="session")
def tiny_forest(tiny_bundle: Bundle, forest: Callable[..., bytes]) -> Bundle:
    """Another candidate of the tiny use case: boosted trees."""
    changed = dataclasses.replace(tiny_bundle, model=forest(5, trees=40, seed=3))
    inputs = changed.encoder.inputs
    return dataclasses.replace(changed, golden=golden_of(Scorer(changed), draw(changed.profile, inputs, 8, seed=8)))


class ObjectStore:
    """An S3-compatible server of our own (Versity's gateway) over a fresh directory, on a port of the loopback."""

    def __init__(self, program: str) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="mainstay-s3-"))
        self._buckets = self._home / "buckets"
        for folder in (self._buckets, self._home / "users"):
            folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            at = f"127.0.0.1:{free.getsockname()[1]}"
        self.address = f"http://{at}"
        keys = ["--access", "mainstay", "--secret", "of-the-tests", "--region", "us-east-1"]
        command = [
            program,
            *keys,
            "--port",
            at,
            "--health",
            "/health",
            "--quiet",
            "--iam-dir",
            str(self._home / "users"),
        ]
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen([*command, "posix", str(self._buckets)], stdout=log, stderr=log)

    def wait(self) -> None:
        until = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=2).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        pytest.fail((self._home / "log").read_text())

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{len(list(self._buckets.iterdir()))}"
        (self._buckets / name).mkdir()
        return name

    def discard(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._home, ignore_errors=True)


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    program = shutil.which("versitygw")
    if program is None or importlib.util.find_spec("boto3") is None:
        missing = "versitygw (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0) or boto3 is not installed"
        if os.environ.get("MAINSTAY_REQUIRE_TOOLS") == "1":  # noqa: TID251  (a setting of the tests alone)
            pytest.fail(missing)
        pytest.skip(missing)
    server = ObjectStore(program)
    try:
        server.wait()
        yield server
    finally:
        server.discard()
