from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mainstay.churn.lives import Day, Habits, Town
from mainstay.churn.simulate import Population, chunks
from mainstay.errors import Refused

START = datetime(2026, 1, 1, tzinfo=UTC)
HORIZON = timedelta(days=30)
Policy = Callable[[Day], dict[str, float]]


def nobody(_: Day) -> dict[str, float]:
    return {}


def everybody(day: Day) -> dict[str, float]:
    return dict.fromkeys(day.asked["customerID"], 1.0)


def live(
    days: int, customers: int = 2_000, seed: int = 7, policy: Policy = nobody, habits: Habits | None = None
) -> list[Day]:
    town = Town(Population(customers, seed), START, habits)
    seen = [town.step()]
    while len(seen) < days:
        seen.append(town.step(policy(seen[-1])))
    return seen


@dataclass(frozen=True)
class Asked:
    """One time that one customer asked, with all that was ever reported about it."""

    entity: str
    at: datetime
    row: dict[str, Any]
    values: tuple[str, ...]  # by known_at


def follow(days: list[Day]) -> list[Asked]:
    told: dict[tuple[str | None, datetime | None], list[str]] = {}
    for day in days:
        for label in day.labels:
            told.setdefault((label.entity, label.as_of), []).append(label.value)
    times = []
    for day in days:
        rows = {name: values.tolist() for name, values in day.asked.items()}
        for k, (entity, naive) in enumerate(zip(rows["customerID"], rows["observed_at"], strict=True)):
            at = naive.replace(tzinfo=UTC)
            row = {name: values[k] for name, values in rows.items()}
            times.append(Asked(entity, at, row, tuple(told.get((entity, at), ()))))
    return times


@pytest.fixture(scope="module")
def year() -> list[Day]:
    return live(365 + 34, customers=8_000)


@pytest.fixture(scope="module")
def times(year: list[Day]) -> list[Asked]:
    return [asked for asked in follow(year) if asked.at < START + timedelta(days=365)]


def test_the_same_town_and_offers_are_the_same_days() -> None:
    first, again = live(40, customers=300, policy=everybody), live(40, customers=300, policy=everybody)
    for one, other in zip(first, again, strict=True):
        assert (one.window, one.labels, one.actions, one.events) == (
            other.window,
            other.labels,
            other.actions,
            other.events,
        )
        assert {name: values.tolist() for name, values in one.asked.items()} == {
            name: values.tolist() for name, values in other.asked.items()
        }
    assert repr(live(5, customers=300)) != repr(live(5, customers=300, seed=8))


def test_days_follow_one_another_without_a_gap(year: list[Day]) -> None:
    assert year[0].window.start == START
    assert all(day.window.end - day.window.start == timedelta(days=1) for day in year)
    assert all(one.window.end == other.window.start for one, other in pairwise(year))


def test_a_town_starts_when_its_population_ends_unless_told_otherwise() -> None:
    assert Town(Population(10)).step().window.start == Population(10).until
    with pytest.raises(Refused, match="a start needs its zone"):
        Town(Population(10), datetime(2026, 1, 1))  # noqa: DTZ001


def test_nobody_in_town_is_in_the_snapshot_of_the_same_seed(year: list[Day]) -> None:
    known = set(next(chunks(Population(50_000)))["customerID"])
    assert known.isdisjoint({entity for day in year for entity in day.asked["customerID"]})


def test_those_who_ask_come_with_the_columns_of_the_snapshot_but_its_label(year: list[Day]) -> None:
    snapshot = next(chunks(Population(10)))
    del snapshot["Churn"]
    assert list(year[0].asked) == list(snapshot)
    assert [values.dtype for values in year[0].asked.values()] == [values.dtype for values in snapshot.values()]
    for day in year[:30]:
        observed_at = day.asked["observed_at"]
        assert (np.diff(observed_at) >= np.timedelta64(0, "us")).all()
        assert all(day.window.start <= at.replace(tzinfo=UTC) < day.window.end for at in observed_at.tolist())


def test_a_customer_asks_again_after_31_to_149_days(times: list[Asked]) -> None:
    last: dict[str, datetime] = {}
    gaps = []
    for asked in times:
        if asked.entity in last:
            gaps.append((asked.at - last[asked.entity]) / timedelta(days=1))
        last[asked.entity] = asked.at
    assert 31 <= min(gaps) < 32
    assert 148 < max(gaps) <= 149


