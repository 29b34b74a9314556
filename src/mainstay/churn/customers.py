"""The law of a telecom's customers: what they are like, what they pay, and how likely each is to leave in 30 days.

Every constant was fitted to IBM's public Telco customer churn table (7,043 customers, 21 columns) and rounded: shares
and quantiles by counting, prices by least squares, the rest by logistic regressions of each trait on those drawn before
it (trait by trait, a Bayesian network). Nothing is read when this runs.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# One array per trait, all of one length: `tenure` (whole months, 0 to 72), `charges` and `total` (USD; `total` is NaN
# at tenure 0), and flags for the rest. A customer without a flag has the plain thing: neither `fiber` nor `offline` is
# DSL, neither `one_year` nor `two_year` is month-to-month, none of `check`, `mailed` and `card` is the bank transfer.
Traits = dict[str, NDArray[Any]]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

LONGEST: Final = 72  # the records reach back so many months; a longer tenure is written 72
CHEAPEST: Final = 18.25
_IDS: Final = 3  # what a generator is for
SERVICES: Final = {
    "lines": "MultipleLines",
    "security": "OnlineSecurity",
    "backup": "OnlineBackup",
    "protection": "DeviceProtection",
    "tech": "TechSupport",
    "tv": "StreamingTV",
    "movies": "StreamingMovies",
}

_MALE: Final = 0.505
_SENIOR: Final = 0.162
_PARTNER: Final = 0.483
_DEPENDENTS: Final = {(False, False): 0.115, (False, True): 0.014, (True, False): 0.589, (True, True): 0.145}
_FIBER_OFFLINE: Final = {
    (False, False): (0.428, 0.215),
    (False, True): (0.299, 0.317),
    (True, False): (0.735, 0.047),
    (True, True): (0.648, 0.033),
}
_PHONE_ON_DSL: Final = 0.718  # everybody else has a phone
# The share of customers, without and with a partner, whose tenure is below so many months.
_MONTHS: Final = (0, 1, 2, 3, 4, 7, 13, 25, 37, 49, 61, 67, 70, 72, 73)
_BELOW: Final = {
    False: (0, 0.0005, 0.142, 0.194, 0.236, 0.318, 0.446, 0.608, 0.725, 0.823, 0.908, 0.950, 0.972, 0.986, 1),
    True: (0, 0.0026, 0.032, 0.046, 0.059, 0.095, 0.166, 0.293, 0.412, 0.532, 0.685, 0.776, 0.839, 0.909, 1),
}

# fmt: off
_PRICES: Final = {"phone": 20.0, "dsl": 25.0, "fiber": 50.0, "tv": 10.0, "movies": 10.0, "lines": 5.0, "security": 5.0,
                  "backup": 5.0, "protection": 5.0, "tech": 5.0}

# Log-odds: `base` is the intercept, `t` is tenure / 72, `t2` its square, `log` is ln(1 + tenure), the rest are flags.
_Terms = Mapping[str, float]
_SERVICE: Final[Mapping[str, _Terms]] = {
    "lines": {"base": -1.72, "fiber": 1.04, "offline": -0.83, "t": 2.48, "partner": 0.1, "senior": 0.41},
    "security": {"base": -1.57, "fiber": -1.14, "t": 2.58, "dependents": 0.29, "senior": -0.39, "phone": 0.39},
    "backup": {"base": -1.6, "fiber": -0.09, "t": 2.68, "security": 0.11, "phone": 0.12},
    "protection": {"base": -1.47, "fiber": 0.04, "t": 2.68, "security": 0.08, "backup": 0.04, "phone": -0.12},
    "tech": {"base": -1.61, "fiber": -0.97, "t": 2.01, "security": 0.44, "backup": 0.18, "protection": 0.46,
             "phone": 0.3, "senior": -0.62},
    "tv": {"base": -1.53, "fiber": 0.95, "t": 1.52, "protection": 0.73, "tech": 0.4, "phone": -0.22},
    "movies": {"base": -1.83, "fiber": 0.69, "t": 1.2, "tv": 1.45, "protection": 0.61, "tech": 0.27, "phone": -0.24},
}
_COMMITTED: Final = {"base": -4.51, "t": 7.08, "t2": -1.2, "offline": 2.93, "fiber": -1.41, "security": 0.75,
                     "protection": 0.74, "tech": 1.15, "tv": 0.42, "movies": 0.45, "dependents": 0.56, "senior": -0.67}
_TWO_IF_COMMITTED: Final = {"base": -2.73, "t": -3.72, "t2": 6.51, "offline": 2.74, "fiber": -0.78, "security": 0.5,
                            "protection": 0.53, "tech": 1.06, "tv": 0.31, "movies": 0.28, "dependents": 0.32,
                            "senior": -0.53}
_PAPERLESS: Final = {"base": 0.15, "fiber": 0.78, "offline": -0.72, "senior": 0.38, "one_year": -0.47,
                     "two_year": -0.47, "tv": 0.4, "movies": 0.27, "partner": 0.04, "dependents": -0.14}
_PAYMENT: Final[Mapping[str, _Terms]] = {  # each against the bank transfer
    "card": {"base": 0.03, "t": -0.25, "fiber": -0.1, "offline": -0.07, "paperless": 0.05, "one_year": 0.21,
             "two_year": 0.21},
    "check": {"base": 1.09, "t": -1.79, "fiber": 0.6, "offline": -0.96, "senior": 0.27, "paperless": 0.28,
              "one_year": -0.68, "two_year": -0.68},
    "mailed": {"base": 1.5, "t": -3.02, "fiber": -0.82, "offline": 0.56, "senior": -0.51, "paperless": -0.26,
               "one_year": 0.22, "two_year": 0.22},
}
_LEAVES: Final = {"base": 0.88, "log": -0.75, "t": 0.14, "one_year": -0.71, "two_year": -1.69, "fiber": 0.95,
                  "offline": -0.84, "phone": -0.55, "lines": 0.37, "security": -0.32, "backup": -0.13, "tech": -0.28,
                  "tv": 0.31, "movies": 0.32, "paperless": 0.35, "check": 0.33, "senior": 0.23, "dependents": -0.12}
# fmt: on


def draw(rng: np.random.Generator, rows: int) -> Traits:
    """`rows` independent customers, as a snapshot of the company would show them."""
    traits: Traits = {"male": rng.random(rows) < _MALE}
    traits |= {"senior": rng.random(rows) < _SENIOR, "partner": rng.random(rows) < _PARTNER}
    traits["dependents"] = rng.random(rows) < _by(_DEPENDENTS, traits["partner"], traits["senior"])
    traits["tenure"] = draw_tenure(rng.random(rows), traits)
    fiber, offline = (
        _by({who: shares[k] for who, shares in _FIBER_OFFLINE.items()}, traits["senior"], traits["dependents"])
        for k in range(2)
    )
    u = rng.random(rows)
    traits["fiber"], traits["offline"] = u < fiber, u >= 1 - offline
    traits["phone"] = traits["fiber"] | traits["offline"] | (rng.random(rows) < _PHONE_ON_DSL)
    for service in SERVICES:
        traits[service] = draw_service(rng.random(rows), service, traits)
    traits["one_year"], traits["two_year"] = draw_contract(rng.random(rows), traits)
    traits["paperless"] = rng.random(rows) < _probability(_PAPERLESS, traits)
    traits |= _payment(rng.random(rows), traits)
    traits["charges"] = draw_charges(rng.standard_normal(rows), traits)
    traits["total"] = draw_total(rng.standard_normal(rows), traits)
    return traits


def draw_tenure(u: Floats, traits: Traits) -> NDArray[np.int64]:
    """Months with the company, by one uniform number each: longer with a partner."""
    alone, together = (np.interp(u, below, _MONTHS) for below in (_BELOW[False], _BELOW[True]))
    months = np.floor(np.where(traits["partner"], together, alone)).astype(np.int64)
    return np.minimum(months, LONGEST)


def draw_service(u: Floats, service: str, traits: Traits) -> Flags:
    """Who has the service, by one uniform number each. Second lines need a phone, all others the internet."""
    possible = traits["phone"] if service == "lines" else ~traits["offline"]
    return possible & (u < _probability(_SERVICE[service], traits))


def draw_contract(u: Floats, traits: Traits) -> tuple[Flags, Flags]:
    """Who is bound for one year, and who for two, by one uniform number each."""
    committed = _probability(_COMMITTED, traits)
    two_year = u < committed * _probability(_TWO_IF_COMMITTED, traits)
    return (u < committed) & ~two_year, two_year


def list_price(traits: Traits) -> Floats:
    """The sum of what a month of each service costs, in USD."""
    flags = traits | {"dsl": ~(traits["fiber"] | traits["offline"])}
    price = np.zeros(len(traits["tenure"]))
    for service, dollars in _PRICES.items():
        price += dollars * flags[service]
    return price


def draw_charges(z: Floats, traits: Traits) -> Floats:
    """The monthly charge in USD, in steps of 5 cents: the list price, give or take a dollar (z is standard normal)."""
    return priced(list_price(traits) + np.clip(z, -3, 3))


def priced(dollars: Floats) -> Floats:
    """Amounts as a bill states them: in steps of 5 cents, and never below the cheapest plan."""
    return np.round(np.round(np.maximum(dollars, CHEAPEST) * 20) / 20, 2)


def draw_total(z: Floats, traits: Traits) -> Floats:
    """What was charged so far in USD: each month after the first differed by about a fifth. NaN before the first."""
    tenure = traits["tenure"].astype(np.float64)
    months = tenure + 0.21 * np.sqrt(np.maximum(tenure - 1, 0)) * np.clip(z, -3, 3)
    return np.where(tenure == 0, np.nan, np.round(traits["charges"] * months, 2))


def leaving_probability(traits: Traits) -> Floats:
    """The probability in [0, 1) that each leaves within 30 days. 0 before the first bill (tenure 0), as in Telco."""
    return np.where(traits["tenure"] == 0, 0.0, _probability(_LEAVES, traits))


def take(traits: Traits, which: NDArray[Any]) -> Traits:
    """Some of the customers, by position or mask; copies."""
    return {trait: values[which] for trait, values in traits.items()}


def columns(traits: Traits) -> dict[str, NDArray[Any]]:
    """Telco's 19 feature columns in its order and spelling: int64, float64, and object arrays of str."""
    offline = np.where(traits["offline"], 2, 0)
    services = {
        column: np.where(traits["phone"], traits[trait], 2) if trait == "lines" else np.maximum(traits[trait], offline)
        for trait, column in SERVICES.items()
    }
    absent = dict.fromkeys(SERVICES.values(), "No internet service") | {"MultipleLines": "No phone service"}
    named = {column: _named(codes, "No", "Yes", absent[column]) for column, codes in services.items()}
    payment = traits["card"] + 2 * traits["check"] + 3 * traits["mailed"]
    return {
        "gender": _named(traits["male"], "Female", "Male"),
        "SeniorCitizen": traits["senior"].astype(np.int64),
        "Partner": _named(traits["partner"], "No", "Yes"),
        "Dependents": _named(traits["dependents"], "No", "Yes"),
        "tenure": traits["tenure"].astype(np.int64),
        "PhoneService": _named(traits["phone"], "No", "Yes"),
        "MultipleLines": named.pop("MultipleLines"),
        "InternetService": _named(traits["fiber"] + 2 * traits["offline"], "DSL", "Fiber optic", "No"),
        **named,
        "Contract": contract_names(traits),
        "PaperlessBilling": _named(traits["paperless"], "No", "Yes"),
        "PaymentMethod": _named(
            payment, "Bank transfer (automatic)", "Credit card (automatic)", "Electronic check", "Mailed check"
        ),
        "MonthlyCharges": traits["charges"].astype(np.float64),
        "TotalCharges": traits["total"].astype(np.float64),
    }


