"""A frame in two parts that share no row."""

from datetime import UTC, datetime

import numpy as np
import pytest

from mainstay.data.split import split
from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion, Holdout
from mainstay.scoring.frame import Frame
from mainstay.usecase import UseCase


def dataset(cut: datetime | None = None) -> DatasetVersion:
    return DatasetVersion("ds_1", "shop", 12, ("id",), "", Holdout("shop", 0.25, cut))


def frame(labels: list[bool], held_out: list[bool], times: list[str] | None = None) -> Frame:
    rows = len(labels)
    return Frame(
        {"age": np.arange(rows, dtype=np.float64)},
        np.array(labels),
        np.arange(rows),
        np.array(held_out),
        {},
        None if times is None else np.array(times, dtype="datetime64[us]"),
    )


def test_a_snapshot_is_split_by_its_marks(shop: UseCase) -> None:
    parts = split(frame([True, False] * 3, [False] * 4 + [True] * 2), dataset(), shop)
    assert parts.train.columns["age"].tolist() == [0, 1, 2, 3]
    assert parts.holdout.columns["age"].tolist() == [4, 5]


def test_training_rows_whose_horizon_crosses_the_cut_are_in_neither_part(shop: UseCase) -> None:
    cut = datetime(2026, 3, 1, tzinfo=UTC)
    times = ["2026-01-10", "2026-01-30T00:00", "2026-01-30T00:00:01", "2026-02-28", "2026-03-01", "2026-03-05"]
    parts = split(frame([True, False] * 3, [False] * 4 + [True] * 2, times), dataset(cut), shop)
    assert parts.train.columns["age"].tolist() == [0, 1]
    assert parts.holdout.columns["age"].tolist() == [4, 5]


def test_a_part_may_lack_a_class_or_every_row(shop: UseCase) -> None:
    parts = split(frame([True, False, False], [False] * 3), dataset(), shop)
    assert (len(parts.train), len(parts.holdout)) == (3, 0)
    parts = split(frame([True, True, False, False], [False, False, True, True]), dataset(), shop)
    assert (parts.train.labels.tolist(), parts.holdout.labels.tolist()) == ([True, True], [False, False])


@pytest.mark.parametrize("label", [True, False])
def test_rows_of_one_class_are_refused_with_the_numbers(label: bool, shop: UseCase) -> None:
    with pytest.raises(Refused, match=f"of 4 rows that can be learnt from, {4 * label} are `Yes`: .* both classes"):
        split(frame([label] * 4, [False, False, True, True]), dataset(), shop)