def test_a_year_is_about_stationary(times: list[Asked]) -> None:
    quarters = [[asked for asked in times if (asked.at - START).days * 4 // 365 == k] for k in range(4)]
    for quarter in quarters:
        assert len(quarter) == pytest.approx(8_000 * 365 / 4 / 90, rel=0.08)
        assert np.mean([asked.values[-1:] == ("Yes",) for asked in quarter]) == pytest.approx(0.265, abs=0.025)
        rows = [asked.row for asked in quarter]
        assert np.mean([row["tenure"] for row in rows]) == pytest.approx(32.4, abs=2.5)
        assert np.mean([row["MonthlyCharges"] for row in rows]) == pytest.approx(64.8, abs=2)
        assert np.mean([row["Contract"] == "Month-to-month" for row in rows]) == pytest.approx(0.55, abs=0.03)
        assert np.mean([row["InternetService"] == "Fiber optic" for row in rows]) == pytest.approx(0.44, abs=0.03)


def test_what_drives_churn_in_town_is_what_drives_it_in_the_snapshot(times: list[Asked]) -> None:
    def rate(contract: str) -> float:
        return float(np.mean([t.values[-1:] == ("Yes",) for t in times if t.row["Contract"] == contract]))

    assert rate("Month-to-month") == pytest.approx(0.427, abs=0.03)
    assert rate("One year") == pytest.approx(0.113, abs=0.03)
    assert rate("Two year") == pytest.approx(0.03, abs=0.02)


def test_who_left_never_asks_again(year: list[Day], times: list[Asked]) -> None:
    gone = {asked.entity: asked.at + HORIZON for asked in times if asked.values == ("Yes",)}
    assert len(gone) > 1000
    later = [asked for asked in times if asked.entity in gone and asked.at >= gone[asked.entity]]
    assert later == []


def test_a_label_is_true_within_the_horizon_and_known_after_it_is_true(year: list[Day]) -> None:
    for day in year:
        assert list(day.labels) == sorted(day.labels, key=lambda label: label.known_at)
        for label in day.labels:
            assert label.true_at is not None
            assert label.as_of is not None
            assert label.true_at <= label.known_at
            assert day.window.start <= label.known_at < day.window.end
            if label.value == "Yes":
                assert label.as_of <= label.true_at < label.as_of + HORIZON == label.as_of + label.horizon
            else:
                assert label.true_at == label.as_of + HORIZON


def test_late_labels_come_at_their_stated_rate(year: list[Day]) -> None:
    delays = [label.known_at - label.true_at for day in year for label in day.labels if label.true_at is not None]
    late = [delay for delay in delays if delay > timedelta(hours=6)]
    assert len(late) / len(delays) == pytest.approx(0.04, abs=0.008)
    assert all(timedelta(days=1) <= delay < timedelta(days=3) for delay in late)


def test_mistakes_are_made_at_their_stated_rate_and_contradicted_later(times: list[Asked]) -> None:
    stayed = [asked for asked in times if asked.values[-1:] != ("Yes",)]
    wrong = [asked for asked in stayed if asked.values]
    assert {asked.values for asked in wrong} == {("Yes", "No")}
    assert len(wrong) / len(stayed) == pytest.approx(0.005, abs=0.0015)


@pytest.mark.parametrize("late", [0.04, 1.0])
def test_complete_through_never_claims_what_has_not_arrived(late: float) -> None:
    claimed = START - HORIZON
    for day in live(120, habits=Habits(late=late, mistaken=0.05)):
        assert all(label.true_at >= claimed for label in day.labels if label.true_at is not None)
        assert day.complete_through >= claimed
        claimed = day.complete_through
    assert claimed == START + timedelta(days=117)


def test_offers_save_would_be_leavers_at_the_stated_rate() -> None:
    def leavers(save_rate: float) -> int:
        days = live(90, 10_000, policy=everybody, habits=Habits(save_rate, mistaken=0))
        return sum(len(day.labels) for day in days)

    without = leavers(save_rate=0)
    # The offer comes at the midnight after the customer asked: one in sixty of the leavers has gone by then.
    assert leavers(save_rate=0.3) / without == pytest.approx(0.705, abs=0.03)
    assert leavers(save_rate=1) / without < 0.05


def test_an_offer_changes_nothing_in_another_house() -> None:
    def some(day: Day) -> dict[str, float]:
        return {name: 1.0 for name in day.asked["customerID"] if name < "5"}

    def rows(days: list[Day]) -> dict[tuple[str, datetime], Asked]:
        return {(asked.entity, asked.at): asked for asked in follow(days)}

    left, kept = rows(live(90)), rows(live(90, policy=some))
    residents = {entity for entity, _ in rows(live(30))}
    differing = {key[0] for key in left.keys() | kept.keys() if left.get(key) != kept.get(key)}
    assert len(differing) > 10
    # Who stays keeps her house, so those who would have come after her do not. All else is as it was.
    assert {entity for entity in differing & residents if entity >= "5"} == set()
    shared = {key for key in left.keys() & kept.keys() if key[0] >= "5"}
    assert len({entity for entity, _ in shared} - residents) > 100
    assert {key for key in shared if left[key] != kept[key]} == set()


def test_an_offer_to_somebody_who_left_keeps_nobody() -> None:
    gone: set[str] = set()

    def departed(day: Day) -> dict[str, float]:
        gone.update(label.entity for label in day.labels if label.entity is not None)
        return dict.fromkeys(gone, 1.0)

    offered = live(200, 500, policy=departed, habits=Habits(save_rate=1, mistaken=0))
    assert sum(len(day.actions) for day in offered) > 1000
    alone = live(200, 500, habits=Habits(save_rate=1, mistaken=0))
    assert [day.labels for day in offered] == [day.labels for day in alone]


def test_offers_are_made_with_the_probability_given_and_told() -> None:
    def some(day: Day) -> dict[str, float]:
        return dict.fromkeys(day.asked["customerID"], 0.25)

    days = live(60, customers=5_000, policy=some)
    offered = sum(len(day.asked["customerID"]) for day in days[:-1])
    told = [action for day in days for action in day.actions]
    made = [action for action in told if action.kind == "offer"]
    assert len(told) == offered
    assert len(made) / offered == pytest.approx(0.25, abs=0.025)
    costs = {(action.kind, action.probability, action.cost) for action in told}
    assert costs == {("offer", 0.25, 20.0), ("none", 0.25, 0.0)}
    assert days[1].actions[0].at == days[1].window.start


def test_an_impossible_offer_is_refused_and_no_day_passes() -> None:
    town, twin = (Town(Population(500), START) for _ in range(2))
    with pytest.raises(Refused, match="no customer `0000-NOONE` ever lived here"):
        town.step({"0000-NOONE": 0.5})
    name = twin.step().asked["customerID"][0]
    for probability in (-0.1, 1.1, float("nan")):
        with pytest.raises(Refused, match=f"offers.{name}"):
            town.step({name: probability})
    assert town.step().window.start == START


@pytest.mark.parametrize("name", ["save_rate", "late", "mistaken"])
def test_a_habit_that_is_no_share_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refused, match=f"`{name}` is a share from 0 to 1, not 1.5"):
        Habits(**{name: 1.5})


def test_customers_grow_older_and_their_bills_add_up(times: list[Asked]) -> None:
    first: dict[str, Asked] = {}
    grown = []
    for asked in times:
        before = first.setdefault(asked.entity, asked)
        months = asked.row["tenure"] - before.row["tenure"]
        assert asked.row["tenure"] <= 72
        if before is not asked and asked.row["tenure"] < 72:
            elapsed = (asked.at - before.at) / timedelta(days=365 / 12)
            assert abs(months - elapsed) <= 1.1
            if before.row["MonthlyCharges"] == asked.row["MonthlyCharges"] and months:
                grown.append(
                    (asked.row["TotalCharges"] - before.row["TotalCharges"]) / months / asked.row["MonthlyCharges"]
                )
    assert len(grown) > 1000
    assert np.median(grown) == pytest.approx(1, abs=1e-3)


def test_total_charges_of_the_longest_customers_stay_within_what_the_records_reach(times: list[Asked]) -> None:
    longest = [asked.row for asked in times if asked.row["tenure"] == 72]
    ratios = [row["TotalCharges"] / (72 * row["MonthlyCharges"]) for row in longest]
    assert np.quantile(ratios, [0.01, 0.5, 0.99]) == pytest.approx([0.85, 1, 1.2], abs=0.15)


def test_events_tell_every_change_of_a_contract_a_service_or_a_price(year: list[Day], times: list[Asked]) -> None:
    last = {asked.entity: asked for asked in reversed(times)}
    state = {entity: dict(asked.row) for entity, asked in last.items()}
    changes: dict[str, list[Any]] = {}
    for day in year:
        for event in day.events:
            assert event.at == day.window.start
            assert event.was != event.now
            changes.setdefault(event.entity, []).append(event)
    columns = {event.column for events in changes.values() for event in events}
    assert columns == {
        *("Contract", "MultipleLines", "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport"),
        *("StreamingTV", "StreamingMovies", "MonthlyCharges"),
    }
    for asked in times:
        now = state[asked.entity]
        for event in changes.get(asked.entity, []):
            if last[asked.entity].at < event.at <= asked.at:
                now[event.column] = event.now
        assert {name: now[name] for name in columns} == {name: asked.row[name] for name in columns}
