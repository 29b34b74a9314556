"""The estimators that a recipe can name: an estimator is a row of a table, and the ensemble is a vote of rows.

All are given the encoder's tensor, shape (n, places), NaN where a number is missing. Only those are here whose ONNX
converters are exact; parity on the holdout is checked all the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Value

Parameters = Mapping[str, Value]
ENSEMBLE = "ensemble"
"""The soft vote of other estimators: the mean of their probabilities. Its parameters are `MEMBER.PARAMETER`."""


class Draws(Protocol):
    """Where a search space draws its values from: the part of Optuna's Trial that is used here."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class Estimator:
    """`defaults` are tried first, `suggest` draws other parameters, `build` makes an unfitted scikit-learn classifier.

    `build` takes the parameters and a seed; what it makes fits alike every time, on one thread where OpenMP and the
    linear algebra are kept to one. `grid` has the values that a grid search crosses unless the recipe says which; what
    it does not name keeps its default.
    """

    defaults: Parameters
    suggest: Callable[[Draws], Parameters]
    build: Callable[[Parameters, int], Any]
    grid: Mapping[str, Sequence[Value]]


def _suggest_logistic(draws: Draws) -> Parameters:
    return {"C": draws.suggest_float("C", 1e-3, 10.0, log=True)}


def _build_logistic(parameters: Parameters, seed: int) -> Any:
    # Imported here: asking for help on a command line must not wait for two seconds of scikit-learn.
    from mainstay.training.basis import Filled, Scaled

    return _pipeline(fill=Filled(), scale=Scaled(), model=_linear(parameters["C"], seed))


