"""Journey A: raw rows to a signed, numbered version that is live. Read it top to bottom.

Each step hands an id to the next (dataset, run, candidate, version), so that the same steps run one by one from the
command line or an orchestrator. Nothing is registered before it has passed.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mainstay.data.freeze import freeze, open_dataset, quarantine
from mainstay.data.source import read
from mainstay.data.split import split
from mainstay.data.validate import Validated, validate
from mainstay.digests import new_id, short
from mainstay.errors import MainstayError, NotFound, Refused
from mainstay.features.offline import training_frame
from mainstay.journeys.asked import Asked
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import CANDIDATES, DATASETS, LOOKS, RUNS, SPLITS, VERDICTS, Kind
from mainstay.nouns import Candidate, DatasetVersion, ModelVersion
from mainstay.quality.against import against
from mainstay.quality.gates import judge, look
from mainstay.registry.live import go_live
from mainstay.registry.manifest import Against
from mainstay.registry.mirror import Mirror
from mainstay.registry.shelf import (
    Admission,
    admit,
    candidate_bundle,
    champion,
    identical,
    load,
    store_candidate,
    versions,
)
from mainstay.scoring.bundle import Bundle, to_files
from mainstay.scoring.frame import Parts
from mainstay.scoring.scorer import Scorer
from mainstay.training.track import Tracker
from mainstay.usecase import UseCase
from mainstay.verdicts import Outcome, Verdict
from mainstay.wiring import Platform, make_missing_keys

T = TypeVar("T")
Tell = Callable[[Any], None]
"""Hears of every noun as it comes to be, and of what else people should know, in words."""


@dataclass(slots=True)
class Release:
    """How far a release got. What was not reached is None; `stage` is the step it is in, or stopped at."""

    use_case: str
    stage: str = "read"
    dataset: DatasetVersion | None = None
    run: str | None = None
    candidate: Candidate | None = None
    verdict: Verdict | None = None
    version: ModelVersion | None = None

    @property
    def outcome(self) -> Outcome:
        """PASS once there is a version, else what the last verdict said."""
        if self.version is not None:
            return Outcome.PASS
        return self.verdict.outcome if self.verdict is not None else Outcome.INCONCLUSIVE


def release(platform: Platform, use_case: UseCase, asked: Asked, far: Release, tell: Tell) -> None:
    """The whole journey. `far` says how far it got, also when an error ends it."""
    for made in make_missing_keys(platform.settings):
        tell(f"made {made} in {platform.settings.keys}; keep a copy, it cannot be made again")
    dataset = ingest(platform, use_case, asked, far, tell)
    if dataset is None:
        return
    candidate = train(platform, use_case, dataset.id, asked, tell, far)
    far.stage = "gate"
    standing = identical(platform.ledger, use_case.name, candidate.id)
    if standing is None:
        far.verdict = gate(platform, use_case, candidate.id, asked)
        tell(far.verdict)
        if far.verdict.outcome is not Outcome.PASS:
            return
    far.stage = "register"
    far.version = register(platform, use_case, candidate.id, asked, tell)
    tell(far.version)


def ingest(platform: Platform, use_case: UseCase, asked: Asked, far: Release, tell: Tell) -> DatasetVersion | None:
    """Read, validate and freeze. None where the rows did not pass; what is wrong with them is quarantined either way."""
    far.stage = "read"
    rows = read(use_case.source, use_case, asked.folder)
    far.stage = "validate"
    checked = validate(rows, use_case)
    far.verdict = checked.verdict
    tell(checked.verdict)
    if checked.verdict.outcome is not Outcome.PASS:
        _keep_quarantine(platform, use_case, checked, tell)
        return None
    far.stage = "freeze"
    far.dataset = _freeze(platform, use_case, checked, asked, tell)
    tell(far.dataset)
    return far.dataset
