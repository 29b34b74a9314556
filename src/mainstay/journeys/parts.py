"""What a dataset version is made of, to those who learn from it and to those who judge."""

from collections.abc import Callable

import pyarrow as pa

from mainstay.data.freeze import open_dataset
from mainstay.data.histories import open_histories
from mainstay.data.split import split
from mainstay.features.offline import training_frame, with_views
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import Parts
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def parts_of(platform: Platform, use_case: UseCase, dataset: DatasetVersion, tell: Callable[[str], None]) -> Parts:
    """The training part and the holdout of a dataset version."""
    frame, left = training_frame(rows_of(platform, use_case, dataset), dataset, use_case)
    if left.unripe or left.unlabelled:
        tell(f"left out: {left}")
    return split(frame, dataset, use_case)


def rows_of(platform: Platform, use_case: UseCase, dataset: DatasetVersion) -> pa.Table:
    """The rows of a dataset version, each with the features of the use case's views as they were known at its time."""
    table = open_dataset(dataset, platform.blobs)
    histories = open_histories(dataset, use_case, platform.blobs)
    return with_views(table, histories, dataset, use_case)
