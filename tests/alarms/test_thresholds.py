"""A threshold chosen on the rows at hand leaves little on the table, and less than chasing the maximum where it can."""

import functools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri

from mainstay.measures.money import Offer, profit_threshold

OFFER = Offer(cost=20, value_saved=400, save_rate=0.3)
ROWS, BASE, APART = 5600, 0.26, float(np.sqrt(2) * ndtri(0.85))
WORLDS = {
    "true": (1.0, 0.0),
    "nearly true": (1.15, 0.15),
    "overconfident": (1.6, 0.0),
    "too high": (1.0, 0.8),
    "too low": (1.0, -0.8),
}


def earned(cut: float) -> float:
    """Profit per customer of offers to everyone whose true probability is at least `cut`."""
    latent = (float(logit(cut)) - float(logit(BASE))) / APART + APART / 2 if cut > 0 else -9.0
    both, wasted = BASE * float(ndtr(APART - latent)), (1 - BASE) * float(ndtr(-latent))
    return OFFER.worth * both - OFFER.cost * (both + wasted)


def maximum(labels: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    order = np.argsort(-probabilities)
    return float(probabilities[order][np.argmax(np.cumsum(np.where(labels[order], OFFER.worth, 0.0) - OFFER.cost))])


@functools.cache
def left_on_the_table(world: str) -> tuple[float, float, float]:
    """Mean regret per customer of our threshold, of the maximum on the rows, and of the break-even."""
    stretch, shift = WORLDS[world]
    draw, best = np.random.default_rng(31), earned(OFFER.break_even)

    def regret(threshold: float) -> float:
        return best - earned(float(expit((logit(threshold) - shift) / stretch)))

    losses = []
    for _ in range(300):
        labels = draw.random(ROWS) < BASE
        evidence = APART * (draw.standard_normal(ROWS) + APART * labels) - APART**2 / 2 + float(logit(BASE))
        said = expit(stretch * evidence + shift)
        losses.append(
            [regret(t) for t in (profit_threshold(labels, said, OFFER), maximum(labels, said), OFFER.break_even)]
        )
    ours, chased, fixed = np.mean(losses, axis=0)
    return float(ours), float(chased), float(fixed)


@pytest.mark.parametrize("world", ["true", "nearly true"])
def test_where_probabilities_are_true_the_threshold_does_not_chase_noise(world: str) -> None:
    ours, chased, _ = left_on_the_table(world)
    assert ours < 0.6 * chased


@pytest.mark.parametrize("world", ["overconfident", "too high", "too low"])
def test_where_probabilities_are_off_the_threshold_follows_the_rows(world: str) -> None:
    ours, chased, fixed = left_on_the_table(world)
    assert ours < 1.35 * chased
    assert ours < 0.15 * fixed


def test_the_regret_is_documented(documented: dict[str, str]) -> None:
    lines = [
        f"Profit per customer lost against the best threshold (which earns {earned(OFFER.break_even):.2f}), as chosen",
        f"on {ROWS:,} rows at an AUC of .85: by `profit_threshold`, by the maximum on those rows, by the break-even.",
        "",
        "| probabilities | `profit_threshold` | maximum | break-even |",
        "|---|---|---|---|",
    ]
    lines += [
        "| " + " | ".join([world, *(f"{loss:.3f}" for loss in left_on_the_table(world))]) + " |" for world in WORLDS
    ]
    documented["Thresholds"] = "\n".join(lines)
    assert len(lines) == 5 + len(WORLDS)
