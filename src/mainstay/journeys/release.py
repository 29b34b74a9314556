"""Journey A: raw rows to a signed, numbered version and its rollout. Read it top to bottom.

Each step hands an id to the next (dataset, run, candidate, version), so that the same steps run one by one from the
command line or an orchestrator. Nothing is registered before it has passed.
"""

from dataclasses import replace
from typing import Any

from mainstay.data.freeze import freeze, quarantine
from mainstay.data.histories import freeze_history, needs_pseudonyms, set_aside
from mainstay.data.source import read
from mainstay.data.validate import validate
from mainstay.digests import digest, short
from mainstay.errors import MainstayError, NotFound, Refused, Unavailable
from mainstay.journeys.apart import compared
from mainstay.journeys.asked import Asked
from mainstay.journeys.checked import check_views, last_rows, with_checks
from mainstay.journeys.contest import contest_of
from mainstay.journeys.materialize import before_it_is_live, pushed_rows, sweep
from mainstay.journeys.mirrored import mirror
from mainstay.journeys.parts import parts_of
from mainstay.journeys.progress import DONE, Release, Tell
from mainstay.journeys.recorded import dataset_named, recorded, settle, standing_datasets
from mainstay.journeys.rollout import check_ahead, running, start
from mainstay.journeys.train import tracker_of, train
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import CANDIDATES, DATASETS, LOOKS, ROLLOUTS, RUNS, SPLITS, VERDICTS
from mainstay.nouns import Candidate, DatasetVersion, Look, ModelVersion, Rollout, Run
from mainstay.quality.gates import judge, look, looked_at
from mainstay.quality.latency import single_row_latency
from mainstay.records import encode
from mainstay.registry.configured import configuration, store_configuration
from mainstay.registry.live import go_live
from mainstay.registry.loading import load
from mainstay.registry.manifest import Against, entity_of
from mainstay.registry.shelf import Admission, admit, candidate_bundle, champion, identical, shelve
from mainstay.scoring.scorer import Scorer
from mainstay.usecase import UseCase
from mainstay.verdicts import Outcome, Verdict
from mainstay.wiring import Platform, make_missing_keys


def release(
    platform: Platform, use_case: UseCase, asked: Asked, far: Release, tell: Tell, named: str | None = None
) -> None:
    """The whole journey. `far` says how far it got, also where an error ends it.

    With `named` (an id, the start of one, or a tag) it begins at that dataset version, held out as it was frozen,
    instead of at the source: the same version under the same use case is the same candidate again.
    """
    tracker_of(platform)  # an address that cannot work is told now
    dataset = ingest(platform, use_case, asked, far, tell) if named is None else frozen(platform, use_case, named, far)
    if dataset is None:
        return
    platform.signer()  # what cannot sign is told now, not once the training is paid for
    _check_plan(platform, use_case, asked)
    far.verdict = None
    candidate = train(platform, use_case, dataset.id, asked, far, tell)
    if candidate is None:
        return
    far.stage = "gate"
    if identical(platform.ledger, use_case.name, candidate.id) is not None:
        judged = platform.ledger.latest(use_case.name, VERDICTS, candidate.id)
        far.verdict = judged.body if judged else None
    else:
        far.verdict = gate(platform, use_case, candidate.id, asked)
        tell(far.verdict)
        if far.verdict.outcome is not Outcome.PASS:
            return
    far.stage = "register"
    far.version = register(platform, use_case, candidate.id, asked, tell)
    tell(far.version)
    far.stage = "rollout"
    far.rollout = roll_out(platform, use_case, far.version, asked, tell)
    if far.rollout is not None or _was_live(platform, use_case, far.version):
        far.stage = DONE


def ingest(platform: Platform, use_case: UseCase, asked: Asked, far: Release, tell: Tell) -> DatasetVersion | None:
    """Read, validate and freeze. None where the rows did not pass; bad rows are quarantined either way."""
    rows = read(use_case.source, use_case, asked.folder)
    far.stage = "validate"
    now = platform.settings.clock()
    views = check_views(use_case, asked, now)
    checked = with_checks(validate(rows, use_case, now, last_rows(platform, use_case, tell)), views)
    far.verdict = checked.verdict
    tell(checked.verdict)
    make_keys(platform, tell)
    key = platform.pseudonym_key() if needs_pseudonyms(use_case) else None
    place = None
    if checked.quarantine.num_rows:
        place = quarantine(checked.quarantine, use_case, platform.blobs, key)
        tell(f"{checked.quarantine.num_rows:,} rows are quarantined with their reasons, in {place}")
    set_aside(views, use_case, platform.blobs, key, tell)
    if checked.verdict.outcome is not Outcome.PASS:
        return None
    far.stage = "freeze"
    earlier = [fact.body for fact in platform.ledger.all_of(use_case.name, DATASETS)]
    least_cut = max((made.holdout.cut for made in earlier if made.holdout.cut), default=None)
    parent = next((fact.body for fact in reversed(standing_datasets(platform.ledger, use_case.name))), None)
    bad = checked.quarantine.num_rows
    histories = {
        view.name: freeze_history(
            views[view.name].table, view, use_case, platform.blobs, key, pushed_rows(platform, use_case, view)
        )
        for view in use_case.features.views
    }
    made = freeze(checked.table, use_case, platform.blobs, key, parent, bad, least_cut, histories)
    dataset = replace(made, quarantine=place)

    def unless_it_stands() -> list[Entry[Any]]:
        before = platform.ledger.latest(use_case.name, DATASETS, dataset.id)
        if before is not None and before.body.holdout == dataset.holdout:
            return []
        return [Entry(DATASETS, dataset.id, dataset, before.number if before else 0)]

    settle(platform, use_case.name, unless_it_stands, asked)
    # What was there already keeps its own parent.
    far.dataset = recorded(platform.ledger, use_case.name, DATASETS, dataset.id).body
    tell(far.dataset)
    return far.dataset


