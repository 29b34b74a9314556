"""The estimators that a recipe can name: an estimator is a row of a table.

All are given the encoder's tensor, shape (n, places), NaN where a number is missing. Only those are here whose ONNX
converters are exact; parity on the holdout is checked all the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lightgbm import LGBMClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mainstay.nouns import Value

Parameters = Mapping[str, Value]


class Asked(Protocol):
    """What a search space asks for values: the part of Optuna's Trial that is used here."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class Estimator:
    """`defaults` are tried first, `suggest` draws other parameters, `build` makes an unfitted scikit-learn classifier.

    `build` takes the parameters and a seed; what it makes fits on one thread, and alike every time.
    """

    defaults: Parameters
    suggest: Callable[[Asked], Parameters]
    build: Callable[[Parameters, int], Any]


def _suggest_logistic(asked: Asked) -> Parameters:
    return {"C": asked.suggest_float("C", 1e-3, 10.0, log=True)}


def _build_logistic(parameters: Parameters, seed: int) -> Any:
    # Newton's method ends at the optimum itself, where lbfgs stops near it and may warn.
    model = LogisticRegression(**parameters, solver="newton-cholesky", max_iter=200, random_state=seed)
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler()), ("model", model)])


def _suggest_lightgbm(asked: Asked) -> Parameters:
    return {
        "max_depth": asked.suggest_int("max_depth", 2, 4),
        "learning_rate": asked.suggest_float("learning_rate", 0.02, 0.1, log=True),
        "n_estimators": asked.suggest_int("n_estimators", 100, 400, step=50),
        "min_child_samples": asked.suggest_int("min_child_samples", 10, 100, log=True),
        "reg_lambda": asked.suggest_float("reg_lambda", 1.0, 50.0, log=True),
        "colsample_bytree": asked.suggest_float("colsample_bytree", 0.15, 0.8, log=True),
        "subsample": asked.suggest_float("subsample", 0.4, 0.9),
    }


def _build_lightgbm(parameters: Parameters, seed: int) -> Any:
    depth = int(parameters["max_depth"] or 0)
    return LGBMClassifier(
        **parameters,
        num_leaves=2**depth,
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
