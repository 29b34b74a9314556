"""How much traffic a challenger is given while both earn their keep: Thompson's top two.

Russo, "Simple Bayesian algorithms for best-arm identification" (COLT 2016, arXiv 1602.08448), section 3.3: the arm that
a draw from the posterior holds for the best is played with probability β, the runner-up otherwise. Of two arms the
runner-up is the other one, so that β = 1/2 is an A/B test and β = 1 plain Thompson sampling.

The posterior is that of ψ, the difference weighted by the *logged* shares: means of each arm would mix up the arms with
the times at which they were given more. As every share is fixed before those it assigns ask, and logged with them, the
mean of ψ estimates the difference without bias however the shares moved (inverse propensity).
"""

import hashlib
import math
from datetime import datetime, timedelta

import numpy as np

from mainstay.gathered import Compared, Gathered
from mainstay.nouns import Rollout
from mainstay.rollout.plans import floor_of, steps_of
from mainstay.usecase_plan import Plan, Step

KIND = "bandit"
"""The one kind of plan whose shares may fall: whoever is given back to the champion was not moved to harm anybody."""
DRAWS = 4_000
"""Draws from the posterior: what chance adds to a share is at most .01 (standard error .008 at even odds and β = 1)."""
EVERY = timedelta(hours=1)
"""The least time between two moves: each is an epoch of its own, and a fact that every replica follows."""
LEAST = 0.03
"""The least change that is made: more than chance adds to a share, so that nothing moves while nothing was learned."""
EVENTS = 10
"""What each arm needs before the posterior is believed; until then the shares are even."""


def share_of_challenger(harm: Compared, rollout: str, tick: int, *, floor: float = 0.1, best: float = 0.8) -> float:
    """The challenger's next share, in [floor, 1 - floor] and to two decimals, so that few splits are written.

    `harm` is how much worse the challenger is, as it was gathered (a loss, or the negative of a profit). `best` is β,
    in [1/2, 1]. The draws are seeded by the rollout and the tick, counted from 0: judged again, it gives the same.
    1/2 while an arm has fewer than 10 events, or where nothing that was seen differs. ValueError for a floor outside
    (0, 1/2] or a β outside its range: without a floor the weights of the arm that is given up have no bound.
    """
    if not 0 < floor <= 0.5:
        raise ValueError(f"a floor lies above 0 and is at most 1/2, not {floor:g}")
    if not 0.5 <= best <= 1:
        raise ValueError(f"the best arm is played with a probability of at least 1/2, not {best:g}")
    better = _better(harm, rollout, tick)
    share = best * better + (1 - best) * (1 - better)
    return round(min(max(share, floor), 1 - floor), 2)


def step_of(rollout: Rollout, plan: Plan) -> Step:
    """The step that a rollout is in, with its needs resolved, and the share that a bandit gave it last."""
    step = steps_of(plan)[rollout.step]
    if rollout.allocation is None or not moves_shares(rollout, plan):
        return step
    return step.model_copy(update={"share": rollout.allocation.share})


def moves_shares(rollout: Rollout, plan: Plan) -> bool:
    """Whether the shares of the present step follow what is learned: a bandit's, where its winner is chosen."""
    steps = steps_of(plan)
    last = max((number for number, step in enumerate(steps) if step.share < 1), default=None)
    return shares_may_fall(plan.kind) and rollout.step == last and 0 < steps[rollout.step].share < 1


def next_share(rollout: Rollout, plan: Plan, gathered: Gathered, now: datetime) -> float | None:
    """The challenger's next share, where it is time to move and there is something to move; else None.

    It follows profit where the plan has a margin for it, else log loss, as the objective of the judge does.
    """
    stood = rollout.allocation.at if rollout.allocation else rollout.entered_at
    if not moves_shares(rollout, plan) or now - stood < EVERY:
        return None
    money = gathered.by_mean.get("profit") if plan.margins.profit is not None else None
    harm = money or gathered.by_mean.get("log_loss") or Compared()
    if min(harm.challenger, harm.champion) < EVENTS:
        return None
    number = rollout.allocation.number if rollout.allocation else 0
    share = share_of_challenger(harm, rollout.id, number, floor=floor_of(plan))
    return share if abs(share - step_of(rollout, plan).share) >= LEAST - 1e-9 else None


def shares_may_fall(kind: str) -> bool:
    """Whether a plan of this kind may give back traffic while it runs. Any other raises its shares, or ends."""
    return kind == KIND


def _better(harm: Compared, rollout: str, tick: int) -> float:
    """The posterior probability that the challenger is the better one (normal, under a flat prior)."""
    found = harm.difference
    if min(harm.challenger, harm.champion) < EVENTS or not found.deviation > 0:
        return 0.5
    seed = int.from_bytes(hashlib.sha256(f"bandit\0{rollout}\0{tick}".encode()).digest()[:8])
    noise = found.deviation / math.sqrt(found.rows)
    drawn = found.mean + noise * np.random.default_rng(seed).standard_normal(DRAWS)
    return float(np.mean(drawn < 0))
