"""Runs as MLflow keeps them: parameters, metrics and artifacts, under run ids of ours."""

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mainstay.adapters.tracking import RUN_TAG, Connection
from mainstay.digests import short
from mainstay.errors import Unavailable
from mainstay.nouns import Estimate, Value


class Tracker:
    """MLflow tracking at `url`. Cheap to make: MLflow is imported, and its store opened, by the first run."""

    def __init__(self, url: str, clock: Callable[[], datetime]) -> None:
        """Misconfigured for an address that MLflow cannot be at."""
        self._connection = Connection(url, _mlflow)
        self._clock = clock

    def start(
        self,
        run: str,
        use_case: str,
        *,
        dataset: str,
        seed: int,
        code: Mapping[str, str],
        parameters: Mapping[str, Value],
    ) -> "TrackedRun":
        """Open a run, in the experiment named after the use case. Use it in a `with`: what crashes is FAILED there.

        `run` is our id, `dataset` that of its version, `code` what `code_version` gave, `parameters` what the recipe
        says. Raises Unavailable while MLflow is down.
        """
        tags = {RUN_TAG: run, "mainstay.dataset": dataset, **{f"mainstay.code.{key}": code[key] for key in code}}
        if "commit" in code:
            tags["mlflow.source.git.commit"] = code["commit"]  # the one that MLflow's pages show
        with self._connection.asking("starting a run") as client:
            from mlflow.entities import Dataset, DatasetInput, Param

            experiment = _experiment(client, use_case, self._connection.artifacts(use_case))
            made = client.create_run(experiment, self._milliseconds(), tags, run_name=short(run))
            rows = Dataset(name=use_case, digest=short(dataset), source_type="mainstay", source=dataset)
            client.log_inputs(made.info.run_id, [DatasetInput(rows)])
            given = {"seed": seed, **parameters}
            client.log_batch(made.info.run_id, params=[Param(name, str(value)) for name, value in given.items()])
        return TrackedRun(self._connection, self._milliseconds, experiment, made.info.run_id)

    def _milliseconds(self) -> int:
        return int(self._clock().timestamp() * 1000)


class TrackedRun:
    """An open run. `id` is MLflow's own id, a link. Every method raises Unavailable while MLflow is down."""

    def __init__(self, connection: Connection, milliseconds: Callable[[], int], experiment: str, tracked: str) -> None:
        self.id = tracked
        self._connection = connection
        self._milliseconds = milliseconds
        self._experiment = experiment
        self._open = True

    def log_trial(
        self,
        number: int,
        estimator: str,
        parameters: Mapping[str, Value],
        folds: Mapping[str, Sequence[float]],
        stopped: bool = False,
    ) -> None:
        """Log one trial as a child run. `folds` maps a metric to its value on each fold, in order (at least one).

        The child has the mean as the metric, and the folds as `METRIC_by_fold`, its steps counted from 1. A trial that
        was `stopped` before its last fold is KILLED, and has no mean: it would be compared with those of all folds.
        """
        at = self._milliseconds()
        with self._connection.asking(f"logging trial {number}") as client:
            from mlflow.entities import Metric, Param

            whole = {} if stopped else folds
            metrics = [Metric(name, sum(values) / len(values), at, 0) for name, values in whole.items()]
            metrics += [
                Metric(f"{name}_by_fold", value, at, fold)
                for name, values in folds.items()
                for fold, value in enumerate(values, start=1)
            ]
            given = {"estimator": estimator, **parameters}
            tags = {"mlflow.parentRunId": self.id, "mainstay.trial": str(number)}
            child = client.create_run(self._experiment, at, tags, run_name=f"trial {number} {estimator}").info.run_id
            client.log_batch(child, metrics=metrics, params=[Param(name, str(value)) for name, value in given.items()])
            client.set_terminated(child, "KILLED" if stopped else "FINISHED", at)

    def finish(
        self, parameters: Mapping[str, Value], metrics: Mapping[str, Estimate], artifacts: Mapping[str, bytes]
    ) -> None:
        """Log what came of it, and close the run as FINISHED.

        `parameters` are those chosen, under other names than at the start. Each metric is logged as NAME, NAME_low,
        NAME_high and NAME_rows. `artifacts` maps a relative path to its bytes: `plots/roc.png`, `importance.json`; the
        bundle's files lie under `bundle/`, where the registry points to.
        """
        at = self._milliseconds()
        with self._connection.asking("finishing a run") as client:
            from mlflow.entities import Metric, Param

            numbers = [
                Metric(name + suffix, value, at, 0)
                for name, each in metrics.items()
                for suffix, value in (("", each.value), ("_low", each.low), ("_high", each.high), ("_rows", each.rows))
            ]
            client.log_batch(self.id, numbers, [Param(name, str(value)) for name, value in parameters.items()])
            with tempfile.TemporaryDirectory(prefix="mainstay-run-") as directory:
                for name, data in artifacts.items():
                    path = Path(directory, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                client.log_artifacts(self.id, directory)
            client.set_terminated(self.id, "FINISHED", self._milliseconds())
        self._open = False

    def fail(self, reason: str) -> None:
        """Close the run as FAILED, with a sentence saying why."""
        with self._connection.asking("closing a run") as client:
            client.set_tag(self.id, "mainstay.reason", reason[:5000])
            client.set_terminated(self.id, "FAILED", self._milliseconds())
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        if error is None:
            self.fail("it ended before its result was logged")
            return
        with suppress(Unavailable):  # the first error is the one to be told
            self.fail(f"{type(error).__name__}: {error}")


def code_version(directory: Path) -> dict[str, str]:
    """The package's `version`, and the git `commit` checked out at `directory`, ending in `-dirty` if files differ.

    Without git, a repository or a commit, there is no `commit`.
    """
    version = {"version": importlib.metadata.version("mainstay")}
    git = shutil.which("git")
    if git is None:
        return version
    # Nothing that a repository configures is run, and no variable of a surrounding git hook is heeded.
    command = [git, "-C", str(directory), "-c", "core.fsmonitor=false", "describe"]
    options = ["--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(  # noqa: S603  (git, by its full path, with arguments of ours)
            command + options, env={"PATH": os.defpath}, capture_output=True, text=True, timeout=10, check=True
        )
        version["commit"] = asked.stdout.strip()
    return version


def _mlflow() -> Any:
    import mlflow
    import mlflow.store.db.utils

    return mlflow


def _experiment(client: Any, name: str, place: str | None) -> str:
    """The id of the experiment, made if need be, or brought back if somebody deleted it."""
    found = client.get_experiment_by_name(name)
    if found is not None and place is not None and found.artifact_location != place:
        # The home was moved or copied. An experiment writes where it was made, so a new one takes its name.
        client.rename_experiment(found.experiment_id, f"{name} at {found.artifact_location} ({found.experiment_id})")
        found = None
    if found is None:
        return str(client.create_experiment(name, place))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)
