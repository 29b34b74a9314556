"""MLflow's registry, for people: a projection of the ledger, written afterwards. Nothing here is ever read back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mainstay.adapters.tracking import BUNDLE, RUN_TAG, Connection
from mainstay.digests import short
from mainstay.errors import NotFound
from mainstay.nouns import Estimate, ModelVersion

VERSION_TAG = "mainstay.version"
"""The tag that holds our version (1.4.0): MLflow counts its own 1, 2, 3."""
ALIASES = ("champion", "challenger")


class Mirror:
    """MLflow's registry at `url`. Every method may be repeated, and raises Unavailable while MLflow is down."""

    def __init__(self, url: str, location: Callable[[ModelVersion], str]) -> None:
        """`location` says where a version's bundle is kept, as an address.

        Misconfigured for an address that MLflow cannot be at.
        """
        self._connection = Connection(url, _mlflow)
        self._location = location

    def show(self, version: ModelVersion, tags: Mapping[str, str] | None = None) -> str:
        """Register a version under its use case's name, linked to its run. Returns MLflow's own number for it.

        One that is there already only gets the tags that it lacks.
        """
        name = f"{version.use_case}@{version.version}"
        wanted = {**self._tags(version), **(tags or {})}
        with self._connection.asking(f"showing {name}") as client:
            _registered(client, version.use_case)
            found = _found(client, version.use_case, version.version)
            if found is None:
                source, run = self._source(client, version)
                found = client.create_model_version(
                    version.use_case,
                    source,
                    run,
                    tags=wanted,
                    description=_description(version),
                    await_creation_for=0,
                )
            for tag in wanted.keys() - found.tags.keys():
                client.set_model_version_tag(version.use_case, found.version, tag, wanted[tag])
            return str(found.version)

    def alias(self, use_case: str, alias: str, version: str | None) -> None:
        """Let `alias` (`champion` or `challenger`) be this version, or none. NotFound if it has not been shown."""
        with self._connection.asking(f"naming the {alias} of {use_case}") as client:
            if version is None:
                _registered(client, use_case)
                client.delete_registered_model_alias(use_case, alias)
                return
            found = _found(client, use_case, version)
            if found is None:
                raise NotFound(f"{use_case}@{version} is not in MLflow's registry: show it first", alias)
            client.set_registered_model_alias(use_case, alias, found.version)

    def sync(self, use_case: str, versions: Sequence[ModelVersion], aliases: Mapping[str, str]) -> None:
        """Bring the registry in line with the ledger: its versions, oldest first, and who is champion and challenger.

        An alias that `aliases` does not name is taken away. What others registered or named stays as it is.
        """
        for version in versions:
            self.show(version)
        for alias in ALIASES:
            self.alias(use_case, alias, aliases.get(alias))

    def _tags(self, version: ModelVersion) -> dict[str, str]:
        return {
            VERSION_TAG: version.version,
            "mainstay.candidate": version.candidate,
            "mainstay.dataset": version.dataset,
            RUN_TAG: version.run,
            "mainstay.manifest": version.manifest,
            "mainstay.key": version.key_id,
            "mainstay.bundle": self._location(version),
        }

    def _source(self, client: Any, version: ModelVersion) -> tuple[str, str | None]:
        """Where the bytes are, as MLflow takes it, and MLflow's id of the run, if it knows it."""
        experiments = [each.experiment_id for each in client.search_experiments()]
        runs = client.search_runs(experiments, f"tags.`{RUN_TAG}` = '{version.run}'", max_results=1)
        if runs:
            return f"runs:/{runs[0].info.run_id}/{BUNDLE}", runs[0].info.run_id
        location = self._location(version)
        # A server refuses every path of another machine; then the tag alone says where the bundle is.
        return (location if urlsplit(location).scheme not in ("", "file") else f"mainstay:/{version.candidate}"), None


def _mlflow() -> Any:
    import mlflow
    import mlflow.store.db.utils

    return mlflow


def _registered(client: Any, name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'", max_results=1):
        client.create_registered_model(name)


def _found(client: Any, name: str, version: str) -> Any:
    """MLflow's record of our version, the first if somebody copied it, or None."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{VERSION_TAG}` = '{version}'")
    return min(found, key=lambda each: int(each.version), default=None)


def _description(version: ModelVersion) -> str:
    lines = [f"{version.use_case}@{version.version}, made by run {short(version.run)} on {short(version.dataset)}."]
    lines += [f"- {name}: {_words(each)}" for name, each in version.metrics.items()]
    return "\n".join(lines)


def _words(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}] on {estimate.rows:,} rows"
