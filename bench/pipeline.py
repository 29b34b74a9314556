"""A released version as scikit-learn people would have it: one pipeline on pandas, which says what the version says."""

import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from work import Released

from mainstay.journeys.release import parts_of
from mainstay.journeys.score import believed
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.decide import Calibration
from mainstay.scoring.encode import Feature, encode
from mainstay.training.estimators import ESTIMATORS, fitted

FEATURES = Path(__file__).parent / "peers" / "pipeline"
"""What the peers need on PYTHONPATH to load the pipeline."""
NEAR = 1e-5


def pipeline_of(version: Released, path: Path) -> list[dict[str, Any]]:
    """Write the pipeline of a LightGBM version to `path`; the customers on whom both were found to say the same.

    The model is fitted again, on the same rows with the same seed, so it is the same model.
    """
    import joblib

    bundle = believed(version.home, version.use_case.name).scorer.scorer.bundle
    train = parts_of(version.home, version.use_case, version.dataset, lambda noun: None).train
    parameters, seed = ESTIMATORS["lightgbm"].defaults, version.use_case.recipe.seed
    model = fitted("lightgbm", parameters, seed, encode(bundle.encoder, train.columns), train.labels)
    made = assembled(model, bundle)
    customers = [_as_json(row) for row in bundle.golden.rows if None not in row.values()]
    theirs = made.predict_proba(pd.DataFrame(customers))[:, 1]
    ours = [scores[bundle.decide.place] for row, scores in zip(bundle.golden.rows, bundle.golden.scores, strict=True)
            if None not in row.values()]  # fmt: skip
    if not np.abs(theirs - np.array(ours)).max() <= NEAR:
        raise RuntimeError(f"the pipeline is {np.abs(theirs - np.array(ours)).max():.2g} from the version")
    joblib.dump(made, path)
    return customers


def assembled(model: Any, bundle: Bundle) -> Any:
    """One-hot encoding beside plain numbers, then the model, its splits renamed to where the columns now stand."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    sys.path.insert(0, str(FEATURES))
    import churn_features

    features = bundle.encoder.features
    categories = {each.name: _values(each) for each in features if each.kind == "category"}
    numbers = [each.name for each in features if each.kind == "number"]
    flags = [each.name for each in features if each.missing and each.kind == "number"]
    columns = [*numbers, *(f"{name} is missing" for name in flags)]
    encoder = OneHotEncoder(
        categories=list(categories.values()), handle_unknown="ignore", sparse_output=False, dtype=np.float32
    )
    derive = FunctionTransformer(churn_features.derived, kw_args={"flags": flags})
    both = ColumnTransformer(
        [("categories", encoder, list(categories)), ("numbers", FunctionTransformer(churn_features.numbers), columns)]
    )
    rows = pd.DataFrame([_as_json(row) for row in bundle.golden.rows])
    both.fit(derive.fit_transform(rows))
    order = [f"{name}={value}" for name, values in categories.items() for value in values] + columns
    places = [order.index(place) for place in bundle.encoder.places]
    return Pipeline([("derive", derive), ("encode", both), ("model", renamed(model, places, bundle.calibration))])


def _values(feature: Feature) -> list[Any]:
    return [int(value) if value.isdigit() else value for value in feature.categories]


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """As a client sends it: the flag SeniorCitizen as the number it is in the Telco file."""
    return {name: int(value) if isinstance(value, str) and value.isdigit() else value for name, value in row.items()}


def renamed(model: Any, places: Sequence[int], calibration: Calibration) -> Any:
    """A copy of a LightGBM whose feature n is now `places[n]`, with the calibration in its leaves.

    Platt's line on the logit is a line on the sum of the leaves: each is multiplied by the slope, and the offset is
    added to those of one tree.
    """
    made = copy.deepcopy(model)
    lines, first = [], True
    for line in made.booster_.model_to_string().split("\n"):
        name, _, value = line.partition("=")
        if name == "tree_sizes":  # which change
            continue
        if name == "split_feature":
            value = " ".join(str(places[int(each)]) for each in value.split())
        elif name in ("feature_infos", "feature_names"):
            words = value.split()
            moved = dict(zip(places, words, strict=True))
            value = value if name == "feature_names" else " ".join(moved[n] for n in range(len(words)))
        elif name == "leaf_value":
            offset, first = (calibration.offset if first else 0.0), False
            value = " ".join(repr(float(each) * calibration.slope + offset) for each in value.split())
        lines.append(f"{name}={value}" if "=" in line else line)
    made.booster_.model_from_string("\n".join(lines))
    return made
