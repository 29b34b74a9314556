"""A first `mainstay.yaml` from rows nobody described: a proposal for people to read and correct."""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from mainstay.data.propose import LONGEST_NAME, Proposal, entity_of, left_out, propose, spelt
from mainstay.data.suspects import leak, listed, protected
from mainstay.data.typed import typed
from mainstay.usecase import Column

MOST_GROUPS = 10
"""A protected attribute of more values is not proposed to be compared."""
MIN_TRIALS = 4
PROPOSED = ("logistic", "splines", "lightgbm", "ensemble")
"""The estimators of a recipe that is proposed. On seven files (docs/guide.md) the other three, given as many trials or
more, won .002 nats on the widest, lost .013 where two numbers interact, and changed nothing elsewhere."""
CELLS = 3_000_000
"""Rows times features times trials of a recipe that is proposed: about a minute on two cores."""
_POSITIVE = ("yes", "y", "ja", "oui", "si", "sí", "sim", "true", "t", "1", "churned", "left", "positive", "bad")


def positive_class(table: pa.Table, target: str, values: tuple[str, ...]) -> str:
    """The class to predict: the one that is called yes, true or 1, else the rarer one."""
    for word in _POSITIVE:
        for value in values:
            if value.strip().casefold() == word:
                return value
    texts = typed(table[target], Column(type="category", values=values)).values.to_pylist()
    return min(values, key=lambda value: (texts.count(value), value))


def render(name: str, source: str, table: pa.Table, target: str, delimiter: str | None = None) -> str:
    """The text of a `mainstay.yaml` for these rows, with a comment wherever a choice was made.

    `delimiter` is what separates the source's values, where it is not what its ending says.
    """
    proposals = propose(table, target)
    entity = entity_of(proposals)
    values = proposals[target].values or ()
    positive = positive_class(table, target, values)
    absent = next(value for value in values if value != positive)
    leaks = _leaks(table, proposals, target, positive)
    times = [column for column, made in proposals.items() if made.type == "timestamp"]
    lines = [
        f"# Proposed from {table.num_rows:,} rows. Read it, correct it, then: mainstay release",
        "schema: 1",
        f"name: {inline(name)}",
        f"source: {inline(source)}",
        f"entity: {inline(entity)}" if entity else "# entity: the column that names whom a row is about",
        *([f"# event_time: {inline({'column': times[0]})}   # if rows were so at that time"] if times else ()),
        f"label: {inline({'column': target, 'positive': positive, 'absent_means': absent})}",
        "",
        "contract:",
        f"  rows: {inline({'at_least': max(1, table.num_rows // 2), 'bad_share_at_most': 0.01})}",
        *([f"  delimiter: {inline(delimiter)}"] if delimiter else ()),
        "  columns:",
        *(f"    {inline(column)}: {_column(made, leaks.get(column))}" for column, made in proposals.items()),
        *(f"    # {inline(column[:LONGEST_NAME])} is left out: {why}" for column, why in left_out(table).items()),
        "",
        *_recipe(table, proposals, target),
        "# profit: {offer_cost: 20, value_saved: 400, save_rate: 0.3}   # without it the threshold is chosen by F1",
        *_protected(table, proposals, target),
        "gates:",
        "  skill: {at_least: 0.1}   # how much less log loss than the base rate has, proven on the holdout",
        "",
    ]
    return "\n".join(lines)


def _recipe(table: pa.Table, proposals: Mapping[str, Proposal], target: str) -> list[str]:
    """A first budget: few rows tell few recipes apart, and many cells make each of them slow."""
    counts = pc.value_counts(spelt(table[target]).drop_null()).field("counts").to_pylist()
    features = sum(made.type in ("integer", "number", "category") and made.feature for made in proposals.values())
    affordable = int(CELLS / (table.num_rows * max(features, 10)))
    trials = min(30, max(MIN_TRIALS, min(table.num_rows // 250, affordable)))
    folds = 5 if min(counts) >= 25 else 3 if min(counts) >= 10 else 2
    recipe = {"objective": "log_loss", "estimators": list(PROPOSED), "trials": trials, "folds": folds}
    said = "   # a first look; 30 trials and more may find a little more" if trials < 30 else ""
    return [
        f"recipe: {inline({**recipe, 'holdout': 0.2, 'seed': 7})}{said}",
        "# estimators may also name random_forest, gradient_boosting, xgboost: slower, and seldom better",
    ]


def _protected(table: pa.Table, proposals: Mapping[str, Proposal], target: str) -> list[str]:
    """Likely protected attributes: those of few groups are proposed, and of the others it is said why not."""
    found = [name for name in proposals if name != target and protected(name)]
    few = [name for name in found if _comparable(table[name], proposals[name])]
    lines = [
        f"protected: {inline(few)}   # likely; their groups are compared, and nothing is blocked until you say so"
        if few
        else "# protected: []   # columns to compare groups by"
    ]
    many = [name for name in found if name not in few]
    if many:
        lines.append(f"# likely protected too, of too many values to compare: {_one_line(listed(many))}")
    return lines


def _comparable(column: pa.ChunkedArray, made: Proposal) -> bool:
    if made.personal is not None or made.type not in ("category", "integer"):
        return False
    return len(pc.unique(typed(column, made.column).values)) <= MOST_GROUPS


def _leaks(table: pa.Table, proposals: Mapping[str, Proposal], target: str, positive: str) -> dict[str, str]:
    """Why columns may know the outcome, by name: warned of here, and refused by the gates if it is so."""
    labels = typed(table[target], proposals[target].column).values
    labelled = labels.is_valid()
    answers = np.asarray(pc.equal(labels.drop_null(), positive).to_numpy(zero_copy_only=False))
    found = {}
    for name, made in proposals.items():
        if name == target or not made.feature or made.personal is not None:
            continue
        if made.type in ("integer", "number"):
            why = leak("number", typed(table[name], made.column).values.cast(pa.float64()).filter(labelled), answers)
        elif made.type == "category":
            why = leak("category", typed(table[name], made.column).values.filter(labelled), answers)
        else:
            continue
        if why is not None:
            found[name] = why
    return found


def _column(made: Proposal, why: str | None = None) -> str:
    notes = [*([made.note] if made.note else ()), *([f"a leak? {why}"] if why else ())]
    return inline(made.body) + (f"   # {'; '.join(notes)}" if notes else "")


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


class _Dumper(yaml.SafeDumper):
    """Text with a line break in it stays on one line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def inline(value: object) -> str:
    """A value as YAML on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()
