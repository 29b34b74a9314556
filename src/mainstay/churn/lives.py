"""A town of the company's customers, day by day: they ask, change, leave and are replaced; labels arrive when they do.

What customers will do is drawn when they ask, and shown to nobody. Draws belong to a house (a place in the town) and a
day, so an offer to one customer changes nothing in any other house, and two policies can be compared on the same town.
The same population, start, habits and offers are the same days.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstay.churn import customers
from mainstay.churn.offers import COST, SAVED, fates
from mainstay.churn.simulate import HORIZON, LATEST, MOST, Population
from mainstay.errors import Refused
from mainstay.nouns import Value, Window
from mainstay.observed import HELD_BACK, Action, Label

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]

_DAY: Final = timedelta(days=1)
_MICROSECONDS: Final = 86_400_000_000  # in a day
_MONTH: Final = 365 / 12  # days between two bills
_SOONEST, _LATEST_GAP = 31.0, 149.0  # days between two times that a customer asks, uniformly
_CHANGES: Final = 0.03  # of the customers, each month: for the contract, the price and every service
_PROMPT: Final = 0.25  # days within which a label is known that is not late
# Found by simulating two years of 20,000 customers: with these the base rate and the marginals stay.
_NEW: Final = 0.5  # of those who take a leaver's place; the rest bring as many months as the leaver had
_MOVES_AWAY: Final = 0.2  # each month, of the customers of the longest tenure: still customers, but not of this town
_RESIDENTS, _FATES = 10, 11  # what a generator is for


@dataclass(frozen=True, slots=True)
class Habits:
    """Shares in [0, 1]. `save_rate`: would-be leavers whom an offer in time keeps, however often it is made.
    `late`: labels that come 1 to 3 days after the fact, not within 6 hours. `mistaken`: of the times that a customer
    asks and stays, those after which she is reported as gone by mistake, and set right when her 30 days are over.
    """

    save_rate: float = SAVED
    late: float = 0.04
    mistaken: float = 0.005

    def __post_init__(self) -> None:
        for name in ("save_rate", "late", "mistaken"):
            if not 0 <= getattr(self, name) <= 1:
                raise Refused(f"`{name}` is a share from 0 to 1, not {getattr(self, name)}", "habits")


@dataclass(frozen=True, slots=True)
class Event:
    """A column of a customer's that became something else: `at`, `was` and `now` that."""

    entity: str
    at: datetime
    column: str
    was: Value
    now: Value


@dataclass(frozen=True, slots=True)
class Day:
    """What reached us in one day (UTC, half-open).

    `asked` are the customers who ask to be scored, in order of time: Telco's columns without `Churn`, and `observed_at`
    (datetime64[us]). `labels` became known in this day, in the order of `known_at`; `actions` are the offers that were
    made, and of kind `none` those that chance did not make. Whatever became true before `complete_through` has arrived
    by the end of the day.
    """

    window: Window
    asked: dict[str, NDArray[Any]]
    labels: tuple[Label, ...]
    actions: tuple[Action, ...]
    events: tuple[Event, ...]
    complete_through: datetime


