"""A version whose turn comes under another champion than the one that its gate knew."""

from collections.abc import Callable
from typing import Any

import pytest

from mainstay.journeys import progress
from mainstay.journeys.apart import UNJUDGED, measured_anew
from mainstay.ledger.kinds import VERSIONS
from mainstay.registry.shelf import signed
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


@pytest.fixture
def two(released: Platform, shop: UseCase, release: Callable[..., progress.Release]) -> Platform:
    """A home with 1.0.0, which nothing was compared with, and 1.1.0, whose gate knew 1.0.0."""
    far = release(released, shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"seed": 8})}))
    assert far.version is not None
    assert far.version.version == "1.1.0"
    return released


def test_two_versions_are_compared_anew_unless_the_gate_compared_these_two(two: Platform, shop: UseCase) -> None:
    told: list[Any] = []
    assert measured_anew(two, shop, "shop", "1.1.0", "1.0.0", told.append) is None
    found = measured_anew(two, shop, "shop", "1.0.0", "1.1.0", told.append)
    assert found is not None
    assert told == []
    version = two.ledger.latest("shop", VERSIONS, "1.1.0")
    assert version is not None
    gate = signed(version.body, two.blobs).against
    assert gate is not None
    assert found.champion == "1.1.0"
    assert found.score_shift.value == pytest.approx(-gate.score_shift.value)
    assert found.disagreement.value == pytest.approx(gate.disagreement.value)
    assert found.disagreement.rows == gate.disagreement.rows


def test_what_cannot_be_compared_is_told_and_keeps_nobody_away(
    two: Platform, shop_but: Callable[[str, str], UseCase]
) -> None:
    told: list[str] = []
    assert measured_anew(two, None, "shop", "1.0.0", "1.1.0", told.append) is None
    other = shop_but("region:", "district:")
    assert measured_anew(two, other, "shop", "1.0.0", "1.1.0", told.append) is None
    assert all(each.endswith(UNJUDGED) for each in told)
    assert "without the use case's file" in told[0]
    assert "the column `district`" in told[1]
