"""What the operator judges a rollout by: its evidence as of a time, and the verdict on it."""

from datetime import datetime, timedelta

from mainstay.gathered import Gathered
from mainstay.ledger.joined import Rules
from mainstay.ledger.kinds import DECISIONS, SPLITS, VERSIONS
from mainstay.ledger.observations import Observations
from mainstay.ledger.replicas import live
from mainstay.nouns import Rollout
from mainstay.registry.configured import Configuration
from mainstay.registry.shelf import signed
from mainstay.rollout.gather import LEFT_OUT, gather
from mainstay.rollout.guardrails import Measured
from mainstay.rollout.judge import judge
from mainstay.rollout.plans import steps_of
from mainstay.usecase import Label
from mainstay.verdicts import Verdict
from mainstay.wiring import Platform


def observations_of(platform: Platform, use_case: str) -> Observations:
    """What was observed of a use case."""
    return Observations(platform.ledger, platform.blobs, use_case, platform.settings.home / "cache" / "observations")


def rules_of(label: Label) -> Rules:
    """What a configuration says of labels, as observations are joined by it."""
    absent = None if label.absent_means == "unknown" else label.absent_means
    return Rules(label.positive, label.horizon, label.grace, absent)


def replicas_of(platform: Platform, use_case: str, rollout: Rollout, now: datetime) -> Gathered:
    """Which servers there are and how many hold both arms warm; nothing else is gathered."""
    replicas = live(platform.ledger, use_case)
    warm = [each for each in replicas if {rollout.champion, rollout.challenger} <= set(each.warm)]
    return Gathered(now, observations_of(platform, use_case).head(), len(replicas), len(warm))


def evidence_of(
    platform: Platform,
    use_case: str,
    rollout: Rollout,
    configuration: Configuration,
    now: datetime,
    lag: timedelta = LEFT_OUT,
) -> Gathered:
    """Everything that traffic said of the two arms until so long before `now`, for what is on its way is not known."""
    splits = platform.ledger.history(use_case, SPLITS, use_case)
    told = platform.ledger.history(use_case, DECISIONS, rollout.id)
    frozen = (fact.body.gathered.slow_over_us for fact in told if fact.body.gathered is not None)
    return gather(
        observations_of(platform, use_case),
        splits,
        rollout,
        rules_of(configuration.label),
        configuration.profit,
        live(platform.ledger, use_case),
        now,
        action_changes_outcome=configuration.label.action_changes_outcome,
        slow_over_us=next((bound for bound in frozen if bound is not None), None),
        lag=lag,
    )


def verdict_of(
    platform: Platform, use_case: str, rollout: Rollout, configuration: Configuration, gathered: Gathered
) -> Verdict:
    """The verdict on the step that a rollout is in. The same evidence gives the same verdict."""
    plan = configuration.plan
    if plan is None:
        raise ValueError("a rollout goes by a plan")
    measured = _measured(platform, use_case, rollout)
    step, label, profit = steps_of(plan)[rollout.step], configuration.label, configuration.profit
    return judge(rollout, plan, step, measured, gathered, label=label, profit=profit)


def _measured(platform: Platform, use_case: str, rollout: Rollout) -> Measured | None:
    """How the challenger differed on the holdout: from this champion, where that was measured; else as its gate did."""
    if rollout.measured is not None:
        return rollout.measured
    version = platform.ledger.latest(use_case, VERSIONS, rollout.challenger)
    return None if version is None else signed(version.body, platform.blobs).against
