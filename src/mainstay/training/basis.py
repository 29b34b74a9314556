"""Numbers made ready for a model that is linear in them, or cannot miss them: filled, scaled, cut into ramps.

Every constant is a float32. The graph computes in float32, and a mean of 1.7e9 that is rounded only there would lie
64 from the one that was fitted, which is more than many a column's whole spread.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

Floats = NDArray[np.float64]
MOST_RAMPS = 300
"""In all columns together: the cost of a linear model grows with the square of its width."""
FARTHEST = 30.0
"""Standard deviations from the mean, beyond which a number says no more: a sum of a few enormous terms that cancel is
another in float32 (.26 off at 1e30), and of two infinities none at all. No 900 rows have a number as far off."""
_LEAST_SCALE, _LARGEST = 1e-37, float(np.finfo(np.float32).max)


class Filled(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """NaN becomes the column's median in training, 0 where it had no number. Shape (n, places) in and out.

    With `only_empty`, the columns that have numbers keep their NaN.
    """

    def __init__(self, only_empty: bool = False) -> None:
        self.only_empty = only_empty

    def fit(self, tensor: Floats, labels: object = None) -> Self:
        """Learn the medians of n >= 1 rows; `labels` are not read."""
        known = [column[~np.isnan(column)] for column in tensor.T]
        fill = [0.0 if each.size == 0 else np.nan if self.only_empty else np.median(each) for each in known]
        self.fill_ = _float32(np.array(fill))
        return self

    def transform(self, tensor: Floats) -> Floats:
        """The tensor with its NaN filled."""
        return np.where(np.isnan(tensor), self.fill_, tensor)


class Scaled(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers less their mean in units of their standard deviation, of which there are FARTHEST at most.

    A constant column is 0. No NaN goes in.
    """

    def fit(self, tensor: Floats, labels: object = None) -> Self:
        """Learn mean and scale of n >= 1 rows; `labels` are not read."""
        self.lower_ = _float32(tensor.mean(axis=0))
        self.inverse_ = _inverse(np.where(np.ptp(tensor, axis=0) > 0, tensor.std(axis=0), 1.0))
        return self

    def transform(self, tensor: Floats) -> Floats:
        """Shape (n, places) in and out."""
        return np.clip((tensor - self.lower_) * self.inverse_, -FARTHEST, FARTHEST)


