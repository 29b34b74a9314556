"""What ripe labels said of two arms, one rule at a time."""

import math

import numpy as np
import pytest
from rollout_traffic import CHALLENGER, CHAMPION, HOUR, RULES, START, Town, Traffic, after, split

from mainstay.observed import Action, Feed, Label
from mainstay.rollout.outcomes import unacted
from mainstay.usecase import Profit

SHADOW = split(1, 0, listens=True)


def labelled(traffic: Traffic, entity: str, value: str, known: float = 2000) -> None:
    traffic.labels.append(Label(value, after(known), "crm", RULES.horizon, entity=entity, true_at=after(known - 1)))


def test_a_label_counts_once_it_is_ripe_and_for_the_arm_that_was_assigned(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER, entity="ada", probability=0.9)
    traffic.record(2, CHAMPION, entity="bob", probability=0.2)
    traffic.record(4000, CHAMPION, entity="eve")
    traffic.labels.append(Label("Yes", after(60), "crm", RULES.horizon, entity="ada", true_at=after(50)))
    labelled(traffic, "bob", "No")
    early, late = (town.gathered(traffic, minutes=minutes) for minutes in (700, 4100))
    assert (early.labels, early.unripe) == (0, 2)
    assert (late.labels, late.unripe) == (2, 1)
    log_loss = late.by_mean["log_loss"]
    assert log_loss.difference.total == pytest.approx(-math.log(0.9) * 2 + math.log(0.8) * 2)
    assert (log_loss.challenger, log_loss.champion) == (1, 0)
    assert late.by_mean["brier"].difference.total == pytest.approx(2 * 0.01 - 2 * 0.04)


def test_a_dead_feed_proves_nothing_and_a_complete_one_does(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER)
    assert town.gathered(traffic).labels == 0
    traffic.feeds.append(Feed("crm", after(2000), after(2500)))
    found = town.gathered(traffic)
    assert (found.labels, found.complete_through) == (1, after(2000))


def test_an_outcome_that_was_told_otherwise_later_stays_as_it_entered_and_is_counted(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER, entity="ada", probability=0.25)
    traffic.record(2, CHALLENGER, entity="bob", probability=0.25)
    labelled(traffic, "ada", "No", 1000)
    labelled(traffic, "bob", "No", 1000)
    traffic.labels.append(Label("Yes", after(3000), "crm", RULES.horizon, entity="ada", true_at=after(60)))
    found = town.gathered(traffic)
    assert found.contradicted == 0.5
    assert found.by_mean["log_loss"].difference.total == pytest.approx(-math.log(0.75) * 4)


def test_the_champions_score_from_before_the_assignment_narrows_the_log_loss(town: Town) -> None:
    traffic = Traffic()
    traffic.both(1, theirs=0.4, ours=0.2, entity="ada")
    traffic.record(100, CHALLENGER, entity="ada", probability=0.4, split=2)
    traffic.record(101, CHALLENGER, entity="new", probability=0.4, split=2)
    traffic.feeds.append(Feed("crm", after(3000), after(3000)))
    found = town.gathered(traffic, SHADOW, split(2, 0.5)).by_mean["log_loss"].difference
    foretold = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert found.rows == 2
    assert found.total == pytest.approx(2 * (-math.log(0.6) - foretold) + 2 * -math.log(0.6))


def acted(traffic: Traffic, entity: str, kind: str, probability: float) -> None:
    traffic.actions.append(Action(kind, after(60), after(60), probability, 5.0, "crm", entity=entity))


def paired_outcomes() -> Traffic:
    traffic = Traffic()
    for n, name in enumerate(("acted", "held", "left_alone")):
        traffic.both(n, theirs=0.4, ours=0.2, entity=name)
    acted(traffic, "acted", "offer", 0.75)
    acted(traffic, "held", "none", 0.75)
    traffic.feeds.append(Feed("crm", after(3000), after(3000)))
    return traffic


def test_paired_outcomes_of_those_not_acted_upon_are_weighted_and_those_of_the_others_are_0(town: Town) -> None:
    found = town.gathered(paired_outcomes(), SHADOW)
    each = -math.log(0.6) + math.log(0.8)
    paired = found.by_mean["log_loss_paired"].difference
    assert (found.labels, paired.rows) == (3, 3)
    assert paired.total == pytest.approx(each * 4 + 0 + each)
    assert found.by_mean["log_loss_paired"].units == 0
    assert "log_loss" not in found.by_mean


def test_where_actions_change_nothing_all_paired_outcomes_count_alike(town: Town) -> None:
    found = town.gathered(paired_outcomes(), SHADOW, action_changes_outcome=False)
    paired = found.by_mean["log_loss_paired"].difference
    assert paired.rows == 3
    assert paired.total == pytest.approx(3 * (-math.log(0.6) + math.log(0.8)))


def test_the_profit_of_an_arm_is_what_its_offers_cost_and_who_left_all_the_same(town: Town) -> None:
    traffic = Traffic()
    traffic.record(1, CHALLENGER, entity="saved", probability=0.9)
    traffic.record(2, CHAMPION, entity="gone", probability=0.1)
    acted(traffic, "saved", "offer", 1.0)
    traffic.labels.append(Label("Yes", after(90), "crm", RULES.horizon, entity="gone", true_at=after(80)))
    traffic.feeds.append(Feed("crm", after(3000), after(3000)))
    profit = Profit(offer_cost=7, value_saved=100, save_rate=0.3)
    realised = town.gathered(traffic, profit=profit).by_mean["profit"]
    assert realised.difference.total == pytest.approx(2 * 5 - 2 * 100)
    assert (realised.challenger, realised.champion) == (0, 1)
    would_be = town.gathered(traffic, profit=profit, action_changes_outcome=False).by_mean["profit"]
    assert would_be.difference.total == pytest.approx(2 * 7)


def test_the_horizon_and_the_grace_both_have_to_pass(town: Town) -> None:
    traffic = Traffic()
    traffic.record(0, CHALLENGER)
    traffic.feeds.append(Feed("crm", START + 13 * HOUR, START + 13 * HOUR))
    before, at = (town.gathered(traffic, minutes=minutes) for minutes in (13 * 60 - 0.001, 13 * 60))
    assert (before.unripe, before.labels, at.unripe, at.labels) == (1, 0, 0, 1)


def test_what_was_seen_of_those_not_acted_upon_tells_without_bias_what_would_have_been() -> None:
    draw = np.random.default_rng(11)
    chance = np.array([0.0, 0.3, 0.9] * 100)
    alone, offered = draw.normal(1 + chance, 1), draw.normal(-5, 1, chance.size)  # losses, left alone or acted upon
    made = []
    for _ in range(4_000):
        acted = draw.random(chance.size) < chance
        numbers, heaviest = unacted(np.where(acted, offered, alone), acted, chance)
        made.append(numbers.mean())
    assert heaviest == pytest.approx(10)
    assert abs(np.mean(made) - alone.mean()) < 4 * np.std(made) / math.sqrt(len(made))


def test_who_is_acted_upon_for_certain_says_nothing_of_the_others() -> None:
    numbers, heaviest = unacted(np.array([1.0, 2.0, 3.0]), np.array([True, False, False]), np.array([1.0, 1.0, 0.5]))
    assert (numbers.tolist(), heaviest) == ([6.0], 2.0)
    assert unacted(np.array([1.0]), np.array([True]), np.array([1.0]))[1] == 1.0
