"""Feature services in Feast: its registry, and its offline store's files. Feast takes seconds to import: only on call.

Everything lies under one directory: `registry.db` (SQL, so that two writers cannot tear it), `online.db`, and
`offline/<project>/<view>.parquet`. A project is one use case, or one of its dataset versions.
"""

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.exc import SQLAlchemyError

from mainstay.defined import FeatureService, FeatureView
from mainstay.errors import Unavailable
from mainstay.spans import span

EVENT_TIME: Final = "event_timestamp"
KNOWN_AT: Final = "created_timestamp"
MEANING: Final = "mainstay.meaning"
KEY_VERSION: Final = 3
"""How Feast writes the keys of its online stores; who reads them refuses any other."""


def offline_file(folder: Path, project: str, view: str) -> Path:
    """Where Feast's offline store has the rows of a view."""
    return folder / "offline" / project / f"{view}.parquet"


def offline_rows(view: FeatureView, rows: pa.Table, at: datetime) -> pa.Table:
    """Frozen rows as Feast's offline store has them: the entity, `EVENT_TIME`, `KNOWN_AT`, then the features.

    Numbers are float64, null where missing; categories are strings. Rows of a snapshot bear the time `at`.
    """
    moment = pa.scalar(at, pa.timestamp("us", "UTC"))
    times = rows[view.event_time] if view.event_time in rows.column_names else pa.repeat(moment, rows.num_rows)
    known = rows[view.known_at] if view.known_at in rows.column_names else times
    made = {view.entity: rows[view.entity].cast(pa.string()), EVENT_TIME: times, KNOWN_AT: known}
    for each in view.features:
        made[each.name] = rows[each.name].cast(pa.string() if each.type == "category" else pa.float64())
    return pa.table(made)


def write_offline(folder: Path, project: str, view: FeatureView, rows: pa.Table, at: datetime) -> Path:
    """Put frozen rows where Feast's offline store looks for them; the file is there whole, or as it was before."""
    path = offline_file(folder, project, view.name)
    write_rows(path, offline_rows(view, rows, at))
    return path


def write_rows(path: Path, rows: pa.Table, meaning: str = "") -> None:
    """Write rows of the offline store; `meaning` says of what they were made. Unavailable where the disk fails."""
    written = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.replace_schema_metadata({MEANING: meaning}), written, compression="zstd")
        written.replace(path)
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise Unavailable(f"the offline store cannot be written ({words})", str(path)) from error
    finally:
        written.unlink(missing_ok=True)


def open_store(folder: Path, project: str, online: Mapping[str, Any] | None = None) -> Any:
    """Feast's own store over the directory (a `feast.FeatureStore`); `online` is its configuration, SQLite by default.

    Unavailable where the registry cannot be opened.
    """
    from feast import FeatureStore, RepoConfig

    folder.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project=project,
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{(folder / 'registry.db').absolute()}"},
        online_store=dict(online or {"type": "sqlite", "path": str((folder / "online.db").absolute())}),
        offline_store={"type": "dask"},
        entity_key_serialization_version=KEY_VERSION,
    )
    try:
        return FeatureStore(config=config)
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable("Feast's registry cannot be opened", str(folder)) from error


def objects(service: FeatureService, folder: Path, project: str) -> list[Any]:
    """A service as Feast defines it: entity, a view each with its source, and the service. A view needs an entity.

    Derived features are the scorer's: Feast would keep them as pickled code, which nothing here ever unpickles. The
    service names them in its tags, each with its expression.
    """
    from feast import Entity, FeatureService, ValueType

    entities = {
        name: Entity(name=name, join_keys=[name], value_type=ValueType.STRING)
        for name in dict.fromkeys(view.entity for view in service.views)
    }
    views = [_feast_view(view, entities[view.entity], folder, project) for view in service.views]
    tags = {**service.tags, **{f"derived.{name}": text for name, text in service.derived}, MEANING: service.meaning}
    made = FeatureService(
        name=service.name, features=views, tags=tags, description=service.description or "", owner=service.owner or ""
    )
    return [*entities.values(), *views, made]


def _feast_view(view: FeatureView, entity: Any, folder: Path, project: str) -> Any:
    from feast import FeatureView as View
    from feast import Field, FileSource
    from feast.types import Float64, String

    def tags(each: Any) -> dict[str, str]:
        return {"type": each.type, **({"unit": each.unit} if each.unit else {})}

    return View(
        name=view.name,
        entities=[entity],
        ttl=span(view.ttl) if view.ttl else timedelta(0),  # Feast's word for any age
        schema=[Field(name=view.entity, dtype=String)]
        + [
            Field(
                name=each.name,
                dtype=String if each.type == "category" else Float64,
                description=each.description or "",
                tags=tags(each),
            )
            for each in view.features
        ],
        source=FileSource(
            name=f"{view.name}_offline",
            path=str(offline_file(folder, project, view.name).absolute()),
            timestamp_field=EVENT_TIME,
            created_timestamp_column=KNOWN_AT,
            description=view.source,
        ),
        description=view.description or "",
        owner=view.owner or "",
        tags=dict(view.tags),
    )


def apply(service: FeatureService, folder: Path, project: str, online: Mapping[str, Any] | None = None) -> None:
    """Write a service into Feast's registry; doing it twice is the same as once. Unavailable where it cannot be."""
    store = open_store(folder, project, online)
    try:
        store.apply(objects(service, folder, project))
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable("Feast's registry cannot be written", str(folder)) from error
