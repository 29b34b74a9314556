"""The estimators that a recipe can name: an estimator is a row of a table.

All are given the encoder's tensor, shape (n, places), NaN where a number is missing. Only those are here whose ONNX
converters are exact; parity on the holdout is checked all the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Value

Parameters = Mapping[str, Value]


class Draws(Protocol):
    """Where a search space draws its values from: the part of Optuna's Trial that is used here."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class Estimator:
    """`defaults` are tried first, `suggest` draws other parameters, `build` makes an unfitted scikit-learn classifier.

    `build` takes the parameters and a seed; what it makes fits on one thread, and alike every time.
    """

    defaults: Parameters
    suggest: Callable[[Draws], Parameters]
    build: Callable[[Parameters, int], Any]


def _suggest_logistic(draws: Draws) -> Parameters:
    return {"C": draws.suggest_float("C", 1e-3, 10.0, log=True)}


def _build_logistic(parameters: Parameters, seed: int) -> Any:
    # Imported here: asking for help on a command line must not wait for two seconds of scikit-learn.
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    # Newton's method ends at the optimum itself, where lbfgs stops near it and may warn.
    model = LogisticRegression(**parameters, solver="newton-cholesky", max_iter=200, random_state=seed)
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler()), ("model", model)])


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


ESTIMATORS: Mapping[str, Estimator] = {
    "logistic": Estimator({"C": 0.1}, _suggest_logistic, _build_logistic),
    "lightgbm": Estimator(
        # Small and regularised: LightGBM's own defaults lose .014 of AUC on the Telco rows to overfitting.
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
    ),
}


def fitted(
    estimator: str, parameters: Parameters, seed: int, tensor: NDArray[np.float32], labels: NDArray[np.bool_]
) -> Any:
    """A named estimator, fitted on a tensor of shape (n, places) and labels of shape (n,) with both classes.

    The sums are float64, the numbers float32: a tree's thresholds then part what the served tensor can tell apart.
    """
    return ESTIMATORS[estimator].build(parameters, seed).fit(tensor.astype(np.float64), labels.astype(np.int64))


def probability_of(model: Any, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
    """A fitted model's raw probability of the positive class, shape (n,), for a tensor of shape (n, places)."""
    said: NDArray[np.float64] = model.predict_proba(tensor.astype(np.float64))[:, 1]
    return said
