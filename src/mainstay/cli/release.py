"""`release`, and its steps one by one: `train`, `gate`, `register`."""

from typing import Annotated, Any

import typer
from rich.progress import TaskID

from mainstay.cli import show
from mainstay.cli.door import (
    AsJson,
    Seed,
    Source,
    UseCaseFile,
    Why,
    because,
    open_platform,
    open_use_case,
    say,
    show_json,
    verdict_code,
)
from mainstay.data.shown import shown
from mainstay.digests import short
from mainstay.errors import Refused
from mainstay.journeys import progress
from mainstay.journeys import release as journey
from mainstay.journeys import train as training
from mainstay.nouns import Candidate, DatasetVersion, Estimate, ModelVersion, Phase
from mainstay.quality.remedy import to_pass
from mainstay.records import encode
from mainstay.registry.shelf import champion
from mainstay.training.tune import Trial
from mainstay.verdicts import Outcome, Verdict
from mainstay.wiring import Platform

Dataset = Annotated[str, typer.Option("--dataset", metavar="ID", help="A dataset's id, the start of one, or a tag.")]
Frozen = Annotated[
    str | None,
    typer.Option("--dataset", metavar="ID", help="Begin at this dataset version (an id or a tag), not at the source."),
]
CandidateId = Annotated[str, typer.Argument(metavar="CANDIDATE", help="A candidate's id, or the start of one.")]
Nested = Annotated[
    bool, typer.Option("--nested", help="Cross-validate the whole search as well: `recipe.nested`, for this once.")
]


class Narrator:
    """Shows each noun as it comes to be: on stdout for people; with --json only a line on stderr."""

    def __init__(self, trials: int, quiet: bool) -> None:
        self._bar = show.progress_bar()
        self._trials = trials
        self._task: TaskID | None = None
        self._quiet = quiet
        self._tried: list[Trial] = []

    def __call__(self, noun: Any) -> None:
        match noun:
            case Trial():
                self._trial(noun)
            case str():
                say(noun)
            case _ if self._quiet:
                pass
            case Verdict():
                show.verdict_table(noun, passed=noun.subject.startswith("cd_"))
            case DatasetVersion():
                show.line(f"dataset {noun.id}: {noun.rows:,} rows, {noun.quarantined:,} quarantined")
            case Candidate():
                show.trials_table(self._tried)
                self.close()  # a grid may end before its budget does
                scores = {"out of fold": noun.cross_validated, "holdout": noun.holdout}
                if honest := nested_scores(noun):
                    scores["nested"] = honest
                show.scores_table(f"Candidate {short(noun.id)}", scores)
                show.line(f"candidate {noun.id} (run {noun.run})")
            case ModelVersion():
                show.line(f"version {noun.use_case}@{noun.version}, signed by key {noun.key_id}")

    def _trial(self, trial: Trial) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("trials", total=self._trials)
        self._tried.append(trial)
        self._bar.update(self._task, advance=1, description=f"trial {trial.number + 1}: {trial.estimator}")
        if self._bar.finished:
            self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def release(
    use_case_file: UseCaseFile = None,
    source: Source = None,
    dataset: Frozen = None,
    seed: Seed = None,
    as_json: AsJson = False,
    why: Why = "",
) -> int:
    """From raw rows to a signed version and its rollout: read, validate, freeze, train, gate, register, rollout."""
    far = progress.Release()
    narrator: Narrator | None = None
    try:
        if source is not None and dataset is not None:
            raise Refused("a release begins at a source or at a dataset version; give one of them", "--dataset")
        use_case, asked = open_use_case(use_case_file, source, seed)
        far.use_case = use_case.name
        narrator = Narrator(use_case.recipe.trials, quiet=as_json)
        asked = because(asked, why, f"released from {shown(use_case.source) if dataset is None else dataset}")
        platform = open_platform()
        journey.release(platform, use_case, asked, far, narrator, dataset)
    except BaseException as error:  # an interrupt too: the door shows how far it got, and sets the code
        error.so_far = release_json(far)  # type: ignore[attr-defined]
        raise
    finally:
        if narrator is not None:
            narrator.close()
    if as_json:
        show_json(release_json(far))
    elif far.version is not None:
        show.line(f"PASS: {far.version.use_case}@{far.version.version} {_state(platform, use_case.name, far)}")
    else:
        stop = f"{far.outcome}: stopped at {far.stage}"
        if far.verdict is None:
            show.line(f"{stop}.")
        else:
            show.verdict_end(stop, far.verdict)
    return verdict_code(far.outcome)


