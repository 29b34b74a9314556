"""The entity of a request as it is stored: the one name under which it is assigned, logged and joined."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

from mainstay.digests import pseudonyms
from mainstay.errors import NotFound, Refused
from mainstay.registry.manifest import Entity
from mainstay.scoring.spelling import number_text
from mainstay.usecase import normal

Stored = Callable[[str | int | None], str | None]
"""From an entity as it was given to the text that stands for it; None where there is none, or none may be kept."""


def entity_of_all(entities: Iterable[Entity | None]) -> Entity | None:
    """The entity that all arms of a split tell of. Refused where they would store one under different names.

    A version that knows no entity goes along with any other.
    """
    told = {(each.type, each.personal, each.pseudonym_key): each for each in entities if each is not None}
    if len(told) > 1:
        raise Refused(
            "its arms keep the entity in different ways, or under different pseudonym keys: nobody would stay"
            " with one arm; release the challenger again under the champion's contract and key"
        )
    return next(iter(told.values()), None)


def storing(entity: Entity | None, read_key: Callable[[], tuple[str, bytes]]) -> Stored:
    """How an entity is stored: spelt as its column is in a dataset, and as a pseudonym where the contract hashes it.

    `read_key` gives the id and bytes of the home's pseudonym key, and is asked only where something is hashed: its
    errors come out. Refused where the key is not the one that the version was trained under: no label would be found.
    """
    if entity is None:
        return as_given
    spelt = _number if entity.type in ("integer", "number") else _category if entity.type == "category" else as_given
    if entity.personal == "drop":
        return lambda given: None
    if entity.personal is None:
        return spelt
    try:
        key_id, key = read_key()
    except NotFound as error:
        raise Refused(
            f"its entity is a pseudonym under key {entity.pseudonym_key}, and the home has no pseudonym key: "
            "put the key that it was trained under into the home"
        ) from error
    if key_id != entity.pseudonym_key:
        raise Refused(
            f"its entity is a pseudonym under key {entity.pseudonym_key}, and the home's key is {key_id}: "
            "put the key that it was trained under into the home"
        )

    named = pseudonyms(key)

    def hashed(given: str | int | None) -> str | None:
        text = spelt(given)
        return None if text is None else named(text)

    return hashed


def as_given(given: str | int | None) -> str | None:
    """An entity as it is spelt, in NFC; a blank names nobody."""
    if given is None:
        return None
    text = str(given)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text if text and not text.isspace() else None


def stored_as_given(stored: Stored, given: Sequence[str]) -> bool:
    """Whether all of these texts are surely stored as they are; a quick look, which may say no where it is so."""
    if stored is not as_given and stored is not _category:
        return False
    return all(given) and "".join(given).isascii() and list(map(str.strip, given)) == given


def _category(given: str | int | None) -> str | None:
    text = as_given(given)
    return None if text is None else normal(text)


def _number(given: str | int | None) -> str | None:
    text = as_given(given)
    return None if text is None else number_text(text)
