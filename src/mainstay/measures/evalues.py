"""Many tests at once, by their e-values: valid under any dependence between them.

Vovk & Wang, "E-values: calibration, combination and applications" (Annals of Statistics 49, 2021) for averages; Wang &
Ramdas, "False discovery rate control with e-values" (JRSS B 84, 2022) for e-BH.
"""

import math
from collections.abc import Sequence

import numpy as np


def averaged(logs: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """ln of the average of e-values given by their logs: an e-value again. NaN of none, or where one is NaN.

    `weights` are positive and fixed before the evidence came; equal by default. ValueError where they do not fit.
    """
    if weights is not None and (len(weights) != len(logs) or not all(weight > 0 for weight in weights)):
        raise ValueError("weights are positive, one for each e-value")
    if not logs or any(math.isnan(each) for each in logs):
        return math.nan
    shares = np.ones(len(logs)) if weights is None else np.asarray(weights, dtype=np.float64)
    return float(np.logaddexp.reduce(np.asarray(logs, dtype=np.float64) + np.log(shares / shares.sum())))


def discoveries(logs: Sequence[float], alpha: float) -> tuple[int, ...]:
    """The places of the e-values (by their logs) that are discoveries at false discovery rate alpha, rising: e-BH.

    NaN is no discovery. ValueError unless 0 < alpha < 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha:g}")
    values = np.nan_to_num(np.asarray(logs, dtype=np.float64), nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    order = np.argsort(-values, kind="stable")
    bars = math.log(len(values) / alpha) - np.log(np.arange(1, len(values) + 1)) if len(values) else values
    crossed = np.flatnonzero(values[order] >= bars)
    return tuple(sorted(int(place) for place in order[: crossed[-1] + 1])) if crossed.size else ()
