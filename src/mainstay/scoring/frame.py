"""Labelled rows as columns: what the rooms of a release hand to each other."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.scoring.derive import Columns
from mainstay.usecase import Label

HELD_OUT = "__held_out__"
"""The stored column that says which rows of a snapshot are held out; part of no contract and no digest."""


@dataclass(frozen=True, slots=True)
class Frame:
    """n labelled, ripe rows, in training order.

    `columns` are the inputs; `labels` (n,) is True for the positive class; `groups` (n,) numbers the entities by first
    appearance; `held_out` (n,) marks the holdout; `slices` are the protected attributes, as categories; `times` (n,)
    datetime64[us] or None for a snapshot.
    """

    columns: Columns
    labels: NDArray[np.bool_]
    groups: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    slices: Columns
    times: NDArray[np.datetime64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[Any]) -> "Frame":
        """The rows chosen by a mask of shape (n,) or by their places."""
        return Frame(
            {name: values[rows] for name, values in self.columns.items()},
            self.labels[rows],
            self.groups[rows],
            self.held_out[rows],
            {name: values[rows] for name, values in self.slices.items()},
            None if self.times is None else self.times[rows],
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a candidate learns from, and what it is judged by; no row is in both."""

    train: Frame
    holdout: Frame


def instant64(at: datetime) -> np.datetime64:
    """An aware time as numpy's, in microseconds UTC."""
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def ripe(times: NDArray[np.datetime64], watermark: datetime, label: Label) -> NDArray[np.bool_]:
    """Which rows (n,) must have their outcome by now: horizon and grace are over at the watermark. NaT never is."""
    return np.asarray(times <= instant64(watermark) - np.timedelta64(label.horizon + label.grace))


def grouped(keys: Iterable[NDArray[Any]], rows: int) -> NDArray[np.int64]:
    """Numbers (n,) from 0, the same for rows with the same keys, and rising by the first key, then the second, ….

    A key is an array (n,) of whole numbers from 0 to about n. Keys after those that tell all rows apart are not read.
    """
    numbers = np.zeros(rows, dtype=np.int64)
    for key in keys if rows else ():
        combined = numbers * (int(key.max()) + 1) + key.astype(np.int64)
        distinct, numbers = np.unique(combined, return_inverse=True)
        if len(distinct) == rows:
            break
    return numbers
