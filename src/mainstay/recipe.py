"""How a use case is trained: the section `recipe` of a `mainstay.yaml`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mainstay.section import Section

EstimatorName = Literal[
    "logistic", "splines", "random_forest", "gradient_boosting", "lightgbm", "xgboost", "ensemble"
]  # fmt: skip


class Recipe(Section):
    """Estimators, budget and seed: with a dataset version, it determines a run."""

    objective: Literal["log_loss"] = "log_loss"
    estimators: tuple[EstimatorName, ...] = Field(("logistic", "lightgbm"), min_length=1)
    search: Literal["tpe", "random", "grid"] = Field("tpe", description="where trials come from, after the defaults")
    grid: dict[EstimatorName, dict[str, Annotated[tuple[int | float, ...], Field(min_length=1)]]] = Field(
        default_factory=dict, description="the values that a grid search crosses, by estimator and parameter"
    )
    trials: int = Field(30, ge=1, le=10_000)
    folds: int = Field(5, ge=2, le=20)
    class_weight: Literal["balanced"] | None = Field(None, description="balanced: both classes weigh the same in fits")
    resample: Literal["over", "under"] | None = Field(None, description="balance classes in what a fit learns from")
    nested: bool = Field(False, description="cross-validate the search itself too, for an honest number")
    holdout: float = Field(0.2, gt=0, lt=1)
    seed: int = Field(7, ge=0, lt=2**31)
    salt: str | None = Field(None, description="of the holdout; the use case's name unless it says otherwise")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        alone = self.searched
        if "ensemble" in self.estimators and len(alone) < 2:
            raise ValueError(f"an ensemble votes among at least two other estimators, and there are {len(alone)}")
        if self.trials < len(alone):
            raise ValueError(f"trials {self.trials} is less than the {len(alone)} estimators: each needs one")
        if self.class_weight and self.resample:
            raise ValueError("class_weight and resample both balance the classes: choose one")
        if self.grid and self.search != "grid":
            raise ValueError(f"a grid is for `search: grid`, not for `search: {self.search}`")
        for name in self.grid:
            if name not in alone:
                raise ValueError(f"grid.{name}: the estimator is not among those searched: {', '.join(alone)}")
        return self

    @property
    def searched(self) -> tuple[str, ...]:
        """The estimators that trials are of, each once: all but the ensemble, which is made of them."""
        return tuple(name for name in dict.fromkeys(self.estimators) if name != "ensemble")
