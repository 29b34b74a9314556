"""Every interval covers the truth as often as it says, or its minimum of rows says from where on.

Worlds are binormal: a latent score is N(0, 1) for negatives and N(d, 1) for positives, the probability is the true
posterior, or (overconfident) its logit times 1.6 plus .3; a rival says that logit times .7. So the truth of every
measure is an integral over one line.
A promise is broken only where the simulation proves it: where even the upper 99.9 % bound of the coverage lies below.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import beta

from mainstay.measures.money import Offer
from mainstay.measures.rates import difference, mean, rate
from mainstay.measures.scores import paired_difference, scorecard
from mainstay.nouns import Estimate

Floats = NDArray[np.float64]

REPEATS = 2000
COVERAGE = 0.93
OFFER = Offer(cost=20, value_saved=400, save_rate=0.3)
# Fewest rows of the rarer class from which on an interval keeps the promise; those unnamed keep it from 10 on, the
# smallest that is simulated.
FEWEST: Mapping[str, int] = {"paired_difference": 20}


@dataclass(frozen=True, slots=True)
class World:
    rows: int
    base: float
    auc: float
    stretch: float = 1.0
    shift: float = 0.0

    @property
    def rarer(self) -> int:
        return round(self.rows * self.base)

    @property
    def apart(self) -> float:
        return math.sqrt(2) * float(ndtri(self.auc))

    @property
    def overconfident(self) -> bool:
        return self.stretch > 1

    def evidence(self, latent: Floats) -> Floats:
        return self.apart * latent - self.apart**2 / 2 + float(logit(self.base))

    def probabilities(self, latent: Floats) -> Floats:
        return np.asarray(expit(self.stretch * self.evidence(latent) + self.shift))

    def rivals(self, latent: Floats) -> Floats:
        return np.asarray(expit(0.7 * self.evidence(latent)))


@dataclass(frozen=True, slots=True)
class Coverage:
    measure: str
    method: str
    world: World
    answered: int
    covered: int
    too_high: int

    @property
    def share(self) -> float:
        return self.covered / self.answered

    @property
    def upper(self) -> float:
        """What the true coverage is below with 99.9 % confidence (Clopper & Pearson)."""
        return float(beta.ppf(0.999, self.covered + 1, self.answered - self.covered)) if self.share < 1 else 1.0


WORLDS = tuple(
    [World(rows, base, auc) for rows in (200, 1000, 5000) for base in (0.05, 0.26) for auc in (0.7, 0.85, 0.95)]
    + [World(rows, base, 0.85, 1.6, 0.3) for rows in (200, 1000, 5000) for base in (0.05, 0.26)]
)


def estimates(world: World, draw: np.random.Generator) -> dict[str, Estimate]:
    labels = draw.random(world.rows) < world.base
    latent = draw.standard_normal(world.rows) + world.apart * labels
    probabilities = world.probabilities(latent)
    found = scorecard(labels, probabilities, world.base, OFFER)
    kept = {name: one for name, one in found.items() if name not in {"accuracy", "precision", "recall", "f1"}}
    other = int(draw.binomial(world.rows, world.base + 0.02))
    share = rate(int(np.count_nonzero(labels)), world.rows)
    return kept | {
        "rate": share,
        "difference": difference(share, rate(other, world.rows)),
        "mean": mean(latent),
        "paired_difference": paired_difference(labels, probabilities, world.rivals(latent)),
    }


def truths(world: World) -> dict[str, float]:
    x = np.linspace(-9, 9 + world.apart, 40_001)
    step = x[1] - x[0]
    positive = world.base * np.exp(-((x - world.apart) ** 2) / 2) / math.sqrt(2 * math.pi) * step
    negative = (1 - world.base) * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * step
    said = world.probabilities(x)
    hits, reached = world.base * ndtr(world.apart - x), (1 - world.base) * ndtr(-x)
    loss = float(positive @ -np.log(said) + negative @ -np.log1p(-said))
    entropy = -(world.base * math.log(world.base) + (1 - world.base) * math.log1p(-world.base))
    cut = ((float(logit(world.base)) - world.shift) / world.stretch - float(logit(world.base))) / world.apart
    cut += world.apart / 2
    both, wasted = world.base * float(ndtr(world.apart - cut)), (1 - world.base) * float(ndtr(-cut))
    bins = np.minimum((np.cumsum(positive + negative) * 10).astype(int), 9)
    gaps = np.bincount(bins, positive * (1 - said) - negative * said)

    def clipped(probabilities: Floats) -> float:
        bounded = np.clip(probabilities, 0.01, 0.99)
        return float(positive @ -np.log(bounded) + negative @ -np.log1p(-bounded))

    return {
        "roc_auc": world.auc,
        "average_precision": float(positive @ (hits / (hits + reached))) / world.base,
        "log_loss": loss,
        "brier": float(positive @ (1 - said) ** 2 + negative @ said**2),
        "profit": OFFER.worth * both - OFFER.cost * (both + wasted),
        "accuracy_at_threshold": both + (1 - world.base) - wasted,
        "precision_at_threshold": both / (both + wasted),
        "recall_at_threshold": both / world.base,
        "f1_at_threshold": 2 * both / (both + wasted + world.base),
        "calibration_error": float(np.abs(gaps).sum()),
        "skill": 1 - loss / entropy,
        "rate": world.base,
        "difference": 0.02,
        "mean": world.base * world.apart,
        "paired_difference": clipped(world.rivals(x)) - clipped(said),
    }


@functools.cache
def simulated() -> tuple[Coverage, ...]:
    """The coverage of every measure in every world."""
    found = []
    for number, world in enumerate(WORLDS):
        draw, truth = np.random.default_rng([20, number]), truths(world)
        answered, covered, too_high, methods = (
            dict.fromkeys(truth, 0),
            dict.fromkeys(truth, 0),
            dict.fromkeys(truth, 0),
            {},
        )
        for _ in range(REPEATS):
            for measure, one in estimates(world, draw).items():
                methods[measure] = one.method
                if math.isfinite(one.low):
                    answered[measure] += 1
                    covered[measure] += one.low <= truth[measure] + 1e-12 and truth[measure] - 1e-12 <= one.high
                    too_high[measure] += one.low > truth[measure] + 1e-12
        found += [Coverage(name, methods[name], world, answered[name], covered[name], too_high[name]) for name in truth]
    return tuple(found)


def table() -> str:
    """The coverage of every measure by rows, in percent, over the worlds of that size: mean, and the lowest."""
    sizes = sorted({world.rows for world in WORLDS})
    lines = ["| measure | interval | " + " | ".join(f"{rows:,} rows" for rows in sizes) + " |"]
    lines.append("|---|---|" + "---|" * len(sizes))
    for measure in truths(WORLDS[0]):
        of_measure = [one for one in simulated() if one.measure == measure]
        cells = []
        for rows in sizes:
            shares = [100 * one.share for one in of_measure if one.world.rows == rows]
            cells.append(f"{np.mean(shares):.1f} ({min(shares):.1f})")
        lines.append(f"| `{measure}` | {of_measure[0].method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


SECTION = f"""
How often the 95 % interval of each measure holds the truth, in percent: the mean over {{worlds}} simulated worlds of
each size and, in brackets, the lowest. Base rates .05 and .26, AUC .7, .85 and .95, true and overconfident
probabilities, {REPEATS:,} samples of each (so a cell of 95.0 is known to ± 1.0). 200 rows at .05 are ten positives.

