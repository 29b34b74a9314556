"""Leaks that were planted are found; what only looks like one is not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.scoring.encode import inputs_of
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.fit import Fitted
from mainstay.training.leakage import copied_rows, evidence, permuted_auc, single_feature_auc
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


def test_coarse_customers_are_twins_by_nature_and_not_copies(members: Callable[..., Frame]) -> None:
    """Three plans and nothing else: every row has hundreds of twins, and its probability is known."""
    frame = members(6000)
    chance = {"basic": 0.6, "plus": 0.2, "family": 0.05}
    true = np.array([chance[plan] for plan in frame.columns["plan"]])
    labels = np.random.default_rng(3).random(6000) < true
    frame = replace(frame, columns={"plan": frame.columns["plan"]}, labels=labels)
    train = np.arange(6000) < 4000
    found = copied_rows(Parts(frame.take(train), frame.take(~train)), true[train])
    assert -0.01 < found.low < found.high < 0.01


def test_an_entity_is_not_its_own_twin(members: Callable[..., Frame]) -> None:
    frame = precise(members(300))
    assert copied_rows(Parts(frame, frame), np.full(300, 0.4)).value == 0


def test_missing_values_are_alike_and_no_value_is_another(members: Callable[..., Frame]) -> None:
    frame = members(400)
    nothing = {
        **frame.columns,
        "age": np.full(400, 30.0),
        "balance": np.full(400, np.nan),
        "plan": np.full(400, "basic", dtype=object),
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
    assert singles == [f"single_feature_auc:{name}" for name in ("age", "balance", "plan", "town")]
    assert max(honest[name].high for name in singles) < 0.9
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
