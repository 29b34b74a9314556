"""What a search tries: every estimator's defaults first, then what Optuna's sampler draws, or a grid's points."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mainstay.errors import Refused
from mainstay.nouns import Value
from mainstay.recipe import Recipe
from mainstay.suggest import did_you_mean
from mainstay.training.estimators import ESTIMATORS, Parameters


@dataclass(frozen=True, slots=True)
class Proposal:
    """An estimator with parameters to try; `first` for its defaults. `asked` is what the sampler knows it by."""

    estimator: str
    parameters: Parameters
    first: bool
    asked: Any = None


class Proposals(Protocol):
    """A source of proposals that may learn from what became of them."""

    def __iter__(self) -> Iterator[Proposal]: ...

    def tell(self, proposal: Proposal, loss: float, stopped: bool) -> None:
        """A proposal's log loss: over all folds, or over those before it was stopped."""


def proposals(recipe: Recipe) -> Proposals:
    """At most the recipe's `trials` proposals. Refused where its grid is larger, or is not of the search space."""
    return Grid(recipe) if recipe.search == "grid" else Sampled(recipe)


class Sampled:
    """Drawn by Optuna: `tpe` learns from the trials before (Bergstra et al. 2011), `random` does not."""

    def __init__(self, recipe: Recipe) -> None:
        import optuna  # here, because importing a journey must not cost half a second of it

        optuna.logging.set_verbosity(optuna.logging.WARNING)  # trials are told by the search, not on standard error
        samplers = optuna.samplers
        make = samplers.TPESampler if recipe.search == "tpe" else samplers.RandomSampler
        self._recipe = recipe
        self._pruned = optuna.trial.TrialState.PRUNED
        self._study = optuna.create_study(sampler=make(seed=recipe.seed))
        for name in recipe.searched:
            named = {f"{name}.{parameter}": value for parameter, value in ESTIMATORS[name].defaults.items()}
            self._study.enqueue_trial({"estimator": name, **named})

    def __iter__(self) -> Iterator[Proposal]:
        for number in range(self._recipe.trials):
            asked = self._study.ask()
            estimator = str(asked.suggest_categorical("estimator", sorted(self._recipe.searched)))
            parameters = ESTIMATORS[estimator].suggest(_Named(asked, estimator))
            yield Proposal(estimator, parameters, number < len(self._recipe.searched), asked)

    def tell(self, proposal: Proposal, loss: float, stopped: bool) -> None:
        if not stopped:
            self._study.tell(proposal.asked, loss)
            return
        proposal.asked.report(loss, 0)
        self._study.tell(proposal.asked, state=self._pruned)


@dataclass(frozen=True, slots=True)
class _Named:
    """A trial whose parameters carry their estimator's name: two estimators may both have a `learning_rate`."""

    trial: Any
    estimator: str

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self.trial.suggest_float(f"{self.estimator}.{name}", low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.trial.suggest_int(f"{self.estimator}.{name}", low, high, step=step, log=log))


class Grid:
    """Every combination of a grid's values: the recipe's where it gives some for an estimator, else the table's."""

    def __init__(self, recipe: Recipe) -> None:
        """Refused where the grid has more points than the budget has trials, or a value is out of the space."""
        made = [Proposal(name, ESTIMATORS[name].defaults, first=True) for name in recipe.searched]
        for name in recipe.searched:
            points = (point for point in _points(name, recipe) if point != ESTIMATORS[name].defaults)
            made += [Proposal(name, point, first=False) for point in points]
        if len(made) > recipe.trials:
            raise Refused(
                f"the grid has {len(made)} points, the defaults among them, and the budget is {recipe.trials} trials; "
                f"say `trials: {len(made)}`, or give fewer values",
                "recipe.grid",
            )
        self._made = made

    def __iter__(self) -> Iterator[Proposal]:
        return iter(self._made)

    def tell(self, proposal: Proposal, loss: float, stopped: bool) -> None:
        """Nothing is learnt from it: that is what makes it a grid."""


def _points(estimator: str, recipe: Recipe) -> Iterator[Parameters]:
    row = ESTIMATORS[estimator]
    given = {name: values for each, grid in recipe.grid.items() if each == estimator for name, values in grid.items()}
    spaces = _Spaces()
    row.suggest(spaces)
    for name, values in given.items():
        place = f"recipe.grid.{estimator}.{name}"
        if name not in row.defaults:
            raise Refused(f"`{estimator}` has no parameter `{name}`{did_you_mean(name, row.defaults)}", place)
        low, high, whole = spaces.found[name]
        for value in values:
            if not low <= value <= high or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise Refused(f"{value:g} is not {kind} from {low:g} to {high:g}", place)
    crossed: Mapping[str, Sequence[Value]] = given or row.grid
    for point in itertools.product(*crossed.values()):
        chosen = {name: _as(row.defaults[name], value) for name, value in zip(crossed, point, strict=True)}
        yield {**row.defaults, **chosen}


def _as(default: Value, value: Value) -> Value:
    """A value of the default's type: YAML's 1 may stand for 1.0."""
    return int(value or 0) if isinstance(default, int) else value


@dataclass(frozen=True, slots=True)
class _Spaces:
    """Draws that only note where a search space begins and ends, and whether it is of whole numbers."""

    found: dict[str, tuple[float, float, bool]] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.found[name] = (low, high, False)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.found[name] = (low, high, True)
        return low
