"""Feature definitions that a team wrote as ordinary Feast Python, as the `features` section of a `mainstay.yaml`.

They are read by running them, as `feast apply` does: they are the team's own code. What comes of it is the same
section that is otherwise written by hand, so that everything after goes one way: contract, freezing, joins, serving.
"""

import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mainstay.errors import NotFound, Refused
from mainstay.spans import span_text

_TYPES: Final = {
    "Int32": "integer", "Int64": "integer", "Float32": "number", "Float64": "number", "String": "category",
    "Bool": "category",
}  # fmt: skip


def read_definitions(path: Path, entity: str, folder: Path) -> dict[str, Any]:
    """The `features` section that a file of Feast definitions amounts to; files are named relative to `folder`.

    Its views become `views`; its feature service, of which there may be one, names `service`. Refused for what
    cannot be served alike in both worlds: on-demand views (their Python would be pickled, and run while a customer
    waits), streams, keys of several columns or other than `entity`, types without a scorer's column, and sources
    other than files, whose addresses Feast keeps elsewhere. NotFound where there is no such file.
    """
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView, StreamFeatureView

    if not path.is_file():
        raise NotFound("no such file; give one of Feast definitions", str(path))
    try:
        found = list(runpy.run_path(str(path)).values())
    except Exception as error:  # somebody else's code: whatever it raises is about that file
        raise Refused(f"cannot be run ({type(error).__name__}: {error})", str(path)) from error
    for each in found:
        if isinstance(each, OnDemandFeatureView):
            said = (
                f"`{each.name}` is an on-demand view; write it as an expression in `features.derived`, which is served"
            )
            raise Refused(said, str(path))
        if isinstance(each, StreamFeatureView):
            raise Refused(f"`{each.name}` is a stream view; write a view over the rows that arrived", str(path))
    views = [each for each in found if isinstance(each, FeatureView)]
    services = [each for each in found if isinstance(each, FeatureService)]
    if not views:
        raise Refused("there is no feature view in it", str(path))
    if len(services) > 1:
        names = ", ".join(each.name for each in services)
        raise Refused(f"it has {len(services)} feature services ({names}); a use case is bound to one", str(path))
    made: dict[str, Any] = {"service": services[0].name, **_about(services[0])} if services else {}
    keys = {each.name: each.join_key for each in found if isinstance(each, Entity)}
    return made | {"views": [_view(each, keys, path, entity, folder) for each in views]}


def _view(view: Any, known: Mapping[str, str], path: Path, entity: str, folder: Path) -> dict[str, Any]:
    from feast import FileSource

    place = f"{path} {view.name}"
    keys = [known.get(name, name) for name in view.entities]
    if keys != [entity]:
        raise Refused(f"its key is {', '.join(keys) or 'nothing'}, and that of the use case `{entity}`", place)
    source = view.batch_source
    if not isinstance(source, FileSource):
        said = (
            f"a {type(source).__name__} keeps its address elsewhere; write the view's `source` as DATABASE://…?query=…"
        )
        raise Refused(said, place)
    made = {"name": view.name, "source": _relative(source.path, path, folder), "event_time": source.timestamp_field}
    if source.created_timestamp_column:
        made["known_at"] = source.created_timestamp_column
    if view.ttl:
        made["ttl"] = span_text(view.ttl)
    made |= _about(view)
    made["columns"] = {field.name: _column(field, place) for field in view.features}
    return made


def _relative(source: str, path: Path, folder: Path) -> str:
    if "://" in source:
        return source
    return Path(os.path.relpath(path.parent / source, folder)).as_posix()


def _column(field: Any, place: str) -> Mapping[str, Any]:
    kind = _TYPES.get(str(field.dtype))
    if kind is None:
        raise Refused(f"`{field.name}` is {field.dtype}; a feature is a number, a text or a truth value", place)
    made = {"type": kind}
    if field.tags.get("unit"):
        made["unit"] = field.tags["unit"]
    if field.description:
        made["description"] = field.description
    return made


def _about(described: Any) -> dict[str, Any]:
    made = {name: getattr(described, name) for name in ("description", "owner") if getattr(described, name)}
    return made | ({"tags": dict(described.tags)} if described.tags else {})
