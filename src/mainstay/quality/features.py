"""What a model card says of the features that its version is bound to, from the recorded service alone."""

from mainstay.defined import FeatureColumn, FeatureService, FeatureView
from mainstay.quality.document import Block, Line, Paragraph, Table, code, words


def feature_blocks(service: FeatureService) -> tuple[Block, ...]:
    """Whose the features are, what each means, in which unit, and how old it may be; view by view."""
    about = [each for each in (service.description, _whose(service)) if each]
    blocks: list[Block] = [Paragraph(words(code(service.name), ". ", " ".join(about)))]
    for view in service.views:
        since = "as soon as it is so" if view.known_at is None else f"by {view.known_at}"
        told = f": {view.description or 'not described.'} {_whose(view)} Known {since}; may be as old as "
        asked = words(code(view.name), told + f"{view.ttl or 'any age'}.")
        rows = tuple(_row(each) for each in view.features)
        blocks += [Paragraph(asked), Table(("feature", "type", "unit", "what it is"), rows)]
    return tuple(blocks)


def _row(column: FeatureColumn) -> tuple[Line, ...]:
    return (
        words(code(column.name)), words(column.type), words(column.unit or ""), words(column.description or "")
    )  # fmt: skip


def _whose(described: FeatureService | FeatureView) -> str:
    owner = f"Owner: {described.owner}." if described.owner else "Nobody is named as its owner."
    tags = ", ".join(f"{name}: {value}" for name, value in described.tags.items())
    return f"{owner} Tags: {tags}." if tags else owner
