"""A refit of the same recipe on grown rows: its champion must not stand in its way by having seen what judges it.

Telco grows from 70 to 85 to 100 % in one home, for each of 8 seeds. Every later candidate is compared with the champion
on rows that it never saw: none is left out (one salt), and none is found to be worse.
"""

import csv
import random
from pathlib import Path

import pytest

from mainstay.journeys import progress
from mainstay.journeys import release as journey
from mainstay.journeys.asked import Asked
from mainstay.settings import Settings
from mainstay.usecase_file import CHURN, load
from mainstay.verdicts import Outcome
from mainstay.wiring import platform

TELCO = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"
SHARES = (0.7, 0.85, 1.0)


@pytest.mark.parametrize("seed", range(8))
def test_a_refit_on_grown_rows_is_not_worse_than_its_champion(seed: int, tmp_path: Path) -> None:
    if not TELCO.is_file():
        pytest.skip("the Telco file is not beside this checkout")
    with TELCO.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    random.Random(seed).shuffle(rows)
    use_case = load(CHURN)
    recipe = use_case.recipe.model_copy(update={"trials": 2, "folds": 3, "seed": seed})
    use_case = use_case.model_copy(update={"source": "rows.csv", "recipe": recipe})
    home = platform(Settings(home=tmp_path / "home"))
    outcomes = []
    for share in SHARES:
        with (tmp_path / "rows.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[: round(share * len(rows))]])
        far = progress.Release(use_case.name)
        journey.release(home, use_case, Asked("user:ada", "It has grown.", tmp_path), far, lambda noun: None)
        assert far.verdict is not None
        outcomes += [made for made in far.verdict.checks if made.name == "champion"]
    assert len(outcomes) == len(SHARES) - 1
    assert not [made.reason for made in outcomes if made.outcome is Outcome.FAIL or "do not count" in made.reason]
