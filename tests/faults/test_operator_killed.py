"""`kill -9` of the operator at any moment: the next tick ends what it began, and nothing is done twice."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from rolled import Trial, operates, shelved

from mainstay.adapters.signing import Signer
from mainstay.decided import Decision, Move
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS
from mainstay.nouns import Phase, Rollout
from mainstay.registry.configured import configuration
from mainstay.registry.loading import load
from mainstay.rollout.advance import BEFORE, begun
from mainstay.rollout.plans import arms_of, steps_of
from mainstay.scoring.bundle import Bundle

PLAN = """kind: canary
  steps: [{share: 0.2, hold: 6h, at_least: 50}, {share: 0.5, hold: 6h, at_least: 50}, {share: 1, hold: 6h}]
  deadline: 8d"""
VERSIONS = tuple(f"1.{n}.0" for n in range(40))


def rollouts(here: Trial) -> list[Rollout]:
    facts = here.opened.ledger.latest_of_each("tiny", ROLLOUTS)
    return [fact.body for fact in sorted(facts, key=lambda fact: fact.body.started_at)]


def acts(here: Trial, rollout: Rollout) -> list[Decision]:
    history = here.opened.ledger.history("tiny", DECISIONS, rollout.id)
    return [fact.body for fact in history if fact.body.move is not Move.HOLD]


def check(here: Trial) -> None:
    """Whatever was killed when: all is written or nothing, once, and traffic goes to what is believed and warm."""
    opened, split = here.opened, here.split()
    writes = 1
    for rollout in rollouts(here):
        done = acts(here, rollout)
        writes += 1 + len(done)
        assert [each.step for each in done] == list(range(BEFORE, BEFORE + len(done)))
        assert len(opened.ledger.history("tiny", ROLLOUTS, rollout.id)) == 1 + len(done)
        if rollout.phase is Phase.RUNNING:
            plan = configuration(rollout.configuration, opened.blobs).plan
            assert plan is not None
            assert split.rollout == rollout.id
            assert begun(rollout, split) is bool(done)
            if done:
                step = steps_of(plan)[rollout.step]
                assert split.arms[:2] == arms_of(rollout.champion, rollout.challenger, step, plan)
    assert len(opened.ledger.history("tiny", SPLITS, "tiny")) == writes
    running = [each for each in rollouts(here) if each.phase is Phase.RUNNING]
    assert len(running) <= 1
    if not running:
        last = rollouts(here)[-1]
        assert split.champion == (last.challenger if last.phase is Phase.PROMOTED else last.champion)
    for arm in split.arms:
        load("tiny", arm.version, opened.blobs, opened.trusted())
        assert not arm.share or here.warm is None or arm.version in here.warm


@pytest.mark.long
def test_killed_fifty_times_at_random_the_next_tick_repairs_it_and_nothing_is_done_twice(
    trial: Callable[..., Trial], tiny_bundle: Bundle, tiny_signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server that children are forked from takes what it imports from there, and has it before the first of them.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    here = trial(plan=PLAN, a_day=400)
    here.warm = VERSIONS
    for version in VERSIONS[2:]:
        shelved(here.opened, version, tiny_bundle, tiny_signer)
    here.start(plan=PLAN)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["rolled", "duckdb", "mlflow"])
    ready, says = processes.Pipe(duplex=False)
    random = np.random.default_rng(11)
    undone = mended = 0
    for kill in range(50):
        here.passes(12)
        here.reports()
        before = len(here.opened.ledger.since("tiny"))
        holder = f"operator-{kill}" if kill % 10 else "operator"
        here.opened.ledger.close()
        operator = processes.Process(target=operates, args=(here.opened.settings.home, here.at, holder, says))
        operator.start()
        assert ready.poll(60)
        ready.recv()
        time.sleep(float(random.uniform(0.0, 0.6)))
        operator.kill()
        operator.join()
        operator.close()
        check(here)
        undone += len(here.opened.ledger.since("tiny")) == before
        # The one after it has the lease at once where it was killed before or after its turn, else once that ran out.
        until = time.monotonic() + 5
        while not here.tick("another" if kill % 2 else holder, lease=0.01).acts:
            assert time.monotonic() < until
            time.sleep(0.05)
        check(here)
        mended += len(here.opened.ledger.since("tiny")) > before
        here.tick("another" if kill % 2 else holder, lease=0.01)
        check(here)
    done = rollouts(here)
    assert len(done) > 5
    assert [each.challenger for each in done] == list(VERSIONS[1 : len(done) + 1])
    assert all(each.phase is Phase.PROMOTED for each in done[:-1])
    assert 5 < undone < 45, "some were killed before they wrote, and some after"
    assert mended > 40
