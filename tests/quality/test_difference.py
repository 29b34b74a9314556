import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from mainstay.nouns import Candidate, DatasetVersion, Estimate, Holdout, Run
from mainstay.quality.difference import Side, difference, flips_on, moves, unseen
from mainstay.records import encode
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import Frame
from mainstay.scoring.profile import Categories, Numbers, Profile

HOLDOUT = Holdout("tiny", 0.2)
MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def side(tiny_bundle: Bundle, tiny_candidate: Callable[[Bundle], Candidate]) -> Callable[..., Side]:
    """`side(version, bundle=…, rows=…, **run)`: a version of the tiny use case."""

    def made(version: str, bundle: Bundle = tiny_bundle, rows: int = 7043, **fields: Any) -> Side:
        run = Run("run-1", "tiny", "ds_1", "a" * 64, 7, "logistic", {"c": 1.0}, {}, None, HOLDOUT)
        dataset = DatasetVersion("ds_1", "tiny", rows, ("id", "age"), "c" * 64, HOLDOUT)
        return Side(version, dataset, dataclasses.replace(run, **fields), tiny_candidate(bundle), bundle)

    return made


def test_a_version_does_not_differ_from_itself(side: Callable[..., Side]) -> None:
    found = difference(side("1.0.0"), side("1.0.0"), None)
    assert (found.data, found.features, found.training) == ((), (), ())
    assert {each.distance for each in found.moved} == {0.0}
    assert json.dumps(encode(found))


def test_what_changed_is_told_as_it_was_and_as_it_is(side: Callable[..., Side], tiny_bundle: Bundle) -> None:
    encoder = dataclasses.replace(
        tiny_bundle.encoder,
        inputs=tiny_bundle.encoder.inputs[1:],
        features=tiny_bundle.encoder.features[1:],
        derived=(("twice", "spent * 2"),),
    )
    other = dataclasses.replace(tiny_bundle, encoder=encoder)
    found = difference(side("1.0.0"), side("1.1.0", other, rows=8000, parameters={"c": 2.0, "new": True}), None, "why")
    assert {(each.name, each.before, each.after) for each in found.data} == {("rows", 7043, 8000)}
    told = {each.name: (each.before, each.after) for each in found.features}
    assert told == {"age": ("integer, 18 to 120", None), "twice": (None, "spent * 2")}
    assert {each.name: (each.before, each.after) for each in found.training} == {"c": (1.0, 2.0), "new": (None, True)}
    assert (found.places_gone, found.places_new) == (("age",), ())
    assert found.not_scored == "why"
    assert found.scores["roc_auc"] == (Estimate(0.84, 0.82, 0.86, 1409, method="DeLong"),) * 2


def test_inputs_are_told_by_how_far_their_rows_moved() -> None:
    before = Profile(
        100,
        {"age": Numbers((0.0, 10.0, 20.0), (50, 50), 0), "gone": Numbers((0.0, 1.0), (100,), 0)},
        {"plan": Categories((("basic", 60), ("plus", 40)), 0, 0), "town": Categories((("Ulm", 10),), 0, 90)},
        Numbers((0.0, 1.0), (100,), 0),
        0.3,
    )
    after = dataclasses.replace(
        before,
        numbers={"age": Numbers((0.0, 10.0, 20.0), (60, 20), 20)},
        categories={
            "plan": Categories((("basic", 10), ("plus", 90)), 0, 0),
            "town": Categories((("Bonn", 10),), 0, 90),
        },
    )
    found = moves(before, after)
    assert [(each.input, round(each.distance, 6)) for each in found] == [("plan", 0.5), ("age", 0.25), ("town", 0.0)]
    assert [(each.missing_before, each.missing_after) for each in found if each.input == "age"] == [(0.0, 0.2)]


def frame(rows: int = 400) -> Frame:
    random = np.random.default_rng(5)
    plan = np.resize(np.array(["basic", "plus"], dtype=object), rows)
    return Frame(
        {"age": random.integers(18, 90, rows).astype(np.float64), "plan": plan},
        random.random(rows) < 0.3,
        np.arange(rows),
        np.ones(rows, dtype=np.bool_),
        {},
    )


def test_who_is_decided_otherwise_is_found() -> None:
    holdout = frame()
    before = np.full(400, 0.4)
    after = np.where(holdout.columns["plan"] == "plus", 0.6, 0.4)
    found = flips_on(holdout, "1.1.0", (before, 0.5), (after, 0.5), None)
    assert (found.share.value, found.to_positive, found.to_negative) == (0.5, 200, 0)
    assert (found.segments[0].column, found.segments[0].value, found.segments[0].flipped.value) == ("plan", "plus", 1.0)
    assert not [each for each in found.segments if each.value == "basic"]
    assert found.after["roc_auc"].rows == 400
    back = flips_on(holdout, "1.1.0", (after, 0.5), (before, 0.5), None)
    assert (back.to_positive, back.to_negative) == (0, 200)


def test_another_threshold_alone_flips_decisions() -> None:
    same = np.linspace(0, 1, 400)
    found = flips_on(frame(), "1.1.0", (same, 0.5), (same, 0.25), None)
    assert found.share.value == pytest.approx(0.25, abs=0.005)
    assert found.to_negative == 0


def test_nobody_flips_between_equals() -> None:
    same = np.linspace(0, 1, 400)
    found = flips_on(frame(), "1.1.0", (same, 0.5), (same, 0.5), None)
    assert (found.share.value, found.segments) == (0.0, ())


@pytest.mark.parametrize(
    ("trained", "judged", "expected"),
    [
        (Holdout("s", 0.2), Holdout("s", 0.2), True),
        (Holdout("s", 0.3), Holdout("s", 0.2), True),
        (Holdout("s", 0.1), Holdout("s", 0.2), False),
        (Holdout("s", 0.2), Holdout("t", 0.2), False),
        (Holdout("s", 0.2, MAY), Holdout("s", 0.2, JUNE), True),
        (Holdout("s", 0.2, JUNE), Holdout("s", 0.2, MAY), False),
        (Holdout("s", 0.2), Holdout("s", 0.2, MAY), False),
    ],
)
def test_rows_that_one_may_have_learnt_from_are_known_by_the_holdouts(
    trained: Holdout, judged: Holdout, expected: bool
) -> None:
    assert unseen(trained, judged) is expected
