"""A feature service for people to read: Markdown, from what is recorded of it and from nothing else."""

from collections.abc import Sequence

from mainstay.defined import FeatureColumn, FeatureService, FeatureView


def document(service: FeatureService) -> str:
    """The features of a service, view by view: what each is, in which unit, whose it is, how old it may be."""
    derived = [[f"`{name}`", f"`{_cell(expression)}`"] for name, expression in service.derived]
    parts = [f"# Features: {service.name}", *_about(service), f"Meaning: `{service.meaning[:12]}`"]
    for view in service.views:
        parts += _view(view)
    if derived:
        parts += [
            "## Derived",
            "Computed from the features above by the scorer, the same in training and in serving; none is stored.",
            _table(("feature", "expression"), derived),
        ]
    return "\n\n".join(parts) + "\n"


def _view(view: FeatureView) -> list[str]:
    rows = [
        ["entity", f"`{view.entity}`" if view.entity else "none: each row is its own"],
        ["source", f"`{_cell(view.source)}`"],
        ["event time", f"`{view.event_time}`" if view.event_time else "none: a snapshot"],
        ["known at", f"`{view.known_at}`" if view.known_at else "as soon as it is so"],
        ["may be as old as", view.ttl or "any age"],
    ]
    features = [[f"`{each.name}`", each.type, each.unit or "", _limits(each), _cell(each.description or "")]
                for each in view.features]  # fmt: skip
    heads = ("feature", "type", "unit", "values", "what it is")
    return [f"## {view.name}", *_about(view), _table(("", ""), rows), _table(heads, features)]


def _about(described: FeatureService | FeatureView) -> list[str]:
    tags = ", ".join(f"{name}: {value}" for name, value in described.tags.items())
    owner = [f"owner: {described.owner}"] if described.owner else []
    line = "; ".join([*owner, *([f"tags: {tags}"] if tags else [])])
    return [each for each in (described.description, line) if each]


def _limits(column: FeatureColumn) -> str:
    if column.range is not None:
        return f"{column.range[0]:g} to {column.range[1]:g}"
    return _cell(", ".join(column.values or ()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
