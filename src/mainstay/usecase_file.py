"""Reading `mainstay.yaml`: every refusal names the line, the place and what would be right."""

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mainstay.errors import NotFound, Refused
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase
from mainstay.usecase_plan import Plan, check_plan

MAX_BYTES = 1_000_000
CHURN = Path(__file__).parent / "churn" / "mainstay.yaml"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: `Yes` and `No` are words and a date is text, as people who write labels expect."""


_RESOLVED_AS_TEXT = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _RESOLVED_AS_TEXT]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def find(given: Path | None, here: Path) -> Path:
    """The file to use: the one given, else `mainstay.yaml` in `here`, else the churn use case that ships."""
    if given is not None:
        return given
    local = here / "mainstay.yaml"
    return local if local.is_file() else CHURN


def load(path: Path) -> UseCase:
    """The use case in a file. NotFound if there is none; Refused, by line and place, if it cannot be meant."""
    return loads(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"larger than {MAX_BYTES:,} bytes: not a use case", str(path))
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound("no such file; `mainstay init FILE --target COLUMN` writes one", str(path)) from error
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8 at byte {error.start}: save it as UTF-8", str(path)) from error
    except OSError as error:
        raise Refused(f"cannot be read ({errno.errorcode.get(error.errno or 0, 'error')})", str(path)) from error


def loads(text: str, name: str = "mainstay.yaml") -> UseCase:
    """The use case in a text. Refused, by line and place, if it says something impossible."""
    root = _root(text, name)
    content = _content(root, name)
    try:
        return UseCase.model_validate(content)
    except ValidationError as error:
        raise _refusal(error, root, name) from error


def _root(text: str, name: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise Refused(f"not YAML: {getattr(error, 'problem', None) or error}", f"{name}{line}") from error
    if not isinstance(root, yaml.MappingNode):
        raise Refused("a use case is a mapping that starts with `schema: 1` and `name:`", name)
    _refuse_repeated_keys(root, name)
    return root


def _content(root: yaml.MappingNode, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = _Loader("").construct_document(root)
    except (yaml.YAMLError, ValueError) as error:
        raise Refused(f"not YAML that can be read: {error}", name) from error
    return content


def load_plan(path: Path) -> Plan:
    """The plan in a file: a whole use case, or nothing but its section `plan`. Raises as `load`."""
    text = _text(path)
    root = _root(text, str(path))
    if any(key.value == "schema" for key, _ in root.value):
        plan = loads(text, str(path)).plan
        if plan is None:
            raise Refused("the use case has no `plan`", str(path))
        return plan
    content = _content(root, str(path))
    try:
        plan = Plan.model_validate(content["plan"] if set(content) == {"plan"} else content)
        check_plan(plan)
    except ValidationError as error:
        raise _refusal(error, root, str(path)) from error
    except ValueError as error:
        raise Refused(str(error), str(path)) from error
    return plan


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `mainstay.yaml`, for editors to complete it."""
    schema = UseCase.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _refuse_repeated_keys(node: yaml.Node, name: str) -> None:
    for mapping in _mappings(node):
        seen: set[str] = set()
        for key, _ in mapping.value:
            if key.value in seen:
                raise Refused(f"`{key.value}` is given twice", f"{name}:{key.start_mark.line + 1}")
            seen.add(key.value)


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mappings(item)


def _refusal(error: ValidationError, root: yaml.Node, name: str) -> Refused:
    """The first thing wrong, unknown keys first: a misspelt key is often why another is missing."""
    found = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    first = found[0]
    path = [part for part in first["loc"] if part not in ("int", "float", "str")]
    said = _said(first, path)
    if said.startswith("at ") and ": " in said:  # a check across sections names its own place
        place, _, said = said.removeprefix("at ").partition(": ")
        path = list(place.split("."))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    line = _line(root, path)
    where = ".".join(str(part) for part in path)
    return Refused(said + more, f"{name}{f':{line}' if line else ''}{f' {where}' if where else ''}")


def _said(error: ErrorDetails, path: Sequence[str | int]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"unknown key `{path[-1]}`{did_you_mean(str(path[-1]), _keys_at(path[:-1]))}"
    if kind == "missing":
        return f"`{path[-1]}` is missing"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    given = error["input"]
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    return error["msg"][0].lower() + error["msg"][1:] + shown


def _keys_at(path: Sequence[str | int]) -> list[str]:
    """The keys that a section may have; those of the mapping's values where names are free."""
    model: Any = UseCase
    for part in path:
        field = model.model_fields.get(str(part)) if _is_section(model) else None
        if field is not None:
            model = _section_in(field.annotation)
    if not _is_section(model):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _section_in(annotation: Any) -> Any:
    if _is_section(annotation):
        return annotation
    return next((found for found in map(_section_in, get_args(annotation)) if _is_section(found)), None)


def _line(root: yaml.Node, path: Sequence[str | int]) -> int | None:
    """The line of the deepest part of a path that the file has."""
    node, line = root, None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and str(part).isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line