def frozen(platform: Platform, use_case: UseCase, named: str, far: Release) -> DatasetVersion:
    """The dataset version that is named, by its id, the start of it, or a tag, as if it had just been frozen."""
    far.dataset = dataset_named(platform.ledger, use_case.name, named).body
    return far.dataset


def make_keys(platform: Platform, tell: Tell) -> None:
    """Make the keys that the home lacks, and say so."""
    for made in make_missing_keys(platform.settings):
        tell(f"made {made} in {platform.settings.keys}: keep a copy, it cannot be made again")


def gate(platform: Platform, use_case: UseCase, named: str, asked: Asked) -> Verdict:
    """Judge a candidate on the holdout. The look it takes is written before anybody sees what it saw."""
    candidate = recorded(platform.ledger, use_case.name, CANDIDATES, named).body
    _, dataset = _origin(platform, use_case, candidate)
    bundle = candidate_bundle(candidate, platform.blobs)
    holdout = parts_of(platform, use_case, dataset, lambda noun: None).holdout
    taken = _look(platform, use_case, candidate, dataset, asked)
    scorer = Scorer(bundle)
    probability = scorer.score(holdout.columns).probability
    # Named before it is asked: one that goes live meanwhile makes the verdict out of date, and `register` says so.
    policy = _policy(platform, use_case, dataset)
    contest = contest_of(platform, use_case, candidate.id, dataset, bundle)
    latency = single_row_latency(scorer, holdout.columns)
    judged = judge(candidate, holdout, probability, bundle.decide.threshold, use_case, taken, contest, latency)
    verdict = replace(judged, policy=policy)

    def next_verdict() -> list[Entry[Any]]:
        before = platform.ledger.latest(use_case.name, VERDICTS, candidate.id)
        return [Entry(VERDICTS, candidate.id, verdict, before.number if before else 0)]

    settle(platform, use_case.name, next_verdict, asked)
    return verdict


def _origin(platform: Platform, use_case: UseCase, candidate: Candidate) -> tuple[Run, DatasetVersion]:
    """The run a candidate comes from, and the dataset as it was held out then: the same rows may be frozen again."""
    run = recorded(platform.ledger, use_case.name, RUNS, candidate.run).body
    dataset = recorded(platform.ledger, use_case.name, DATASETS, candidate.dataset).body
    return run, replace(dataset, holdout=run.holdout)


def _look(platform: Platform, use_case: UseCase, candidate: Candidate, dataset: DatasetVersion, asked: Asked) -> Look:
    """The look that a candidate takes at its holdout, written down; its former one if it has looked before."""
    subject = looked_at(dataset.holdout)

    def taken() -> tuple[Look, int | None]:
        history = [fact.body for fact in platform.ledger.history(use_case.name, LOOKS, subject)]
        made = look(history, candidate.id, dataset.holdout)
        return made, None if made in history else len(history)

    def unless_it_looked() -> list[Entry[Any]]:
        made, after = taken()
        return [] if after is None else [Entry(LOOKS, subject, made, after)]

    settle(platform, use_case.name, unless_it_looked, asked)
    return taken()[0]


def _policy(platform: Platform, use_case: UseCase, dataset: DatasetVersion) -> str:
    """The digest of what a verdict was reached under: these rows, held out like this, these gates, this champion."""
    live = champion(platform.ledger, use_case.name)
    return digest([dataset.id, encode(dataset.holdout), use_case.gates_digest, live.candidate if live else None])


def register(platform: Platform, use_case: UseCase, named: str, asked: Asked, tell: Tell) -> ModelVersion:
    """Sign and number a candidate that passed, and put it on the shelf; `roll_out` is what moves traffic.

    Refused if it was not judged on its own rows under the gates of today, or did not pass. An identical candidate is
    the version that stands. What ended half-way before is ended now.
    """
    candidate = recorded(platform.ledger, use_case.name, CANDIDATES, named).body
    standing = identical(platform.ledger, use_case.name, candidate.id)
    version = standing or _admitted(platform, use_case, candidate, asked, tell)
    shelve(version, platform.blobs)
    return version


