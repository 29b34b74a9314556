"""Which rows a model was trained on, told by who they are about: such rows must not judge it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.data.holdout import row_texts
from mainstay.data.typed import Mask, text_of
from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import HELD_OUT
from mainstay.usecase import UseCase


def apart_by_construction(judging: DatasetVersion, trained: DatasetVersion) -> bool:
    """Whether nothing that `judging` holds out can have trained a model on `trained`, whatever rows there are.

    By hash: the same salt, contract and so way to tell rows apart, and no larger a share. By time: no earlier a cut.
    """
    here, there = judging.holdout, trained.holdout
    if here.cut is not None and there.cut is not None:
        return here.cut >= there.cut
    by_hash = here.cut is None and there.cut is None and judging.contract == trained.contract
    return by_hash and here.salt == there.salt and here.share <= there.share


def trained_on(
    table: pa.Table, dataset: DatasetVersion, before: pa.Table, trained: DatasetVersion, use_case: UseCase
) -> Mask:
    """Which rows (n,) of an opened dataset are among those of `before` that are not held out there.

    A row is told by its entity and event time; without an entity by all that both have, the label left out, so that
    twins count as seen. Refused where the entities are pseudonyms under another key: they cannot be told apart.
    """
    entity = use_case.entity
    time = use_case.event_time.column if use_case.event_time else None
    both = [name for name in table.column_names if name in before.column_names and name != HELD_OUT]
    if entity is not None and entity in both:
        if use_case.contract.columns[entity].personal and dataset.pseudonym_key != trained.pseudonym_key:
            raise Refused("its rows are pseudonyms under another key, so nobody can tell which of these it has seen")
        both = [name for name in (entity, time) if name in both]
    elif not [name for name in both if name != use_case.label.column]:
        raise Refused("its rows share no column with these, so nobody can tell which of them it has seen")
    used = before.filter(pc.invert(before[HELD_OUT]))
    known = _identities(used, both, use_case)
    return np.asarray(pc.is_in(_identities(table, both, use_case), value_set=known).to_numpy(zero_copy_only=False))


def _identities(table: pa.Table, names: Sequence[str], use_case: UseCase) -> pa.Array:
    if len(names) == 1:
        return text_of(table[names[0]])
    return row_texts(table.select(names), use_case.label.column)
