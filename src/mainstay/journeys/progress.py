"""How far a release got, and who hears of it on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mainstay.nouns import Candidate, DatasetVersion, ModelVersion, Rollout
from mainstay.verdicts import Outcome, Verdict

DONE = "done"
"""The stage of a release that went all the way: its version is live, or its rollout runs."""
Tell = Callable[[Any], None]
"""Hears of every noun as it comes to be, and of what else people should know, in words."""


@dataclass(slots=True)
class Release:
    """How far a release got. What was not reached is None; `stage` is the step it is in, stopped at, or `done`."""

    use_case: str = ""
    stage: str = "read"
    dataset: DatasetVersion | None = None
    run: str | None = None
    candidate: Candidate | None = None
    verdict: Verdict | None = None
    version: ModelVersion | None = None
    rollout: Rollout | None = None

    @property
    def outcome(self) -> Outcome:
        """PASS once there is a version, FAIL where a verdict failed, else INCONCLUSIVE."""
        if self.version is not None:
            return Outcome.PASS
        failed = self.verdict is not None and self.verdict.outcome is Outcome.FAIL
        return Outcome.FAIL if failed else Outcome.INCONCLUSIVE
