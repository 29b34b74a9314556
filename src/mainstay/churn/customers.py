"""The law of a telecom's customers: what they are like, what they pay, and how likely each is to leave in 30 days.

Every constant was fitted to IBM's public Telco customer churn table (7,043 customers, 21 columns) and rounded:
shares and quantiles by counting, the rest by logistic regressions, each trait on those drawn before it. A customer is
drawn trait by trait in that order. Nothing is read when this runs.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# One array per trait, all of the same length: `tenure` (months, 0 to 72), `charges` and `total` (USD, `total` NaN at
# tenure 0), and flags for the rest. No flag of fiber and offline is DSL; none of one and two is month-to-month; none of
# check, mailed and bank is the credit card.
Traits = dict[str, NDArray[Any]]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

LONGEST: Final = 72  # months the records reach back: a longer tenure is still written 72
SERVICES: Final = {
    "lines": "MultipleLines",
    "security": "OnlineSecurity",
    "backup": "OnlineBackup",
    "protection": "DeviceProtection",
    "tech": "TechSupport",
    "tv": "StreamingTV",
    "movies": "StreamingMovies",
}

_SENIOR: Final = 0.162
_PARTNER: Final = 0.483
_DEPENDENTS: Final = {(0, 0): 0.115, (0, 1): 0.014, (1, 0): 0.589, (1, 1): 0.145}  # by partner, senior
_FIBER_OFFLINE: Final = {  # shares of fiber and of no internet, by senior, dependents
    (0, 0): (0.428, 0.215),
    (0, 1): (0.299, 0.317),
    (1, 0): (0.735, 0.047),
    (1, 1): (0.648, 0.033),
}
_PHONE_ON_DSL: Final = 0.718  # everybody else has a phone
# The share of customers whose tenure is below so many months.
_MONTHS: Final = (0, 1, 2, 3, 4, 7, 13, 25, 37, 49, 61, 67, 70, 72, 73)
_TENURE: Final = {
    0: (0, 0.0005, 0.142, 0.194, 0.236, 0.318, 0.446, 0.608, 0.725, 0.823, 0.908, 0.950, 0.972, 0.986, 1),
    1: (0, 0.0026, 0.032, 0.046, 0.059, 0.095, 0.166, 0.293, 0.412, 0.532, 0.685, 0.776, 0.839, 0.909, 1),
}

# Log-odds; `one` is the intercept, `t` tenure / 72, `t2` its square, `log` ln(1 + tenure).
_Terms = Mapping[str, float]
_SERVICE: Final[Mapping[str, _Terms]] = {
    "lines": {"one": -1.72, "fiber": 1.04, "offline": -0.83, "t": 2.48, "partner": 0.1, "senior": 0.41},
    "security": {"one": -1.57, "fiber": -1.14, "t": 2.58, "dependents": 0.29, "senior": -0.39, "phone": 0.39},
    "backup": {"one": -1.6, "fiber": -0.09, "t": 2.68, "security": 0.11, "phone": 0.12},
    "protection": {"one": -1.47, "fiber": 0.04, "t": 2.68, "security": 0.08, "backup": 0.04, "phone": -0.12},
    "tech": {
        **{"one": -1.61, "fiber": -0.97, "t": 2.01, "security": 0.44, "backup": 0.18, "protection": 0.46},
        **{"phone": 0.3, "senior": -0.62},
    },
    "tv": {"one": -1.53, "fiber": 0.95, "t": 1.52, "protection": 0.73, "tech": 0.4, "phone": -0.22},
    "movies": {
        **{"one": -1.83, "fiber": 0.69, "t": 1.2, "tv": 1.45, "protection": 0.61, "tech": 0.27},
        **{"phone": -0.24},
    },
}
_COMMITTED: Final[_Terms] = {  # a contract of a year or two
    **{"one": -4.51, "t": 7.08, "t2": -1.2, "offline": 2.93, "fiber": -1.41, "security": 0.75, "protection": 0.74},
    **{"tech": 1.15, "tv": 0.42, "movies": 0.45, "dependents": 0.56, "senior": -0.67},
}
_TWO_OF_COMMITTED: Final[_Terms] = {
    **{"one": -2.73, "t": -3.72, "t2": 6.51, "offline": 2.74, "fiber": -0.78, "security": 0.5, "protection": 0.53},
    **{"tech": 1.06, "tv": 0.31, "movies": 0.28, "dependents": 0.32, "senior": -0.53},
}
_PAPERLESS: Final[_Terms] = {
    **{"one": 0.15, "fiber": 0.78, "offline": -0.72, "senior": 0.38, "one_year": -0.47, "two_year": -0.47},
    **{"tv": 0.4, "movies": 0.27, "partner": 0.04, "dependents": -0.14},
}
_PAYMENT: Final[Mapping[str, _Terms]] = {  # against the bank transfer
    "card": {"one": 0.03, "t": -0.25, "fiber": -0.1, "offline": -0.07, "paperless": 0.05, "committed": 0.21},
    "check": {
        **{"one": 1.09, "t": -1.79, "fiber": 0.6, "offline": -0.96, "senior": 0.27, "paperless": 0.28},
        **{"committed": -0.68},
    },
    "mailed": {
        **{"one": 1.5, "t": -3.02, "fiber": -0.82, "offline": 0.56, "senior": -0.51, "paperless": -0.26},
        **{"committed": 0.22},
    },
}
