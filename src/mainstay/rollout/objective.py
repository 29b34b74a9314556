"""Is the challenger any better, by what became true? Log loss, or profit where the plan has a margin for it.

Paired losses (one arm answered, the other listened, and the action changed nothing) decide with far fewer labels than
a split; where there are any they are judged, else ψ of the split. Either has an alpha of its own, so that going over
from one to the other costs nothing.
"""

import math
from dataclasses import replace
from datetime import timedelta

from mainstay.gathered import Gathered
from mainstay.nouns import rfc3339
from mainstay.rollout.guardrails import BUDGET, Level, bounded
from mainstay.usecase import Label, Plan, Profit, Step
from mainstay.usecase_plan import WINNERS
from mainstay.verdicts import Check, Limit, Need, Outcome

CONTRADICTED = 0.05
"""The share of labels told otherwise later above which nothing is judged by labels."""
SILENT = timedelta(days=1)
"""How much longer than horizon and grace a feed may say nothing before it counts as dead."""
PLANNED_LABELS = 10_000
PLANNED_PAIRED = 1_000
SPAN = math.log(99)
"""How far losses of probabilities clipped to [.01, .99] can be apart."""


def objective(plan: Plan, step: Step, label: Label, profit: Profit | None, found: Gathered) -> Check:
    """The check of the objective. It blocks a step that must prove something, and one in which a winner is chosen.

    Elsewhere it is advisory until it tells of harm: labels that ripen in a month cannot hold up a canary of days.
    Contradictions above the limit and a dead feed make it INCONCLUSIVE, whatever the numbers.
    """
    proving = step.needs != "no_harm" or _chooses(plan, step)
    made = _judged(plan, step, profit, proving, found)
    why = _unbelievable(label, found)
    if why is not None:
        made = replace(made, outcome=Outcome.INCONCLUSIVE, reason=f"{made.name} cannot be judged: {why}")
    if made.outcome is Outcome.FAIL or proving:
        return made
    return replace(made, needs=Need.QUIET, blocking=False)


def _chooses(plan: Plan, step: Step) -> bool:
    """Whether a winner is chosen at this step: the last one before share 1 of a plan that is there for it."""
    before = [each.share for each in plan.steps if each.share < 1]
    return plan.kind in WINNERS and max(before, default=0.0) <= step.share < 1


def _judged(plan: Plan, step: Step, profit: Profit | None, proving: bool, found: Gathered) -> Check:
    money = profit is not None and plan.margins.profit is not None
    name = "profit" if money else "log_loss"
    margin = plan.margins.profit if money and plan.margins.profit is not None else plan.margins.log_loss
    compared = found.by_mean.get(name)
    level = Level(BUDGET["objective"] * plan.alpha, plan.alpha / 2, PLANNED_LABELS)
    paired = found.by_mean.get("log_loss_paired")
    if paired is not None and paired.difference.rows and not money:
        name, compared = "log_loss_paired", paired
        level = Level(BUDGET["objective_paired"] * plan.alpha, plan.alpha / 2, PLANNED_PAIRED, span=SPAN)
    made = bounded(name, compared, Limit(at_most=margin), level, proving=proving)
    better = made.estimate is not None and made.estimate.high < 0
    if step.needs == "better" and made.outcome is Outcome.PASS and not better:
        return replace(made, outcome=Outcome.INCONCLUSIVE, reason=f"{made.reason}: no worse, and not proven better")
    said = f"{made.reason}: proven better" if better else made.reason
    return replace(made, reason=f"{said}; {found.labels:,} labels, {found.unripe:,} not ripe yet")


def _unbelievable(label: Label, found: Gathered) -> str | None:
    if found.contradicted > CONTRADICTED or math.isnan(found.contradicted):
        return f"{found.contradicted:.1%} of the labels were told otherwise later, above {CONTRADICTED:.0%}"
    if label.absent_means == "unknown" or not found.labels:
        return None
    if found.complete_through is None:
        return f"no feed of labels says how far it is complete, and silence is to mean {label.absent_means}"
    if found.until - found.complete_through > label.horizon + label.grace + SILENT:
        return f"the feed of labels has been complete only through {rfc3339(found.complete_through)}: it is dead"
    return None
