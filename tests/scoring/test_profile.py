"""The reference profile: histograms that rows can be drawn from, and no row of the training data."""

from typing import Any

import numpy as np

from mainstay.scoring.encode import Input
from mainstay.scoring.profile import BINS, Categories, draw, profile_of

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
    assert plan.other == 0
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


def test_a_value_that_few_rows_share_is_nowhere_in_the_profile() -> None:
    names = [f"v{n:02d}" for n in range(60) for _ in range(5 + (n < 9))] + ["rare"] * 4 + ["Ada Lovelace", None]
    given = {"plan": np.array(names, dtype=object)}
    profile = profile_of(given, INPUTS[2:3], np.full(len(names), 0.5), 0.5)
    plan = profile.categories["plan"]
    assert [name for name, _ in plan.counts] == [f"v{n:02d}" for n in range(50)]
    assert plan.counts[8:10] == (("v08", 6), ("v09", 5))
    assert (plan.other, plan.missing) == (10 * 5 + 4 + 1, 1)
    assert set(draw(profile, INPUTS[2:3], 3000, seed=1)["plan"].tolist()) == {name for name, _ in plan.counts} | {None}


def test_where_every_text_is_rare_none_is_drawn() -> None:
    given = {"plan": np.array([f"note {n}" for n in range(100)], dtype=object)}
    profile = profile_of(given, INPUTS[2:3], np.full(100, 0.5), 0.5)
    assert profile.categories["plan"] == Categories((), missing=0, other=100)
    assert draw(profile, INPUTS[2:3], 3, seed=1)["plan"].tolist() == [None] * 3


def test_a_constant_column_is_drawn_as_it_was() -> None:
    constant = {"paid": np.full(50, 3.5)}
    profile = profile_of(constant, INPUTS[1:2], np.full(50, 0.5), 0.5)
    assert draw(profile, INPUTS[1:2], 10, seed=1)["paid"].tolist() == [3.5] * 10