class Ramps(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A basis of linear splines: each ramp rises from 0 to 1 between two neighbouring knots of its column.

    Knots are quantiles of the training rows, so `ramps` of a column hold about equal numbers of them; a column of few
    values has one at each, and a flag is itself. A linear model of ramps is continuous, and flat beyond the outer
    knots. It is the basis of B-splines of degree 1 in sums (de Boor 1978, ch. IX), of ONNX's own operators; cubic
    splines have no converter, and as truncated powers cancel in float32. `ramps` is lowered where MOST_RAMPS would be
    passed. A constant column has no ramp; without any ramp at all there is one place, of zeros. No NaN goes in.
    """

    def __init__(self, ramps: int = 8) -> None:
        self.ramps = ramps

    def fit(self, tensor: Floats, labels: object = None) -> Self:
        """Learn the knots of n >= 1 rows; `labels` are not read."""
        many = np.array([np.unique(column).size > 2 for column in tensor.T])
        each = max(1, min(self.ramps, MOST_RAMPS // max(1, int(many.sum()))))
        columns, lower, upper = [], [], []
        for place, column in enumerate(tensor.T):
            knots = _knots(column, each)
            columns += [place] * (knots.size - 1)
            lower += knots[:-1].tolist()
            upper += knots[1:].tolist()
        if not columns:
            self.columns_, self.lower_, self.inverse_ = np.zeros(1, dtype=np.int64), np.zeros(1), np.zeros(1)
            return self
        self.columns_ = np.array(columns, dtype=np.int64)
        self.lower_ = np.array(lower)
        self.inverse_ = _inverse(np.array(upper) - self.lower_)
        return self

    def transform(self, tensor: Floats) -> Floats:
        """Shape (n, places) in, (n, ramps in all) out, in [0, 1]."""
        steep: Floats = (tensor[:, self.columns_] - self.lower_) * self.inverse_
        return np.clip(steep, 0.0, 1.0)


def _knots(column: Floats, ramps: int) -> Floats:
    """Up to `ramps` + 1 quantiles of a column, rising, its ends among them."""
    at = np.linspace(0, 1, ramps + 1)
    knots = np.unique(_float32(np.quantile(column, at, method="inverted_cdf")))
    distinct = np.unique(column)
    if knots.size == 2 < distinct.size:  # most rows have one value: it is the others that can be told apart
        knots = np.unique(_float32(np.quantile(distinct, at, method="inverted_cdf")))
    return knots


def _float32(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)


def _inverse(scale: Floats) -> Floats:
    return _float32(np.minimum(1.0 / np.maximum(scale, _LEAST_SCALE), _LARGEST))


def register() -> None:
    """Teach skl2onnx these three. Doing it twice is the same as once."""
    from skl2onnx import update_registered_converter

    update_registered_converter(Filled, "MainstayFilled", _same_width, _convert_filled)
    update_registered_converter(Scaled, "MainstayScaled", _same_width, _convert_scaled)
    update_registered_converter(Ramps, "MainstayRamps", _ramp_width, _convert_ramps)


def _same_width(operator: Any) -> None:
    _shaped(operator, operator.inputs[0].type.shape[1])


def _ramp_width(operator: Any) -> None:
    _shaped(operator, len(operator.raw_operator.columns_))


def _shaped(operator: Any, width: int) -> None:
    from skl2onnx.common.data_types import FloatTensorType

    operator.outputs[0].type = FloatTensorType([None, width])


def _convert_filled(scope: Any, operator: Any, container: Any) -> None:
    rows, out = operator.inputs[0].full_name, operator.outputs[0].full_name
    missing = scope.get_unique_variable_name("missing")
    container.add_node("IsNaN", [rows], [missing], op_version=20, name=scope.get_unique_operator_name("IsNaN"))
    fill = _constant(scope, container, operator.raw_operator.fill_)
    container.add_node("Where", [missing, fill, rows], [out], op_version=16, name=_named(scope, "Where"))


def _convert_scaled(scope: Any, operator: Any, container: Any) -> None:
    scaled = scope.get_unique_variable_name("scaled")
    _less_and_times(scope, container, operator, operator.inputs[0].full_name, scaled)
    _clip(scope, container, scaled, (-FARTHEST, FARTHEST), operator.outputs[0].full_name)


def _convert_ramps(scope: Any, operator: Any, container: Any) -> None:
    from onnx import TensorProto

    columns = operator.raw_operator.columns_
    places, chosen, steep = (scope.get_unique_variable_name(name) for name in ("places", "chosen", "steep"))
    container.add_initializer(places, TensorProto.INT64, [len(columns)], columns.tolist())
    rows = operator.inputs[0].full_name
    container.add_node("Gather", [rows, places], [chosen], op_version=13, name=_named(scope, "Gather"), axis=1)
    _less_and_times(scope, container, operator, chosen, steep)
    _clip(scope, container, steep, (0.0, 1.0), operator.outputs[0].full_name)


def _clip(scope: Any, container: Any, numbers: str, limits: tuple[float, float], out: str) -> None:
    from onnx import TensorProto

    ends = [scope.get_unique_variable_name(name) for name in ("least", "most")]
    for name, value in zip(ends, limits, strict=True):
        container.add_initializer(name, TensorProto.FLOAT, [], [value])
    container.add_node("Clip", [numbers, *ends], [out], op_version=13, name=_named(scope, "Clip"))


def _less_and_times(scope: Any, container: Any, operator: Any, rows: str, out: str) -> None:
    """(rows - lower) * inverse. The difference comes first: of two numbers that are close it is exact."""
    apart = scope.get_unique_variable_name("apart")
    lower = _constant(scope, container, operator.raw_operator.lower_)
    inverse = _constant(scope, container, operator.raw_operator.inverse_)
    container.add_node("Sub", [rows, lower], [apart], op_version=14, name=_named(scope, "Sub"))
    container.add_node("Mul", [apart, inverse], [out], op_version=14, name=_named(scope, "Mul"))


def _constant(scope: Any, container: Any, values: Floats) -> str:
    from onnx import TensorProto

    name = str(scope.get_unique_variable_name("constant"))
    container.add_initializer(name, TensorProto.FLOAT, [len(values)], values.astype(np.float32).tolist())
    return name


def _named(scope: Any, kind: str) -> str:
    return str(scope.get_unique_operator_name(kind))
