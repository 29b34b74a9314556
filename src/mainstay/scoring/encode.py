"""Columns to one float tensor: what the ONNX graph is given, fitted on training rows only."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from mainstay.expressions import Expression, Kind, parse
from mainstay.scoring.derive import Columns, evaluate
from mainstay.usecase import UseCase

InputType = Literal["integer", "number", "category"]
LARGEST_NUMBER: Final = float(np.finfo(np.float32).max)
"""What the tensor can hold; a number beyond it is no number, in a source as in a request."""
LARGEST_INTEGER: Final = 2**53 - 1
"""Up to here every integer is a float of its own."""
MAX_CATEGORIES = 50
"""A column with more values keeps the most frequent ones; the rest score as unseen."""


@dataclass(frozen=True, slots=True)
class Input:
    """One column that a request gives, as the contract promised it when the model was trained."""

    name: str
    type: InputType
    nullable: bool = False
    range: tuple[float, float] | None = None
    values: tuple[str, ...] | None = None

    @property
    def kind(self) -> Kind:
        return "category" if self.type == "category" else "number"


def inputs_of(use_case: UseCase) -> tuple[Input, ...]:
    """The inputs that a use case serves, in the contract's order."""
    return tuple(
        Input(name, cast(InputType, column.type), column.nullable, column.range, column.values)
        for name, column in use_case.inputs.items()
    )


@dataclass(frozen=True, slots=True)
class Feature:
    """A block of the tensor: a number, or one place per category; then a place for missing where it can be."""

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    missing: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """The names of its places in the tensor, in order."""
        own = tuple(f"{self.name}={value}" for value in self.categories) if self.kind == "category" else (self.name,)
        return (*own, f"{self.name} is missing") if self.missing else own


@dataclass(frozen=True)
class Encoder:
    """How rows become a tensor: the inputs, what is derived from them, and the blocks in order (`encoder.json`)."""

    inputs: tuple[Input, ...]
    derived: tuple[tuple[str, str], ...]
    features: tuple[Feature, ...]

    @cached_property
    def expressions(self) -> Mapping[str, Expression]:
        """The derived features, parsed. Refused where an expression is not of the language."""
        kinds = {each.name: each.kind for each in self.inputs}
        return {name: parse(text, kinds) for name, text in self.derived}

    @cached_property
    def learned(self) -> Mapping[str, frozenset[str]]:
        """The categories that have a place, of the inputs whose contract lists none: any other is unseen."""
        unlisted = {each.name for each in self.inputs if each.kind == "category" and each.values is None}
        return {each.name: frozenset(each.categories) for each in self.features if each.name in unlisted}

    @cached_property
    def places(self) -> tuple[str, ...]:
        """The names of the tensor's columns."""
        return tuple(place for feature in self.features for place in feature.places)


def with_derived(columns: Columns, expressions: Mapping[str, Expression]) -> dict[str, NDArray[np.generic]]:
    """The columns and, after them, those derived from them."""
    return {**columns, **{name: evaluate(expression, columns) for name, expression in expressions.items()}}


def fit(columns: Columns, inputs: tuple[Input, ...], derived: Mapping[str, Expression]) -> Encoder:
    """The encoder of these rows (at least one). A category's values are those its contract lists, else those seen.

    A number gets a place for missing where the contract lets it be missing or a row lacks it (or could not be
    derived); a category likewise. Order is the inputs', then the derived ones', so it never depends on the rows.
    """
    whole = with_derived(columns, derived)
    features = [_feature(each, whole[each.name]) for each in inputs]
    features += [Feature(name, "number", missing=bool(np.isnan(rounded(whole[name])).any())) for name in derived]
    return Encoder(inputs, tuple((name, each.text) for name, each in derived.items()), tuple(features))


def _feature(given: Input, values: NDArray[np.generic]) -> Feature:
    if given.kind == "number":
        return Feature(given.name, "number", missing=given.nullable or bool(np.isnan(rounded(values)).any()))
    seen = Counter(value for value in values.tolist() if value is not None)
    missing = given.nullable or seen.total() < len(values)
    categories = tuple(given.values or sorted(seen))
    if len(categories) > MAX_CATEGORIES:
        frequent = sorted(categories, key=lambda value: (-seen[value], value))
        categories = tuple(sorted(frequent[:MAX_CATEGORIES]))
    return Feature(given.name, "category", categories, missing)


def rounded(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Numbers (n,) as the tensor holds them: an infinity is no feature."""
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def encode(encoder: Encoder, columns: Columns) -> NDArray[np.float32]:
    """The tensor, shape (n, places). An unseen category is zeros in its block; a missing number is NaN and its flag 1.

    Every number is rounded to float32 here, before training as well as before scoring: a threshold of a tree that was
    fitted on more precise numbers could send the same row the other way. What float32 cannot hold, such as a product of
    two large inputs, is missing, so NaN, also where no row lacked it in training and it has no flag.
    """
    whole = with_derived(columns, encoder.expressions)
    rows = len(next(iter(columns.values()))) if columns else 0
    tensor = np.zeros((rows, len(encoder.places)), dtype=np.float32)
    at = 0
    for feature in encoder.features:
        width = len(feature.places)
        _write(tensor[:, at : at + width], feature, whole[feature.name])
        at += width
    return tensor


def _write(block: NDArray[np.float32], feature: Feature, values: NDArray[Any]) -> None:
    """A feature's places (n, width), zeros before, for its values (n,)."""
    if feature.kind == "number":
        block[:, 0] = rounded(values)
        missing = np.isnan(block[:, 0])
    else:
        place = {value: n for n, value in enumerate(feature.categories)}
        codes = np.fromiter((place.get(value, -1) for value in values), dtype=np.int64, count=len(values))
        seen = np.flatnonzero(codes >= 0)
        block[seen, codes[seen]] = 1.0
        missing = np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))
    if feature.missing:
        block[:, -1] = missing


class Reencoder:
    """`encode` for rows that are asked about again and again with one column or another changed.

    The rows it is made with are encoded once. Of later ones, as many, only the places of columns that are other arrays
    than these, and of what is derived, are written anew. The tensor is what `encode` gives, to the bit.
    """

    def __init__(self, encoder: Encoder, columns: Columns) -> None:
        self._encoder, self._columns = encoder, columns
        self._tensor = encode(encoder, columns)

    def encode(self, columns: Columns) -> NDArray[np.float32]:
        """The tensor, shape (n, places), for n rows as many as at first."""
        whole = with_derived(columns, self._encoder.expressions)
        tensor, at = self._tensor.copy(), 0
        for feature in self._encoder.features:
            width = len(feature.places)
            if whole[feature.name] is not self._columns.get(feature.name):
                tensor[:, at : at + width] = 0.0
                _write(tensor[:, at : at + width], feature, whole[feature.name])
            at += width
        return tensor
