"""Less noise from what was known before: CUPED.

Deng, Xu, Kohavi & Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment data"
(WSDM 2013), section 3.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def adjusted(outcomes: ArrayLike, before: ArrayLike) -> Floats:
    """The outcomes (n,) without what `before` (n,) foretold of them; their mean stays as it is.

    `before` is anything known of a unit before its first exposure: here the champion's score. The outcomes as they are
    where it foretells nothing (fewer than two rows, no spread). ValueError where the shapes differ, or one is not
    finite.
    """
    found, known = np.asarray(outcomes, dtype=np.float64), np.asarray(before, dtype=np.float64)
    if found.ndim != 1 or found.shape != known.shape:
        raise ValueError(f"outcomes of shape {found.shape} and covariates of shape {known.shape} must both be (n,)")
    if not (np.isfinite(found).all() and np.isfinite(known).all()):
        raise ValueError("CUPED is of finite numbers only")
    centred = known - known.mean() if known.size else known
    spread = float(centred @ centred)
    if found.size < 2 or spread == 0:
        return found.copy()
    return np.asarray(found - centred * (float(centred @ found) / spread))