The promise, tested: at least {100 * COVERAGE:.0f} in every world with 10 rows or more of the rarer class{{except_for}};
a test fails where the simulation proves less, its upper 99.9 % bound being below.
`calibration_error` is conservative by design: it allows for every amount of bias between none and a true model's.
Intervals take rows as independent, and the model and threshold as not chosen on them; they are valid at one look.
"""


@pytest.mark.parametrize("measure", truths(WORLDS[0]))
def test_an_interval_covers_the_truth_as_often_as_promised(measure: str) -> None:
    promised = [one for one in simulated() if one.measure == measure and one.world.rarer >= FEWEST.get(measure, 10)]
    assert len({one.world.rows for one in promised}) >= 2
    broken = [f"{one.world}: {one.share:.3f} of {one.answered}" for one in promised if one.upper < COVERAGE]
    assert not broken, f"{measure} ({promised[0].method}) covers too little in {'; '.join(broken)}"


@pytest.mark.parametrize("measure", truths(WORLDS[0]))
def test_an_interval_is_nearly_always_had(measure: str) -> None:
    assert all(one.answered >= 0.99 * REPEATS for one in simulated() if one.measure == measure)


def test_the_coverage_is_documented(documented: dict[str, str]) -> None:
    exceptions = ", ".join(f"`{measure}` from {rows} on" for measure, rows in FEWEST.items())
    per_size = sum(world.rows == WORLDS[0].rows for world in WORLDS)
    said = SECTION.format(worlds=per_size, except_for=f" ({exceptions})" if exceptions else "")
    documented["Intervals"] = f"{said.strip()}\n\n{table()}"
    assert documented["Intervals"].count("\n| `") == len(truths(WORLDS[0]))
