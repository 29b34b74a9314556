"""What is gathered of a rollout, one rule at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rollout_traffic import (
    CHALLENGER,
    CHAMPION,
    ROLLOUT,
    RULES,
    START,
    Town,
    Traffic,
    after,
    history,
    split,
)

from mainstay.gathered import Compared, Epoch, Gathered, Moments
from mainstay.nouns import Arm
from mainstay.observed import Ending, Feed, Replica, Role
from mainstay.rollout.gather import gather


def failed(traffic: Traffic, minutes: float, entity: str, share: float = 0.5, split: int = 1) -> None:
    """The challenger raised, and the champion answered."""
    first = traffic.record(
        minutes, CHALLENGER, role=Role.ATTEMPTED, outcome=Ending.RAISED, entity=entity, share=share, split=split
    )
    scored = {"outcome": Ending.OK, "probability": 0.3, "scores": (0.7, 0.3)}
    traffic.beside(first, Role.ANSWERED, CHAMPION, **scored)


def test_without_traffic_there_is_no_evidence_and_no_error(town: Town) -> None:
    found = town.gathered(Traffic())
    assert found == Gathered(found.until, found.seq)


def test_a_rollout_that_has_just_begun_has_no_evidence(town: Town) -> None:
    traffic = Traffic()
    traffic.record(0.5)
    found = town.gathered(traffic, minutes=-0.5)
    assert found == Gathered(found.until, found.seq)


def test_the_last_minute_is_left_out(town: Town) -> None:
    traffic = Traffic()
    traffic.record(9.99)
    traffic.record(10.0)
    found = town.gathered(traffic, minutes=10)
    assert found.until == after(10)
    assert found.exposed == (Epoch(0, 1, 0.5),)


def test_an_entity_is_exposed_once_per_rollout_in_the_epoch_of_its_first_request(town: Town) -> None:
    traffic = Traffic()
    for number, minutes, share in ((1, 1, 0.25), (2, 11, 0.5)):
        traffic.record(minutes, CHALLENGER, entity="ada", share=share, split=number)
        traffic.record(minutes, CHAMPION, entity=f"new{number}", share=1 - share, split=number)
    found = town.gathered(traffic, split(1, 0.25), split(2, 0.5))
    assert found.exposed == (Epoch(1, 1, 0.25), Epoch(0, 1, 0.5))


def test_a_request_that_names_no_entity_is_a_unit_of_its_own(town: Town) -> None:
    traffic = Traffic()
    for minutes in range(3):
        traffic.record(minutes, entity=None)
    assert town.gathered(traffic).exposed == (Epoch(0, 3, 0.5),)


def test_a_challenger_that_failed_before_the_champion_answered_has_failed(town: Town) -> None:
    traffic = Traffic()
    failed(traffic, 1, "ada")
    found = town.gathered(traffic)
    assert found.errors == (Epoch(1, 0, 0.5),)
    assert found.requests == 1
    errors = found.by_mean["errors"]
    assert (errors.challenger, errors.champion, errors.units) == (1, 0, 1)
    assert errors.difference.total == 2.0


def test_a_champion_that_failed_has_failed_too_however_it_did(town: Town) -> None:
    traffic = Traffic()
    for how in (Ending.RAISED, Ending.LATE, Ending.NOT_FINITE):
        traffic.record(1, CHAMPION, role=Role.ATTEMPTED, outcome=how)
    assert town.gathered(traffic).errors == (Epoch(0, 3, 0.5),)


def test_the_champions_answer_stands_for_the_arm_that_failed(town: Town) -> None:
    traffic = Traffic()
    failed(traffic, 1, "ada")
    shift = town.gathered(traffic).by_mean["shift"]
    assert (shift.challenger, shift.champion) == (1, 0)
    assert shift.difference.total == pytest.approx(0.3 / 0.5)


def test_an_entity_that_fails_wherever_it_goes_fails_once_per_rollout(town: Town) -> None:
    traffic = Traffic()
    for number, share in ((1, 0.05), (2, 0.25), (3, 0.5)):
        failed(traffic, number * 10, "ada", share, number)
        failed(traffic, number * 10 + 1, f"other{number}", share, number)
    found = town.gathered(traffic, split(1, 0.05), split(2, 0.25), split(3, 0.5))
    assert found.errors == (Epoch(2, 0, 0.05), Epoch(1, 0, 0.25), Epoch(1, 0, 0.5))


def test_thirty_rewrites_of_a_split_with_the_same_shares_are_one_epoch(town: Town) -> None:
    traffic = Traffic()
    rewrites = [replace(split(n, 0.5), configuration=f"c{n}") for n in range(1, 31)]
    for each in rewrites:
        traffic.record(each.number, split=each.number)
    assert town.gathered(traffic, *rewrites).exposed == (Epoch(0, 30, 0.5),)


def test_what_was_served_under_another_rollouts_split_is_passed_over(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, split=1)
    traffic.record(2, split=2)
    traffic.record(3, split=9)
    found = town.gathered(traffic, split(1, 0.5, rollout="r0"), split(2, 0.5))
    assert found.exposed == (Epoch(0, 1, 0.5),)


def test_the_newest_request_is_told_and_its_last_try_counts(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1)
    for minutes in (20, 30):
        traffic.record(minutes, request="same", entity="ada")
    traffic.record(40, pinned=True)
    assert town.gathered(traffic).newest == after(30)


def test_who_is_pinned_is_in_none_of_the_numbers(town: Town) -> None:
    traffic = Traffic()
    first = traffic.record(
        1, CHALLENGER, role=Role.ATTEMPTED, outcome=Ending.RAISED, pinned=True, share=1.0, lacks=True
    )
    traffic.beside(first, Role.ANSWERED, CHAMPION, outcome=Ending.OK, probability=0.2, scores=(0.8, 0.2))
    found = town.gathered(traffic)
    assert (found.requests, found.exposed, found.errors, found.missing, found.by_mean) == (0, (), (), (), {})


def test_a_request_tried_again_counts_once(town: Town) -> None:
    traffic = Traffic()
    for minutes in (1, 2, 30):
        traffic.record(minutes, CHALLENGER, request="same", entity=None)
    traffic.record(200, CHALLENGER, request="same", entity="eve")
    found = town.gathered(traffic)
    assert found.requests == 2
    assert found.exposed == (Epoch(2, 0, 0.5),)


def test_an_id_that_comes_again_after_the_hour_is_another_request_of_the_same_unit(town: Town) -> None:
    traffic = Traffic()
    for minutes in (1, 90):
        traffic.record(minutes, CHALLENGER, request="same", entity=None)
    found = town.gathered(traffic)
    assert (found.requests, found.exposed) == (2, (Epoch(1, 0, 0.5),))


def test_a_retry_of_what_was_asked_before_the_rollout_is_no_request_of_it(town: Town) -> None:
    traffic = Traffic()
    for minutes in (-5, 5):
        traffic.record(minutes, CHALLENGER, request="same", entity="ada")
    assert town.gathered(traffic).requests == 0


def test_units_at_a_share_of_one_give_no_weighted_difference(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER, share=1.0)
    found = town.gathered(traffic, split(1, 1.0))
    assert (found.requests, found.exposed, found.by_mean) == (1, (), {})


def test_the_weights_are_those_of_the_logged_shares(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER, share=0.25, probability=0.5)
    traffic.record(2, CHAMPION, share=0.75, probability=0.6)
    shift = town.gathered(traffic, split(1, 0.25)).by_mean["shift"].difference
    assert shift.rows == 2
    assert shift.total == pytest.approx(0.5 / 0.25 - 0.6 / 0.75)
    assert shift.squares == pytest.approx((0.5 / 0.25) ** 2 + (0.6 / 0.75) ** 2)


def test_a_feature_that_could_not_be_looked_up_and_a_stale_one_are_missing(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER, lacks=True)
    traffic.record(2, CHALLENGER, flags=("stale:age",))
    traffic.record(3, CHAMPION, flags=("unknown_entity",))
    traffic.record(4, CHAMPION, flags=("out_of_range:age",))
    found = town.gathered(traffic)
    assert found.missing == (Epoch(2, 1, 0.5),)
    assert (found.by_mean["missing"].challenger, found.by_mean["missing"].champion) == (2, 1)


# Slow


def scorings(traffic: Traffic, count: int, seed: int = 1) -> list[float]:
    took = np.random.default_rng(seed).gamma(3, 30, count).round(3).tolist()
    for n, us in enumerate(took):
        traffic.record(n / 10, us=us, share=0.5)
    return [float(each) for each in took]


def test_slow_is_a_millisecond_above_the_95th_percentile_of_the_champions_first_500_scorings(town: Town) -> None:
    traffic = Traffic()
    took = scorings(traffic, 700)
    bound = sorted(took[:500])[474] + 1000
    traffic.record(80, CHALLENGER, us=bound)
    traffic.record(81, CHALLENGER, us=bound + 0.001)
    found = town.gathered(traffic)
    assert found.slow_over_us == bound
    assert (found.by_mean["slow"].challenger, found.by_mean["slow"].champion) == (1, sum(us > bound for us in took))


def test_before_500_scorings_nothing_is_slow(town: Town) -> None:
    traffic = Traffic()
    scorings(traffic, 499)
    found = town.gathered(traffic)
    assert found.slow_over_us is None
    assert "slow" not in found.by_mean


def test_the_bound_of_slowness_stays_as_it_was_frozen(town: Town) -> None:
    traffic = Traffic()
    scorings(traffic, 900)
    observations = town.observations(traffic)
    at = [
        gather(observations, history(split(1, 0.5)), ROLLOUT, RULES, None, [], after(minutes))
        for minutes in (60, 80, 5000)
    ]
    assert len({each.slow_over_us for each in at}) == 1
    assert at[0].slow_over_us is not None
    assert town.gathered(traffic, slow_over_us=55.5).slow_over_us == 55.5


def test_gathering_again_gives_the_same_to_the_last_bit(town: Town) -> None:
    traffic = Traffic()
    rng = np.random.default_rng(4)
    for n in range(3000):
        version = CHALLENGER if rng.random() < 0.5 else CHAMPION
        traffic.record(n / 10, version, probability=float(rng.random()), us=float(rng.gamma(3, 30)))
    observations = town.observations(traffic)
    seq = observations.head()
    made = [gather(observations, history(split(1, 0.5)), ROLLOUT, RULES, None, [], after(4000), seq) for _ in range(3)]
    assert made[0] == made[1] == made[2]
    assert made[0].seq == seq


# One answers, the other listens


SHADOW = split(1, 0, listens=True)


def test_where_one_listens_only_discordant_errors_count_at_even_odds(town: Town) -> None:
    traffic = Traffic()
    traffic.both(1, theirs=None, ours=0.5)
    traffic.both(2, theirs=None, ours=0.5)
    traffic.both(3, theirs=0.4, ours=None)
    traffic.both(4, theirs=0.4, ours=0.4)
    found = town.gathered(traffic, SHADOW)
    assert found.errors == (Epoch(2, 1, 0.5),)
    errors = found.by_mean["errors"]
    assert (errors.difference.rows, errors.difference.total, errors.difference.squares) == (4, 1, 3)
    assert found.exposed == ()


def test_where_the_champion_listens_a_failure_that_it_answered_for_is_discordant(town: Town) -> None:
    traffic = Traffic()
    failed(traffic, 1, "ada", share=1.0)
    first = traffic.record(2, CHALLENGER, share=1.0)
    traffic.beside(first, Role.LISTENED, CHAMPION, outcome=Ending.RAISED, probability=None, scores=())
    assert town.gathered(traffic, split(1, 1, listens=True)).errors == (Epoch(1, 1, 0.5),)


def test_scores_and_times_of_those_who_heard_the_same_are_paired(town: Town) -> None:
    traffic = Traffic()
    traffic.both(1, theirs=0.4, ours=0.5)
    traffic.both(2, theirs=0.5, ours=0.2)
    traffic.both(3, theirs=0.7, ours=0.7)
    found = town.gathered(traffic, SHADOW, slow_over_us=99.0).by_mean
    assert found["shift"].difference.total == pytest.approx(-0.1 + 0.3)
    assert found["disagreement"].difference.total == pytest.approx(0.1 + 0.3)
    assert found["flipped"] == Compared(Moments(3, 2, 2), 2, 2, 3)
    assert (found["slow"].difference.rows, found["slow"].challenger, found["slow"].champion) == (3, 3, 3)


def test_what_a_listener_never_heard_is_counted_as_shed(town: Town) -> None:
    traffic = Traffic()
    traffic.both(1, theirs=0.4, ours=0.4)
    traffic.record(2, share=1.0)
    traffic.both(3, theirs=0.4, ours=None)
    found = town.gathered(traffic, SHADOW)
    assert (found.requests, found.shed) == (1, 1)


# Those who serve


def test_replicas_are_warm_where_both_arms_are(town: Town) -> None:
    held = ((CHAMPION, CHALLENGER), (CHAMPION,), (CHAMPION, CHALLENGER, "0.9.0"))
    replicas = [Replica(f"w{n}", "h", "churn", 1, warm, START) for n, warm in enumerate(held)]
    found = town.gathered(Traffic(), replicas=replicas)
    assert (found.replicas, found.warm) == (3, 2)


def test_requests_since_the_step_began_are_counted_apart(town: Town) -> None:
    traffic = Traffic()
    for minutes in (10, 200, 300):
        traffic.record(minutes, CHALLENGER)
    rollout = replace(ROLLOUT, step=1, entered_at=after(100))
    found = town.gathered(traffic, rollout=rollout)
    assert (found.requests, found.step_requests) == (3, 2)


def test_arms_that_are_in_no_rollout_are_passed_over(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, "0.9.0", share=0.2)
    traffic.record(2, CHALLENGER, share=0.4)
    three = replace(split(1, 0.5), arms=(Arm(CHAMPION, 0.4), Arm(CHALLENGER, 0.4), Arm("0.9.0", 0.2)))
    found = town.gathered(traffic, three)
    assert found.exposed == (Epoch(1, 0, 0.5),)


def test_what_is_not_a_number_gets_in_nowhere(town: Town) -> None:
    traffic = Traffic()
    for n, value in enumerate((math.nan, math.inf, -0.5, 1.5, 0.5)):
        traffic.record(n, CHALLENGER, probability=value, us=value)
        traffic.both(n + 100, theirs=value, ours=0.5, split=2, us=value)
    traffic.feeds.append(Feed("crm", after(3000), after(3000)))
    found = town.gathered(traffic, split(1, 0.5), split(2, 0, listens=True), slow_over_us=0.1)
    assert found.by_mean["shift"].difference.rows == 2
    assert found.labels == 2
    for each in found.by_mean.values():
        assert math.isfinite(each.difference.total)
        assert math.isfinite(each.difference.squares)
