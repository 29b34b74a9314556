"""Labelled rows as columns: what the rooms of a release hand to each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.scoring.derive import Columns

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
