"""Rows one by one give what columns give, to the bit: every kind of input, every expression, every JSON value."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.expressions import Kind, parse
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.decide import Calibration, Decide, calibrated, calibrated_one, decision, risk
from mainstay.scoring.encode import Encoder, Feature, Input, encode
from mainstay.scoring.reading import Policy, columns_of, read_row
from mainstay.scoring.rowwise import RowReader, RowScorer
from mainstay.scoring.scorer import Scorer

INPUTS = (
    Input("tenure", "integer", range=(0, 120)),
    Input("paid", "number", nullable=True, range=(-1e30, 1e30)),
    Input("wide", "number"),
    Input("count", "integer", nullable=True),
    Input("senior", "category", values=("0", "1")),
    Input("plan", "category", nullable=True, values=("Basic", "Zwölf Monate", "1.5")),
    Input("truth", "category", values=("true", "false")),
    Input("town", "category", nullable=True),
)
KINDS: dict[str, Kind] = {each.name: each.kind for each in INPUTS}
EXPRESSIONS = (
    "paid - tenure * wide",
    "wide / max(tenure, 1)",
    "paid / tenure",
    "-paid / (tenure - tenure)",
    "min(1, wide / 0, 3)",
    "log(wide) + abs(paid)",
    "log(tenure)",
    "not paid",
    "not (tenure > 3 and paid < 2)",
    "paid > 1 or is_null(paid)",
    "paid and tenure",
    "is_null(plan) + is_null(town) + is_null(wide - wide / 0)",
    "plan == 'Basic'",
    "town != ' Ulm '",
    "wide * wide * wide * 1e200",
    "tenure <= 12",
    "tenure >= paid",
    "tenure == 3",
    "tenure != count",
    "7",
)
ENCODER = Encoder(
    INPUTS,
    tuple((f"d{n}", text) for n, text in enumerate(EXPRESSIONS)),
    (
        Feature("tenure", "number"),
        Feature("paid", "number", missing=True),
        Feature("wide", "number"),
        Feature("count", "number", missing=True),
        Feature("senior", "category", ("0", "1")),
        Feature("plan", "category", ("Basic", "Zwölf Monate", "1.5"), missing=True),
        Feature("truth", "category", ("true", "false")),
        Feature("town", "category", ("Ulm", "3", "é"), missing=True),
        *(Feature(f"d{n}", "number", missing=n % 2 == 0) for n in range(len(EXPRESSIONS))),
    ),
)
USUAL: dict[str, Any] = {
    "tenure": 12,
    "paid": 3.5,
    "wide": 0.1,
    "count": None,
    "senior": 1,
    "plan": "Basic",
    "truth": "true",
    "town": "Ulm",
}

numbers = st.one_of(
    st.integers(-3, 130),
    st.floats(-200, 200),
    st.floats(),
    st.sampled_from([0, 0.0, -0.0, 1, 2**53, 2**53 - 1, 10**400, 1e39, 3.4028234663852886e38, 3.4028235e38, 1e-46]),
)
texts = st.sampled_from(
    ["Basic", " Basic", "basic", "Zwölf Monate", "Zwo\u0308lf Monate", "1.5", "0", "1", "1.0", "", " ", "Ulm", "3"]
) | st.text(max_size=3)
anything = st.one_of(
    numbers, texts, st.none(), st.booleans(), st.sampled_from(["true", "yes", "ja", "false", "e\u0301", [], {}])
)
changes = st.dictionaries(st.sampled_from(sorted(USUAL)), st.none(), min_size=1, max_size=3).flatmap(
    lambda named: st.fixed_dictionaries(
        {name: (texts if KINDS[name] == "category" else numbers) | st.none() | anything for name in named}
    )
)
rows = changes.flatmap(lambda row: st.sampled_from([row, {**USUAL, **row}, {**USUAL, **row}, {**row, "other": 1}]))


@pytest.fixture(scope="module")
def scorer(tiny_bundle: Bundle, forest: Callable[..., bytes]) -> Scorer:
    graph = forest(len(ENCODER.places), trees=30)
    return Scorer(dataclasses.replace(tiny_bundle, model=graph, encoder=ENCODER, calibration=Calibration(1.3, -0.2)))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.sampled_from(["flag", "refuse"]), st.sampled_from(["flag", "refuse"]))
def test_any_row_is_read_encoded_and_scored_as_a_column_of_one(
    scorer: Scorer, row: dict[str, Any], unseen: Policy, out_of_range: Policy
) -> None:
    wanted = read_row(row, INPUTS, unseen, out_of_range, ENCODER.learned)
    found = RowReader(ENCODER, unseen, out_of_range).read(row)
    assert (found.flags, found.problems) == (wanted.flags, wanted.problems)
    assert repr(found.values) == repr([wanted.values[each.name] for each in INPUTS])
    if not found.problems:
        single = RowScorer(scorer)
        columns = columns_of([wanted.values], INPUTS)
        assert np.array_equal(single.encode(found.values), encode(ENCODER, columns), equal_nan=True)
        scored = scorer.score(columns)
        made = single.score(found.values)
        assert made.scores == scored.scores[0].tolist()
        assert made.probability == scored.probability[0]
        rule = scorer.bundle.decide
        assert (made.decision, made.risk) == (decision(rule, made.probability), risk(rule, made.probability))


def test_every_expression_means_on_a_row_what_it_means_on_a_column(scorer: Scorer) -> None:
    values = (None, 0.0, -0.0, 1.0, -1.0, 3.0, 2.5, 1e30, -1e38)
    single = RowScorer(scorer)
    made = [
        [7.0, paid, wide, count, "1", None, "true", "Ulm"] for paid in values for wide in values for count in values
    ]
    columns = columns_of([dict(zip(KINDS, row, strict=True)) for row in made], INPUTS)
    found = np.concatenate([single.encode(row).copy() for row in made])
    assert np.array_equal(found, encode(ENCODER, columns), equal_nan=True)


def test_a_row_leaves_nothing_behind_for_the_next(scorer: Scorer) -> None:
    single, reader = RowScorer(scorer), RowReader(ENCODER, "flag", "flag")
    first, other = reader.read(USUAL).values, reader.read(USUAL | {"paid": None, "plan": None, "wide": 1e38}).values
    before = single.encode(first).copy()
    scores = single.score(first)
    single.score(other)
    assert np.array_equal(single.encode(first), before, equal_nan=True)
    assert single.score(first) == scores


def test_a_model_without_a_number_decides_nothing(scorer: Scorer) -> None:
    scorer = Scorer(dataclasses.replace(scorer.bundle, calibration=Calibration(math.nan, 0.0)))
    made = RowScorer(scorer).score(RowReader(ENCODER, "flag", "flag").read(USUAL).values)
    assert math.isnan(made.probability)
    assert (made.decision, made.risk) == (None, None)


def test_the_highest_band_that_is_reached_is_the_risk(scorer: Scorer) -> None:
    bands = (("Low", 0.0), ("Certain", 0.999), ("Middle", 0.001), ("Also middle", 0.001))
    rule = Decide(("Yes", "No"), "Yes", 0.5, bands)
    single = RowScorer(Scorer(dataclasses.replace(scorer.bundle, decide=rule)))
    made = single.score(RowReader(ENCODER, "flag", "flag").read(USUAL).values)
    assert made.risk == risk(rule, made.probability) == "Middle"
    assert made.scores == [made.probability, 1.0 - made.probability]


@given(
    st.floats(0, 1, width=32) | st.just(math.nan) | st.sampled_from([0.0, 1.0]),
    st.floats(-5, 5) | st.sampled_from([1e4, -1e4]),
    st.floats(-5, 5),
)
@settings(max_examples=500, deadline=None)
def test_one_probability_is_calibrated_as_many_are(probability: float, slope: float, offset: float) -> None:
    calibration = Calibration(slope, offset)
    (wanted,) = calibrated(calibration, np.array([probability])).tolist()
    assert repr(calibrated_one(calibration, probability)) == repr(wanted)


def test_every_expression_of_the_language_is_in_this_test() -> None:
    names = {name for text in EXPRESSIONS for name in _operations(parse(text, KINDS).tree)}
    assert names == {
        *("+", "-", "*", "/", "negate", "==", "!=", "<", "<=", ">", ">="),
        *("and", "or", "not", "min", "max", "log", "abs", "is_null"),
    }


def _operations(node: Any) -> set[str]:
    inner = {name for each in getattr(node, "arguments", ()) for name in _operations(each)}
    return inner | ({node.name} if hasattr(node, "arguments") else set())
