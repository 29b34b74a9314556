"""Features in, probability out: the one scorer that parity, gates, serving, batch and replay all call."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.errors import Refused
from mainstay.scoring.bundle import Bundle, Golden
from mainstay.scoring.decide import calibrated
from mainstay.scoring.derive import Columns
from mainstay.scoring.encode import encode
from mainstay.scoring.reading import columns_of
from mainstay.scoring.session import Session, Single

TOLERANCE = 1e-6
"""How far a score may differ from the recorded one on another kind of CPU."""


@dataclass(frozen=True, slots=True)
class Scored:
    """n scored rows: the tensor (n, places), the scores (n, classes) and the positive's probability (n,)."""

    tensor: NDArray[np.float32]
    scores: NDArray[np.float64]
    probability: NDArray[np.float64]


class Scorer:
    """A bundle, loaded. Safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the graph. Refused if it does not fit the bundle's encoder."""
        self.bundle = bundle
        self._session = Session(bundle.model)
        places = len(bundle.encoder.places)
        if self._session.width != places:
            raise Refused(f"the graph takes {self._session.width} places, the encoder makes {places}", "model.onnx")

    def score(self, columns: Columns) -> Scored:
        """Score rows given as the encoder's input columns, each of shape (n,). One row alone is scored as one row."""
        tensor = encode(self.bundle.encoder, columns)
        return self.score_tensor(tensor)

    def score_tensor(self, tensor: NDArray[np.float32]) -> Scored:
        """Score rows that are encoded already, shape (n, places). With two classes the scores are calibrated."""
        raw = self._session.scores(tensor)
        place = self.bundle.decide.place
        probability = calibrated(self.bundle.calibration, raw[:, place])
        scores = np.empty_like(raw)
        scores[:, place] = probability
        scores[:, 1 - place] = 1.0 - probability
        return Scored(tensor, scores, probability)

    def single(self) -> Single:
        """The graph for one row at a time, on one thread at a time."""
        return self._session.single(len(self.bundle.decide.classes))

    def warm_up(self) -> None:
        """Score the golden rows. Refused if a tensor or a score is not what was recorded: this is not that model."""
        golden = self.bundle.golden
        found = self.score(columns_of(golden.rows, self.bundle.encoder.inputs))
        if not np.array_equal(found.tensor, np.array(golden.tensor, dtype=np.float32), equal_nan=True):
            raise Refused("the golden rows encode differently from what was recorded", "golden.json")
        apart = np.abs(found.scores - np.array(golden.scores))
        if not (apart <= TOLERANCE).all():
            raise Refused(
                f"a golden row scores {np.nanmax(apart):.2g} from what was recorded, more than {TOLERANCE:g}",
                "golden.json",
            )


def golden_of(scorer: Scorer, columns: Columns) -> Golden:
    """The golden rows: these columns (at least one row), with the tensor and scores that the scorer gives them now."""
    scored = scorer.score(columns)
    names = [each.name for each in scorer.bundle.encoder.inputs]
    lists = [[None if value != value else value for value in columns[name].tolist()] for name in names]
    rows = tuple(dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True))
    return Golden(
        rows,
        tuple(tuple(row) for row in scored.tensor.astype(np.float64).tolist()),
        tuple(tuple(row) for row in scored.scores.tolist()),
    )
