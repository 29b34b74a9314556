"""An imported contract as the text of a `mainstay.yaml`, or as its `contract` section where no label is known."""

import re
from collections.abc import Mapping
from typing import Any

from mainstay.data.infer import inline
from mainstay.data.suite_read import Imported
from mainstay.errors import Refused
from mainstay.suggest import did_you_mean
from mainstay.usecase import Column, Label


def render(imported: Imported, target: str | None, source: str | None) -> str:
    """The YAML: a whole use case where the suite keeps a label or `target` names one, else only `contract:`.

    Refused where the target is no column of the suite, or is not known to have two values.
    """
    sections = dict(imported.sections)
    columns = {name: _options(column) for name, column in imported.contract.columns.items()}
    if target is not None:
        sections["label"] = {"column": target, "positive": _positive(imported, target)}
    head = [f"# From the Great Expectations suite {_one_line(imported.name)}."]
    head += [f"# Left out: {_one_line(why)}." for why in imported.left_out]
    if "label" not in sections:
        head.append("# The rest of a use case is missing: name what to predict with --target.")
        return "\n".join([*head, *_contract(imported, columns), ""])
    name = sections.get("name") or re.sub(r"[^a-z0-9_-]+", "_", imported.name.lower()).strip("_-") or "suite"
    name = (name if name[0].isalpha() else f"suite_{name}")[:63]
    head += ["schema: 1", f"name: {name}", f"source: {inline(source or f'{name}.csv')}"]
    for key in ("entity", "event_time"):
        if sections.get(key) is not None:
            head.append(f"{key}: {inline(_given(sections[key]))}")
    head.append(f"label: {inline(_label(sections['label']))}")
    return "\n".join([*head, *_contract(imported, columns), ""])


def _contract(imported: Imported, columns: Mapping[str, Any]) -> list[str]:
    contract = imported.contract
    return [
        "contract:",
        f"  rows: {inline(contract.rows.model_dump(mode='json', exclude_defaults=True))}",
        *([f"  delimiter: {inline(contract.delimiter)}"] if contract.delimiter else ()),
        "  columns:",
        *(f"    {inline(name)}: {inline(options)}" for name, options in columns.items()),
        *([f"  rules: {inline(list(contract.rules))}"] if contract.rules else ()),
    ]


def _options(column: Column) -> dict[str, Any]:
    said = column.model_dump(mode="json", exclude_defaults=True)
    if column.range is not None:
        said["range"] = [int(end) if end.is_integer() and abs(end) < 1e15 else end for end in column.range]
    return said


def _positive(imported: Imported, target: str) -> str:
    columns = imported.contract.columns
    if target not in columns:
        raise Refused(f"the suite has no such column{did_you_mean(target, columns)}", f"--target {target}")
    values = columns[target].values or ()
    if len(values) != 2:
        raise Refused("a label has exactly two values, and the suite lists no two for it", f"--target {target}")
    likely = [value for value in values if value.casefold() in ("yes", "true", "1", "y", "t")]
    return likely[0] if likely else values[-1]


def _given(section: Any) -> Any:
    return {key: value for key, value in section.items() if value is not None} if isinstance(section, dict) else section


def _label(section: Any) -> Any:
    """Without what goes without saying."""
    given, usual = _given(section), Label(column="-", positive="-").model_dump(mode="json")
    return {key: value for key, value in given.items() if usual.get(key) != value} if isinstance(given, dict) else given


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
