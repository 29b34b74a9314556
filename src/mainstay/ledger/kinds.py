"""Which sorts of fact there are: each a name, the noun that its body is, and what its subject is."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mainstay.alerts import Alert, Incident
from mainstay.decided import Decision, Proof
from mainstay.defined import FeatureService
from mainstay.nouns import (
    ApiKey,
    Candidate,
    DatasetVersion,
    Dismissal,
    Erasure,
    Job,
    Look,
    ModelVersion,
    Rollout,
    Run,
    Split,
    Tag,
    Withdrawn,
)
from mainstay.verdicts import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One sort of fact: its name in the ledger, never to be changed, and the noun it holds."""

    name: str
    noun: type[T]


DATASETS = Kind("dataset", DatasetVersion)  # subject: the dataset's id
TAGS = Kind("tag", Tag)  # subject: the tag's name
FEATURE_SERVICES = Kind("feature_service", FeatureService)  # subject: the service's name, as in churn_v1
RUNS = Kind("run", Run)  # subject: the run's id
CANDIDATES = Kind("candidate", Candidate)  # subject: the candidate's id
VERDICTS = Kind("verdict", Verdict)  # subject: what was judged
VERSIONS = Kind("version", ModelVersion)  # subject: the version, as in 1.4.0
SPLITS = Kind("split", Split)  # subject: the use case; there is one
LOOKS = Kind("look", Look)  # subject: the holdout that was looked at
ROLLOUTS = Kind("rollout", Rollout)  # subject: the rollout's id
DECISIONS = Kind("decision", Decision)  # subject: the rollout's id
PROOFS = Kind("proof", Proof)  # subject: the number of the split that was proved, as a text
ALERTS = Kind("alert", Alert)  # subject: the alert's fingerprint
INCIDENTS = Kind("incident", Incident)  # subject: the incident's id
JOBS = Kind("job", Job)  # subject: the job's id
ERASURES = Kind("erasure", Erasure)  # subject: the erasure's id
DISMISSALS = Kind("dismissal", Dismissal)  # subject: the replica's id
WITHDRAWALS = Kind("withdrawal", Withdrawn)  # subject: the use case; there is one
API_KEYS = Kind("api_key", ApiKey)  # subject: the key's id

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind
    for kind in (
        DATASETS,
        TAGS,
        FEATURE_SERVICES,
        RUNS,
        CANDIDATES,
        VERDICTS,
        VERSIONS,
        SPLITS,
        LOOKS,
        ROLLOUTS,
        DECISIONS,
        PROOFS,
        ALERTS,
        INCIDENTS,
        JOBS,
        DISMISSALS,
        API_KEYS,
        ERASURES,
        WITHDRAWALS,
    )
}
