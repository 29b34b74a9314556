"""The one scorer: the same answer alone and in a batch, from a file and from memory, or a refusal."""

import dataclasses
import json

import numpy as np
import pytest

from mainstay.errors import Refused
from mainstay.scoring.bundle import DECIDING, FILES, Bundle, candidate_id, from_files, stored, to_files
from mainstay.scoring.decide import IDENTITY, Calibration, calibrated, decision, decision_at, risk
from mainstay.scoring.profile import draw
from mainstay.scoring.scorer import Scorer
from mainstay.scoring.session import Session


def test_a_row_scores_the_same_alone_and_among_many(tiny_bundle: Bundle) -> None:
    scorer = Scorer(tiny_bundle)
    rows = draw(tiny_bundle.profile, tiny_bundle.encoder.inputs, 100, seed=3)
    many = scorer.score(rows)
    assert many.scores.shape == (100, 2)
    np.testing.assert_allclose(many.scores.sum(axis=1), 1)
    for place in (0, 31, 32, 99):
        alone = scorer.score({name: values[place : place + 1] for name, values in rows.items()})
        np.testing.assert_allclose(alone.probability, many.probability[place], atol=1e-6)


def test_no_rows_give_no_scores(tiny_bundle: Bundle) -> None:
    rows = draw(tiny_bundle.profile, tiny_bundle.encoder.inputs, 1, seed=3)
    empty = Scorer(tiny_bundle).score({name: values[:0] for name, values in rows.items()})
    assert empty.scores.shape == (0, 2)


def test_a_bundle_reads_back_as_it_was_written(tiny_bundle: Bundle) -> None:
    files = to_files(tiny_bundle)
    assert tuple(files) == FILES
    again = from_files(files)
    assert to_files(again) == files
    Scorer(again).warm_up()


def test_the_digest_covers_what_decides_an_answer_and_nothing_else(tiny_bundle: Bundle) -> None:
    files = to_files(tiny_bundle)
    for name in FILES:
        other = candidate_id({**files, name: files[name] + b" "})
        assert (other != candidate_id(files)) == (name in DECIDING)
    assert stored(files)["model.onnx"].bytes == len(tiny_bundle.model)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tiny_bundle: Bundle, name: str) -> None:
    files = to_files(tiny_bundle)
    del files[name]
    with pytest.raises(Refused, match=name):
        from_files(files)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b'{"schema": "x"}', b"\xff", b'{"schema": 1}'])
def test_a_malformed_document_is_refused_by_name(tiny_bundle: Bundle, name: str, content: bytes) -> None:
    with pytest.raises(Refused):
        from_files({**to_files(tiny_bundle), name: content})


def test_a_document_from_a_later_release_is_refused(tiny_bundle: Bundle) -> None:
    files = to_files(tiny_bundle)
    later = json.dumps({**json.loads(files["decide.json"]), "schema": 99}).encode()
    with pytest.raises(Refused, match="schema 99"):
        from_files({**files, "decide.json": later})


def test_golden_rows_that_score_differently_are_refused(tiny_bundle: Bundle) -> None:
    golden = dataclasses.replace(tiny_bundle.golden, scores=tuple((a + 1e-5, b) for a, b in tiny_bundle.golden.scores))
    with pytest.raises(Refused, match="a golden row scores 1e-05 from what was recorded"):
        Scorer(dataclasses.replace(tiny_bundle, golden=golden)).warm_up()


def test_golden_rows_that_encode_differently_are_refused(tiny_bundle: Bundle) -> None:
    tensor = tuple((row[0] + 1, *row[1:]) for row in tiny_bundle.golden.tensor)
    golden = dataclasses.replace(tiny_bundle.golden, tensor=tensor)
    with pytest.raises(Refused, match="encode differently"):
        Scorer(dataclasses.replace(tiny_bundle, golden=golden)).warm_up()


def test_a_graph_that_does_not_fit_its_encoder_is_refused(tiny_bundle: Bundle) -> None:
    narrower = dataclasses.replace(tiny_bundle.encoder, features=tiny_bundle.encoder.features[:-1])
    with pytest.raises(Refused, match="places"):
        Scorer(dataclasses.replace(tiny_bundle, encoder=narrower))


@pytest.mark.parametrize("graph", [b"", b"not a graph", b"\x08\x07" * 50])
def test_bytes_that_are_no_graph_are_refused(graph: bytes) -> None:
    with pytest.raises(Refused, match=r"model\.onnx"):
        Session(graph)


def test_calibration_moves_the_probability_and_keeps_the_order() -> None:
    raw = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(calibrated(IDENTITY, raw), raw, atol=1e-6)
    moved = calibrated(Calibration(0.5, -1.0), raw)
    assert (np.diff(moved) > 0).all()
    assert calibrated(Calibration(1.0, -800.0), raw).max() < 1e-9
    assert np.isnan(calibrated(IDENTITY, np.array([np.nan]))).all()


def test_the_threshold_itself_is_positive_and_high() -> None:
    decide = decision_at(("No", "Yes"), "Yes", 0.3)
    assert (decision(decide, 0.3), risk(decide, 0.3)) == ("Yes", "High")
    assert (decision(decide, 0.29999), risk(decide, 0.29999)) == ("No", "Low")
    assert (decision(decide, float("nan")), risk(decide, float("nan"))) == (None, None)


@pytest.mark.parametrize(
    ("classes", "positive", "threshold"), [(("a", "b"), "c", 0.5), (("a", "a"), "a", 0.5), (("a", "b"), "a", 1.5)]
)
def test_a_decision_that_cannot_be_meant_is_refused(classes: tuple[str, ...], positive: str, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"class|threshold"):
        decision_at(classes, positive, threshold)
