"""Gathering what is recorded of a version, for people to read: its card, and where it comes from."""

from dataclasses import replace
from urllib.parse import urlsplit

from mainstay.errors import Refused
from mainstay.journeys.recorded import recorded
from mainstay.ledger.facts import Fact, Ledger
from mainstay.ledger.kinds import CANDIDATES, DATASETS, FEATURE_SERVICES, ROLLOUTS, RUNS, SPLITS, VERDICTS, VERSIONS
from mainstay.nouns import Candidate, DatasetVersion, Rollout, Split
from mainstay.quality.card import Facts
from mainstay.registry.examinations import examination
from mainstay.registry.loading import load
from mainstay.verdicts import Verdict
from mainstay.wiring import Platform


def facts_of(platform: Platform, use_case: str, version: str) -> Facts:
    """Everything that is recorded of a version that stands (as in 1.4.0), which is believed first.

    NotFound where there is no such version, or a part of it is gone; Refused where it is not as it was signed.
    """
    ledger = platform.ledger
    fact = recorded(ledger, use_case, VERSIONS, version)
    manifest, bundle = load(use_case, version, platform.blobs, platform.trusted())
    run = recorded(ledger, use_case, RUNS, fact.body.run)
    dataset = recorded(ledger, use_case, DATASETS, fact.body.dataset)
    against = manifest.against
    service = ledger.latest(use_case, FEATURE_SERVICES, manifest.feature_service)
    return Facts(
        version=fact,
        dataset=replace(dataset, body=replace(dataset.body, holdout=run.body.holdout)),
        run=run,
        candidate=candidate_from(ledger, use_case, fact.body.candidate, run.body.id),
        verdict=_verdict(platform, use_case, fact.body.candidate, manifest.verdict),
        splits=splits_with(platform, use_case, version),
        inputs=manifest.inputs,
        derived=bundle.encoder.derived,
        calibration=bundle.calibration,
        decide=bundle.decide,
        feature_service=manifest.feature_service,
        champion=None if against is None else against.champion,
        against={}
        if against is None
        else {name: getattr(against, name) for name in ("flipped_share", "score_shift", "disagreement")},
        examined=examination(run.body, platform.blobs),
        tracking=_address(platform.settings.mlflow_url),
        service=None if service is None else service.body,
    )


def splits_with(platform: Platform, use_case: str, version: str) -> tuple[Fact[Split], ...]:
    """The splits that a version had a part in, the first first."""
    history = platform.ledger.history(use_case, SPLITS, use_case)
    return tuple(fact for fact in history if any(arm.version == version for arm in fact.body.arms))


def ancestors(platform: Platform, dataset: DatasetVersion) -> tuple[Fact[DatasetVersion], ...]:
    """The dataset versions that one follows, the nearest first; they end where one is not recorded."""
    found: list[Fact[DatasetVersion]] = []
    seen, parent = {dataset.id}, dataset.parent
    while parent is not None and parent not in seen:
        fact = platform.ledger.latest(dataset.use_case, DATASETS, parent)
        if fact is None:
            break
        found.append(fact)
        seen.add(parent)
        parent = fact.body.parent
    return tuple(found)


def rollouts_with(platform: Platform, use_case: str, version: str) -> tuple[Fact[Rollout], ...]:
    """The rollouts that a version was part of, each as it stands."""
    facts = platform.ledger.latest_of_each(use_case, ROLLOUTS)
    return tuple(fact for fact in facts if version in (fact.body.champion, fact.body.challenger))


def candidate_from(ledger: Ledger, use_case: str, candidate: str, run: str) -> Fact[Candidate]:
    """The fact about a candidate that this run wrote: another run may have made the same one again.

    Refused where the run wrote none.
    """
    for fact in ledger.history(use_case, CANDIDATES, candidate):
        if fact.body.run == run:
            return fact
    raise Refused("the ledger holds no candidate of the run that its manifest names", candidate)


def _verdict(platform: Platform, use_case: str, candidate: str, seq: int) -> Fact[Verdict]:
    for fact in platform.ledger.history(use_case, VERDICTS, candidate):
        if fact.seq == seq:
            return fact
    raise Refused("the ledger does not hold the verdict that its manifest names", candidate)


def _address(url: str) -> str:
    """Where an MLflow server is, without credentials; empty where MLflow is embedded."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
