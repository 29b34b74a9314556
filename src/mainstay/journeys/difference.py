"""Setting two versions side by side: what is recorded of both, and both asked about the newer one's holdout."""

from dataclasses import replace

from mainstay.errors import NotFound, Refused
from mainstay.journeys.account import candidate_from
from mainstay.journeys.parts import parts_of
from mainstay.journeys.recorded import recorded
from mainstay.ledger.kinds import DATASETS, RUNS, VERSIONS
from mainstay.quality.difference import Difference, Flips, Side, difference, flips_on, unseen
from mainstay.registry.loading import load
from mainstay.registry.versioning import number
from mainstay.scoring.scorer import Scorer
from mainstay.training.calibrate import offer_of
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def compare(platform: Platform, use_case: UseCase, before: str, after: str) -> Difference:
    """What sets version `after` apart from `before`. NotFound or Refused where one cannot be believed."""
    sides = [_side(platform, use_case.name, version) for version in (before, after)]
    try:
        return difference(sides[0], sides[1], _flips(platform, use_case, sides[0], sides[1]))
    except (Refused, NotFound) as error:  # what is recorded can be told without the rows
        return difference(sides[0], sides[1], None, str(error))


def _side(platform: Platform, use_case: str, version: str) -> Side:
    made = recorded(platform.ledger, use_case, VERSIONS, version).body
    _, bundle = load(use_case, version, platform.blobs, platform.trusted())
    run = recorded(platform.ledger, use_case, RUNS, made.run).body
    dataset = recorded(platform.ledger, use_case, DATASETS, made.dataset).body
    candidate = candidate_from(platform.ledger, use_case, made.candidate, made.run).body
    return Side(version, replace(dataset, holdout=run.holdout), run, candidate, bundle)


def _flips(platform: Platform, use_case: UseCase, before: Side, after: Side) -> Flips:
    newer, older = sorted((before, after), key=lambda side: number(side.version), reverse=True)
    holdout = parts_of(platform, use_case, newer.dataset, lambda noun: None).holdout
    for side in (before, after):
        lacking = sorted({each.name for each in side.bundle.encoder.inputs} - holdout.columns.keys())
        if lacking:
            raise Refused(
                f"{side.version} takes `{lacking[0]}`, which the use case of today does not have", newer.dataset.id
            )
    caution = ""
    if not unseen(older.run.holdout, newer.run.holdout):
        caution = f"{older.version} held out other rows, and may have learnt from some of these"
    said = [
        (Scorer(side.bundle).score(holdout.columns).probability, side.bundle.decide.threshold)
        for side in (before, after)
    ]
    return flips_on(holdout, newer.version, said[0], said[1], offer_of(use_case), caution)