class Town:
    """`population.customers` houses of customers who are in no snapshot, from `start` on (else `population.until`).

    Each asks to be scored every 31 to 149 days. At that moment her mind is made up: with the probability of the
    snapshot's law, which depends on her features, she leaves at some moment of the next 30 days. Who leaves never
    comes back. At the end of the day somebody of the same kind moves in, half of them new to the company, so that size,
    base rate and marginals stay about as they are. Bills, contracts, services and prices change as a day begins.
    """

    def __init__(self, population: Population, start: datetime | None = None, habits: Habits | None = None) -> None:
        self._seed = population.seed
        self._start = start if start is not None else population.until
        if self._start.tzinfo is None:
            raise Refused("a start needs its zone, as in 2026-01-01T00:00:00Z", "start")
        self._start = self._start.astimezone(UTC)
        self._habits = habits if habits is not None else Habits()
        houses = population.customers
        rng = np.random.default_rng([self._seed, _RESIDENTS])
        self._traits = customers.draw(rng, houses)
        self._residents = np.zeros(houses, dtype=np.int64)  # how many lived in each house before
        self._names = self._named(np.arange(houses))
        self._house = {name: house for house, name in enumerate(self._names)}  # of everybody who ever lived here
        # Times are days since the start. The residents are somewhere between two bills, and between two times of
        # asking: such a gap is found in proportion to its length.
        self._day = 0
        self._bills_at = rng.random(houses) * _MONTH
        gaps = np.sqrt(_SOONEST**2 + rng.random(houses) * (_LATEST_GAP**2 - _SOONEST**2))
        self._asks_at = rng.random(houses) * gaps
        self._asked_at = np.full(houses, -np.inf)
        self._leaves_at = np.full(houses, np.inf)
        self._persuadable = np.zeros(houses, dtype=np.bool_)
        self._coming: list[tuple[datetime, int, Label]] = []
        self._reports = 0

    def step(self, offers: Mapping[str, float] | None = None) -> Day:
        """The next day. `offers`: the probability in [0, 1] that an offer is made as it begins, by customer.

        `mainstay.churn.offers` makes them of decisions. Whoever is not made the offer is told of too, as held back.
        An offer keeps a would-be leaver who is persuadable and has not left yet; it does nothing for anybody else.
        Raises Refused, and no day passes, for a customer who never lived here or a probability outside [0, 1].
        """
        offers = offers or {}
        for entity, probability in offers.items():
            if entity not in self._house:
                raise Refused(f"no customer `{entity}` ever lived here; offer to those who asked", "offers")
            if not 0 <= probability <= 1:
                raise Refused(f"an offer is made with a probability from 0 to 1, not {probability}", f"offers.{entity}")
        rng = np.random.default_rng([self._seed, _FATES, self._day])
        actions = self._offer(offers, self._uniform(rng))
        self._bill()
        events = self._change(rng)
        asked = self._ask(rng)
        self._leave(rng)
        self._day += 1
        end = self._at(self._day)
        labels = []
        while self._coming and self._coming[0][0] < end:
            labels.append(heapq.heappop(self._coming)[2])
        return Day(Window(end - _DAY, end), asked, tuple(labels), actions, events, complete_through=end - LATEST)

    def _offer(self, offers: Mapping[str, float], u: Floats) -> tuple[Action, ...]:
        now = self._at(self._day)
        actions = []
        for entity, probability in sorted(offers.items()):
            house = self._house[entity]
            if u[house] >= probability:
                actions.append(Action(HELD_BACK, now, now, probability, 0.0, "simulator", entity))
                continue
            actions.append(Action("offer", now, now, probability, COST, "simulator", entity))
            if self._names[house] == entity and self._persuadable[house]:
                self._leaves_at[house] = np.inf
        return tuple(actions)

    def _bill(self) -> None:
        """Whose bill falls due today is a month older. The records reach back 72 months: then one bill drops out."""
        traits = self._traits
        due = self._bills_at < self._day + 1
        kept = np.where(traits["tenure"] == customers.LONGEST, 1 - 1 / customers.LONGEST, 1.0)
        billed = np.round(np.nan_to_num(traits["total"]) * kept + traits["charges"], 2)
        traits["total"] = np.where(due, billed, traits["total"])
        traits["tenure"] = np.minimum(traits["tenure"] + due, customers.LONGEST)
        self._bills_at = np.where(due, self._bills_at + _MONTH, self._bills_at)

    def _change(self, rng: np.random.Generator) -> tuple[Event, ...]:
        """Some contracts, services and prices are chosen anew, by the law that first drew them."""
        wishes = {wish: self._uniform(rng) < _CHANGES / _MONTH for wish in ("contract", "price", *customers.SERVICES)}
        draws = {wish: self._uniform(rng) for wish in ("contract", *customers.SERVICES)}
        noise = rng.standard_normal(len(self._names))
        houses = np.flatnonzero(np.logical_or.reduce(list(wishes.values())))
        wishes, draws = customers.take(wishes, houses), customers.take(draws, houses)
        was = customers.take(self._traits, houses)
        now = dict(was)
        for service in customers.SERVICES:
            again = customers.draw_service(draws[service], service, now)
            now[service] = np.where(wishes[service], again, now[service])
        one_year, two_year = customers.draw_contract(draws["contract"], now)
        now["one_year"] = np.where(wishes["contract"], one_year, now["one_year"])
        now["two_year"] = np.where(wishes["contract"], two_year, now["two_year"])
        moved = customers.priced(was["charges"] + customers.list_price(now) - customers.list_price(was))
        now["charges"] = np.where(wishes["price"], customers.draw_charges(noise[houses], now), moved)
        self._settle(houses, now)
        return _differences(self._at(self._day), self._names[houses], customers.columns(was), customers.columns(now))

    def _ask(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Whose time has come asks. What they will do is drawn now, and told when it becomes known."""
        chance, when, gap, late, delay, mistaken, persuaded = (self._uniform(rng) for _ in range(7))
        houses = np.flatnonzero(self._asks_at < self._day + 1)
        houses = houses[np.argsort(self._asks_at[houses], kind="stable")]
        who = customers.take(self._traits, houses)
        leaving = customers.leaving_probability(who)
        leaves, persuadable = fates(leaving, chance[houses], persuaded[houses], self._habits.save_rate)
        self._asked_at[houses] = asked_at = self._asks_at[houses]
        self._asks_at[houses] += _SOONEST + gap[houses] * (_LATEST_GAP - _SOONEST)
        would_leave_at = asked_at + when[houses] * (HORIZON / _DAY)
        self._leaves_at[houses] = np.where(leaves, would_leave_at, np.inf)
        self._persuadable[houses] = persuadable
        wrong = ~leaves & (mistaken[houses] < self._habits.mistaken)
        for house, at in zip(houses[wrong].tolist(), would_leave_at[wrong].tolist(), strict=True):
            self._report("Yes", house, self._at(at), late[house], delay[house])
            self._report("No", house, self._at(self._asked_at[house]) + HORIZON, delay[house], late[house])
        start = np.datetime64(self._start.replace(tzinfo=None), "us")
        observed_at = start + (asked_at * _MICROSECONDS).astype("timedelta64[us]")
        return {"customerID": self._names[houses], **customers.columns(who), "observed_at": observed_at}

    def _leave(self, rng: np.random.Generator) -> None:
        """Whose moment has come is gone; some of the longest tenure move away. Their houses are taken at once."""
        late, delay, gap, away, fresh = (self._uniform(rng) for _ in range(5))
        noise = rng.standard_normal(len(self._names))
        leavers = self._leaves_at < self._day + 1
        for house in np.flatnonzero(leavers).tolist():
            self._report("Yes", house, self._at(self._leaves_at[house]), late[house], delay[house])
        settled = (self._traits["tenure"] == customers.LONGEST) & np.isinf(self._leaves_at)
        movers = settled & (away < _MOVES_AWAY / _MONTH)
        houses = np.flatnonzero(leavers | movers)
        # Whoever comes is of the same kind, so that kinds keep their shares; their months offset everybody's growing.
        tenure = np.where(fresh < _NEW, 0, self._traits["tenure"])
        tenure = np.where(movers, customers.draw_tenure(fresh, self._traits), tenure)
        newcomers = customers.take(self._traits | {"tenure": tenure}, houses)
        newcomers["total"] = customers.draw_total(noise[houses], newcomers)
        self._settle(houses, newcomers)
        self._residents[houses] += 1
        self._names[houses] = self._named(houses)
        self._house |= dict(zip(self._names[houses].tolist(), houses.tolist(), strict=True))
        self._bills_at[houses] = self._day + 1 + _MONTH
        self._asks_at[houses] = self._day + 1 + _SOONEST + gap[houses] * (_LATEST_GAP - _SOONEST)
        self._leaves_at[houses] = np.inf

    def _settle(self, houses: NDArray[np.intp], traits: customers.Traits) -> None:
        for trait, values in traits.items():
            self._traits[trait][houses] = values

    def _named(self, houses: NDArray[np.intp]) -> Objects:
        return customers.customer_ids(self._seed, MOST + houses + len(self._residents) * self._residents[houses])

    def _report(self, value: str, house: int, true_at: datetime, late: float, delay: float) -> None:
        days = 1 + 2 * delay if late < self._habits.late else _PROMPT * delay
        known_at = true_at + timedelta(days=days)
        entity, as_of = self._names[house], self._at(self._asked_at[house])
        label = Label(value, known_at, "simulator", HORIZON, entity=entity, as_of=as_of, true_at=true_at)
        self._reports += 1
        heapq.heappush(self._coming, (known_at, self._reports, label))

    def _at(self, days: float) -> datetime:
        return self._start + timedelta(microseconds=int(days * _MICROSECONDS))

    def _uniform(self, rng: np.random.Generator) -> Floats:
        return rng.random(len(self._residents))


def _differences(at: datetime, names: Objects, was: dict[str, Any], now: dict[str, Any]) -> tuple[Event, ...]:
    changing = ("Contract", *customers.SERVICES.values(), "MonthlyCharges")
    return tuple(
        Event(names[row], at, column, was[column].item(row), now[column].item(row))
        for column in changing
        for row in np.flatnonzero(was[column] != now[column])
    )
