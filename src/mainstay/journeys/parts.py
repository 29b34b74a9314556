"""What a dataset version is made of, to those who learn from it and to those who judge."""

from collections.abc import Callable

from mainstay.data.freeze import open_dataset
from mainstay.data.split import split
from mainstay.features.offline import training_frame
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import Parts
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def parts_of(platform: Platform, use_case: UseCase, dataset: DatasetVersion, tell: Callable[[str], None]) -> Parts:
    """The training part and the holdout of a dataset version."""
    frame, left = training_frame(open_dataset(dataset, platform.blobs), dataset, use_case)
    if left.unripe or left.unlabelled:
        tell(f"left out: {left}")
    return split(frame, dataset, use_case)
