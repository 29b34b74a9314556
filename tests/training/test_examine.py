import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from mainstay.examined import Examination
from mainstay.measures.scores import roc_auc
from mainstay.nouns import Estimate
from mainstay.records import decode, encode
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import Parts
from mainstay.scoring.scorer import Scorer
from mainstay.training.artifacts import artifacts, slices_csv
from mainstay.training.calibrate import offer_of
from mainstay.training.examine import examine
from mainstay.training.export import candidate, holdout_scores, to_onnx
from mainstay.training.fit import Fitted
from mainstay.training.plots import by_slice
from mainstay.usecase import UseCase


@pytest.fixture(scope="module")
def bundle(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> Bundle:
    return to_onnx(fits["logistic"], parts, gym).bundle


@pytest.fixture(scope="module")
def examined(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> Examination:
    exported = to_onnx(fits["logistic"], parts, gym)
    scores = holdout_scores(exported.bundle, parts.holdout, gym)
    return examine(exported.bundle, parts, candidate(exported, gym, "run-1", "ds_1", scores, scores, {}), gym)


def test_it_counts_the_rows_of_both_parts(examined: Examination, parts: Parts) -> None:
    assert (examined.train.rows, examined.holdout.rows) == (800, 400)
    assert examined.holdout.positives == int(parts.holdout.labels.sum())


def test_the_confusion_holds_every_row_once(examined: Examination, bundle: Bundle, parts: Parts) -> None:
    found = examined.confusion
    assert found.hits + found.missed == examined.holdout.positives
    assert found.hits + found.missed + found.false_alarms + found.rejections == examined.holdout.rows
    called = Scorer(bundle).score(parts.holdout.columns).probability >= examined.threshold
    assert found.false_alarms == int((called & ~parts.holdout.labels).sum())


def test_the_area_under_its_curve_is_the_auc(examined: Examination, bundle: Bundle, parts: Parts) -> None:
    across, up = np.array(examined.roc).T
    said = Scorer(bundle).score(parts.holdout.columns).probability
    area = float(np.sum(np.diff(across) * (up[1:] + up[:-1]) / 2))
    assert area == pytest.approx(roc_auc(parts.holdout.labels, said).value, abs=0.01)
    assert (examined.roc[0], examined.roc[-1]) == ((0.0, 0.0), (1.0, 1.0))


def test_no_curve_has_more_points_than_a_picture_shows(examined: Examination) -> None:
    for curve in (examined.roc, examined.precision_recall, examined.by_threshold):
        assert 2 < len(curve) <= 101
        assert [across for across, _ in curve] == sorted(across for across, _ in curve)


def test_what_a_threshold_brings_is_profit_or_else_f1(
    fits: dict[str, Fitted], parts: Parts, gym: UseCase, examined: Examination
) -> None:
    free = gym.model_copy(update={"profit": None})
    exported = to_onnx(fits["logistic"], parts, free)
    other = examine(exported.bundle, parts, candidate(exported, free, "run-1", "ds_1", {}, {}, {}), free)
    assert other.profit is None
    assert all(0 <= up <= 1 for _, up in other.by_threshold)
    assert max(up for _, up in examined.by_threshold) > 1
    assert offer_of(gym) is not None


def test_every_input_and_protected_attribute_is_sliced(
    fits: dict[str, Fitted], parts: Parts, gym: UseCase, examined: Examination
) -> None:
    assert {each.column for each in examined.slices} == {"age", "balance", "plan", "town"}
    eyes = np.resize(np.array(["blue", "brown"], dtype=object), 400)
    seen = replace(parts, holdout=replace(parts.holdout, slices={"eyes": eyes}))
    exported = to_onnx(fits["logistic"], parts, gym)
    found = examine(exported.bundle, seen, candidate(exported, gym, "run-1", "ds_1", {}, {}, {}), gym)
    assert found.protected == ("eyes",)
    assert [each.rows for each in found.slices if each.column == "eyes"] == [200, 200]


def test_it_reads_back_as_it_was_written(examined: Examination) -> None:
    assert encode(decode(Examination, encode(examined))) == encode(examined)


def test_the_artifacts_hold_the_per_slice_table_and_its_pictures(
    bundle: Bundle, parts: Parts, gym: UseCase, examined: Examination
) -> None:
    left = artifacts(bundle, {"model.onnx": b"graph"}, parts.holdout, gym, examined)
    assert {"slices.csv", "plots/slices_roc_auc.png", "plots/confusion.png", "bundle/model.onnx"} <= left.keys()
    assert left["plots/slices_roc_auc.png"].startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(left["slices.csv"].decode())))
    assert len(rows) == len(examined.slices)
    first, recorded = rows[0], examined.slices[0]
    assert (first["column"], first["value"], first["rows"]) == (recorded.column, recorded.value, str(recorded.rows))
    assert float(first["roc_auc_low"]) == pytest.approx(recorded.scores["roc_auc"].low, rel=1e-5)


def test_the_table_leaves_what_is_not_known_blank_and_quotes_what_needs_it(examined: Examination) -> None:
    unknown = Estimate(float("nan"), float("nan"), float("nan"), 6)
    odd = replace(examined.slices[0], value='a,"b"\nc', scores={"roc_auc": unknown})
    (row,) = csv.DictReader(io.StringIO(slices_csv([odd])))
    assert (row["value"], row["roc_auc"], row["roc_auc_rows"]) == ('a,"b"\nc', "", "6")
    assert slices_csv([]) == "column,value,rows\n"


def test_a_picture_of_slices_that_say_nothing_says_so() -> None:
    unknown = Estimate(float("nan"), float("nan"), float("nan"), 6)
    assert by_slice({"a: b": unknown}, "roc_auc") == by_slice({}, "roc_auc")
