"""A fitted model as a bundle: an ONNX graph that says what the model says, and everything around it."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

from mainstay.errors import Refused
from mainstay.measures.rates import exact
from mainstay.measures.scores import scorecard
from mainstay.nouns import Candidate, Estimate
from mainstay.scoring.bundle import Bundle, Golden, candidate_id, stored, to_files
from mainstay.scoring.decide import decision_at
from mainstay.scoring.encode import encode
from mainstay.scoring.frame import Frame, Parts
from mainstay.scoring.profile import draw, profile_of
from mainstay.scoring.scorer import Scorer, golden_of
from mainstay.scoring.session import Session
from mainstay.training.calibrate import offer_of
from mainstay.training.fit import Fitted
from mainstay.usecase import UseCase

GRAPH_NAME = "mainstay"  # the converter's own default is random, and would change the bytes
OPSETS = {"": 21, "ai.onnx.ml": 3}
GOLDEN_ROWS = 32
GOLDEN_SEED = 0


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """Convert trees whose thresholds were first rounded down to float32.

    LightGBM splits at x <= t with t in float64; the graph holds t in float32. Rounded to the nearest, t may reach the
    next float32 above, and a row there goes the other way (.006 off on the Telco rows). Rounded down, x <= t answers
    the same for every float32 x.
    """
    rounded = copy.deepcopy(operator.raw_operator)
    rounded.booster_.model_from_string(_with_float_thresholds(rounded.booster_.model_to_string()))
    operator.raw_operator = rounded
    convert_lightgbm(scope, operator, container)


def _with_float_thresholds(text: str) -> str:
    """A LightGBM model's text with its thresholds rounded down. Its `tree_sizes` go: they count bytes that change."""
    lines = [line for line in text.split("\n") if not line.startswith("tree_sizes=")]
    return "\n".join(_rounded(line) if line.startswith("threshold=") else line for line in lines)


def _rounded(line: str) -> str:
    thresholds = np.array([float(word) for word in line.removeprefix("threshold=").split()])
    nearest = thresholds.astype(np.float32)
    below = np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-math.inf)), nearest)
    return "threshold=" + " ".join(repr(float(value)) for value in below)


update_registered_converter(
    LGBMClassifier,
    "LightGbmLGBMClassifier",
    calculate_linear_classifier_output_shapes,
    _convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle with its files' bytes, and how far the graph is from the fitted model on the holdout."""

    bundle: Bundle
    files: Mapping[str, bytes]
    parity: Estimate

    @property
    def size(self) -> Estimate:
        """Bytes of all files."""
        return exact(float(sum(map(len, self.files.values()))), len(self.files))


def graph_of(fitted: Fitted) -> bytes:
    """The ONNX graph of a fitted model: a float tensor (n, places) in; label and probabilities (n, 2) out.

    The same model gives the same bytes, whichever release of the converter wrote them into its own fields.
    """
    rows = FloatTensorType([None, len(fitted.encoder.places)])
    made = convert_sklearn(
        fitted.model,
        name=GRAPH_NAME,
        initial_types=[("rows", rows)],
        options={id(fitted.model): {"zipmap": False}},
        target_opset=OPSETS,
    )
    for field in ("producer_name", "producer_version", "domain", "doc_string"):
        made.ClearField(field)
    return bytes(made.SerializeToString(deterministic=True))


def to_onnx(fitted: Fitted, parts: Parts, use_case: UseCase) -> Exported:
    """The bundle of a fitted model. Refused where the graph is further from it than the parity gate allows."""
    return bundled(fitted, graph_of(fitted), parts, use_case)


def bundled(fitted: Fitted, graph: bytes, parts: Parts, use_case: UseCase) -> Exported:
    """A graph with the encoder, calibration, decision, profile and golden rows that belong to the fitted model.

    Refused where the graph's probabilities are further from the model's than the parity gate allows, on any row of the
    holdout; or where the holdout has no row to show it.
    """
    parity = _parity(fitted, graph, parts.holdout, use_case)
    inputs = fitted.encoder.inputs
    profile = profile_of(parts.train.columns, inputs, fitted.out_of_fold, fitted.base_rate)
    decide = decision_at(use_case.classes, use_case.label.positive, fitted.threshold)
    bundle = Bundle(graph, fitted.encoder, fitted.calibration, decide, profile, Golden((), (), ()))
    golden = golden_of(Scorer(bundle), draw(profile, inputs, GOLDEN_ROWS, GOLDEN_SEED))
    bundle = replace(bundle, golden=golden)
    return Exported(bundle, to_files(bundle), parity)


def _parity(fitted: Fitted, graph: bytes, holdout: Frame, use_case: UseCase) -> Estimate:
    limit = use_case.gates.parity.at_most
    if len(holdout) == 0:
        raise Refused("the holdout has no rows to compare the exported graph on")
    tensor = encode(fitted.encoder, holdout.columns)
    apart = np.abs(Session(graph).scores(tensor)[:, 1] - fitted.raw(tensor))
    row = int(np.argmax(apart))  # of a NaN, should there be one
    if limit is not None and not apart[row] <= limit:
        raise Refused(
            f"the ONNX graph of `{fitted.estimator}` is {apart[row]:.2g} from the fitted model at row {row} of the "
            f"holdout, more than {limit:g}: its converter is wrong for these parameters",
            "model.onnx",
        )
    return exact(float(apart[row]), len(holdout))


def holdout_scores(bundle: Bundle, holdout: Frame, use_case: UseCase) -> dict[str, Estimate]:
    """The scorecard of a bundle on the untouched rows, scored as serving will, decided by its own threshold."""
    probability = Scorer(bundle).score(holdout.columns).probability
    return scorecard(holdout.labels, probability, bundle.decide.threshold, offer_of(use_case))


def candidate(
    exported: Exported,
    use_case: UseCase,
    run: str,
    dataset: str,
    cross_validated: Mapping[str, Estimate],
    holdout: Mapping[str, Estimate],
    evidence: Mapping[str, Estimate],
) -> Candidate:
    """What a run offers for release; its id covers the files that decide an answer. Parity and size join `evidence`."""
    return Candidate(
        id=candidate_id(exported.files),
        use_case=use_case.name,
        run=run,
        dataset=dataset,
        files=stored(exported.files),
        classes=exported.bundle.decide.classes,
        cross_validated=cross_validated,
        holdout=holdout,
        evidence={**evidence, "parity": exported.parity, "size": exported.size},
    )
