"""What a candidate must reach, as a team writes it: the `gates` of a use case."""

from typing import Literal, Self

from pydantic import Field, model_validator

from mainstay.section import Section

Metric = Literal[
    "roc_auc", "average_precision", "log_loss", "brier", "calibration_error", "profit",
    "accuracy", "precision", "recall", "f1",
    "accuracy_at_threshold", "precision_at_threshold", "recall_at_threshold", "f1_at_threshold",
]  # fmt: skip


class Gate(Section):
    """A limit on one number of a candidate."""

    at_least: float | None = None
    at_most: float | None = None
    rows: int = Field(1, ge=1, description="fewer rows than this prove nothing")
    blocking: bool = True

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a gate needs at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}")
        return self


class Leakage(Section):
    """How much a model may know that it should not."""

    permuted_auc: Gate = Gate(at_most=0.55)
    copied_rows: Gate = Gate(at_most=0.02)
    single_feature_auc: Gate = Gate(at_most=0.95)
    pure_bins: Gate = Field(Gate(at_most=0.05), description="share of a class's rows that one feature gives away")
    model_auc: Gate = Field(Gate(at_most=0.98), description="of the whole model on the holdout: too good to be true")


class Fairness(Section):
    """Gaps between the groups of a protected attribute; advisory until the team blocks on them."""

    true_positive_gap: Gate | None = Gate(at_most=0.1, blocking=False)
    false_positive_gap: Gate | None = Gate(at_most=0.1, blocking=False)
    selection_gap: Gate | None = None
    group_at_least: int = Field(30, ge=1, description="smaller groups are not compared")


class Champion(Section):
    """How much worse than what is live a candidate may be."""

    log_loss: Gate = Field(
        Gate(at_most=0.01, rows=50), description="nats above the champion's, paired on the same rows"
    )
    profit: Gate | None = Field(None, description="a customer, above the champion's; needs `profit`")


class Slices(Section):
    """How a candidate does on each part of the holdout; advisory until the team blocks on them."""

    roc_auc: Gate | None = Gate(at_least=0.6, blocking=False)
    log_loss: Gate | None = None
    recall_at_threshold: Gate | None = None
    rows_at_least: int = Field(100, ge=1, description="smaller slices are not judged")


class Gates(Section):
    """What a candidate must reach on the holdout. Absolute floors are the team's own."""

    skill: Gate = Field(Gate(at_least=0.1), description="1 - log loss / log loss of the base rate")
    floors: dict[Metric, Gate] = Field(default_factory=dict)
    champion: Champion = Champion()
    slices: Slices = Slices()
    profit: Gate = Field(
        Gate(at_least=0, blocking=False),
        description="a customer, above the better of acting on nobody and on everybody",
    )
    calibration_error: Gate = Gate(at_most=0.05, blocking=False)
    latency: Gate = Field(Gate(at_most=5_000, blocking=False), description="95th percentile of one row, in µs")
    leakage: Leakage = Leakage()
    fairness: Fairness = Fairness()
    parity: Gate = Field(Gate(at_most=1e-5), description="greatest difference between the fitted model and its ONNX")
    size: Gate = Field(Gate(at_most=50_000_000), description="bytes of the bundle")
