"""Few looks that are planned, as with monthly labels: group sequential bounds, the most powerful of them all.

Lan & DeMets, "Discrete sequential boundaries for clinical trials" (Biometrika 70, 1983), with their spending function
of O'Brien & Fleming's kind, α(t) = 2 - 2Φ(z_{α/2}/√t). The crossing probabilities are integrated as in Armitage,
McPherson & Rowe (JRSS A 132, 1969).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from mainstay.nouns import Estimate, Valid

Floats = NDArray[np.float64]
METHOD = "Lan-DeMets bounds"
FARTHEST = 8.0
"""z beyond which nothing is integrated: 1e-15 lies there."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def spent(fraction: float, alpha: float) -> float:
    """The share of alpha that may be spent by an information fraction in [0, 1]."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"an information fraction is from 0 to 1, not {fraction:g}")
    return 0.0 if fraction == 0 else float(2 - 2 * ndtr(ndtri(1 - alpha / 2) / math.sqrt(fraction)))


def boundaries(fractions: Sequence[float], alpha: float) -> tuple[float, ...]:
    """|z| at which each look of a two-sided test crosses; fractions of the planned information, rising, at most 1.

    A look whose share of alpha is below 1e-12 has the bound at `FARTHEST`. ValueError where the fractions do not rise.
    """
    if not fractions or any(b <= a for a, b in zip((0.0, *fractions), fractions, strict=False)):
        raise ValueError("information fractions rise from above 0")
    bounds: list[float] = []
    grid, density, before = np.zeros(1), np.ones(1), 0.0
    for place, fraction in enumerate(fractions):
        wanted = spent(fraction, alpha) - (spent(fractions[place - 1], alpha) if place else 0.0)
        step = math.sqrt(fraction - before)
        bound = _bound(grid, density, step, math.sqrt(fraction), wanted)
        bounds.append(bound)
        # The sum of increments at this look, among those that have not crossed.
        edge = bound * math.sqrt(fraction)
        following = _NODES * edge
        carried = np.exp(-0.5 * ((following[:, None] - grid[None, :]) / step) ** 2) / (step * math.sqrt(2 * math.pi))
        density = (carried @ density) * _WEIGHTS * edge
        grid, before = following, fraction
    return tuple(bounds)


def _bound(grid: Floats, density: Floats, step: float, scale: float, wanted: float) -> float:
    """|z| beyond which the next look lies with probability `wanted`; `density` carries its own weights."""

    def beyond(z: float) -> float:
        edge = z * scale
        tails = ndtr((-edge - grid) / step) + ndtr((grid - edge) / step)
        return float(tails @ density) - wanted

    if wanted < 1e-12 or beyond(FARTHEST) > 0:
        return FARTHEST
    return float(brentq(beyond, 0.0, FARTHEST, xtol=1e-10))


def planned_estimate(
    value: float, error: float, rows: int, look: int, fractions: Sequence[float], alpha: float
) -> Estimate:
    """An estimate with the interval of its planned look, counted from 1: it excludes 0 exactly where the test crosses.

    `error` is the standard error of `value`. ValueError for a look that was not planned.
    """
    if not 1 <= look <= len(fractions):
        raise ValueError(f"look {look} was not planned: there are {len(fractions)}")
    half = boundaries(fractions[:look], alpha)[-1] * error
    return Estimate(value, value - half, value + half, rows, 1 - alpha, METHOD, Valid.PLANNED_LOOKS)
