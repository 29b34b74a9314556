"""Where trials come from: defaults first, then a sampler, or every point of a grid."""

from typing import Any

import pytest

from mainstay.errors import Refused
from mainstay.recipe import Recipe
from mainstay.training.estimators import ESTIMATORS
from mainstay.training.propose import proposals

EVERY = ("logistic", "splines", "random_forest", "gradient_boosting", "lightgbm", "xgboost", "ensemble")


def proposed(recipe: Recipe, loss: float = 0.5, stopped: bool = False) -> list[tuple[str, dict[str, Any]]]:
    source, made = proposals(recipe), []
    for proposal in source:
        made.append((proposal.estimator, dict(proposal.parameters)))
        assert proposal.first == (len(made) <= len(recipe.searched))
        source.tell(proposal, loss, stopped)
    return made


@pytest.mark.parametrize("search", ["tpe", "random", "grid"])
def test_every_search_tries_the_defaults_first_and_is_repeatable(search: str) -> None:
    recipe = Recipe.model_validate({"estimators": EVERY, "search": search, "trials": 40})
    first, again = proposed(recipe), proposed(recipe)
    assert first == again
    assert first[:6] == [(name, ESTIMATORS[name].defaults) for name in EVERY[:6]]
    assert len({str(each) for each in first}) == len(first)
    assert len(first) == (40 if search != "grid" else 25)


def test_a_random_search_does_not_learn_and_tpe_does() -> None:
    def last(search: str, loss: float) -> Any:
        recipe = Recipe.model_validate({"search": search, "trials": 25})
        source = proposals(recipe)
        made = []
        for number, proposal in enumerate(source):
            made.append((proposal.estimator, dict(proposal.parameters)))
            source.tell(proposal, loss * number, stopped=number % 3 == 2)
        return made

    assert last("random", 1.0) == last("random", -1.0)
    assert last("tpe", 1.0) != last("tpe", -1.0)


def test_a_grid_of_the_recipe_is_crossed_with_the_defaults_for_the_rest() -> None:
    grid = {"lightgbm": {"max_depth": (2, 3.0), "reg_lambda": (1, 10)}, "logistic": {"C": (0.5,)}}
    recipe = Recipe.model_validate({"search": "grid", "grid": grid, "trials": 30})
    made = proposed(recipe)
    defaults = ESTIMATORS["lightgbm"].defaults
    assert made[2] == ("logistic", {"C": 0.5})
    depths = [(each["max_depth"], each["reg_lambda"]) for name, each in made[3:]]
    assert depths == [(2, 1), (3, 1), (3, 10)]  # (2, 10) are the defaults, and were first
    assert isinstance(depths[1][0], int)
    assert {**made[3][1], "reg_lambda": 10.0} == defaults


@pytest.mark.parametrize(
    ("grid", "trials", "said"),
    [
        ({"lightgbm": {"max_dept": (2,)}}, 9, "`lightgbm` has no parameter `max_dept`; did you mean `max_depth`"),
        ({"lightgbm": {"max_depth": (2.5,)}}, 9, "2.5 is not a whole number from 2 to 4"),
        ({"logistic": {"C": (0.1, 1e6)}}, 9, r"1e\+06 is not a number from 0.001 to 10"),
        ({"logistic": {"C": (0.2, 0.3, 0.4)}}, 4, "has 9 points, the defaults among them, .* say `trials: 9`"),
    ],
)
def test_an_impossible_grid_is_refused_before_anything_is_fitted(grid: Any, trials: int, said: str) -> None:
    with pytest.raises(Refused, match=said):
        proposals(Recipe.model_validate({"search": "grid", "grid": grid, "trials": trials}))
