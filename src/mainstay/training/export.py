"""A fitted model as a bundle: an ONNX graph that says what the model says, and everything around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

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
from mainstay.training.fit import Fitted, finish
from mainstay.training.graph import onnx_graph
from mainstay.training.tune import Best
from mainstay.usecase import UseCase

GOLDEN_ROWS = 32
GOLDEN_SEED = 0
NEARLY_AS_GOOD = 0.01
"""Nats of log loss that an estimator may lose to one whose graph is wrong, and still be offered in its place."""
GRAPH = "model.onnx"


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


Export = Callable[[Fitted, Parts, UseCase], Exported]


def exported_best(
    best: Best, parts: Parts, use_case: UseCase, tell: Callable[[str], None], export: Export | None = None
) -> tuple[Fitted, Exported]:
    """The best estimator whose graph is exact, fitted on the training part, and its bundle.

    Where a graph is refused, the next best estimator is offered instead if its log loss is at most NEARLY_AS_GOOD above
    the best's, and `tell` hears of it; else the first refusal stands. `export` is `to_onnx` unless given.
    """
    least, refusal, left = best.trial.log_loss, None, best
    while True:
        fitted = finish(left, parts.train, use_case)
        try:
            return fitted, (export or to_onnx)(fitted, parts, use_case)
        except Refused as error:
            if error.place != GRAPH:
                raise
            refusal = refusal or error
            following = left.without_the_best()
            if following is None or following.trial.log_loss > least + NEARLY_AS_GOOD:
                raise refusal from None
            left = following
            tell(f"{error.message}; `{left.trial.estimator}`, the next best, is offered instead")


def to_onnx(fitted: Fitted, parts: Parts, use_case: UseCase) -> Exported:
    """The bundle of a fitted model. Refused where it has no graph, or one further off than the parity gate allows."""
    try:
        graph = onnx_graph(fitted.model, len(fitted.encoder.places))
    except (RuntimeError, NotImplementedError) as error:  # what skl2onnx raises for what it cannot convert
        raise Refused(f"`{fitted.estimator}` has no ONNX graph: {type(error).__name__}", GRAPH) from error
    return bundled(fitted, graph, parts, use_case)


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
            GRAPH,
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
