"""From a dataset version to a candidate: tuned, fitted, exported, scored and examined, tracked in MLflow.

Steps of journey A (`release.py`), which hands it a dataset's id and takes the candidate's on.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mainstay.digests import new_id
from mainstay.journeys.asked import Asked
from mainstay.journeys.features import bind
from mainstay.journeys.parts import parts_of
from mainstay.journeys.progress import Release, Tell
from mainstay.journeys.recorded import dataset_named, settle
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import CANDIDATES, RUNS
from mainstay.nouns import Candidate, DatasetVersion, Run, Value
from mainstay.registry.examinations import keep_examination
from mainstay.registry.shelf import store_candidate
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import Parts
from mainstay.training.artifacts import artifacts
from mainstay.training.enough import enough
from mainstay.training.examine import examine
from mainstay.training.export import candidate as candidate_of
from mainstay.training.export import exported_best, holdout_scores
from mainstay.training.fit import Fitted
from mainstay.training.leakage import evidence
from mainstay.training.nested import NESTED, nested
from mainstay.training.track import TrackedRun, Tracker, code_version
from mainstay.training.tune import Best, Trial, search
from mainstay.usecase import UseCase
from mainstay.verdicts import Outcome
from mainstay.wiring import Platform


def train(
    platform: Platform, use_case: UseCase, named: str, asked: Asked, far: Release, tell: Tell
) -> Candidate | None:
    """Tune, fit, export and score a candidate on a dataset version, tracked in MLflow.

    None where it has too few rows to learn from or to judge by; the verdict then says how many would be enough.
    """
    far.stage = "features"
    dataset = dataset_named(platform.ledger, use_case.name, named).body
    bind(platform, use_case, asked)
    parts = parts_of(platform, use_case, dataset, tell)
    far.stage = "train"
    sufficient = enough(parts, use_case, dataset.id)
    if sufficient.outcome is not Outcome.PASS:
        far.verdict = sufficient
        tell(sufficient)
        return None
    code = code_version(Path(__file__).parent)
    run = new_id(platform.settings.clock())
    tracker = tracker_of(platform)
    given: dict[str, Value] = {
        "recipe": use_case.recipe_digest,
        "trials": use_case.recipe.trials,
        "folds": use_case.recipe.folds,
    }
    tracked = tracker.start(
        run, use_case.name, dataset=dataset.id, seed=use_case.recipe.seed, code=code, parameters=given
    )
    with tracked:
        far.run = run
        best = search(use_case, parts.train, _logging(tracked, tell))
        candidate, fitted, bundle, files = _candidate(use_case, parts, best, run, dataset, far, tell)
        store_candidate(use_case.name, files, platform.blobs)
        examined = examine(bundle, parts, candidate, use_case)
        kept = keep_examination(examined, platform.blobs)
        _record_run(platform, use_case, fitted, candidate, dataset, code, (tracked.id, kept), asked)
        chosen = {"estimator": fitted.estimator, **fitted.parameters}
        scores = {**candidate.cross_validated, **{f"holdout_{name}": made for name, made in candidate.holdout.items()}}
        scores |= {name: made for name, made in candidate.evidence.items() if name.startswith(NESTED)}
        tracked.finish(chosen, scores, artifacts(bundle, files, parts.holdout, use_case, examined))
    far.candidate = candidate
    tell(candidate)
    return candidate


def tracker_of(platform: Platform) -> Tracker:
    return Tracker(platform.settings.mlflow_url, platform.settings.clock)


def _logging(tracked: TrackedRun, tell: Tell) -> Callable[[Trial], None]:
    def on_trial(trial: Trial) -> None:
        tracked.log_trial(trial.number, trial.estimator, trial.parameters, trial.folds, trial.stopped)
        tell(trial)

    return on_trial


def _candidate(
    use_case: UseCase, parts: Parts, best: Best, run: str, dataset: DatasetVersion, far: Release, tell: Tell
) -> tuple[Candidate, Fitted, Bundle, Mapping[str, bytes]]:
    honest = nested(use_case, parts.train, tell) if use_case.recipe.nested else {}
    far.stage = "export"
    fitted, exported = exported_best(best, parts, use_case, tell)
    scores = holdout_scores(exported.bundle, parts.holdout, use_case)
    found = {**evidence(fitted, parts, use_case), **honest}
    made = candidate_of(exported, use_case, run, dataset.id, fitted.cross_validated, scores, found)
    return made, fitted, exported.bundle, exported.files


def _record_run(
    platform: Platform,
    use_case: UseCase,
    fitted: Fitted,
    candidate: Candidate,
    dataset: DatasetVersion,
    code: Mapping[str, str],
    kept: tuple[str, str],
    asked: Asked,
) -> None:
    """The run and its candidate, as one write. The same candidate from another run is another fact about it.

    `kept` are MLflow's id of the run, and the digest of its examination.
    """
    tracked, examination = kept
    run = Run(
        candidate.run,
        use_case.name,
        candidate.dataset,
        use_case.recipe_digest,
        use_case.recipe.seed,
        fitted.estimator,
        fitted.parameters,
        code,
        tracked,
        dataset.holdout,
        examination,
    )

    def both() -> list[Entry[Any]]:
        before = platform.ledger.latest(use_case.name, CANDIDATES, candidate.id)
        return [Entry(RUNS, run.id, run), Entry(CANDIDATES, candidate.id, candidate, before.number if before else 0)]

    settle(platform, use_case.name, both, asked)