def _linear(strength: Value, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Newton's method ends at the optimum itself, where lbfgs stops near it and may warn.
    return LogisticRegression(C=strength, solver="newton-cholesky", max_iter=200, random_state=seed)


def _pipeline(**steps: Any) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline(list(steps.items()))


def _suggest_splines(draws: Draws) -> Parameters:
    return {"C": draws.suggest_float("C", 1e-4, 1.0, log=True), "ramps": draws.suggest_int("ramps", 3, 16)}


def _build_splines(parameters: Parameters, seed: int) -> Any:
    from mainstay.training.basis import Filled, Ramps, Scaled

    steps = {"fill": Filled(), "ramps": Ramps(int(parameters["ramps"] or 0))}
    return _pipeline(**steps, scale=Scaled(), model=_linear(parameters["C"], seed))


def _suggest_forest(draws: Draws) -> Parameters:
    return {
        "max_depth": draws.suggest_int("max_depth", 4, 10),
        "n_estimators": draws.suggest_int("n_estimators", 100, 300, step=50),
        "min_samples_leaf": draws.suggest_int("min_samples_leaf", 3, 50, log=True),
        "max_features": draws.suggest_float("max_features", 0.1, 0.8, log=True),
    }


def _build_forest(parameters: Parameters, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    from mainstay.training.basis import Filled

    # Filled, though a forest can miss numbers: its converter loses which way they go (.4 off, and no error).
    return _pipeline(fill=Filled(), model=RandomForestClassifier(**parameters, n_jobs=1, random_state=seed))


def _suggest_gradient_boosting(draws: Draws) -> Parameters:
    return {
        "max_depth": draws.suggest_int("max_depth", 2, 4),
        "learning_rate": draws.suggest_float("learning_rate", 0.02, 0.1, log=True),
        "max_iter": draws.suggest_int("max_iter", 100, 300, step=50),
        "min_samples_leaf": draws.suggest_int("min_samples_leaf", 10, 100, log=True),
        "l2_regularization": draws.suggest_float("l2_regularization", 1.0, 50.0, log=True),
        "max_features": draws.suggest_float("max_features", 0.15, 0.8, log=True),
    }


def _build_gradient_boosting(parameters: Parameters, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from mainstay.training.basis import Filled

    # Without its own categories, which its converter gets wrong; with as many rounds as asked for at any size. It
    # misses numbers by itself, and breaks where a column has none.
    model = HistGradientBoostingClassifier(**parameters, early_stopping=False, random_state=seed)
    return _pipeline(fill=Filled(only_empty=True), model=model)


def _suggest_lightgbm(draws: Draws) -> Parameters:
    return {
        "max_depth": draws.suggest_int("max_depth", 2, 4),
        "learning_rate": draws.suggest_float("learning_rate", 0.02, 0.1, log=True),
        "n_estimators": draws.suggest_int("n_estimators", 100, 400, step=50),
        "min_child_samples": draws.suggest_int("min_child_samples", 10, 100, log=True),
        "reg_lambda": draws.suggest_float("reg_lambda", 1.0, 50.0, log=True),
        "colsample_bytree": draws.suggest_float("colsample_bytree", 0.15, 0.8, log=True),
        "subsample": draws.suggest_float("subsample", 0.4, 0.9),
    }


def _build_lightgbm(parameters: Parameters, seed: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        **parameters,
        num_leaves=16,  # what the deepest tree of the search space can have
        subsample_freq=1,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        num_threads=1,
        verbosity=-1,
    )


def _suggest_xgboost(draws: Draws) -> Parameters:
    return {
        "max_depth": draws.suggest_int("max_depth", 2, 4),
        "learning_rate": draws.suggest_float("learning_rate", 0.02, 0.1, log=True),
        "n_estimators": draws.suggest_int("n_estimators", 100, 400, step=50),
        "min_child_weight": draws.suggest_float("min_child_weight", 1.0, 20.0, log=True),
        "reg_lambda": draws.suggest_float("reg_lambda", 1.0, 50.0, log=True),
        "colsample_bytree": draws.suggest_float("colsample_bytree", 0.15, 0.8, log=True),
        "subsample": draws.suggest_float("subsample", 0.4, 0.9),
    }


def _build_xgboost(parameters: Parameters, seed: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(**parameters, tree_method="hist", n_jobs=1, random_state=seed, verbosity=0)


_BOOSTED = {"max_depth": (2, 3), "learning_rate": (0.03, 0.06)}

# Small and regularised: LightGBM's own defaults, for one, lose .014 of AUC on the Telco rows to overfitting.
ESTIMATORS: Mapping[str, Estimator] = {
    "logistic": Estimator({"C": 0.1}, _suggest_logistic, _build_logistic, {"C": (0.01, 0.1, 1.0)}),
    "splines": Estimator({"C": 0.01, "ramps": 8}, _suggest_splines, _build_splines, {"C": (0.003, 0.01, 0.1)}),
    "random_forest": Estimator(
        {"max_depth": 8, "n_estimators": 200, "min_samples_leaf": 8, "max_features": 0.15},
        _suggest_forest,
        _build_forest,
        {"max_depth": (6, 8), "min_samples_leaf": (8, 20)},
    ),
    "gradient_boosting": Estimator(
        {
            "max_depth": 3,
            "learning_rate": 0.05,
            "max_iter": 150,
            "min_samples_leaf": 40,
            "l2_regularization": 10.0,
            "max_features": 0.3,
        },
        _suggest_gradient_boosting,
        _build_gradient_boosting,
        _BOOSTED,
    ),
    "lightgbm": Estimator(
        {
            "max_depth": 2,
            "learning_rate": 0.05,
            "n_estimators": 300,
            "min_child_samples": 40,
            "reg_lambda": 10.0,
            "colsample_bytree": 0.2,
            "subsample": 0.6,
        },
        _suggest_lightgbm,
        _build_lightgbm,
        _BOOSTED,
    ),
    "xgboost": Estimator(
        {
            "max_depth": 2,
            "learning_rate": 0.05,
            "n_estimators": 300,
            "min_child_weight": 5.0,
            "reg_lambda": 10.0,
            "colsample_bytree": 0.2,
            "subsample": 0.6,
        },
        _suggest_xgboost,
        _build_xgboost,
        _BOOSTED,
    ),
}


def as_members(chosen: Mapping[str, Parameters]) -> Parameters:
    """The parameters of an ensemble of these estimators, in their order."""
    return {f"{name}.{key}": value for name, given in chosen.items() for key, value in given.items()}


def members_of(parameters: Parameters) -> dict[str, dict[str, Value]]:
    """The estimators of an ensemble, in order, each with its own parameters."""
    found: dict[str, dict[str, Value]] = {}
    for name, value in parameters.items():
        member, _, parameter = name.partition(".")
        found.setdefault(member, {})[parameter] = value
    return found


def fitted(
    estimator: str,
    parameters: Parameters,
    seed: int,
    tensor: NDArray[np.float32],
    labels: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> Any:
    """A named estimator, fitted on a tensor of shape (n, places) and labels of shape (n,) with both classes.

    `weights` (n,) say how much each row counts; None: once. The sums are float64, the numbers float32: a tree's
    thresholds then part what the served tensor can tell apart.
    """
    numbers, classes = tensor.astype(np.float64), labels.astype(np.int64)
    if estimator != ENSEMBLE:
        return _fit(ESTIMATORS[estimator].build(parameters, seed), numbers, classes, weights)
    members = {
        name: _fit(ESTIMATORS[name].build(given, seed), numbers, classes, weights)
        for name, given in members_of(parameters).items()
    }
    return _vote(members, classes)


def _fit(model: Any, numbers: NDArray[np.float64], classes: NDArray[np.int64], weights: Any) -> Any:
    where = "model__sample_weight" if hasattr(model, "steps") else "sample_weight"
    return model.fit(numbers, classes, **({} if weights is None else {where: weights}))


def _vote(members: Mapping[str, Any], classes: NDArray[np.int64]) -> Any:
    """scikit-learn's soft vote of fitted members. Its own fit cannot hand weights on to a pipeline."""
    from sklearn.ensemble import VotingClassifier
    from sklearn.preprocessing import LabelEncoder

    vote = VotingClassifier(list(members.items()), voting="soft", flatten_transform=False)
    vote.estimators_ = list(members.values())
    vote.le_ = LabelEncoder().fit(classes)
    vote.classes_ = vote.le_.classes_
    return vote


def probability_of(model: Any, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
    """A fitted model's raw probability of the positive class, shape (n,), for a tensor of shape (n, places)."""
    said = model.predict_proba(tensor.astype(np.float64))[:, 1]
    return np.asarray(said, dtype=np.float64)
