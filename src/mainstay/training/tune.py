"""Which estimator, with which parameters: a search by Optuna over cross-validated log loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.scores import log_loss, roc_auc
from mainstay.scoring.frame import Frame
from mainstay.training.estimators import ESTIMATORS, Parameters
from mainstay.training.folds import Fold, encode_folds, folds, out_of_fold
from mainstay.usecase import Recipe, UseCase


@dataclass(frozen=True, slots=True)
class Trial:
    """One estimator with one set of parameters, cross-validated; `number` counts from 0.

    `folds` maps `log_loss` and `roc_auc` to their values on each fold's unseen rows, in order; `log_loss` is the mean.
    """

    number: int
    estimator: str
    parameters: Parameters
    folds: Mapping[str, tuple[float, ...]]
    log_loss: float


@dataclass(frozen=True, slots=True)
class Best:
    """The trial with the least log loss, the first of equals; `raw` are its out-of-fold probabilities, shape (n,)."""

    trial: Trial
    raw: NDArray[np.float64]
    folds: tuple[Fold, ...]
    trials: tuple[Trial, ...]


def search(use_case: UseCase, train: Frame, on_trial: Callable[[Trial], None]) -> Best:
    """Spend the recipe's budget of trials on the training part. Every estimator's defaults are tried first.

    `on_trial` hears of each trial as it ends. Trials run one after the other, because a sampler that learns from what
    happens to have ended is not repeatable. Refused where there are too few rows of a class for the folds.
    """
    recipe = use_case.recipe
    made = folds(train, recipe.folds, recipe.seed)
    encoded = encode_folds(use_case, train, made)
    study = _study(recipe)
    trials: list[Trial] = []
    best_raw = np.empty(0)
    for number in range(recipe.trials):
        asked = study.ask()
        estimator, parameters = _drawn(asked, recipe)
        raw = out_of_fold(encoded, estimator, parameters, recipe.seed)
        scores = {
            name: tuple(measure(train.labels[judged], raw[judged]).value for _, judged in made)
            for name, measure in (("log_loss", log_loss), ("roc_auc", roc_auc))
        }
        trial = Trial(number, estimator, parameters, scores, float(np.mean(scores["log_loss"])))
        study.tell(asked, trial.log_loss)
        trials.append(trial)
        if _least(trials) is trial:
            best_raw = raw
        on_trial(trial)
    return Best(_least(trials), best_raw, made, tuple(trials))


def _least(trials: Sequence[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.log_loss)


def _study(recipe: Recipe) -> Any:
    import optuna  # here, because importing a journey must not cost half a second of it

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # trials are told to `on_trial`, not to standard error
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=recipe.seed))
    for name in dict.fromkeys(recipe.estimators):
        named = {f"{name}.{parameter}": value for parameter, value in ESTIMATORS[name].defaults.items()}
        study.enqueue_trial({"estimator": name, **named})
    return study


def _drawn(asked: Any, recipe: Recipe) -> tuple[str, Parameters]:
    estimator = str(asked.suggest_categorical("estimator", sorted(set(recipe.estimators))))
    return estimator, ESTIMATORS[estimator].suggest(_Named(asked, estimator))


@dataclass(frozen=True, slots=True)
class _Named:
    """A trial whose parameters carry their estimator's name: two estimators may both have a `learning_rate`."""

    trial: Any
    estimator: str

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self.trial.suggest_float(f"{self.estimator}.{name}", low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.trial.suggest_int(f"{self.estimator}.{name}", low, high, step=step, log=log))
