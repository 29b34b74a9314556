"""The search: a budget in trials, defaults first, and the same answer every time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mainstay.errors import Refused
from mainstay.measures.scores import log_loss, roc_auc
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.estimators import ENSEMBLE, ESTIMATORS, members_of
from mainstay.training.fit import finish
from mainstay.training.tune import Best, Trial, search
from mainstay.usecase import UseCase


def test_every_trial_is_told_in_order_and_the_defaults_come_first(recipe: Callable[..., UseCase], parts: Parts) -> None:
    told: list[Trial] = []
    best = search(recipe(trials=4), parts.train, told.append)
    assert tuple(told) == best.trials
    assert [trial.number for trial in told] == [0, 1, 2, 3]
    for trial, name in zip(told, ("logistic", "lightgbm"), strict=False):
        assert (trial.estimator, trial.parameters) == (name, ESTIMATORS[name].defaults)
    assert best.trial.log_loss == min(trial.log_loss for trial in told)


def test_the_scores_of_a_trial_are_those_of_its_folds(best: Best, parts: Parts) -> None:
    for place, (_, judged) in enumerate(best.folds):
        labels, raw = parts.train.labels[judged], best.raw[judged]
        assert best.trial.folds["log_loss"][place] == log_loss(labels, raw).value
        assert best.trial.folds["roc_auc"][place] == roc_auc(labels, raw).value
    assert best.trial.log_loss == pytest.approx(np.mean(best.trial.folds["log_loss"]))
    assert all(len(values) == 3 for values in best.trial.folds.values())


def test_the_probabilities_are_those_of_the_best_trial_and_not_of_the_last(
    recipe: Callable[..., UseCase], members: Callable[..., Frame]
) -> None:
    frame = members(300)
    found = [search(recipe(seed=seed), frame, lambda trial: None) for seed in (7, 8, 9)]
    assert any(best.trial is not best.trials[-1] for best in found)
    for best in found:
        said = [log_loss(frame.labels[judged], best.raw[judged]).value for _, judged in best.folds]
        assert tuple(said) == best.trial.folds["log_loss"]


def test_the_same_seed_searches_alike_and_another_seed_otherwise(
    recipe: Callable[..., UseCase], members: Callable[..., Frame]
) -> None:
    frame = members(300)
    first, again, other = (search(recipe(seed=seed), frame, lambda trial: None) for seed in (7, 7, 8))
    assert first.trials == again.trials != other.trials
    np.testing.assert_array_equal(first.raw, again.raw)


def test_the_names_of_entities_change_nothing(recipe: Callable[..., UseCase], members: Callable[..., Frame]) -> None:
    frame = members(300)
    renamed = replace(frame, groups=np.random.default_rng(1).permutation(300))
    use_case = recipe(trials=2)
    assert search(use_case, frame, lambda _: None).trials == search(use_case, renamed, lambda _: None).trials


def test_a_budget_smaller_than_the_estimators_tries_the_first(recipe: Callable[..., UseCase], parts: Parts) -> None:
    best = search(recipe(trials=1), parts.train, lambda trial: None)
    assert [trial.estimator for trial in best.trials] == ["logistic"]


def test_one_estimator_alone_is_searched(recipe: Callable[..., UseCase], members: Callable[..., Frame]) -> None:
    best = search(recipe(estimators=("lightgbm",)), members(200), lambda trial: None)
    assert {trial.estimator for trial in best.trials} == {"lightgbm"}
    drawn = best.trials[-1].parameters
    assert drawn.keys() == ESTIMATORS["lightgbm"].defaults.keys()
    assert drawn != ESTIMATORS["lightgbm"].defaults


def test_a_part_with_one_class_is_refused(gym: UseCase, members: Callable[..., Frame]) -> None:
    frame = members(100)
    with pytest.raises(Refused, match="0 positive"):
        search(gym, replace(frame, labels=np.zeros(100, dtype=np.bool_)), lambda trial: None)


def test_a_hopeless_trial_is_stopped_and_says_so(recipe: Callable[..., UseCase], members: Callable[..., Frame]) -> None:
    """A logistic regression that may hardly learn, against one that may."""
    grid = {"logistic": {"C": (0.001, 0.2)}}
    found = search(recipe(estimators=("logistic",), search="grid", grid=grid, folds=5), members(2500), lambda _: None)
    default, hopeless, hopeful = found.trials
    assert hopeless.parameters == {"C": 0.001}
    assert (default.stopped, hopeless.stopped, hopeful.stopped) == (False, True, False)
    assert 1 <= len(hopeless.folds["log_loss"]) == len(hopeless.folds["roc_auc"]) < 5
    assert found.trial in (default, hopeful)
    assert not np.isnan(found.raw).any()


def test_the_defaults_are_never_stopped(recipe: Callable[..., UseCase], members: Callable[..., Frame]) -> None:
    """Here LightGBM is surely worse than a line, and still has a trial to be compared by."""
    use_case = recipe(estimators=("logistic", "lightgbm"), trials=2, folds=5)
    assert [trial.stopped for trial in search(use_case, members(150), lambda _: None).trials] == [False, False]


def test_the_ensemble_is_the_vote_of_the_best_and_says_what_its_members_said(
    recipe: Callable[..., UseCase], parts: Parts
) -> None:
    use_case = recipe(estimators=("logistic", "splines", "lightgbm", "ensemble"), trials=5)
    told: list[Trial] = []
    best = search(use_case, parts.train, told.append)
    vote = told[-1]
    assert (vote.number, vote.estimator, len(told)) == (5, ENSEMBLE, 6)
    members = members_of(vote.parameters)
    assert 2 <= len(members) <= 3
    alone = {trial.estimator: trial for trial in sorted(told[:-1], key=lambda each: -each.log_loss)}
    assert all(alone[name].parameters == given for name, given in members.items())
    contenders = [(best.trial, best.raw), *best.runners_up]
    raw = {trial.estimator: said for trial, said in contenders}
    np.testing.assert_allclose(raw[ENSEMBLE], np.mean([raw[name] for name in members], axis=0))
    assert [trial.log_loss for trial, _ in contenders] == sorted(trial.log_loss for trial, _ in contenders)
    voted = replace(best, trial=vote, raw=raw[ENSEMBLE])
    assert finish(voted, parts.train, use_case).cross_validated["roc_auc"].value > 0.7
