"""What a simulation proves of a share: its exact bounds (Clopper & Pearson), one-sided at 95 %."""

from scipy.stats import beta


def lower(hits: int, runs: int) -> float:
    """What the true share is above, with 95 % confidence."""
    return float(beta.ppf(0.05, hits, runs - hits + 1)) if hits else 0.0


def upper(hits: int, runs: int) -> float:
    """What the true share is below, with 95 % confidence."""
    return float(beta.ppf(0.95, hits + 1, runs - hits)) if hits < runs else 1.0
