"""A fitted model as an ONNX graph, whose bytes are the same for the same model."""

import copy
import json
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPH_NAME = "mainstay"  # the converter's own default is random, and would change the bytes
OPSETS = {"": 21, "ai.onnx.ml": 3}


def onnx_graph(model: Any, places: int) -> bytes:
    """A float tensor (n, places) in; label and probabilities (n, 2) out, the negative class first.

    What the converter writes of its own release is left out, so that upgrading it alone changes no digest.
    """
    # Imported here: importing a journey must not cost a second of converters.
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    from mainstay.training.basis import register

    register()
    _register_boosters()
    with warnings.catch_warnings():
        # skl2onnx writes which way missing numbers go as booleans, where protobuf would rather have integers.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
        made = convert_sklearn(
            model,
            name=GRAPH_NAME,
            initial_types=[("rows", FloatTensorType([None, places]))],
            options={id(model): {"zipmap": False}},
            target_opset=OPSETS,
        )
    opsets = sorted(made.opset_import, key=lambda opset: opset.domain)  # theirs is the order of a set of strings
    made.ClearField("opset_import")
    made.opset_import.extend(opsets)
    for field in ("producer_name", "producer_version", "domain", "doc_string"):
        made.ClearField(field)
    return bytes(made.SerializeToString(deterministic=True))


def _register_boosters() -> None:
    """Teach skl2onnx LightGBM, XGBoost and the thresholds of histogram boosting. Doing it twice is the same as once."""
    from lightgbm import LGBMClassifier
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_classifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from xgboost import XGBClassifier

    def convert(scope: Any, operator: Any, container: Any) -> None:
        operator.raw_operator = with_float_thresholds(operator.raw_operator)
        convert_lightgbm(scope, operator, container)

    def convert_histogram(scope: Any, operator: Any, container: Any) -> None:
        operator.raw_operator = with_float_nodes(operator.raw_operator)
        convert_sklearn_random_forest_classifier(scope, operator, container, op_version=3)

    def convert_base(scope: Any, operator: Any, container: Any) -> None:
        before = len(container.nodes)
        convert_xgboost(scope, operator, container)
        for node in container.nodes[before:]:
            with_log_odds(node, operator.raw_operator)

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    shapes = calculate_linear_classifier_output_shapes
    update_registered_converter(LGBMClassifier, "LightGbmLGBMClassifier", shapes, convert, options=options)
    rough = {**options, "raw_scores": [True, False]}
    name = "MainstayHistGradientBoosting"
    update_registered_converter(HistGradientBoostingClassifier, name, shapes, convert_histogram, options=rough)
    # Forests are rounded down by their own converter. XGBoost needs
    # no rounding: its thresholds, and what it compares with them, are float32 already.
    update_registered_converter(XGBClassifier, "XGBoostXGBClassifier", shapes, convert_base, options=options)


def with_log_odds(node: Any, model: Any) -> None:
    """Start an XGBoost model's trees from the log odds of its base score.

    Their converter takes the probability for log odds where the first tree is a leaf of 0 (.32 off on 46 rows, of which
    no tree could part any).
    """
    learner = json.loads(model.get_booster().save_config())["learner"]["learner_model_param"]
    base = np.float32(float(learner["base_score"].strip("[]")))
    for attribute in node.attribute:
        if attribute.name == "base_values":
            attribute.floats[:] = [float(-np.log(1 / base - 1.0))]


def with_float_thresholds(model: Any) -> Any:
    """A copy of a LightGBM model whose thresholds are rounded down to float32; it answers the same to float32 rows.

    LightGBM splits at x <= t with t in float64, the graph with t in float32. Rounded to the nearest, t may become the
    next float32 above itself, and a row there goes the other way (.006 off on the Telco rows, where a derived feature
    has many values that differ by their rounding alone). Rounded down, x <= t is true of the same float32 x.
    """
    made = copy.deepcopy(model)
    # `tree_sizes` counts the bytes of each tree, which change; without it LightGBM reads the trees one by one.
    lines = [line for line in made.booster_.model_to_string().split("\n") if not line.startswith("tree_sizes=")]
    made.booster_.model_from_string("\n".join(map(_rounded_down, lines)))
    return made


def _rounded_down(line: str) -> str:
    if not line.startswith("threshold="):
        return line
    below = _floats_below(np.array([float(word) for word in line.removeprefix("threshold=").split()]))
    return "threshold=" + " ".join(repr(float(value)) for value in below)


def with_float_nodes(model: Any) -> Any:
    """A copy of a HistGradientBoostingClassifier whose thresholds are rounded down to float32, as LightGBM's are."""
    made = copy.deepcopy(model)
    for trees in made._predictors:  # where skl2onnx reads them too; there is no public name
        for tree in trees:
            tree.nodes["num_threshold"] = _floats_below(tree.nodes["num_threshold"])
    return made


def _floats_below(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-math.inf)), nearest)