def _state(platform: Platform, use_case: str, far: progress.Release) -> str:
    """What a version does once its release has ended, in words."""
    live = champion(platform.ledger, use_case)
    if far.version is not None and live is not None and live.version == far.version.version:
        return "is live; mainstay serve --open answers with it"
    if far.rollout is not None and far.rollout.phase is Phase.RUNNING:
        return f"is being rolled out ({short(far.rollout.id)}); mainstay operate moves it, mainstay rollout watch shows"
    return "stands, and is not live"


def release_json(far: progress.Release) -> dict[str, Any]:
    """How far a release got, always with all keys; null where it did not get. What ended it is for the door to add."""
    candidate = encode(far.candidate) if far.candidate else {}
    made = encode(far.verdict) if far.verdict else {}
    return {
        "use_case": far.use_case or None,
        "dataset": far.dataset.id if far.dataset else None,
        "run": far.run,
        "candidate": candidate.get("id"),
        "version": far.version.version if far.version else None,
        "rollout": far.rollout.id if far.rollout else None,
        "outcome": str(far.outcome),
        "stopped_at": None if far.stage == progress.DONE else far.stage,
        "checks": made.get("checks"),
        "to_pass": to_pass(far.verdict) if far.verdict else None,
        "cross_validated": _with_profit(candidate.get("cross_validated")),
        "holdout": _with_profit(candidate.get("holdout")),
        "error": None,
    }


def _with_profit(scores: dict[str, Any] | None) -> dict[str, Any] | None:
    """Every metric there is: without offers and values there is no profit, and that is null."""
    return None if scores is None else {"profit": None, **scores}


def nested_scores(candidate: Candidate) -> dict[str, Estimate]:
    """The scores of nested cross-validation by metric; none where it was not asked for."""
    prefix = "nested_"
    found = candidate.evidence.items()
    return {name.removeprefix(prefix): score for name, score in found if name.startswith(prefix)}


def train(
    dataset: Dataset,
    use_case_file: UseCaseFile = None,
    seed: Seed = None,
    nested: Nested = False,
    as_json: AsJson = False,
    why: Why = "",
) -> int:
    """Tune, fit, export and score a candidate on a frozen dataset; prints its id."""
    use_case, asked = open_use_case(use_case_file, seed=seed)
    if nested:
        use_case = use_case.model_copy(update={"recipe": use_case.recipe.model_copy(update={"nested": True})})
    narrator = Narrator(use_case.recipe.trials, quiet=as_json)
    try:
        asked = because(asked, why, f"trained on {short(dataset)}")
        far = progress.Release(use_case.name)
        candidate = training.train(open_platform(), use_case, dataset, asked, far, narrator)
    finally:
        narrator.close()
    if candidate is None and far.verdict is not None:
        if as_json:
            show_json(encode(far.verdict))
        else:
            show.line(f"{far.verdict.outcome}: {far.verdict.reason}")
        return verdict_code(far.verdict.outcome)
    if as_json:
        show_json(encode(candidate))
    return 0


def gate(candidate: CandidateId, use_case_file: UseCaseFile = None, as_json: AsJson = False, why: Why = "") -> int:
    """Judge a candidate on the holdout, check by check."""
    use_case, asked = open_use_case(use_case_file)
    asked = because(asked, why, f"judged {short(candidate)}")
    verdict = journey.gate(open_platform(), use_case, candidate, asked)
    if as_json:
        show_json({**encode(verdict), "to_pass": to_pass(verdict)})
    else:
        show.verdict_table(verdict)
        if verdict.outcome is Outcome.PASS:
            show.line(f"{verdict.outcome}: {verdict.reason}")
        else:
            show.verdict_end(f"{verdict.outcome}", verdict)
    return verdict_code(verdict.outcome)


def register(candidate: CandidateId, use_case_file: UseCaseFile = None, as_json: AsJson = False, why: Why = "") -> int:
    """Sign and number a candidate that passed its gates, and start its rollout; the first version goes live at once."""
    use_case, asked = open_use_case(use_case_file)
    asked = because(asked, why, f"registered {short(candidate)}")
    made = open_platform()
    far = progress.Release(use_case.name, "register")
    version = far.version = journey.register(made, use_case, candidate, asked, say)
    far.rollout = journey.roll_out(made, use_case, version, asked, say)
    if as_json:
        show_json(encode(version))
    else:
        state = _state(made, use_case.name, far)
        show.line(f"version {version.use_case}@{version.version}, signed by key {version.key_id}, {state}")
    return 0
