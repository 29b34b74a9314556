"""What the kinds of plans are: their steps, and who answers and who listens in each."""

from datetime import timedelta

from mainstay.nouns import Arm
from mainstay.usecase_plan import WINNERS, Plan, Step

FLOOR = 0.1
"""The least share of either arm of a bandit, where its plan names none."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LAST = Step(share=1, hold=_DAY)
_STEPS: dict[str, tuple[Step, ...]] = {
    "rolling": tuple(
        Step(share=share, hold=4 * _HOUR, at_least=0 if share == 1 else 50)
        for share in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1)
    ),
    "blue_green": (Step(share=0, hold=_HOUR, at_least=100), _LAST),
    "canary": (Step(share=0.05, hold=_DAY, at_least=100), Step(share=0.5, hold=5 * _DAY, at_least=1000), _LAST),
    "shadow": (Step(share=0, hold=2 * _DAY, at_least=1000), _LAST),
    "paired_shadow": (Step(share=0, hold=_DAY, at_least=100), _LAST),
    "ab": (Step(share=0.5, hold=7 * _DAY, at_least=1000), _LAST),
    "bandit": (Step(share=0.5, hold=_DAY, at_least=100), _LAST),
    "immediate": (Step(share=1, hold=_HOUR),),
    "kill_switch": (Step(share=0, hold=timedelta(0)),),
}


def steps_of(plan: Plan) -> tuple[Step, ...]:
    """The steps of a plan, or those of its kind where it lists none; each says what it `needs`.

    A step lasts until its hold is over, its `at_least` is reached and it has what it needs; at its deadline (the
    plan's, where it has none) it goes home. Every step needs `no_harm` unless it says otherwise; but where a winner is
    chosen (`ab`, `paired_shadow`, `bandit`), the last step before share 1 needs `better`. An immediate plan answers
    everything from its start, and is watched for its hold.
    """
    steps = plan.steps or _STEPS[plan.kind]
    deciding = max((number for number, step in enumerate(steps) if step.share < 1), default=None)
    chosen = deciding if plan.kind in WINNERS else None
    return tuple(
        step.model_copy(update={"needs": step.needs or ("better" if number == chosen else "no_harm")})
        for number, step in enumerate(steps)
    )


def needs_labels(plan: Plan, step: Step) -> bool:
    """Whether a resolved step cannot be passed without ripe labels: to prove something, and to choose a winner."""
    return plan.kind in WINNERS or step.needs != "no_harm"


def floor_of(plan: Plan) -> float:
    """The least share of either arm of a bandit, in (0, 0.5)."""
    return plan.floor or FLOOR


def arms_of(champion: str, challenger: str, step: Step, plan: Plan) -> tuple[Arm, ...]:
    """Who answers and who listens during a step; the champion of the rollout's start first, as assignment needs it.

    At share 0 the champion answers everything and the challenger listens, at share 1 the other way round, and between
    them both answer. A kill switch leaves the champion alone. A bandit is asked with the share of the moment.
    """
    if plan.kind == "kill_switch":
        return (Arm(champion, 1.0),)
    if step.share == 0:
        return (Arm(champion, 1.0), Arm(challenger, listens=True))
    if step.share == 1:
        return (Arm(champion, listens=True), Arm(challenger, 1.0))
    return (Arm(champion, 1 - step.share), Arm(challenger, step.share))
