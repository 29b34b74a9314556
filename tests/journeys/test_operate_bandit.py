"""A bandit under the operator: its shares follow what was learned, one fact and one decision for each move."""

import itertools
from collections.abc import Callable

from rolled import Behaviour, Trial

from mainstay.decided import Decision, Move
from mainstay.journeys.again import replay
from mainstay.ledger.kinds import DECISIONS, SPLITS
from mainstay.nouns import Phase
from mainstay.rollout.bandit import EVERY

New = Callable[..., Trial]
BANDIT = """kind: bandit
  steps: [{share: 0.5, hold: 3d, at_least: 100}, {share: 1, hold: 12h}]
  deadline: 10d
  floor: 0.2"""


def run(here: Trial, days: float) -> None:
    """Until the rollout ends: eight hours of customers, then two looks within the time that shares stand."""
    here.start(plan=BANDIT)
    here.tick()
    for _ in range(round(days * 24 / 8)):
        here.passes(8)
        here.tick()
        here.at += EVERY / 3
        here.tick()
        if here.rollout().phase is not Phase.RUNNING:
            return


def decisions(here: Trial, move: Move) -> list[Decision]:
    facts = here.opened.ledger.history("tiny", DECISIONS, here.rollout().id)
    return [fact.body for fact in facts if fact.body.move is move]


def test_the_better_arm_is_given_more_within_the_floor_and_promoted_and_replay_gives_the_same(trial: New) -> None:
    here = trial(plan=BANDIT)
    here.champion = Behaviour(blind=True)
    run(here, 9)
    moved = decisions(here, Move.REALLOCATE)
    assert moved
    assert max(each.share or 0 for each in moved) > 0.6
    assert all(0.2 <= (each.share or 0) <= 0.8 for each in moved)
    assert all(later.at - sooner.at >= EVERY for sooner, later in itertools.pairwise(moved))
    assert here.rollout().phase is Phase.PROMOTED, here.why()
    facts = here.opened.ledger.history("tiny", SPLITS, "tiny")
    shares = [fact.body.arms[1].share for fact in facts if fact.reason.startswith("the bandit")]
    assert shares == [each.share for each in moved]
    found = replay(here.opened, "tiny", here.rollout().id)
    assert [each.differs for each in found] == [None] * len(found)


def test_the_worse_arm_loses_traffic_which_no_other_plan_takes_back(trial: New) -> None:
    here = trial(Behaviour(blind=True), plan=BANDIT, a_day=300)
    run(here, 9)
    moved = decisions(here, Move.REALLOCATE)
    assert min(each.share or 1 for each in moved) < 0.4
    assert here.rollout().phase is Phase.ROLLED_BACK, here.why()
    found = replay(here.opened, "tiny", here.rollout().id)
    assert [each.differs for each in found] == [None] * len(found)
