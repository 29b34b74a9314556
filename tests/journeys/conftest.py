"""A shop whose customers leave by a law that a model can learn, and homes to release its model in."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainstay.adapters.tracking import Connection
from mainstay.journeys import progress
from mainstay.journeys import release as journey
from mainstay.journeys.asked import Asked
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, platform

# On so few rows the AUC of permuted labels has a wide interval; every other gate is as it comes.
SHOP = """
schema: 1
name: shop
source: shop.csv
entity: id
label: {column: left, positive: "Yes", absent_means: "No"}
contract:
  rows: {at_least: 100, bad_share_at_most: 0.02}
  columns:
    id: {type: identifier, unique: true, personal: hash}
    age: {type: integer, range: [18, 120], unit: years}
    spent: {type: number, nullable: true, range: [0, 5000], unit: USD}
    plan: {type: category, values: [basic, plus]}
    region: {type: category, values: [north, south, east]}
    left: {type: category, values: ["No", "Yes"]}
recipe: {trials: 2, folds: 2, seed: 7}
gates:
  leakage: {permuted_auc: {at_most: 0.62}}
"""
Rows = list[dict[str, str]]


@pytest.fixture(scope="session")
def shop() -> UseCase:
    """Will a customer leave? By id (hashed), age, spent (may be missing), plan and region."""
    return loads(SHOP)


@pytest.fixture(scope="session")
def shop_but() -> Callable[[str, str], UseCase]:
    """The same with one passage of its text replaced by another."""

    def made(old: str, new: str) -> UseCase:
        assert old in SHOP
        return loads(SHOP.replace(old, new))

    return made


@pytest.fixture(scope="session")
def customers() -> Rows:
    """800 rows of the shop, as a CSV holds them."""
    count, random = 800, np.random.default_rng(1)
    age, spent = random.integers(18, 80, count), random.gamma(2, 50, count).round(2)
    plan, region = random.choice(["basic", "plus"], count), random.choice(["north", "south", "east"], count)
    pull = 0.12 * (age - 45) - 0.05 * (spent - 90) + 4 * (plan == "basic") - 2.6
    left = random.random(count) < 1 / (1 + np.exp(-pull))
    return [
        {
            "id": f"c{n:04d}",
            "age": str(age[n]),
            "spent": "" if n % 37 == 5 else str(spent[n]),
            "plan": str(plan[n]),
            "region": str(region[n]),
            "left": "Yes" if left[n] else "No",
        }
        for n in range(count)
    ]


def write(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def write_rows() -> Callable[[Path, Rows], None]:
    """Writes rows as CSV."""
    return write


@pytest.fixture(scope="session")
def asked() -> Callable[[Platform], Asked]:
    """Who asks in a home: Ada, whose sources lie beside it."""

    def made(home: Platform) -> Asked:
        return Asked("user:ada", "It was asked for.", home.settings.home.parent)

    return made


@pytest.fixture
def heard() -> list[Any]:
    """Everything that the journeys of a test told."""
    return []


@pytest.fixture
def release(heard: list[Any], asked: Callable[[Platform], Asked]) -> Callable[..., progress.Release]:
    """Releases a use case in a home; into `far`, where an error is expected to end it."""

    def made(home: Platform, use_case: UseCase, far: progress.Release | None = None) -> progress.Release:
        far = far or progress.Release(use_case.name)
        journey.release(home, use_case, asked(home), far, heard.append)
        return far

    return made


def load_mlflow() -> Any:
    import mlflow
    import mlflow.store.db.utils

    return mlflow


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's store without a run, made once: its tables take a second."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with Connection(f"sqlite:///{database}", load_mlflow).asking("making a store"):
        return database


def new_home(place: Path, store: Path, rows: Rows) -> Platform:
    (place / "home").mkdir(parents=True)
    shutil.copy(store, place / "home" / "mlflow.db")
    write(place / "shop.csv", rows)
    return platform(Settings(home=place / "home"))


@pytest.fixture
def home(tmp_path: Path, empty_store: Path, customers: Rows) -> Platform:
    """A home in which nothing has happened, with the shop's rows beside it."""
    return new_home(tmp_path / "fresh", empty_store, customers)


@pytest.fixture(scope="session")
def first_release(
    tmp_path_factory: pytest.TempPathFactory,
    empty_store: Path,
    customers: Rows,
    shop: UseCase,
    asked: Callable[[Platform], Asked],
) -> tuple[Platform, progress.Release]:
    """The first release of the shop, and the home that it went live in: only to be looked at."""
    home = new_home(tmp_path_factory.mktemp("released"), empty_store, customers)
    far = progress.Release(shop.name)
    journey.release(home, shop, asked(home), far, lambda noun: None)
    return home, far


@pytest.fixture
def released(first_release: tuple[Platform, progress.Release], tmp_path: Path) -> Platform:
    """A copy of that home, to do anything with."""
    first_release[0].ledger.close()
    shutil.copytree(first_release[0].settings.home.parent, tmp_path / "copy")
    return platform(Settings(home=tmp_path / "copy" / "home"))
