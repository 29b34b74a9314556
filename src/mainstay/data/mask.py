"""Pseudonyms: what is personal is never stored as it is."""

import pyarrow as pa

from mainstay.data.typed import text_of
from mainstay.digests import pseudonym
from mainstay.usecase import UseCase


def pseudonymise(table: pa.Table, use_case: UseCase, key: bytes) -> pa.Table:
    """The rows without the columns that are `personal: drop`, and with a pseudonym for each value of `personal: hash`.

    A missing value stays missing. 7, 7.0 and "7" have the same pseudonym, and so have two ways to write one é. The
    table need not be typed; columns that the contract does not name stay as they are.
    """
    kept = {}
    for name in table.column_names:
        column = use_case.contract.columns.get(name)
        personal = column.personal if column is not None else None
        if personal == "hash":
            coded = text_of(table[name]).dictionary_encode()
            names = pa.array([pseudonym(text, key) for text in coded.dictionary.to_pylist()], pa.string())
            kept[name] = names.take(coded.indices)
        elif personal is None:
            kept[name] = table[name]
    return pa.table(kept)


def needs_key(use_case: UseCase) -> bool:
    """Whether a column of the contract is to be kept as a pseudonym."""
    return any(column.personal == "hash" for column in use_case.contract.columns.values())
