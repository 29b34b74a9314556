"""Leaks that were planted are found; what only looks like one is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.scoring.encode import Input, inputs_of
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.fit import Fitted
from mainstay.training.leakage import copied_rows, evidence, permuted_auc, pure_bins, single_feature_auc
from mainstay.usecase import UseCase


def base_rates(parts: Parts) -> NDArray[np.float64]:
    """What a model that knows nothing says of the training rows."""
    return np.full(len(parts.train), parts.train.labels.mean())


def precise(frame: Frame) -> Frame:
    """The members with a balance that no two share: nobody has a twin by nature."""
    return replace(frame, columns={**frame.columns, "balance": np.random.default_rng(5).normal(size=len(frame))})


def copied(parts: Parts, share: float, keep_labels: bool) -> Parts:
    """The first rows of the holdout once more in the training part, under other names; with their labels or with
    labels drawn at random."""
    rows = np.arange(round(share * len(parts.holdout)))
    twins = parts.holdout.take(rows)
    if not keep_labels:
        twins = replace(twins, labels=np.random.default_rng(1).permutation(twins.labels))
    train = parts.train
    columns = {name: np.concatenate([values, twins.columns[name]]) for name, values in train.columns.items()}
    return Parts(
        Frame(
            columns,
            np.concatenate([train.labels, twins.labels]),
            np.concatenate([train.groups, 10_000 + rows]),
            np.zeros(len(train) + len(rows), dtype=np.bool_),
            {},
        ),
        parts.holdout,
    )


def test_permuted_labels_are_ranked_by_chance(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> None:
    for fitted in fits.values():
        found = permuted_auc(fitted, parts.train, gym)
        assert found.low < 0.5 < found.high
        assert found.rows == len(parts.train)


def test_few_rows_are_dealt_labels_more_often(
    fits: dict[str, Fitted], parts: Parts, gym: UseCase, members: Callable[..., Frame]
) -> None:
    few, more = (permuted_auc(fits["logistic"], frame, gym) for frame in (members(240), members(4000)))
    assert few.method.endswith("17 permutations")
    assert more.method.endswith("1 permutations")
    assert few.high - few.low < 2 * (more.high - more.low)


def test_a_deal_that_leaves_a_fold_one_class_is_no_evidence(fits: dict[str, Fitted], gym: UseCase) -> None:
    """Rows of two entities only: no deal can give each of three folds both classes."""
    groups = np.repeat([0, 1], 30)
    columns = {"age": np.arange(60.0), "balance": np.arange(60.0)}
    columns |= {name: np.full(60, "basic", dtype=object) for name in ("plan", "town")}
    frame = Frame(columns, groups == 0, groups, np.zeros(60, dtype=np.bool_), {})
    assert np.isnan(permuted_auc(fits["logistic"], frame, gym).value)


def test_copies_are_counted(members: Callable[..., Frame], in_two: Callable[[Frame], Parts]) -> None:
    clean = in_two(precise(members(3000)))
    assert copied_rows(clean, base_rates(clean)).value == 0
    for share in (0.1, 0.5, 1.0):
        planted = copied(clean, share, keep_labels=True)
        found = copied_rows(planted, base_rates(planted))
        assert found.low < share < found.high
        assert found.rows == len(clean.holdout)
        assert found.low > 0.05


def test_rows_that_look_alike_with_labels_of_their_own_are_not_copies(
    members: Callable[..., Frame], in_two: Callable[[Frame], Parts]
) -> None:
    planted = copied(in_two(precise(members(3000))), 1.0, keep_labels=False)
    found = copied_rows(planted, base_rates(planted))
    assert found.low < 0 < found.high


@pytest.mark.parametrize("levels", [1, 30, 2000])
def test_coarse_customers_are_twins_by_nature_and_not_copies(members: Callable[..., Frame], levels: int) -> None:
    """Three plans, and a number of so many levels; the model knows nothing, though the plan tells much."""
    frame = members(6000)
    chance = {"basic": 0.6, "plus": 0.2, "family": 0.05}
    random = np.random.default_rng(3)
    labels = random.random(6000) < np.array([chance[plan] for plan in frame.columns["plan"]])
    level = random.integers(0, levels, 6000).astype(np.float64)
    frame = replace(frame, columns={"plan": frame.columns["plan"], "level": level}, labels=labels)
    train = np.arange(6000) < 4000
    found = copied_rows(Parts(frame.take(train), frame.take(~train)), np.full(4000, labels.mean()))
    assert -0.01 < found.low <= found.high < 0.01


def test_rows_drawn_again_before_the_split_are_copies(in_two: Callable[[Frame], Parts]) -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=2000)
    labels = random.random(2000) < 1 / (1 + np.exp(1.3 - x))
    columns = {"x": x, "y": random.normal(size=2000), "n": random.integers(0, 5, 2000).astype(np.float64)}
    frame = Frame(columns, labels, np.arange(2000), np.zeros(2000, dtype=np.bool_), {})
    places = random.permutation(np.append(np.arange(2000), random.choice(np.flatnonzero(labels), 1000)))
    planted = in_two(replace(frame.take(places), groups=np.arange(3000)))
    assert copied_rows(planted, base_rates(planted)).low > 0.05
    clean = in_two(frame)
    assert copied_rows(clean, base_rates(clean)).value == 0


def test_a_model_that_doubts_nothing_leaves_no_copies_to_count(parts: Parts) -> None:
    assert np.isnan(copied_rows(parts, np.zeros(len(parts.train))).value)


def test_an_entity_is_not_its_own_twin(members: Callable[..., Frame]) -> None:
    frame = precise(members(300))
    assert copied_rows(Parts(frame, frame), np.full(300, 0.4)).value == 0


def test_missing_values_are_alike_and_no_value_is_another(members: Callable[..., Frame]) -> None:
    frame = members(400)
    age = np.tile(np.arange(200.0), 2)
    nothing = {
        "age": age,
        "charge": np.sqrt(age),
        "balance": np.full(400, np.nan),
        "town": np.full(400, None, dtype=object),
    }
    alike = replace(frame, columns=nothing, labels=np.ones(400, dtype=np.bool_))
    places = np.arange(400)
    halves = Parts(alike.take(places < 200), alike.take(places >= 200))
    assert copied_rows(halves, np.full(200, 0.5)).value == pytest.approx(1)
    named = replace(halves.holdout, columns={**halves.holdout.columns, "town": np.full(200, "None", dtype=object)})
    assert copied_rows(Parts(halves.train, named), np.full(200, 0.5)).value == 0


def test_the_input_that_tells_the_label_is_named(
    fits: dict[str, Fitted], parts: Parts, members: Callable[..., Frame], in_two: Callable[[Frame], Parts], gym: UseCase
) -> None:
    honest = evidence(fits["logistic"], parts, gym)
    singles = [name for name in honest if name.startswith("single_feature_auc:")]
    features = ("age", "balance", "plan", "town", "balance_by_age")
    assert singles == [f"single_feature_auc:{name}" for name in features]
    assert max(honest[name].high for name in singles) < 0.9
    assert [honest[f"pure_bins:{name}"].value for name in features] == [0] * len(features)
    assert {"permuted_auc", "copied_rows"} < honest.keys()

    frame = members(1200)
    for name, told in {
        "balance": np.where(frame.labels, np.nan, 5.0),
        "town": np.where(frame.labels, "Gone", "Here").astype(object),
        "age": 40 + np.where(frame.labels, 1.0, -1.0),
    }.items():
        leaking = in_two(replace(frame, columns={**frame.columns, name: told}))
        given = {each.name: each for each in inputs_of(gym)}
        assert single_feature_auc(given[name], leaking).low > 0.95
        assert single_feature_auc(given["plan"], leaking).high < 0.95


def test_an_input_that_bends_back_is_seen_too(
    gym: UseCase, members: Callable[..., Frame], in_two: Callable[[Frame], Parts]
) -> None:
    """The middle ages leave: no order of ages would show it."""
    frame = members(1500)
    middle = np.abs(frame.columns["age"] - 50) < 15
    found = single_feature_auc(inputs_of(gym)[0], in_two(replace(frame, labels=middle)))
    assert found.value > 0.95


def test_a_value_or_a_column_that_training_never_saw_scores_the_base_rate(gym: UseCase, parts: Parts) -> None:
    train, asked = parts.train, parts.holdout
    strange = replace(asked, columns={**asked.columns, "town": np.full(len(asked), "Rome", dtype=object)})
    town, nowhere = inputs_of(gym)[3], np.array(None, dtype=object)
    assert single_feature_auc(town, Parts(train, strange)).value == 0.5
    left = replace(train, columns={**train.columns, "town": np.where(train.labels, nowhere, "Ulm")})
    gone = replace(asked, columns={**asked.columns, "town": np.where(asked.labels, nowhere, "Rome")})
    assert single_feature_auc(town, Parts(left, gone)).value == 1
    empty = replace(train, columns={**train.columns, "balance": np.full(len(train), np.nan)})
    assert 0.4 < single_feature_auc(inputs_of(gym)[1], Parts(empty, asked)).value < 0.7


def test_a_derived_feature_that_tells_the_label_is_named(
    fits: dict[str, Fitted], members: Callable[..., Frame], in_two: Callable[[Frame], Parts], gym: UseCase
) -> None:
    """Neither number tells anything; what is derived from them does."""
    frame = members(1200)
    age = np.random.default_rng(2).integers(20, 90, 1200).astype(np.float64)
    ratio = np.where(frame.labels, 1.0, -1.0) + np.random.default_rng(3).uniform(-0.5, 0.5, 1200)
    balance = ratio * age
    mirrored = replace(frame, columns={**frame.columns, "age": age, "balance": balance})
    found = evidence(fits["logistic"], in_two(mirrored), gym)
    assert found["single_feature_auc:age"].high < 0.6
    assert found["single_feature_auc:balance_by_age"].low > 0.95
    assert found["pure_bins:balance_by_age"].low > 0.5


@pytest.mark.parametrize("share", [0.15, 0.4])
@pytest.mark.parametrize("name", ["town", "balance", "age"])
def test_a_column_that_is_filled_for_some_leavers_gives_them_away(
    name: str, share: float, gym: UseCase, members: Callable[..., Frame], in_two: Callable[[Frame], Parts]
) -> None:
    """Too few to move its AUC: a reason, a number where there is one, a number that is 0 else."""
    frame = members(3000)
    random = np.random.default_rng(11)
    some = frame.labels & (random.random(3000) < share)
    number = random.gamma(2, 20, 3000)
    told: dict[str, NDArray[Any]] = {
        "town": np.where(some, random.choice(np.array(["price", "moved"], dtype=object), 3000), np.array(None)),
        "balance": np.where(some, number, np.nan),
        "age": np.where(some, number, 0.0),
    }
    leaking = in_two(replace(frame, columns={**frame.columns, name: told[name]}))
    given = {each.name: each for each in inputs_of(gym)}
    assert single_feature_auc(given[name], leaking).high < 0.95
    assert abs(pure_bins(given[name], leaking).value - share) < 0.06
    assert pure_bins(given[name], leaking).low > 0.05
    stayers = Parts(
        replace(leaking.train, labels=~leaking.train.labels), replace(leaking.holdout, labels=~leaking.holdout.labels)
    )
    assert pure_bins(given[name], stayers).value > 0 or stayers.train.labels.mean() < 1 / 3


def test_what_is_pure_by_nature_gives_nobody_away(gym: UseCase, members: Callable[..., Frame]) -> None:
    """The end of a slope, and bins of a class that is everywhere, are pure; what the holdout denies is not."""
    frame = members(6000)
    random = np.random.default_rng(12)
    age, town = inputs_of(gym)[0], inputs_of(gym)[3]
    x = random.normal(size=6000)
    steep = random.random(6000) < 1 / (1 + np.exp(-3 * x))
    rare = random.random(6000) < 0.01
    train = np.arange(6000) < 4000

    def given_away(given: Input, labels: NDArray[np.bool_], values: NDArray[Any]) -> float:
        made = replace(frame, columns={**frame.columns, given.name: values}, labels=labels)
        return pure_bins(given, Parts(made.take(train), made.take(~train))).value

    assert given_away(age, steep, x) == 0
    assert given_away(age, rare, x) == 0
    here = np.where(rare, np.array(None, dtype=object), "Ulm")
    assert given_away(town, rare, np.array(["Ulm"] * 6000, dtype=object)) == 0
    assert given_away(town, steep, np.where(steep & train, "Gone", here).astype(object)) == 0
