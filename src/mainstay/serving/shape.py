"""The JSON of a usual request, decoded straight into the shape of a contract: most of validation, at the cost of JSON.

What it takes, `hot.read` and the arm's reader take too, and make the same of it. What it does not take may be as sound:
whoever asks looks closer then.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple

from mainstay.nouns import Value
from mainstay.scoring.rowwise import Usual

LARGEST: Final = 65_536
"""Bytes of a body that is looked at here."""
LONGEST: Final = 200
"""Characters of an entity or of a request id."""
_MOST: Final = 2**53 - 1
"""Beyond it an integer may be another number as a float, and a range have other ends."""


class Shaped(NamedTuple):
    """A request: its row's values in the inputs' order, as a RowReader gives them, and None for what it does not name.

    `origins` are as in the log: None where it holds every feature.
    """

    entity: str | int | None
    request_id: str | None
    values: list[Value]
    origins: dict[str, str] | None


class Shape:
    """Decodes requests of one contract. Threads may share it."""

    def __init__(self, inputs: Sequence[Usual]) -> None:
        """`inputs` are what passes without a question of each input, in order."""
        # Keyword-only, because a field that may be left out would have to stand behind all others.
        fields = [(f"f{n}", _type(each), _field(each)) for n, each in enumerate(inputs)]
        features = msgspec.defstruct("Features", fields, forbid_unknown_fields=True, gc=False, kw_only=True)
        text, whole = Annotated[str, Meta(min_length=1, max_length=LONGEST)], Annotated[int, Meta(ge=-_MOST, le=_MOST)]
        named: list[Any] = [
            ("features", features),
            ("entity", text | whole | None | UnsetType, UNSET),
            ("request_id", text | None | UnsetType, UNSET),
        ]
        request = msgspec.defstruct("Request", named, forbid_unknown_fields=True, gc=False)
        self._decode = msgspec.json.Decoder(request).decode
        self._fields = len(inputs) + 1
        self._nullable = [(n, name) for n, (name, _, nullable, *_) in enumerate(inputs) if nullable]
        # Categories that may be spelt otherwise than they are kept: 0 for "0".
        self._respelt = [
            (n, texts)
            for n, (_, texts, *_) in enumerate(inputs)
            if texts is not None and any(text != value for value, text in texts.items())
        ]

    def read(self, body: bytes) -> Shaped | None:
        """The request in a body, where everything about it is usual.

        msgspec takes the last of two fields of one name. There are as many colons outside texts as fields: where a body
        has no more than the shape has fields, no name is given twice. Escapes may hide half a character.
        """
        if len(body) > LARGEST or b"\\" in body:
            return None
        try:
            request = self._decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        features, entity, request_id = astuple(request)
        colons = self._fields
        if entity is UNSET:
            entity = None
        else:
            colons += 1
            if entity.__class__ is str and not entity.isprintable():
                return None
        if request_id is UNSET:
            request_id = None
        else:
            colons += 1
            if request_id is not None and not request_id.isprintable():
                return None
        values = list(astuple(features))
        origins = None
        for n, name in self._nullable:
            if values[n] is UNSET:
                values[n] = None
                origins = {} if origins is None else origins
                origins[name] = "missing"
                colons -= 1
        if body.count(b":") != colons:
            return None
        for n, texts in self._respelt:
            value = values[n]
            if value is not None:
                values[n] = texts[value]
        return Shaped(entity, request_id, values, origins)


def shape_of(inputs: Sequence[Usual]) -> Shape | None:
    """The shape of a contract; None of one that no request has: nothing is listed, or all is out of reach."""
    for _, texts, _, low, high, _ in inputs:
        if not texts if texts is not None else low > _MOST or high < -_MOST:
            return None
    return Shape(inputs)


def _type(usual: Usual) -> Any:
    _, texts, nullable, low, high, whole = usual
    taken: Any
    if texts is not None:
        taken = Literal[tuple(texts)]
    else:
        bounds = Meta(ge=max(low, -_MOST), le=min(high, _MOST), multiple_of=1.0 if whole else None)
        taken = Annotated[float, bounds]
    return taken | None | UnsetType if nullable else taken


def _field(usual: Usual) -> Any:
    name, _, nullable, *_ = usual
    return msgspec.field(name=name, default=UNSET) if nullable else msgspec.field(name=name)
