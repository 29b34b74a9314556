"""A bundle from a fitted model: the same bytes every time, or a refusal where the graph says something else."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mainstay.training.export
from mainstay.errors import Refused
from mainstay.measures.rates import exact
from mainstay.nouns import Candidate
from mainstay.records import decode, encode
from mainstay.scoring.bundle import DECIDING, candidate_id, from_files, to_files
from mainstay.scoring.frame import Frame, Parts
from mainstay.scoring.scorer import Scorer
from mainstay.training.export import Exported, bundled, candidate, exported_best, holdout_scores, to_onnx
from mainstay.training.fit import Fitted, finish
from mainstay.training.graph import onnx_graph
from mainstay.training.tune import Best, search
from mainstay.usecase import UseCase

ESTIMATORS = ("logistic", "lightgbm")
SOURCE = str(Path(mainstay.training.export.__file__).parents[2])
EVERY = ("logistic", "splines", "random_forest", "gradient_boosting", "lightgbm", "xgboost")


@pytest.fixture(scope="module")
def exports(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> dict[str, Exported]:
    return {name: to_onnx(fitted, parts, gym) for name, fitted in fits.items()}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_bundle_is_read_back_warms_up_and_scores_as_the_model_did(
    exports: dict[str, Exported], fits: dict[str, Fitted], parts: Parts, name: str
) -> None:
    exported, fitted = exports[name], fits[name]
    scorer = Scorer(from_files(exported.files))
    scorer.warm_up()
    assert scorer.bundle.decide.classes == ("No", "Yes")
    assert scorer.bundle.decide.threshold == fitted.threshold
    scored = scorer.score(parts.holdout.columns)
    assert scored.probability.mean() == pytest.approx(parts.holdout.labels.mean(), abs=0.06)
    assert exported.parity.value < 1e-5
    assert exported.parity.rows == len(parts.holdout)
    assert exported.size.value == sum(len(data) for data in exported.files.values())


def test_golden_rows_are_drawn_from_the_profile_and_are_nobody(exports: dict[str, Exported], parts: Parts) -> None:
    bundle = exports["lightgbm"].bundle
    assert len(bundle.golden.rows) == 32
    assert bundle.profile.rows == len(parts.train)
    balances = {row["balance"] for row in bundle.golden.rows if row["balance"] is not None}
    assert not balances & set(parts.train.columns["balance"].tolist())


def test_the_profile_has_the_probabilities_of_unseen_rows(
    exports: dict[str, Exported], fits: dict[str, Fitted]
) -> None:
    profile = exports["lightgbm"].bundle.profile
    counts, _ = np.histogram(fits["lightgbm"].out_of_fold, np.linspace(0, 1, 21))
    assert profile.probability.counts == tuple(counts.tolist())
    assert profile.base_rate == fits["lightgbm"].base_rate


def test_a_graph_that_says_something_else_is_refused_by_name(
    fits: dict[str, Fitted], parts: Parts, gym: UseCase
) -> None:
    """The logistic graph in the place of LightGBM's: well-formed, plausible, and wrong."""
    wrong = onnx_graph(fits["logistic"].model, len(fits["logistic"].encoder.places))
    with pytest.raises(Refused, match=r"`lightgbm` is 0\.\d+ from the fitted model at row \d+.*more than 1e-05"):
        bundled(fits["lightgbm"], wrong, parts, gym)


