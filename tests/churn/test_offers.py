"""Decisions that become offers, and the fates that they meet."""

import numpy as np
import pytest

from mainstay.churn.offers import OFFERED, SAVED, fates, offers
from mainstay.errors import Refused


def test_offers_go_to_those_whom_a_decision_flags_with_one_probability() -> None:
    decided = {"ada": "Yes", "bob": "No", "eve": "Yes"}
    assert offers(decided) == {"ada": OFFERED, "eve": OFFERED}
    assert offers(decided, acting="No", probability=1) == {"bob": 1}
    assert offers({}) == {}


@pytest.mark.parametrize("probability", [0, -0.5, 1.5, float("nan")])
def test_an_impossible_probability_is_refused(probability: float) -> None:
    with pytest.raises(Refused, match="above 0 and at most 1"):
        offers({"ada": "Yes"}, probability=probability)


def test_of_those_who_would_leave_a_share_is_kept_by_offers_and_of_the_others_nobody() -> None:
    leaving = np.linspace(0, 1, 20_000)
    leaves, persuadable = fates(leaving, *np.random.default_rng(5).random((2, leaving.size)))
    assert leaves.mean() == pytest.approx(0.5, abs=0.02)
    assert persuadable.sum() / leaves.sum() == pytest.approx(SAVED, abs=0.02)
    assert not (persuadable & ~leaves).any()
    assert not leaves[0]
