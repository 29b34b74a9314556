"""Everything that is recorded of a small version, put together by hand: no training."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mainstay.examined import Examination
from mainstay.ledger.facts import Fact
from mainstay.nouns import Arm, Candidate, DatasetVersion, Estimate, Holdout, ModelVersion, Run, Split, StoredFile
from mainstay.quality.card import Facts
from mainstay.records import decode
from mainstay.scoring.decide import Calibration, decision_at
from mainstay.scoring.encode import Input
from mainstay.verdicts import Limit, Verdict, check

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden" / "Examination.1.json"


def fact(seq: int, kind: str, subject: str, body: T, reason: str = "It was asked for.") -> Fact[T]:
    return Fact(seq, "churn", kind, subject, 1, NOW, "user:ada", reason, body)


@pytest.fixture(scope="session")
def examined() -> Examination:
    """An examination as runs keep them."""
    return decode(Examination, json.loads(GOLDEN.read_text()))


@pytest.fixture(scope="session")
def facts(examined: Examination) -> Callable[..., Facts]:
    """`facts(**fields)`: what is recorded of churn@1.1.0, with some of it replaced."""
    scores = {
        "roc_auc": Estimate(0.8512, 0.8411, 0.8613, 1409, method="DeLong"),
        "profit": Estimate(16.25, 14.125, 18.5, 1409),
        "calibration_error": Estimate(0.0125, 0.0, 0.0325, 1409),
    }
    holdout = Holdout("churn", 0.2)
    code = {"version": "0.1.0", "commit": "b" * 40}
    run = Run("01a1", "churn", "ds_2", "a" * 64, 7, "lightgbm", {"depth": 3, "rate": 0.05}, code, "f" * 32, holdout)
    checks = (
        check("skill", Estimate(0.3, 0.25, 0.35, 1409), Limit(at_least=0.1)),
        check(
            "true_positive_gap",
            Estimate(0.09, 0.02, 0.16, 342),
            Limit(at_most=0.1),
            subject="gender",
            blocking=False,
        ),
    )
    version = ModelVersion("churn", "1.1.0", "cd_2", "ds_2", "01a1", "d" * 64, "888062308c012b4e", scores)
    split = Split(2, "churn", (Arm("1.1.0", 1.0), Arm("1.0.0", standby=True)), "c" * 64)
    files = {"model.onnx": StoredFile("e" * 64, 1200)}
    columns = ("customerID", "gender", "tenure", "Churn")
    made = Facts(
        version=fact(9, "version", "1.1.0", version),
        dataset=fact(
            5, "dataset", "ds_2", DatasetVersion("ds_2", "churn", 7043, columns, "c" * 64, holdout, 12, "ds_1")
        ),
        run=fact(6, "run", "01a1", run),
        candidate=fact(
            7, "candidate", "cd_2", Candidate("cd_2", "churn", "01a1", "ds_2", files, ("No", "Yes"), scores, scores, {})
        ),
        verdict=fact(8, "verdict", "cd_2", Verdict("cd_2", checks)),
        splits=(fact(10, "split", "churn", split),),
        inputs=(Input("gender", "category", values=("Female", "Male")), Input("tenure", "integer", range=(0.0, 120.0))),
        derived=(("years", "tenure / 12"),),
        calibration=Calibration(0.98, -0.01),
        decide=decision_at(("No", "Yes"), "Yes", 0.1667),
        feature_service="churn_v1",
        champion="1.0.0",
        against={"flipped_share": Estimate(0.035, 0.026, 0.046, 1377)},
        examined=examined,
    )

    def changed(**fields: Any) -> Facts:
        return dataclasses.replace(made, **fields)

    return changed


@pytest.fixture(scope="session")
def body() -> Callable[..., Any]:
    """`body(fact, **fields)`: the same fact with some of its body replaced."""

    def changed(given: Fact[Any], **fields: Any) -> Fact[Any]:
        return dataclasses.replace(given, body=dataclasses.replace(given.body, **fields))

    return changed
