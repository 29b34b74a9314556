"""Pseudonyms, and columns that are not kept."""

import hashlib
import hmac

import pyarrow as pa

from mainstay.data.mask import needs_key, pseudonymise
from mainstay.usecase import UseCase

KEY = b"k" * 32


def test_a_name_becomes_its_hmac_and_what_is_to_be_dropped_is_gone(rows: pa.Table, shop: UseCase) -> None:
    found = pseudonymise(rows, shop, KEY)
    assert "mail" not in found.column_names
    assert found["id"][3].as_py() == hmac.new(KEY, b"c3", hashlib.sha256).hexdigest()
    assert found.drop_columns("id") == rows.drop_columns(["id", "mail"])


def test_another_key_gives_other_pseudonyms(rows: pa.Table, shop: UseCase) -> None:
    first, second = (set(pseudonymise(rows, shop, key)["id"].to_pylist()) for key in (KEY, b"l" * 32))
    assert len(first) == 8
    assert not first & second


def test_one_name_has_one_pseudonym_however_it_is_written(shop: UseCase) -> None:
    for values in (["caf\u00e9", "cafe\u0301"], [7, 7], [7.0, 7.0]):
        found = pseudonymise(pa.table({"id": values}), shop, KEY)["id"].to_pylist()
        assert found[0] == found[1]
    sevens = [pseudonymise(pa.table({"id": values}), shop, KEY)["id"][0] for values in (["7"], [7], [7.0])]
    assert len(set(sevens)) == 1


def test_a_missing_name_stays_missing(shop: UseCase) -> None:
    assert pseudonymise(pa.table({"id": ["a", None, " "]}), shop, KEY)["id"].to_pylist()[1:] == [None, None]


def test_only_a_contract_with_pseudonyms_needs_a_key(shop: UseCase, tiny_use_case: UseCase) -> None:
    assert needs_key(shop)
    assert not needs_key(tiny_use_case)
