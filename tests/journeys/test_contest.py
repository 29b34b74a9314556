"""A challenger and the champion on the same rows, through real releases."""

from collections.abc import Callable
from typing import Any

import pytest

from mainstay.errors import Refused
from mainstay.journeys import progress
from mainstay.journeys import release as journey
from mainstay.journeys.asked import Asked
from mainstay.journeys.train import train
from mainstay.usecase import UseCase
from mainstay.usecase_gates import Gate
from mainstay.verdicts import Check, Outcome
from mainstay.wiring import Platform

Rows = list[dict[str, str]]
Release = Callable[..., progress.Release]
Changed = Callable[[str, str], UseCase]


def against(far: progress.Release) -> list[Check]:
    assert far.verdict is not None
    return [made for made in far.verdict.checks if made.name == "champion"]


def salted(shop: UseCase, salt: str) -> UseCase:
    return shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"salt": salt})})


def test_a_first_version_has_no_champion(first_release: tuple[Platform, progress.Release]) -> None:
    assert not against(first_release[1])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_refit_on_grown_rows_is_judged_on_rows_that_its_champion_never_saw(
    home: Platform,
    shop: UseCase,
    release: Release,
    customers: Rows,
    write_rows: Callable[..., None],
    seed: int,
) -> None:
    source = home.settings.home.parent / "shop.csv"
    use_case = shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"seed": seed})})
    write_rows(source, customers[:560])
    assert release(home, use_case).outcome is Outcome.PASS
    write_rows(source, customers)
    (made,) = against(release(home, use_case))
    assert made.outcome is not Outcome.FAIL
    assert made.subject == "1.0.0"
    assert "do not count" not in made.reason


def test_under_another_salt_what_the_champion_learnt_from_is_left_out(
    released: Platform, shop: UseCase, release: Release
) -> None:
    far = release(released, salted(shop, "another"))
    (made,) = against(far)
    assert far.candidate is not None
    assert made.estimate is not None
    held_out = far.candidate.holdout["roc_auc"].rows
    assert made.estimate.rows < held_out / 2
    assert f"{held_out - made.estimate.rows:,} rows that 1.0.0 was trained on do not count" in made.reason
    assert made.outcome is Outcome.INCONCLUSIVE  # a fifth of a fifth of 800 rows is too few
    assert far.version is None


def test_a_candidate_that_is_worse_than_the_champion_may_be_is_not_registered(
    released: Platform, shop: UseCase, release: Release
) -> None:
    far = progress.Release(shop.name)
    demanding = shop.gates.champion.model_copy(update={"log_loss": Gate(at_most=-0.5)})
    use_case = shop.model_copy(update={"gates": shop.gates.model_copy(update={"champion": demanding})})
    use_case = use_case.model_copy(update={"recipe": shop.recipe.model_copy(update={"seed": 8})})
    release(released, use_case, far)
    (made,) = against(far)
    assert made.outcome is Outcome.FAIL
    assert far.version is None


def test_a_champion_whose_input_is_gone_is_told_and_blocks_nothing(
    released: Platform, shop: UseCase, release: Release
) -> None:
    columns = dict(shop.contract.columns)
    columns["region"] = columns["region"].model_copy(update={"feature": False})
    contract = shop.contract.model_copy(update={"columns": columns})
    features = shop.features.model_copy(update={"service": "shop_v2"})  # what a service means is never changed
    far = release(released, shop.model_copy(update={"contract": contract, "features": features}))
    (made,) = against(far)
    assert made.outcome is Outcome.INCONCLUSIVE
    assert not made.blocking
    assert "no longer have its input `region`" in made.reason
    assert far.outcome is Outcome.PASS


def test_a_verdict_against_a_champion_of_yesterday_registers_nothing(
    released: Platform, shop: UseCase, asked: Callable[[Platform], Asked], heard: list[Any]
) -> None:
    made = []
    for seed in (8, 9):
        use_case = shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"seed": seed})})
        far = progress.Release(shop.name)
        dataset = journey.ingest(released, use_case, asked(released), far, heard.append)
        assert dataset is not None
        candidate = train(released, use_case, dataset.id, asked(released), far, heard.append)
        assert candidate is not None
        journey.gate(released, use_case, candidate.id, asked(released))
        made.append((use_case, candidate))
    (use_case, first), (_, second) = made
    version = journey.register(released, use_case, first.id, asked(released), heard.append)
    journey.roll_out(released, use_case, version, asked(released), heard.append)
    with pytest.raises(Refused, match="another champion"):
        journey.register(released, made[1][0], second.id, asked(released), heard.append)
