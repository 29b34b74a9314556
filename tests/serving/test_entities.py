"""An entity is stored under one name: the one that its rows have in the dataset."""

from typing import Any

import pyarrow as pa
import pytest

from mainstay.data.mask import pseudonymise
from mainstay.data.typed import typed
from mainstay.digests import pseudonym, sha256
from mainstay.errors import NotFound, Refused
from mainstay.registry.manifest import Entity
from mainstay.serving.entities import as_given, entity_of_all, stored_as_given, storing
from mainstay.usecase_file import loads

KEY = bytes(range(32))
KEY_ID = sha256(KEY)[:16]
YAML = """
schema: 1
name: tiny
source: tiny.csv
entity: id
label: {column: left, positive: "Yes"}
contract:
  columns:
    id: {type: TYPE, personal: hash}
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
"""


def no_key() -> tuple[str, bytes]:
    raise NotFound("there is no such key: `mainstay keys init` makes one", "/secret/pseudonym.key")


@pytest.mark.parametrize(
    ("kind", "in_the_source", "asked"),
    [
        ("identifier", "7590-VHVEG", "7590-VHVEG"),
        ("identifier", "007", "007"),
        ("identifier", 7, 7),
        ("identifier", 7, "7"),
        ("identifier", "ren\u00e9", "rene\u0301"),
        ("identifier", " 7 ", " 7 "),
        ("integer", 7, "007"),
        ("integer", "7.0", 7),
        ("integer", 2**53 - 1, str(2**53 - 1)),
        ("category", " gold ", "gold"),
    ],
)
def test_a_request_and_a_row_of_the_source_have_one_pseudonym(kind: str, in_the_source: Any, asked: Any) -> None:
    use_case = loads(YAML.replace("TYPE", kind))
    read = typed(pa.chunked_array([[in_the_source]]), use_case.contract.columns["id"]).values
    frozen = pseudonymise(pa.table({"id": read}), use_case, KEY)["id"].to_pylist()
    assert storing(Entity("id", kind, "hash", KEY_ID), lambda: (KEY_ID, KEY))(asked) == frozen[0]


def test_where_nothing_is_hashed_no_key_is_asked_for() -> None:
    assert storing(None, no_key)("ann") == "ann"
    stored = storing(Entity("id", "integer"), no_key)
    assert [stored(each) for each in ("07", 7, "7.0", "7.5", "ann", "9007199254740993", None, " ")] == [
        "7", "7", "7", "7.5", "ann", "9007199254740993", None, None,
    ]  # fmt: skip
    assert storing(Entity("id", "category"), no_key)(" gold ") == "gold"


def test_an_entity_that_may_not_be_kept_is_stored_under_no_name() -> None:
    assert storing(Entity("id", "identifier", "drop"), no_key)("ann") is None


def test_what_names_nobody_has_no_pseudonym() -> None:
    stored = storing(Entity("id", "identifier", "hash", KEY_ID), lambda: (KEY_ID, KEY))
    assert (stored(None), stored("  "), stored("ann")) == (None, None, pseudonym("ann", KEY))


def test_without_the_key_that_the_version_was_trained_under_nothing_is_stored() -> None:
    entity = Entity("id", "identifier", "hash", "f" * 16)
    with pytest.raises(Refused, match=r"under key f{16}, and the home has no pseudonym key: put the key"):
        storing(entity, no_key)
    with pytest.raises(Refused, match=f"under key f{{16}}, and the home's key is {KEY_ID}"):
        storing(entity, lambda: (KEY_ID, KEY))


def test_arms_that_would_store_one_entity_under_two_names_are_refused() -> None:
    one, other = Entity("id", "identifier", "hash", "a" * 16), Entity("id", "identifier", "hash", "b" * 16)
    assert entity_of_all([None, one, one]) == one
    assert entity_of_all([None]) is None
    with pytest.raises(Refused, match="different pseudonym keys"):
        entity_of_all([one, other])
    assert as_given(7) == "7"


@pytest.mark.parametrize("kind", ["text", "category", "integer"])
def test_a_quick_look_at_many_entities_agrees_with_each(kind: str) -> None:
    stored = storing(Entity("customer", kind), lambda: pytest.fail("nothing is hashed"))
    for texts in (["a", "b-7"], ["a", " b"], ["a", ""], ["é"], ["7.0"], ["a", "\t"]):
        if stored_as_given(stored, texts):
            assert [stored(each) for each in texts] == texts
    assert stored_as_given(stored, ["a", "b-7"]) == (kind != "integer")