def roll_out(platform: Platform, use_case: UseCase, version: ModelVersion, asked: Asked, tell: Tell) -> Rollout | None:
    """Bring a registered version to its traffic: the rollout that starts, or the last one that it had; else None.

    The first version of a use case, or one of a use case without a plan, is live at once. Any other starts the plan of
    the use case; while another rollout runs it waits, and the operator starts it when its turn comes. A version that
    had its turn before, whatever came of it, changes nothing.
    """
    name, ledger = use_case.name, platform.ledger
    had = [fact.body for fact in ledger.latest_of_each(name, ROLLOUTS) if fact.body.challenger == version.version]
    if had or _was_live(platform, use_case, version):
        tell(f"this is {name}@{version.version} already: nothing changes")
        return had[-1] if had else None
    before_it_is_live(platform, use_case, version.dataset, asked, tell)
    other = running(ledger, name)
    if other is not None and other.body.challenger == version.version:
        tell(f"the operator started its rollout meanwhile ({short(other.subject)}), by the plan that is live")
        return other.body
    if other is not None:
        tell(f"{other.body.challenger} is being rolled out ({short(other.subject)}): {version.version} waits its turn")
        return None
    if use_case.plan is None or ledger.latest(name, SPLITS, name) is None:
        now = platform.settings.clock()
        go_live(version, use_case, ledger, platform.blobs, now=now, actor=asked.actor, reason=asked.reason)
        _sweep(platform, use_case, tell)
        _mirror(platform, use_case, tell)
        return None
    if use_case.plan.kind == "kill_switch":
        tell(f"the plan is a kill switch: {version.version} is on the shelf, and no rollout starts")
        return None
    made = start(
        platform, name, version.version, store_configuration(use_case, platform.blobs), asked, tell, definition=use_case
    )
    tell(f"rollout {short(made.id)} of {version.version} against {made.champion}: `mainstay operate` moves it")
    _mirror(platform, use_case, tell)
    return made


def _check_plan(platform: Platform, use_case: UseCase, asked: Asked) -> None:
    """Refused where a rollout by the plan would be: told before anything is trained for it."""
    live = platform.ledger.latest(use_case.name, SPLITS, use_case.name)
    if live is not None and use_case.plan is not None and use_case.plan.kind != "kill_switch":
        policy = store_configuration(use_case, platform.blobs)
        check_ahead(platform, use_case.name, configuration(policy, platform.blobs), asked.reason)


def _was_live(platform: Platform, use_case: UseCase, version: ModelVersion) -> bool:
    splits = platform.ledger.history(use_case.name, SPLITS, use_case.name)
    return any(arm.version == version.version for fact in splits for arm in fact.body.arms)


def _admitted(platform: Platform, use_case: UseCase, candidate: Candidate, asked: Asked, tell: Tell) -> ModelVersion:
    verdict = platform.ledger.latest(use_case.name, VERDICTS, candidate.id)
    if verdict is None:
        raise Refused("it was not judged yet; `mainstay gate` judges it", short(candidate.id))
    run, dataset = _origin(platform, use_case, candidate)
    if verdict.body.policy != _policy(platform, use_case, dataset):
        raise Refused(
            "it was judged on other rows, under other gates or against another champion; `mainstay gate` it again",
            short(candidate.id),
        )
    measured = _against(platform, use_case, candidate, dataset, tell)
    entity = entity_of(use_case, dataset)
    admission = Admission(candidate, run, dataset, verdict, use_case.feature_service, measured, entity)
    now = platform.settings.clock()
    signer = platform.signer()
    return admit(admission, platform.ledger, platform.blobs, signer, now=now, actor=asked.actor, reason=asked.reason)


def _against(
    platform: Platform, use_case: UseCase, candidate: Candidate, dataset: DatasetVersion, tell: Tell
) -> Against | None:
    """How the candidate differs from the champion on its holdout; None where nothing is live, or it cannot be asked."""
    live = champion(platform.ledger, use_case.name)
    if live is None:
        return None
    try:
        _, before = load(use_case.name, live.version, platform.blobs, platform.trusted())
    except (Refused, NotFound) as error:  # a champion that was tampered with must not keep its successor away
        tell(f"{use_case.name}@{live.version}, which is live, cannot be compared with: {error}")
        return None
    after = candidate_bundle(candidate, platform.blobs)
    measured = compared(platform, use_case, dataset, before, after)
    return None if measured is None else Against(live.version, **measured)


def _sweep(platform: Platform, use_case: UseCase, tell: Tell) -> None:
    """Drop what no head looks into any more; an online store that is away has it dropped the next time."""
    try:
        sweep(platform, use_case)
    except Unavailable as error:
        tell(f"what older heads left online stays until the next release: {error}")


def _mirror(platform: Platform, use_case: UseCase, tell: Tell) -> None:
    """Bring MLflow's registry in line with the ledger. It is for people: while it is down, the release stands."""
    try:
        mirror(platform, use_case.name)
    except MainstayError as error:
        tell(f"MLflow's registry was not brought up to date, and will be by the next release: {error}")
