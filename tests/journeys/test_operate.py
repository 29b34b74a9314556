"""Rollouts under the operator: simulated customers, real observations, and weeks that take seconds."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from rolled import Behaviour, Trial, shelved

from mainstay.adapters.signing import Signer
from mainstay.decided import Move
from mainstay.errors import Conflict, Refused
from mainstay.journeys.again import lag_of, replay, what_if
from mainstay.journeys.asked import Asked
from mainstay.journeys.evidence import verdict_of
from mainstay.journeys.operate import AGAIN, Memory, begin_soon, decided, operate, tick
from mainstay.journeys.rollout import decide, running, stage, waiting, write
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS, VERSIONS
from mainstay.ledger.leases import give_back
from mainstay.nouns import Apart, Arm, Estimate, Phase, Rollout
from mainstay.registry.shelf import champion
from mainstay.scoring.bundle import Bundle
from mainstay.usecase_plan import Plan

New = Callable[..., Trial]
ADA = Asked("user:ada", "It was asked for.", Path())


def moves(here: Trial) -> list[Move]:
    return [fact.body.move for fact in here.opened.ledger.history("tiny", DECISIONS, here.rollout().id)]


def consistent(here: Trial) -> None:
    """The split is the one that the rollout asks for."""
    rollout, split = here.rollout(), here.split()
    if rollout.phase is Phase.RUNNING:
        assert split.rollout == rollout.id
        assert {arm.version for arm in split.arms} >= {"1.0.0", "1.1.0"}
    elif rollout.phase is Phase.PROMOTED:
        assert split.arms == (Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))
    else:
        assert (split.arms, split.rollout) == ((Arm("1.0.0", 1.0),), None)


def test_an_equal_challenger_climbs_the_steps_and_is_promoted(trial: New) -> None:
    here = trial()
    here.start()
    shares = [here.split().arms[1].share]
    assert here.split().arms[1].standby
    here.tick()
    while here.rollout().phase is Phase.RUNNING:
        shares.append(here.split().arms[1].share)
        here.passes(12)
        here.tick()
        consistent(here)
        assert here.asked < 8000
    assert shares == sorted(shares)
    assert set(shares) == {0.0, 0.2, 0.5, 1.0}
    assert here.rollout().phase is Phase.PROMOTED, here.why()
    assert [move for move in moves(here) if move is not Move.HOLD] == [Move.ADVANCE] * 3 + [Move.PROMOTE]
    assert len(moves(here)) < 12
    found = replay(here.opened, "tiny", here.rollout().id)
    assert [each.differs for each in found] == [None] * len(found)
    assert sum(each.again is not None for each in found) == len(moves(here))


@pytest.mark.parametrize(
    ("behaviour", "named"),
    [
        (Behaviour(raises=0.2), "errors"),
        (Behaviour(nan=0.2), "errors"),
        (Behaviour(slow=0.6), "slow"),
        (Behaviour(blind=True), "shift"),
    ],
    ids=["raises", "NaN", "slow", "worse on labels"],
)
def test_a_harmful_challenger_is_rolled_back_for_the_stated_reason(
    trial: New, behaviour: Behaviour, named: str
) -> None:
    here = trial(behaviour)
    here.start()
    assert here.runs(8).phase is Phase.ROLLED_BACK, here.why()
    consistent(here)
    assert named in here.why() or "log_loss" in here.why()
    found = replay(here.opened, "tiny", here.rollout().id)
    assert [each.differs for each in found] == [None] * len(found)


def test_without_traffic_it_goes_home_at_the_deadline_and_says_so(trial: New) -> None:
    here = trial()
    here.start()
    assert here.runs(9, traffic=False).phase is Phase.WENT_HOME
    assert "no data" in here.why()
    consistent(here)


def test_without_a_server_it_waits_before_its_first_step_and_goes_home_at_the_deadline(trial: New) -> None:
    here = trial()
    here.warm = None
    here.start()
    assert here.runs(1).phase is Phase.RUNNING
    assert here.why() == "no server of this use case is running"
    assert here.split().arms[1].standby
    assert moves(here) == [Move.HOLD]
    assert here.runs(9).phase is Phase.WENT_HOME
    consistent(here)


def test_no_step_begins_while_a_server_does_not_hold_the_challenger_warm(trial: New) -> None:
    here = trial()
    here.warm = ("1.0.0",)
    here.start()
    here.tick()
    here.tick()
    assert here.split().arms[1].standby
    assert [here.why(), *moves(here)] == ["not every replica holds 1.1.0 warm yet", Move.HOLD]
    with pytest.raises(Refused, match="do not hold it warm"):
        decide(here.opened, "tiny", Move.PROMOTE, ADA)
    here.warm = ("1.0.0", "1.1.0")
    here.tick()
    assert here.split().arms[1].share == 0.2


def test_of_two_operators_one_acts_and_the_other_stands_by_until_the_lease_is_given_back(trial: New) -> None:
    here = trial()
    here.start()
    assert here.tick("a").acts
    assert not here.tick("b").acts
    assert here.tick("a").acts
    give_back(here.opened.ledger, "tiny", "operator", "a")
    assert here.tick("b").acts


def test_who_decides_on_what_somebody_else_moved_meanwhile_writes_nothing(trial: New) -> None:
    here = trial()
    here.start()
    here.tick()
    fact = running(here.opened.ledger, "tiny")
    assert fact is not None
    seen = stage(here.opened, "tiny", fact)
    decision = dataclasses.replace(decided(here.opened, "tiny", seen, here.at), move=Move.PROMOTE)
    decide(here.opened, "tiny", Move.GO_HOME, ADA)
    before = here.opened.ledger.since("tiny")
    with pytest.raises(Conflict, match="somebody else moved first"):
        write(here.opened, "tiny", seen, decision, "operator")
    assert here.opened.ledger.since("tiny") == before
    consistent(here)


def test_evidence_ends_a_lag_before_the_look_and_another_policy_looks_as_far_back(trial: New) -> None:
    here = trial(a_day=86_400)
    here.start()
    here.tick()
    here.passes(0.01)
    fact = running(here.opened.ledger, "tiny")
    assert fact is not None
    seen = stage(here.opened, "tiny", fact)
    looked = {lag: decided(here.opened, "tiny", seen, here.at, timedelta(seconds=lag)) for lag in (0, 10, 60)}
    newest = {lag: each.gathered.newest for lag, each in looked.items() if each.gathered}
    assert newest[0] is not None
    assert newest[10] is not None
    assert newest[10] <= here.at - timedelta(seconds=10) < newest[0]
    assert newest[60] is None
    assert [lag_of([each]).total_seconds() for each in looked.values()] == list(looked)
    assert lag_of([]) == timedelta(minutes=1)


def test_a_person_promotes_and_aborts_with_a_reason(trial: New) -> None:
    here = trial()
    here.start()
    here.tick()
    decide(here.opened, "tiny", Move.PROMOTE, ADA)
    assert (here.rollout().phase, here.why()) == (Phase.PROMOTED, "It was asked for.")
    consistent(here)
    (last,) = [each for each in replay(here.opened, "tiny", here.rollout().id) if each.recorded.move is Move.PROMOTE]
    assert (last.again, last.differs) == (None, None)


def test_a_split_that_takes_the_traffic_away_ends_the_rollout(trial: New) -> None:
    here = trial()
    here.start()
    here.tick()
    standing = here.split()
    alone = dataclasses.replace(standing, number=standing.number + 1, arms=(Arm("1.0.0", 1.0),), rollout=None)
    here.opened.ledger.write(
        "tiny", Entry(SPLITS, "tiny", alone, standing.number), at=here.at, actor="user:ada", reason="Enough."
    )
    here.tick()
    assert (here.rollout().phase, here.split()) == (Phase.WENT_HOME, alone)
    assert here.why() == f"split {alone.number} took its traffic away"


def test_one_rollout_at_a_time_and_the_others_wait_their_turn(
    trial: New, tiny_bundle: Bundle, tiny_signer: Signer
) -> None:
    here = trial()
    here.start()
    shelved(here.opened, "1.2.0", tiny_bundle, tiny_signer)
    with pytest.raises(Refused, match=r"1\.1\.0 is being rolled out"):
        here.start("1.2.0")
    assert [each.version for each in waiting(here.opened.ledger, "tiny")] == ["1.2.0"]
    here.tick()
    decide(here.opened, "tiny", Move.GO_HOME, ADA)
    said = here.tick().said
    assert said is not None
    assert "1.2.0" in said
    assert here.rollout("1.2.0").champion == "1.0.0"
    assert waiting(here.opened.ledger, "tiny") == []
    fact = here.opened.ledger.latest("tiny", ROLLOUTS, here.rollout("1.2.0").id)
    assert fact is not None
    assert (fact.actor, fact.reason) == ("operator", "It is the turn of 1.2.0.")


def test_a_version_that_a_later_one_overtook_has_no_turn(trial: New, tiny_bundle: Bundle, tiny_signer: Signer) -> None:
    here = trial()
    shelved(here.opened, "1.2.0", tiny_bundle, tiny_signer)
    here.start("1.2.0")
    here.tick()
    decide(here.opened, "tiny", Move.PROMOTE, ADA)
    (left,) = waiting(here.opened.ledger, "tiny")
    assert (left.version, left.superseded) == ("1.1.0", "1.2.0")
    assert here.tick().said is None


def test_a_kill_switch_ends_the_rollout_that_runs_and_lets_none_start(trial: New) -> None:
    here = trial()
    here.start()
    here.tick()
    standing = here.split()
    killed = dataclasses.replace(standing, number=standing.number + 1, configuration=here.policy("kind: kill_switch"))
    here.opened.ledger.write(
        "tiny", Entry(SPLITS, "tiny", killed, standing.number), at=here.at, actor="user:ada", reason="Stop."
    )
    here.tick()
    assert (here.rollout().phase, here.why()) == (Phase.WENT_HOME, "the plan that is live is a kill switch")
    consistent(here)
    with pytest.raises(Refused, match="kill switch"):
        here.start(plan="kind: kill_switch")


def test_an_immediate_plan_answers_everything_at_once_where_no_server_runs(trial: New) -> None:
    here = trial()
    here.start(plan="kind: immediate\n  reason: The champion is down.")
    assert here.split().arms == (Arm("1.0.0", listens=True), Arm("1.1.0", 1.0))


def test_another_policy_is_asked_what_it_would_have_done(trial: New) -> None:
    here = trial(Behaviour(raises=0.03))
    here.start()
    here.runs(3)
    hasty = Plan.model_validate({"kind": "canary", "steps": [{"share": 1, "hold": "1h"}], "deadline": "2h"})
    found = what_if(here.opened, "tiny", here.rollout().id, hasty, here.at)
    assert found.phase is not Phase.RUNNING
    assert found.decisions
    assert found.ended_at is not None
    assert found.ended_at <= here.rollout().started_at + timedelta(hours=3)
    assert found.actual is here.rollout().phase


def test_operating_until_told_to_stop_says_each_change_in_a_line_and_gives_the_lease_back(trial: New) -> None:
    here = trial()
    here.start()
    said: list[str] = []
    looks = iter([False, False, True])
    operate(here.opened, lambda: ["tiny"], 0.01, "a", lambda seconds: next(looks), said.append)
    told = [words for words in said if "MLflow" not in words]
    assert len(told) == 1
    assert "no server of this use case is running" in told[0]
    assert here.tick("b").acts


def test_a_turn_that_was_refused_is_asked_again_after_a_while_or_once_what_is_live_changes(trial: New) -> None:
    unripe = "kind: ab\n  steps: [{share: 0.5, hold: 1h}, {share: 1, hold: 1h}]\n  deadline: 3h"
    here, memory = trial(plan=unripe), Memory()

    def said(after: timedelta) -> str | None:
        return tick(here.opened, "tiny", here.at + after, memory=memory).said

    first = said(timedelta(0))
    assert first is not None
    assert "1.1.0 cannot take its turn" in first
    asked = memory.refused["tiny"]
    assert said(AGAIN / 2) == first
    assert memory.refused["tiny"] is asked
    said(AGAIN)
    assert memory.refused["tiny"] is not asked
    standing = here.split()
    mended = dataclasses.replace(standing, number=standing.number + 1, configuration=here.policy())
    here.opened.ledger.write(
        "tiny", Entry(SPLITS, "tiny", mended, standing.number), at=here.at, actor="user:ada", reason="Longer."
    )
    started = said(AGAIN)
    assert started is not None
    assert "of 1.1.0 starts against 1.0.0" in started
    assert "without the use case's file it is not now" in started


def test_scores_are_held_to_what_was_measured_when_the_turn_came(trial: New) -> None:
    here = trial()
    here.start()
    here.tick()
    here.passes(12)
    fact = running(here.opened.ledger, "tiny")
    assert fact is not None
    seen = stage(here.opened, "tiny", fact)
    gathered = decided(here.opened, "tiny", seen, here.at).gathered
    assert gathered is not None
    near = Estimate(0.0, -0.01, 0.01, 500)
    measured = dataclasses.replace(fact.body, measured=Apart("1.0.0", near, near, near))

    def blocking(made: Rollout) -> bool:
        verdict = verdict_of(here.opened, "tiny", made, seen.configuration, gathered)
        (check,) = [each for each in verdict.checks if each.name == "shift"]
        return check.blocking

    assert blocking(measured)
    assert not blocking(dataclasses.replace(measured, champion="0.9.0"))


def test_a_challenger_that_answers_everything_is_no_champion_before_it_is_promoted(
    trial: New, tiny_bundle: Bundle, tiny_signer: Signer
) -> None:
    here = trial(plan="kind: immediate\n  reason: The champion is down.")
    shelved(here.opened, "1.0.5", tiny_bundle, tiny_signer)
    here.start(plan="kind: immediate\n  reason: The champion is down.")
    assert here.split().champion == "1.1.0"
    assert here.split().reigning == "1.0.0"
    live = champion(here.opened.ledger, "tiny")
    assert live is not None
    assert live.version == "1.0.0"
    assert [each.superseded for each in waiting(here.opened.ledger, "tiny")] == [None]


def test_an_immediate_plan_needs_no_operator_where_every_server_gets_warm_in_time(trial: New) -> None:
    here = trial()
    here.warm = ("1.0.0",)
    here.reports()
    here.start(plan="kind: immediate\n  reason: The champion is down.")
    assert here.split().arms[1].standby
    assert not begin_soon(here.opened, "tiny", 0.0, "user:ada")
    assert here.split().arms[1].standby

    def gets_warm(seconds: float) -> None:
        here.warm = ("1.0.0", "1.1.0")
        here.reports()

    assert begin_soon(here.opened, "tiny", 30.0, "user:ada", gets_warm)
    assert here.split().arms == (Arm("1.0.0", listens=True), Arm("1.1.0", 1.0))
    assert [fact.actor for fact in here.opened.ledger.history("tiny", DECISIONS, here.rollout().id)] == ["user:ada"]
    assert begin_soon(here.opened, "tiny", 0.0, "user:ada"), "it has begun"


def damaged(here: Trial, name: str) -> None:
    """Other bytes stand where a blob was."""
    path = here.opened.settings.home / "blobs" / name
    path.chmod(0o600)
    path.write_bytes(b"others")


@pytest.mark.parametrize("which", ["its model", "its manifest", "the signed copy of its manifest"])
def test_a_challenger_that_can_no_longer_be_believed_goes_home_at_once(trial: New, which: str) -> None:
    here = trial()
    here.start()
    here.tick()
    here.passes(30)
    version = here.opened.ledger.latest("tiny", VERSIONS, "1.1.0")
    assert version is not None
    damaged(
        here,
        {
            "its model": "versions/tiny/1.1.0/model.onnx",
            "its manifest": "versions/tiny/1.1.0/manifest.json",
            "the signed copy of its manifest": f"signed/tiny/{version.body.manifest}/manifest.json",
        }[which],
    )
    here.tick()
    assert here.rollout().phase is Phase.WENT_HOME
    assert here.why().startswith("1.1.0 can no longer be believed: ")
    consistent(here)
    assert [each.differs for each in replay(here.opened, "tiny", here.rollout().id) if each.again is None] == [None]


def test_an_operator_without_keys_says_so_and_moves_nothing(trial: New) -> None:
    here = trial()
    here.start()
    for key in here.opened.settings.keys.iterdir():
        key.unlink()
    with pytest.raises(Refused, match="no key is trusted here"):
        here.tick()
    assert here.rollout().phase is Phase.RUNNING