def contract_names(traits: Traits) -> NDArray[np.object_]:
    return _named(traits["one_year"] + 2 * traits["two_year"], "Month-to-month", "One year", "Two year")


def customer_ids(seed: int, numbers: NDArray[np.int64]) -> NDArray[np.object_]:
    """Telco-like ids such as 7590-VHVEG, a different one for each number in [0, 10^9) under one seed.

    An affine map modulo the 10^4 * 26^5 ids there are, its factor prime to that, so that no two numbers meet.
    """
    ids = 10**4 * 26**5
    rng = np.random.default_rng([seed, _IDS])
    factor = int(rng.integers(10**9, 8 * 10**9))  # times 10^9 is still an int64
    while math.gcd(factor, ids) != 1:
        factor += 1
    rest = (numbers.astype(np.int64) * factor + int(rng.integers(ids))) % ids
    letters = np.empty((len(numbers), 10), dtype=np.uint32)
    for place in range(9, -1, -1):
        base, zero = (26, ord("A")) if place > 4 else (10, ord("0"))
        if place == 4:
            letters[:, place] = ord("-")
        else:
            rest, letters[:, place] = rest // base, rest % base + zero
    return letters.view("U10").ravel().astype(object)


def _payment(u: Floats, traits: Traits) -> Traits:
    odds = {method: np.exp(_log_odds(terms, traits)) for method, terms in _PAYMENT.items()}
    below = np.zeros(len(u))
    u = u * (1 + sum(odds.values(), below))
    chosen: Traits = {}
    for method, share in odds.items():
        chosen[method] = (u >= below) & (u < below + share)
        below = below + share
    return chosen


def _by(table: Mapping[tuple[bool, bool], float], first: Flags, second: Flags) -> Floats:
    cells = np.array([table[False, False], table[False, True], table[True, False], table[True, True]])
    return cells[2 * first + 1 * second]


def _log_odds(terms: _Terms, traits: Traits) -> Floats:
    t = traits["tenure"] / LONGEST
    total = np.full(len(t), terms["base"])
    for name, weight in terms.items():
        if name == "log":
            total += weight * np.log1p(traits["tenure"])
        elif name in ("t", "t2"):
            total += weight * (t if name == "t" else t * t)
        elif name != "base":
            total += weight * traits[name]
    return total


def _probability(terms: _Terms, traits: Traits) -> Floats:
    return np.asarray(1 / (1 + np.exp(-_log_odds(terms, traits))))


def _named(codes: NDArray[Any], *names: str) -> NDArray[np.object_]:
    return np.array(names, dtype=object)[codes.astype(np.intp)]
