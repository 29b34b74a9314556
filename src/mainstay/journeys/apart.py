"""How two versions' scores differ on the holdout of the later one: what a judge of its traffic holds them to."""

from collections.abc import Callable
from dataclasses import replace

from mainstay.errors import NotFound, Refused
from mainstay.journeys.parts import parts_of
from mainstay.journeys.recorded import recorded
from mainstay.ledger.kinds import DATASETS, RUNS, VERSIONS
from mainstay.nouns import Apart, DatasetVersion, Estimate
from mainstay.quality.against import against
from mainstay.registry.loading import load
from mainstay.registry.shelf import signed
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.scorer import Scorer
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

UNJUDGED = "score shift and disagreement are not judged"
"""How the words end that are told where nothing is measured."""


def compared(
    platform: Platform, use_case: UseCase, dataset: DatasetVersion, before: Bundle, after: Bundle
) -> dict[str, Estimate] | None:
    """Two bundles on the holdout of a dataset version, as `quality.against`; None where it lacks an input of the first.

    Refused or NotFound where its rows are gone, or are not what the use case describes.
    """
    columns = parts_of(platform, use_case, dataset, lambda noun: None).holdout.columns
    if not {each.name for each in before.encoder.inputs} <= columns.keys():
        return None
    said, says = (Scorer(bundle).score(columns).probability for bundle in (before, after))
    return against(said, says, before.decide.threshold, after.decide.threshold)


def measured_anew(
    platform: Platform, use_case: UseCase | None, name: str, challenger: str, champion: str, tell: Callable[[str], None]
) -> Apart | None:
    """How a version differs from the champion that stands, where its gate compared it with another or with none.

    None where the gate did compare them, and, with a word to `tell`, where they cannot be compared: the definition of
    the use case is not at hand or describes other columns, or the rows are gone.
    """
    version = recorded(platform.ledger, name, VERSIONS, challenger).body
    known = signed(version, platform.blobs).against
    if known is not None and known.champion == champion:
        return None
    compares = f"{challenger} was compared with {known.champion if known else 'none'} and not with {champion}"
    if use_case is None:
        tell(f"{compares}, and without the use case's file it is not now: {UNJUDGED}")
        return None
    try:
        run = recorded(platform.ledger, name, RUNS, version.run).body
        dataset = replace(recorded(platform.ledger, name, DATASETS, version.dataset).body, holdout=run.holdout)
        _check_described(use_case, dataset)
        bundles = [load(name, each, platform.blobs, platform.trusted())[1] for each in (champion, challenger)]
        found = compared(platform, use_case, dataset, *bundles)
    except (Refused, NotFound) as error:
        tell(f"{compares}, and cannot be now ({error}): {UNJUDGED}")
        return None
    if found is None:
        tell(f"{compares}, whose inputs its rows lack: {UNJUDGED}")
        return None
    return Apart(champion, **found)


def _check_described(use_case: UseCase, dataset: DatasetVersion) -> None:
    """Refused where the use case has come to describe other rows than were frozen."""
    kept = (name for name, column in use_case.contract.columns.items() if column.personal != "drop")
    lacking = [f"the column `{name}`" for name in kept if name not in dataset.columns and name != use_case.entity]
    if {view.name for view in use_case.features.views} != set(dataset.views):
        lacking.append("other views")
    if lacking:
        raise Refused(f"the use case describes {lacking[0]}, and its rows were frozen without", dataset.id)
