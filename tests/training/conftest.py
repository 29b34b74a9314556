"""Customers of a small gym, drawn from a known law: enough to train on, few enough to be quick."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mainstay.scoring.frame import Frame, Parts
from mainstay.training.fit import Fitted, finish
from mainstay.training.tune import Best, search
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads

GYM = """
schema: 1
name: gym
source: gym.csv
entity: id
label: {column: left, positive: "Yes"}
contract:
  columns:
    id: {type: identifier}
    age: {type: integer, range: [16, 99]}
    balance: {type: number, nullable: true}
    plan: {type: category, values: [basic, plus, family]}
    town: {type: category, nullable: true}
    left: {type: category, values: ["Yes", "No"]}
features: {derived: {balance_by_age: balance / age}}
recipe: {trials: 3, folds: 3, seed: 7}
profit: {offer_cost: 5, value_saved: 100, save_rate: 0.3}
"""


def draw_members(rows: int, seed: int = 7) -> Frame:
    """Members whose leaving depends on age, plan, a missing balance and its sign; a third leave."""
    random = np.random.default_rng(seed)
    age = random.integers(16, 90, rows).astype(np.float64)
    balance = random.normal(0, 100, rows).round(2)
    plan = random.choice(np.array(["basic", "plus", "family"], dtype=object), rows)
    town = random.choice(np.array(["Ulm", "Bonn", "Kiel", None], dtype=object), rows)
    empty = random.random(rows) < 0.15
    logit = 1.6 - 0.05 * age + 1.2 * (plan == "basic") + 1.5 * empty - 0.006 * np.where(empty, 0, balance)
    balance[empty] = np.nan
    columns: dict[str, Any] = {"age": age, "balance": balance, "plan": plan, "town": town}
    left = random.random(rows) < 1 / (1 + np.exp(-logit))
    return Frame(columns, left, np.arange(rows), np.zeros(rows, dtype=np.bool_), {})


def halved(frame: Frame) -> Parts:
    """The first two thirds to learn from, the rest held out."""
    held = np.arange(len(frame)) >= len(frame) * 2 // 3
    marked = replace(frame, held_out=held)
    return Parts(marked.take(~held), marked.take(held))


@pytest.fixture(scope="session")
def gym() -> UseCase:
    """Does a member leave the gym? Three trials, three folds."""
    return loads(GYM)


@pytest.fixture(scope="session")
def recipe(gym: UseCase) -> Callable[..., UseCase]:
    """The gym with another recipe: `recipe(trials=1)`."""

    def changed(**fields: Any) -> UseCase:
        return gym.model_copy(update={"recipe": gym.recipe.model_copy(update=fields)})

    return changed


@pytest.fixture(scope="session")
def members() -> Callable[..., Frame]:
    """`members(rows, seed=7)`: that many members, each an entity of its own."""
    return draw_members


@pytest.fixture(scope="session")
def in_two() -> Callable[[Frame], Parts]:
    """`in_two(frame)`: the training part and the holdout."""
    return halved


@pytest.fixture(scope="session")
def parts() -> Parts:
    """1,200 members: 800 to learn from, 400 held out."""
    return halved(draw_members(1200))


@pytest.fixture(scope="session")
def best(gym: UseCase, parts: Parts) -> Best:
    """What a search over the members found."""
    return search(gym, parts.train, lambda trial: None)


@pytest.fixture(scope="session")
def fits(best: Best, parts: Parts, gym: UseCase) -> dict[str, Fitted]:
    """The defaults of each estimator, finished on the training part."""
    return {trial.estimator: finish(replace(best, trial=trial), parts.train, gym) for trial in best.trials[:2]}
