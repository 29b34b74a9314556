"""Which training rows judge which, and what a recipe says of rows that it has not seen.

Folds are stratified and never separate the rows of one entity. Whatever is learnt from rows, the encoder included, is
learnt from a fold's own training rows.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from mainstay.errors import Refused
from mainstay.scoring.encode import encode, fit, inputs_of
from mainstay.scoring.frame import Frame
from mainstay.training.balance import Balanced, balanced
from mainstay.training.estimators import Parameters, fitted, probability_of
from mainstay.usecase import UseCase

Places = NDArray[np.intp]
Fold = tuple[Places, Places]
"""The places of the rows that a fold learns from, and of those that it is judged by; together every row, once."""


def folds(frame: Frame, count: int, seed: int) -> tuple[Fold, ...]:
    """`count` >= 2 folds with about the frame's share of positives in each; every row is judged in exactly one.

    Determined by the frame's order, its labels and groups, and the seed. Refused where a fold would lack a class.
    """
    for name, rows in (("positive", frame.labels), ("negative", ~frame.labels)):
        there = np.unique(frame.groups[rows]).size
        if there < count:
            raise Refused(
                f"{there} {name} entities among {len(frame):,} training rows are too few for {count} folds; "
                f"each fold needs at least one, so bring more rows or fewer folds",
                "recipe.folds",
            )
    # Imported here, as all that is heavy in this room: importing a journey must not cost seconds.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    places = np.arange(len(frame))
    if np.unique(frame.groups).size == len(frame):
        made = tuple(StratifiedKFold(count, shuffle=True, random_state=seed).split(places, frame.labels))
    else:
        grouped = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        made = tuple(grouped.split(places, frame.labels, frame.groups))
    for number, (_, judged) in enumerate(made):
        positives = int(np.count_nonzero(frame.labels[judged]))
        if positives in (0, len(judged)):  # entities of many rows can fill a fold with one class
            raise Refused(
                f"fold {number + 1} of {count} has {positives} positives among its {len(judged):,} rows, because the "
                f"rows of an entity keep together; it needs both classes, so choose fewer folds",
                "recipe.folds",
            )
    return made


@dataclass(frozen=True, slots=True)
class EncodedFold:
    """A fold as tensors: what is learnt from, balanced as the recipe says, and what is judged, at its frame's `places`.

    What is `judged` is never resampled or weighted.
    """

    learnt: Balanced
    judged: NDArray[np.float32]
    places: Places


def encode_folds(use_case: UseCase, frame: Frame, made: Sequence[Fold]) -> tuple[EncodedFold, ...]:
    """Each fold under an encoder of its own, fitted on the rows that it learns from; only those are balanced."""
    inputs, derived = inputs_of(use_case), use_case.derived
    encoded = []
    for number, (learnt, judged) in enumerate(made):
        rows = frame.take(learnt)
        encoder = fit(rows.columns, inputs, derived)
        asked = encode(encoder, frame.take(judged).columns)
        kept = balanced(encode(encoder, rows.columns), rows.labels, use_case.recipe, number)
        encoded.append(EncodedFold(kept, asked, judged))
    return tuple(encoded)


def by_fold(
    encoded: Sequence[EncodedFold], estimator: str, parameters: Parameters, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Raw probabilities of each fold's judged rows, in the folds' order, each from the model that has not seen them.

    As many folds are fitted at a time as there are cores, so who stops listening saves those that were not begun.
    """

    def judge(fold: EncodedFold) -> NDArray[np.float64]:
        # Each fit keeps to one thread: a sum's last digits, and the model's bytes, would depend on how many share it.
        # OpenMP asks the thread that calls it, so it is told here as well.
        with threads.limit(limits=1, user_api="openmp"):
            rows = fold.learnt
            model = fitted(estimator, parameters, seed, rows.tensor, rows.labels, rows.weights)
            return probability_of(model, fold.judged)

    import sklearn.ensemble  # noqa: F401  (a library that is loaded later would keep its threads)

    threads = ThreadpoolController()
    cores = os.cpu_count() or 1
    waiting = list(encoded)
    with threads.limit(limits=1), ThreadPoolExecutor(min(len(encoded), cores)) as pool:
        running = deque(pool.submit(judge, waiting.pop(0)) for _ in encoded[:cores])
        while running:
            said = running.popleft().result()
            yield said  # whether to go on is the listener's to say: nothing is begun before
            if waiting:
                running.append(pool.submit(judge, waiting.pop(0)))


def out_of_fold(
    encoded: Sequence[EncodedFold], estimator: str, parameters: Parameters, seed: int
) -> NDArray[np.float64]:
    """Raw probabilities of the positive class, shape (n,), each from the model that has not seen its row."""
    raw = np.full(sum(len(fold.places) for fold in encoded), np.nan)
    for fold, said in zip(encoded, by_fold(encoded, estimator, parameters, seed), strict=True):
        raw[fold.places] = said
    return raw
