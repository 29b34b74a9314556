"""The reference profile: histograms that rows can be drawn from, and no row of the training data."""

from typing import Any

import numpy as np

from mainstay.scoring.encode import Input
from mainstay.scoring.profile import BINS, draw, profile_of

INPUTS = (
    Input("age", "integer", nullable=True),
    Input("paid", "number"),
    Input("plan", "category", nullable=True),
    Input("never", "number", nullable=True),
)


def columns(rows: int) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    age = random.integers(18, 80, rows).astype(np.float64)
    age[: rows // 10] = np.nan
    plan = random.choice(np.array(["a", "b", None], dtype=object), rows, p=[0.6, 0.3, 0.1])
    return {"age": age, "paid": random.exponential(50, rows), "plan": plan, "never": np.full(rows, np.nan)}


def test_counts_add_up_to_the_rows() -> None:
    given = columns(1000)
    profile = profile_of(given, INPUTS, np.linspace(0, 1, 1000), 0.27)
    for numbers in profile.numbers.values():
        assert sum(numbers.counts) + numbers.missing == 1000
        assert len(numbers.counts) <= BINS
    plan = profile.categories["plan"]
    assert sum(count for _, count in plan.counts) + plan.missing == 1000
    assert sum(profile.probability.counts) == 1000
    assert profile.numbers["age"].whole
    assert not profile.numbers["paid"].whole


def test_drawn_rows_look_like_the_rows_and_are_the_same_for_the_same_seed() -> None:
    given = columns(2000)
    profile = profile_of(given, INPUTS, np.full(2000, 0.3), 0.3)
    drawn = draw(profile, INPUTS, 2000, seed=5)
    again = draw(profile, INPUTS, 2000, seed=5)
    assert all(drawn[name].tolist() == again[name].tolist() for name in ("paid", "plan"))
    assert abs(np.nanmean(drawn["age"].astype(np.float64)) - np.nanmean(given["age"])) < 2
    assert abs(np.isnan(drawn["age"].astype(np.float64)).mean() - 0.1) < 0.03
    assert set(drawn["plan"].tolist()) == {"a", "b", None}
    assert np.isnan(drawn["never"].astype(np.float64)).all()


def test_no_drawn_row_is_a_row_of_the_training_data() -> None:
    given = columns(500)
    profile = profile_of(given, INPUTS, np.full(500, 0.3), 0.3)
    drawn = draw(profile, INPUTS, 500, seed=5)
    seen = set(given["paid"].tolist())
    assert not seen & set(drawn["paid"].tolist())


def test_a_constant_column_is_drawn_as_it_was() -> None:
    constant = {"paid": np.full(50, 3.5)}
    profile = profile_of(constant, INPUTS[1:2], np.full(50, 0.5), 0.5)
    assert draw(profile, INPUTS[1:2], 10, seed=1)["paid"].tolist() == [3.5] * 10