def test_a_graph_that_answers_nothing_is_refused(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> None:
    fitted = fits["logistic"]
    graph = onnx_graph(fitted.model, len(fitted.encoder.places))

    class Silent:
        def predict_proba(self, tensor: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
            return np.full((len(tensor), 2), np.nan)

    with pytest.raises(Refused, match="is nan from the fitted model"):
        bundled(replace(fitted, model=Silent()), graph, parts, gym)


def test_the_use_case_says_how_far_is_too_far(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> None:
    fitted = fits["lightgbm"]
    gates = gym.gates.model_copy(update={"parity": gym.gates.parity.model_copy(update={"at_most": 1e-12})})
    with pytest.raises(Refused, match="more than 1e-12"):
        to_onnx(fitted, parts, gym.model_copy(update={"gates": gates}))


def test_a_holdout_without_rows_proves_no_parity(fits: dict[str, Fitted], parts: Parts, gym: UseCase) -> None:
    with pytest.raises(Refused, match="no rows to compare"):
        to_onnx(fits["logistic"], Parts(parts.train, parts.holdout.take(np.arange(0))), gym)


def made(frame: Frame, in_two: Callable[[Frame], Parts], use_case: UseCase) -> dict[str, bytes]:
    """The files of a release of these rows, from the search on."""
    halves = in_two(frame)
    fitted = finish(search(use_case, halves.train, lambda trial: None), halves.train, use_case)
    return dict(to_onnx(fitted, halves, use_case).files)


def test_the_same_rows_and_seed_give_the_same_bytes_and_names_of_entities_do_not_matter(
    members: Callable[..., Frame], in_two: Callable[[Frame], Parts], recipe: Callable[..., UseCase]
) -> None:
    frame = members(450)
    renamed = replace(frame, groups=np.random.default_rng(1).permutation(450))
    for name in ESTIMATORS:
        use_case = recipe(estimators=(name,), trials=2)
        assert made(frame, in_two, use_case) == made(renamed, in_two, use_case)


def test_another_seed_gives_another_candidate(
    members: Callable[..., Frame], in_two: Callable[[Frame], Parts], recipe: Callable[..., UseCase]
) -> None:
    ids = {candidate_id(made(members(450), in_two, recipe(seed=seed))) for seed in (7, 8)}
    assert len(ids) == 2


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from conftest import GYM, draw_members, halved
from mainstay.usecase_file import loads
from test_export import every_file
for line in every_file(loads(GYM), halved(draw_members(450))):
    print(line)
"""


def every_file(use_case: UseCase, halves: Parts) -> list[str]:
    """The names and digests of the files that the defaults of every estimator, and their vote, are exported as."""
    fields = {"estimators": (*EVERY, "ensemble"), "trials": len(EVERY)}
    use_case = use_case.model_copy(update={"recipe": use_case.recipe.model_copy(update=fields)})
    best = search(use_case, halves.train, lambda trial: None)
    assert [trial.estimator for trial in best.trials] == [*EVERY, "ensemble"]
    lines = []
    for trial in best.trials:
        files = to_onnx(finish(replace(best, trial=trial), halves.train, use_case), halves, use_case).files
        assert set(DECIDING) < set(files)
        lines += [f"{trial.estimator} {name} {hashlib.sha256(data).hexdigest()}" for name, data in files.items()]
    return lines


def test_another_process_makes_the_same_bytes(
    members: Callable[..., Frame],
    in_two: Callable[[Frame], Parts],
    gym: UseCase,
    request: pytest.FixtureRequest,
) -> None:
    """With sets in another order, and one thread for the linear algebra."""
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(request.path.parent)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": os.defpath, "PYTHONPATH": SOURCE},
    )
    assert told.stdout.splitlines() == every_file(gym, in_two(members(450)))


def test_the_candidate_carries_its_scores_and_its_evidence(
    exports: dict[str, Exported], fits: dict[str, Fitted], parts: Parts, gym: UseCase
) -> None:
    exported, fitted = exports["lightgbm"], fits["lightgbm"]
    scores = holdout_scores(exported.bundle, parts.holdout, gym)
    found = candidate(exported, gym, "run", "ds_1", fitted.cross_validated, scores, {"permuted_auc": exact(0.5, 9)})
    assert found.id == candidate_id(to_files(exported.bundle))
    assert found.classes == ("No", "Yes")
    assert found.files["model.onnx"].bytes == len(exported.bundle.model)
    assert found.evidence.keys() == {"permuted_auc", "parity", "size"}
    assert found.holdout["roc_auc"].rows == len(parts.holdout)
    assert found.holdout.keys() == found.cross_validated.keys()
    assert abs(found.holdout["roc_auc"].value - found.cross_validated["roc_auc"].value) < 0.08
    assert decode(Candidate, encode(found)) == found


def refusing(*names: str) -> Callable[[Fitted, Parts, UseCase], Exported]:
    """An export that finds these estimators' graphs wrong."""

    def export(fitted: Fitted, parts: Parts, use_case: UseCase) -> Exported:
        if fitted.estimator in names:
            raise Refused(f"the ONNX graph of `{fitted.estimator}` is 0.4 from the fitted model", "model.onnx")
        return to_onnx(fitted, parts, use_case)

    return export


@pytest.fixture(scope="module")
def contest(recipe: Callable[..., UseCase], parts: Parts) -> tuple[UseCase, Best]:
    use_case = recipe(estimators=("logistic", "splines", "lightgbm"), trials=3)
    return use_case, search(use_case, parts.train, lambda trial: None)


def test_where_the_best_estimators_graph_is_wrong_the_next_best_is_offered_and_said(
    contest: tuple[UseCase, Best], parts: Parts
) -> None:
    use_case, best = contest
    heard: list[str] = []
    following = best.runners_up[0][0].estimator
    fitted, exported = exported_best(best, parts, use_case, heard.append, refusing(best.trial.estimator))
    assert fitted.estimator == following
    assert exported.parity.value < 1e-5
    assert f"`{best.trial.estimator}` is 0.4" in heard[0]
    assert f"`{following}`, the next best, is offered instead" in heard[0]


def test_an_estimator_that_is_much_worse_is_no_stand_in(contest: tuple[UseCase, Best], parts: Parts) -> None:
    use_case, best = contest
    (trial, raw), *others = best.runners_up
    worse = replace(best, runners_up=((replace(trial, log_loss=best.trial.log_loss + 0.02), raw), *others))
    with pytest.raises(Refused, match=f"`{best.trial.estimator}` is 0.4"):
        exported_best(worse, parts, use_case, pytest.fail, refusing(best.trial.estimator))


def test_where_every_graph_is_wrong_the_best_ones_refusal_stands(contest: tuple[UseCase, Best], parts: Parts) -> None:
    use_case, best = contest
    close = replace(
        best, runners_up=tuple((replace(each, log_loss=best.trial.log_loss), raw) for each, raw in best.runners_up)
    )
    heard: list[str] = []
    with pytest.raises(Refused, match=f"`{best.trial.estimator}` is 0.4"):
        exported_best(close, parts, use_case, heard.append, refusing(*EVERY))
    assert len(heard) == 2


def test_a_holdout_without_rows_is_no_estimators_fault(contest: tuple[UseCase, Best], parts: Parts) -> None:
    use_case, best = contest
    with pytest.raises(Refused, match="no rows to compare"):
        exported_best(best, Parts(parts.train, parts.holdout.take(np.arange(0))), use_case, pytest.fail)


def test_a_model_that_cannot_be_converted_is_refused_by_name(
    fits: dict[str, Fitted], parts: Parts, gym: UseCase
) -> None:
    class Unheard:
        pass

    with pytest.raises(Refused, match="`lightgbm` has no ONNX graph: MissingShapeCalculator"):
        to_onnx(replace(fits["lightgbm"], model=Unheard()), parts, gym)
