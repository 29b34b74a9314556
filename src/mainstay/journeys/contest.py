"""The candidate and what is live, on the same rows: those held out from the candidate that the champion never saw."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from mainstay.data.freeze import open_dataset
from mainstay.data.seen import apart_by_construction, trained_on
from mainstay.data.typed import Mask
from mainstay.errors import NotFound, Refused
from mainstay.features.offline import training_frame
from mainstay.journeys.parts import rows_of
from mainstay.journeys.recorded import recorded
from mainstay.ledger.kinds import DATASETS, RUNS
from mainstay.nouns import DatasetVersion, ModelVersion
from mainstay.quality.champion import Contest, Unasked
from mainstay.registry.loading import load
from mainstay.registry.shelf import champion
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import HELD_OUT
from mainstay.scoring.scorer import Scorer
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def contest_of(
    platform: Platform, use_case: UseCase, candidate: str, dataset: DatasetVersion, bundle: Bundle
) -> Contest | Unasked | None:
    """Both scorers' probabilities on the candidate's holdout; None where nothing else is live.

    `dataset` is the candidate's, held out as it was for its run. Unasked where the champion is not believed, the rows
    lack an input of its, or what it was trained on is gone and only its rows could tell what it has seen.
    """
    live = champion(platform.ledger, use_case.name)
    if live is None or live.candidate == candidate:
        return None
    try:
        _, before = load(use_case.name, live.version, platform.blobs, platform.trusted())
        table = rows_of(platform, use_case, dataset)
        seen = _seen(platform, use_case, live, dataset, table)
    except (Refused, NotFound) as error:  # a champion that was tampered with must not keep its successor away
        return Unasked(live.version, str(error))
    lacking = [each.name for each in before.encoder.inputs if each.name not in use_case.inputs]
    if lacking:
        return Unasked(live.version, f"the rows no longer have its input `{lacking[0]}`")
    held_out = table[HELD_OUT].to_numpy()
    fresh = table.filter(pa.array(held_out & ~seen))
    left_out = int((held_out & seen).sum())
    try:
        frame, _ = training_frame(fresh, dataset, use_case)
    except Refused:  # none of them is left, which is for the check to say
        frame, _ = training_frame(table, dataset, use_case)
        frame = frame.take(np.zeros(len(frame), dtype=np.bool_))
    if not len(frame):
        return Contest(live.version, frame.labels, np.empty(0), np.empty(0), left_out)
    said, says = (Scorer(each).score(frame.columns).probability for each in (before, bundle))
    return Contest(live.version, frame.labels, said, says, left_out, before.decide.threshold, bundle.decide.threshold)


def _seen(platform: Platform, use_case: UseCase, live: ModelVersion, dataset: DatasetVersion, table: pa.Table) -> Mask:
    """Which rows (n,) of the candidate's dataset the champion was trained on, as far as they could judge it."""
    run = recorded(platform.ledger, use_case.name, RUNS, live.run).body
    trained = replace(recorded(platform.ledger, use_case.name, DATASETS, live.dataset).body, holdout=run.holdout)
    if apart_by_construction(dataset, trained):
        return np.zeros(table.num_rows, dtype=np.bool_)
    return trained_on(table, dataset, open_dataset(trained, platform.blobs), trained, use_case)
