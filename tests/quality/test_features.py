"""The card tells what the features are, whose, and in which unit; from what is recorded."""

from collections.abc import Callable

from mainstay.defined import FeatureColumn, FeatureService, FeatureView
from mainstay.quality.card import Facts, card
from mainstay.quality.document import to_markdown

USAGE = FeatureView(
    "usage", "id", (FeatureColumn("calls", "number", "calls", description="Calls made."),), "measured", "loaded", "45d",
    "usage.parquet", "How a line is used.", "network", {"tier": "gold"},
)  # fmt: skip
OWN = FeatureView("lines", "id", (FeatureColumn("age", "integer", "months"),), "seen", None, None, "lines.parquet")


def test_the_features_of_a_recorded_service_are_told_with_owner_unit_and_age(facts: Callable[..., Facts]) -> None:
    text = to_markdown(card(facts(service=FeatureService("lines_v1", "m" * 64, (OWN, USAGE), owner="retention"))))
    assert "## Features" in text
    assert "Owner: retention." in text
    assert (
        "`usage`: How a line is used. Owner: network. Tags: tier: gold. Known by loaded; may be as old as 45d." in text
    )
    assert "| `calls` | number | calls | Calls made. |" in text
    assert (
        "`lines`: not described. Nobody is named as its owner. Known as soon as it is so; may be as old as any" in text
    )


def test_a_service_that_nobody_recorded_is_passed_over(facts: Callable[..., Facts]) -> None:
    assert "## Features" not in to_markdown(card(facts()))
