"""Each look at a holdout spends some of what may be spent on it."""

import math
from datetime import UTC, datetime

import pytest

from mainstay.nouns import Holdout, Look
from mainstay.quality.gates import look, looked_at

HOLDOUT = Holdout("tiny", 0.2)


def looks(candidates: str, holdout: Holdout = HOLDOUT) -> list[Look]:
    taken: list[Look] = []
    for candidate in candidates:
        taken.append(look(taken, candidate, holdout))
    return taken


def test_each_distinct_candidate_spends_less_and_all_of_them_never_more_than_alpha() -> None:
    taken = looks("abcdefgh")
    assert [each.number for each in taken] == list(range(1, 9))
    assert taken[0].alpha == pytest.approx(0.0304, abs=1e-4)
    assert taken[2].alpha == pytest.approx(0.0304 / 9, abs=1e-4)
    assert sum(0.05 * 6 / (math.pi * k) ** 2 for k in range(1, 100_000)) < 0.05


def test_the_same_candidate_looks_again_under_its_own_number() -> None:
    taken = looks("abc")
    assert look(taken, "b", HOLDOUT) == taken[1]
    assert look([*taken, taken[1]], "d", HOLDOUT).number == 4


def test_a_moved_cut_or_a_new_salt_starts_again() -> None:
    past = looks("abc", Holdout("tiny", 0.2, datetime(2026, 1, 1, tzinfo=UTC)))
    moved = Holdout("tiny", 0.2, datetime(2026, 2, 1, tzinfo=UTC))
    for other in (moved, Holdout("pepper", 0.2, past[0].cut), HOLDOUT):
        assert look(past, "d", other).number == 1
        assert looked_at(other) != looked_at(Holdout("tiny", 0.2, past[0].cut))
    assert looked_at(HOLDOUT) == "tiny by hash"
    assert looked_at(moved) == "tiny from 2026-02-01T00:00:00.000000Z"
