"""Going back in a home without a server: what is restored, what is refused, and what its proof rests on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from answered import answered, record

from mainstay.cpu import kind_of_cpu
from mainstay.decided import Move, Proof
from mainstay.errors import Conflict, NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.rollback import Rollback, Waits, roll_back, splits, write_split
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DECISIONS, PROOFS, ROLLOUTS, SPLITS
from mainstay.ledger.replicas import report
from mainstay.nouns import Arm, Phase, Rollout, Split
from mainstay.observed import Ending, Replica
from mainstay.registry.manifest import SIGNATURE
from mainstay.rollout.back import with_standby
from mainstay.scoring.bundle import Bundle
from mainstay.settings import Settings
from mainstay.verdicts import Check, Outcome
from mainstay.wiring import Platform, platform

NOW = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
PROMOTED = (Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))


@pytest.fixture
def opened(strict_home: Path) -> Iterator[Platform]:
    made = platform(Settings(home=strict_home, now=NOW))
    with made.ledger:
        yield made


def goes_live(opened: Platform, *arms: Arm, **more: Any) -> Split:
    """The next split, as the operator writes it."""
    standing = splits(opened, "tiny")[-1]
    made = replace(standing.body, number=standing.body.number + 1, arms=arms, **more)
    entry = Entry(SPLITS, "tiny", made, after=standing.number)
    opened.ledger.write("tiny", entry, at=NOW - timedelta(hours=1), actor="operator", reason="promoted")
    return made


def serves(opened: Platform, split: int, *warm: str, name: str = "r1") -> None:
    report(opened.ledger, Replica(name, "host-a", "tiny", split, warm, NOW))


def back(opened: Platform, to: str | None = None, watch: float = 0.0) -> Rollback:
    """A rollback that hardly waits."""
    waits = Waits(watch, warm=0.2, reach=0.2, lag=0.0)
    return roll_back(opened, "tiny", to, Asked("user:ada", "scores jumped", Path()), lambda words: None, waits)


def checks(done: Rollback) -> dict[str, Check]:
    assert done.proof is not None
    return {each.name: each for each in done.proof.verdict.checks}


def test_one_fact_restores_all_that_was_live_and_recorded_requests_are_answered_as_they_were(
    opened: Platform, tiny_bundle: Bundle
) -> None:
    before = splits(opened, "tiny")[-1].body
    record(opened, answered(tiny_bundle, "1.0.0", NOW - timedelta(hours=3), 700))
    goes_live(opened, *PROMOTED, configuration="c2", feature_service="v2", dataset_head="ds_2")
    done = back(opened)
    made = splits(opened, "tiny")[-1]
    assert (made.actor, made.reason, made.body) == ("user:ada", "scores jumped", done.split)
    assert done.split.arms == (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True))
    same = ("configuration", "feature_service", "dataset_head", "salt", "pins")
    assert [getattr(done.split, name) for name in same] == [getattr(before, name) for name in same]
    assert checks(done)["replay"].reason == ("500 recorded requests are answered as they were by 1.0.0: 500 to the bit")
    assert "nothing serves" in checks(done)["replicas"].reason
    assert done.proof is not None
    assert done.proof.verdict.outcome is Outcome.INCONCLUSIVE
    fact = opened.ledger.latest("tiny", PROOFS, "3")
    assert fact is not None
    assert isinstance(fact.body, Proof)
    assert fact.body == done.proof


def test_the_requests_of_another_version_or_as_a_challenger_are_no_evidence(
    opened: Platform, tiny_bundle: Bundle, tiny_other_bundle: Bundle
) -> None:
    goes_live(opened, *PROMOTED)
    record(opened, answered(tiny_other_bundle, "1.1.0", NOW - timedelta(minutes=50), 20, split=2))
    record(opened, answered(tiny_bundle, "1.0.0", NOW - timedelta(minutes=40), 20, split=2))  # by a pin
    done = back(opened)
    assert checks(done)["replay"].outcome is Outcome.PASS
    assert checks(done)["replay"].reason == (
        "no recorded request that 1.0.0 answered as champion; "
        "its 8 golden rows, signed with it, score as they did instead"
    )


def test_a_version_that_no_longer_answers_as_it_did_is_told_by_the_requests_it_differs_in(
    opened: Platform, tiny_bundle: Bundle
) -> None:
    rows = answered(tiny_bundle, "1.0.0", NOW - timedelta(hours=3), 30)
    rows[3] = replace(rows[3], probability=0.123)
    rows[10] = replace(rows[10], tensor=b"\0" * len(rows[10].tensor or b""))
    record(opened, rows)
    goes_live(opened, *PROMOTED)
    done = back(opened)
    assert checks(done)["replay"].outcome is Outcome.FAIL
    assert "2 of 30 recorded requests are answered otherwise" in checks(done)["replay"].reason
    assert "1 of them encode to another tensor" in checks(done)["replay"].reason
    assert done.proof is not None
    assert [each.prediction_id for each in done.proof.differing] == ["p-1-0003", "p-1-0010"]


@pytest.mark.parametrize(
    ("same", "name", "outcome"),
    [(True, "p", Outcome.FAIL), (True, "p.3", Outcome.PASS), (False, "p", Outcome.PASS)],
)
def test_singles_have_to_be_the_same_to_the_bit_on_the_same_kind_of_processor_alone(
    opened: Platform, tiny_bundle: Bundle, same: bool, name: str, outcome: Outcome
) -> None:
    (row,) = answered(tiny_bundle, "1.0.0", NOW - timedelta(hours=3), 1)
    assert row.probability is not None
    close = replace(row, prediction_id=name, probability=row.probability + 1e-9, tensor=None)
    record(opened, [close], kind_of_cpu() if same else "another")
    goes_live(opened, *PROMOTED)
    assert checks(back(opened))["replay"].outcome is outcome


def test_a_running_rollout_is_ended_by_hand_in_the_same_write(opened: Platform) -> None:
    rollout = Rollout("r1", "1.0.0", "1.1.0", "c2", 1, NOW, NOW, NOW + timedelta(days=1))
    opened.ledger.write("tiny", Entry(ROLLOUTS, "r1", rollout), at=NOW, actor="operator", reason="a release")
    goes_live(opened, Arm("1.0.0", 0.5), Arm("1.1.0", 0.5), configuration="c2", rollout="r1")
    done = back(opened)
    assert (done.version, done.rollout, done.split.arms) == ("1.0.0", "r1", (Arm("1.0.0", 1.0),))
    home = opened.ledger.latest("tiny", ROLLOUTS, "r1")
    decided = opened.ledger.latest("tiny", DECISIONS, "r1")
    assert home is not None
    assert decided is not None
    assert home.body.phase is Phase.WENT_HOME
    assert (decided.body.move, decided.body.reason, decided.actor) == (
        Move.GO_HOME,
        "by hand: scores jumped",
        "user:ada",
    )
    assert {each.at for each in (home, decided)} == {splits(opened, "tiny")[-1].at}


def test_going_back_to_what_is_live_says_so_and_writes_nothing(opened: Platform) -> None:
    goes_live(opened, *PROMOTED)
    assert back(opened).moved
    again = back(opened, "1.0.0")
    assert (again.moved, again.proof) == (False, None)
    assert len(splits(opened, "tiny")) == 3
    with pytest.raises(NotFound, match=r"1\.1\.0 stands by, and came after it"):
        back(opened)


@pytest.mark.parametrize("to", ["1.1.0", "9.9.9"])
def test_what_was_never_champion_is_refused(opened: Platform, to: str) -> None:
    with pytest.raises(Refused, match="was never champion"):
        back(opened, to)


def test_what_cannot_be_believed_is_not_moved_onto(opened: Platform) -> None:
    goes_live(opened, *PROMOTED)
    opened.blobs.put(f"versions/tiny/1.0.0/{SIGNATURE}", b"x" * 64)
    with pytest.raises(Refused, match="did not sign it"):
        back(opened)
    assert len(splits(opened, "tiny")) == 2


def test_what_is_not_warm_on_every_live_replica_is_not_moved_onto(opened: Platform) -> None:
    goes_live(opened, *PROMOTED)
    serves(opened, 2, "1.0.0", "1.1.0")
    serves(opened, 2, "1.1.0", name="r2")
    with pytest.raises(Refused, match=r"1\.0\.0 is not warm on r2 on host-a after 0\.2 s, so nothing was moved"):
        back(opened)
    assert len(splits(opened, "tiny")) == 2


def test_an_older_version_that_does_not_get_warm_no_longer_stands_by(opened: Platform) -> None:
    goes_live(opened, Arm("1.1.0", 1.0))
    serves(opened, 2, "1.1.0")
    with pytest.raises(Refused, match="is not warm on r1"):
        back(opened, "1.0.0")
    history = [fact.body.arms for fact in splits(opened, "tiny")]
    assert history[1:] == [(Arm("1.1.0", 1.0),), (Arm("1.1.0", 1.0), Arm("1.0.0", standby=True)), (Arm("1.1.0", 1.0),)]


def test_a_replica_that_stays_behind_fails_the_proof(opened: Platform) -> None:
    goes_live(opened, *PROMOTED)
    serves(opened, 2, "1.0.0", "1.1.0")
    done = back(opened)
    assert checks(done)["replicas"].outcome is Outcome.FAIL
    assert "r1 on host-a still on another split" in checks(done)["replicas"].reason


def test_errors_in_the_window_of_stability_fail_the_proof(opened: Platform, tiny_bundle: Bundle) -> None:
    goes_live(opened, *PROMOTED)
    serves(opened, 3, "1.0.0", "1.1.0")
    late = answered(tiny_bundle, "1.0.0", NOW, 1, split=3)
    record(opened, [*late, replace(late[0], prediction_id="p-x", outcome=Ending.RAISED, probability=None)])
    done = back(opened, watch=0.1)
    assert checks(done)["replicas"].outcome is Outcome.PASS
    assert checks(done)["stability"].reason == "1.0.0 failed 1 of the 2 requests of the 0.1 s after the move"
    assert done.proof is not None
    assert done.proof.verdict.outcome is Outcome.FAIL


def test_of_two_operators_one_moves_and_the_other_hears_who_did(opened: Platform) -> None:
    goes_live(opened, *PROMOTED)
    standing = splits(opened, "tiny")[-1]
    assert back(opened).moved
    with pytest.raises(Conflict, match=r"user:ada wrote split 3 meanwhile, with 1\.0\.0 as champion \(scores jumped\)"):
        write_split(opened, "tiny", standing, with_standby(standing.body, "0.9.0"), Asked("user:bob", "no", Path()))


def test_a_rollout_that_only_took_note_meanwhile_is_no_conflict(opened: Platform) -> None:
    rollout = Rollout("r1", "1.0.0", "1.1.0", "c2", 1, NOW, NOW, NOW + timedelta(days=1))
    opened.ledger.write("tiny", Entry(ROLLOUTS, "r1", rollout), at=NOW, actor="operator", reason="a release")
    goes_live(opened, Arm("1.0.0", 0.5), Arm("1.1.0", 0.5), rollout="r1")
    noted: list[int] = []

    def clock_that_is_overtaken() -> datetime:
        if not noted:
            noted.append(1)
            entry = Entry(ROLLOUTS, "r1", replace(rollout, step=2), after=1)
            opened.ledger.write("tiny", entry, at=NOW, actor="operator", reason="a look")
        return NOW

    class Overtaken(Settings):
        def clock(self) -> datetime:
            return clock_that_is_overtaken()

    slow = replace(opened, settings=Overtaken(home=opened.settings.home))
    done = back(slow)
    assert (done.rollout, done.split.arms) == ("r1", (Arm("1.0.0", 1.0),))
    fact = opened.ledger.latest("tiny", ROLLOUTS, "r1")
    assert fact is not None
    assert (fact.body.phase, fact.body.step) == (Phase.WENT_HOME, 2)
