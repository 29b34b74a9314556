"""Every estimator on every file that nobody prepared: the graph says what the model says, or it is refused by name.

Asked are the holdout, and rows that no file had: gaps and categories where there were none, numbers beside the ones
that were learnt from, and numbers at the ends of what the tensor holds.
"""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.journeys.strangers.files import LEAKS, PASSING, SMALL
from threadpoolctl import threadpool_limits

from mainstay.adapters.blobs import BlobDirectory
from mainstay.cli.main import main
from mainstay.data.freeze import freeze, open_dataset
from mainstay.data.source import read
from mainstay.data.split import split
from mainstay.data.validate import validate
from mainstay.features.offline import training_frame
from mainstay.scoring.encode import Encoder, encode, fit, inputs_of
from mainstay.scoring.frame import Parts
from mainstay.scoring.session import Session
from mainstay.training.estimators import ENSEMBLE, ESTIMATORS, Parameters, as_members, fitted, probability_of
from mainstay.training.graph import onnx_graph
from mainstay.usecase import UseCase
from mainstay.usecase_file import load

Make = Callable[[Path], str]
Rows = NDArray[np.float32]
LIMIT = 1e-5
TREES = 30
MOST = 2500
"""Rows that are learnt from, and that are asked."""
FILES = (*PASSING, *LEAKS, *SMALL)


class Drawn:
    """A point of a search space, drawn at random; trees are few, to be quick."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        ends = (math.log(low), math.log(high)) if log else (low, high)
        drawn = float(self._random.uniform(*ends))
        return math.exp(drawn) if log else drawn

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return TREES if name in ("n_estimators", "max_iter") else int(self._random.integers(low, high + 1))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As everywhere that fits; a library that is loaded later would keep its threads."""
    import lightgbm  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import xgboost  # noqa: F401

    with threadpool_limits(limits=1):
        yield


def prepared(made: Make, folder: Path) -> tuple[UseCase, Parts]:
    """As `init` and the first steps of a release leave a file."""
    target = made(folder)
    [file] = (each for each in folder.iterdir() if each.is_file())
    assert main(["init", str(file), "--target", target, "--out", str(folder)]) == 0
    use_case = load(folder / "mainstay.yaml")
    checked = validate(read(use_case.source, use_case, folder), use_case, datetime(2026, 1, 1, tzinfo=UTC))
    blobs = BlobDirectory(folder / "blobs")
    dataset = freeze(checked.table, use_case, blobs, ("a key", bytes(32)), None, 0)
    frame, _ = training_frame(open_dataset(dataset, blobs), dataset, use_case)
    return use_case, split(frame, dataset, use_case)


def asked(encoder: Encoder, parts: Parts) -> dict[str, Rows]:
    """Rows by what is odd about them."""
    random = np.random.default_rng(3)
    learnt = encode(encoder, parts.train.take(np.arange(min(200, len(parts.train)))).columns)
    gaps = learnt.copy()
    gaps[random.random(gaps.shape) < 0.3] = np.nan
    unseen = {
        name: np.full(20, "nowhere", dtype=object) if values.dtype == object else values[:20]
        for name, values in parts.holdout.columns.items()
    }
    unseen = {name: values[: min(map(len, unseen.values()))] for name, values in unseen.items()}
    found = {
        "the holdout": encode(encoder, parts.holdout.columns),
        "unseen categories": encode(encoder, unseen),
        "nothing known": np.full((1, learnt.shape[1]), np.nan, dtype=np.float32),
        "gaps": gaps,
        "just above": np.nextafter(learnt, np.float32(np.inf)),
        "just below": np.nextafter(learnt, np.float32(-np.inf)),
    }
    for size in (1e-45, 1e7, 1e20, 1e30, 3e38):
        ends = learnt[:60].copy()
        there = random.random(ends.shape) < 0.3
        ends[there] = random.choice(np.array([-size, size], dtype=np.float32), int(there.sum()))
        found[f"some {size:g}"] = ends
    return found


def drawn(seed: int) -> dict[str, Parameters]:
    return {name: row.suggest(Drawn(seed)) for name, row in ESTIMATORS.items()}


@pytest.mark.parametrize("name", FILES)
def test_every_estimators_graph_says_what_its_model_says(name: str, strangers: dict[str, Make], tmp_path: Path) -> None:
    use_case, whole = prepared(strangers[name], tmp_path)
    parts = Parts(*(part.take(np.arange(min(MOST, len(part)))) for part in (whole.train, whole.holdout)))
    encoder = fit(parts.train.columns, inputs_of(use_case), use_case.derived)
    tensor = encode(encoder, parts.train.columns)
    vote = fitted(ENSEMBLE, as_members(drawn(FILES.index(name))), 7, tensor, parts.train.labels)
    models: dict[str, Any] = {**dict(zip(ESTIMATORS, vote.estimators_, strict=True)), ENSEMBLE: vote}
    rows = asked(encoder, parts)
    for estimator, model in models.items():
        session = Session(onnx_graph(model, tensor.shape[1]))
        for kind, each in rows.items():
            with np.errstate(invalid="ignore"):  # scikit-learn adds the ends up, to see whether all are finite
                apart = np.abs(session.scores(each)[:, 1] - probability_of(model, each))
            assert (apart <= LIMIT).all(), f"{estimator} on {kind}: {apart.max():.2g} apart"
