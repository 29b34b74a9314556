"""What a team writes about rollouts: the section `plan` of a use case."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mainstay.section import Section
from mainstay.spans import PerDay, Span

Share = Annotated[float, Field(ge=0, le=1)]


class Notice(Section):
    """The harm a plan promises to notice: a ratio of error rates, with this power."""

    errors: Annotated[str, Field(pattern=r"^x\d+(\.\d+)?$")] = "x2"
    power: float = Field(0.8, gt=0, lt=1)


class Margins(Section):
    """How much worse a challenger may be and still be called no worse."""

    errors: float = Field(0.005, gt=0)
    slow: float = Field(0.02, gt=0)
    log_loss: float = Field(0.01, gt=0)
    missing: float = Field(0.01, gt=0, description="share of requests that lack a feature")
    shift: float = Field(0.02, gt=0, description="mean score, beyond what the gate measured on the holdout")
    disagreement: float = Field(0.02, gt=0, description="mean absolute change of the score, beyond the gate's")
    flipped: float = Field(0.02, gt=0, description="share of decisions that differ, beyond the gate's")
    profit: float | None = Field(None, gt=0, description="a customer; where given, profit is judged, not log loss")


class Step(Section):
    share: Share = Field(description="of the requests, the challenger's; at 0 it listens, at 1 the champion does")
    hold: Span
    at_least: int = Field(0, ge=0, description="the challenger's requests within this step, those it heard too")
    needs: Literal["no_harm", "non_inferior", "better"] | None = None
    deadline: Span | None = None


WINNERS = frozenset({"ab", "paired_shadow", "bandit"})
"""The kinds that choose a winner: their challenger must be shown to be better."""
LISTENING = frozenset({"blue_green", "shadow", "paired_shadow"})
"""The kinds in which one arm answers everything while the other listens."""


class Plan(Section):
    """The ordered steps a rollout takes; without `steps`, those of its kind (`rollout.plans.steps_of`)."""

    kind: Literal[
        "rolling", "blue_green", "canary", "shadow", "paired_shadow", "ab", "bandit", "immediate", "kill_switch"
    ]
    expected_traffic: PerDay | None = None
    alpha: float = Field(0.05, gt=0, lt=1)
    notice: Notice | None = None
    margins: Margins = Margins()
    floor: float | None = Field(None, gt=0, lt=0.5, description="of a bandit: the least share of either arm")
    reason: str | None = Field(None, min_length=1, description="of an immediate plan: why there is no time to look")
    steps: tuple[Step, ...] = ()
    deadline: Span = timedelta(days=14)

    @model_validator(mode="after")
    def _staircase(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(shares):
            raise ValueError("the shares of the steps must not fall")
        if shares and shares[-1] != 1:
            raise ValueError(f"the last step must have share 1, not {shares[-1]:g}")
        if self.deadline <= sum((step.hold for step in self.steps), timedelta(0)):
            raise ValueError("the deadline must come after all the holds of the steps")
        return self


def check_plan(plan: Plan) -> None:
    """ValueError unless the steps are those of the kind. Asked of a file, not of what is live: that stays readable."""
    between = [number for number, step in enumerate(plan.steps) if 0 < step.share < 1]
    if plan.kind == "kill_switch" and plan.steps:
        raise ValueError("at plan.steps: a kill switch takes the challenger out at once; it has no steps")
    if plan.kind == "immediate" and len(plan.steps) > 1:
        raise ValueError("at plan.steps: an immediate plan has one step, of share 1")
    if plan.kind in LISTENING and between:
        said = f"in a {plan.kind} plan one arm answers everything: a share is 0 or 1; a canary has others"
        raise ValueError(f"at plan.steps.{between[0]}.share: {said}")
    if plan.kind in ("ab", "bandit") and plan.steps and not between:
        raise ValueError(f"at plan.steps: a plan of kind {plan.kind} needs a step with a share between 0 and 1")
    if plan.notice is not None and not float(plan.notice.errors.removeprefix("x")) > 1:
        raise ValueError(f"at plan.notice.errors: harm is a ratio above 1, as in x2, not {plan.notice.errors}")
    if plan.kind != "bandit" and plan.floor is not None:
        raise ValueError(f"at plan.floor: only a bandit moves its shares, so a plan of kind {plan.kind} has no floor")
    for number, step in enumerate(plan.steps):
        if step.deadline is not None and not step.hold < step.deadline <= plan.deadline:
            said = "a step's deadline comes after its hold and not after the plan's deadline"
            raise ValueError(f"at plan.steps.{number}.deadline: {said}")
        if step.needs == "better" and step.share == 1:
            said = "at share 1 it was chosen already; ask for `better` in the step before"
            raise ValueError(f"at plan.steps.{number}.needs: {said}")
