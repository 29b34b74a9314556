"""Leakage alarms are quiet on honest data of every size, and find what was planted."""

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.expressions import parse
from mainstay.nouns import Candidate, Estimate
from mainstay.quality.gates import judge
from mainstay.scoring.encode import Input, with_derived
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.fit import finish
from mainstay.training.leakage import copied_rows, permuted_auc, pure_bins, single_feature_auc
from mainstay.training.tune import search
from mainstay.usecase_file import loads
from mainstay.verdicts import Check, Outcome

ALARMS = ("permuted_auc", "copied_rows", "single_feature_auc", "pure_bins", "model_auc")
SIZES = (300, 1000, 3000)
HONEST, DEALT, PLANTED = 200, 20, 40
ONE = loads("""
schema: 1
name: one
source: one.csv
label: {column: left, positive: "Yes"}
contract:
  columns:
    x: {type: number}
    y: {type: number}
    plan: {type: category, values: [a, b, c]}
    left: {type: category, values: ["No", "Yes"]}
recipe: {estimators: [logistic], trials: 1, folds: 5}
""")


@dataclass(frozen=True, slots=True)
class Rows:
    columns: Mapping[str, NDArray[Any]]
    labels: NDArray[np.bool_]
    truth: NDArray[np.float64]

    def take(self, places: NDArray[np.int64]) -> "Rows":
        columns = {name: values[places] for name, values in self.columns.items()}
        return Rows(columns, self.labels[places], self.truth[places])

    def apart(self, draw: np.random.Generator) -> tuple[Parts, NDArray[np.float64], NDArray[np.float64]]:
        """The parts, and the true probabilities of each."""
        held = np.zeros(len(self.labels), dtype=np.bool_)
        while len(set(self.labels[held].tolist())) < 2:  # a holdout of one class is refused before it is judged
            held = draw.random(len(self.labels)) < 0.2
        frame = Frame(self.columns, self.labels, np.arange(len(self.labels)), held, {})
        return Parts(frame.take(~held), frame.take(held)), self.truth[~held], self.truth[held]


def law(score: NDArray[np.float64], base: float) -> NDArray[np.float64]:
    """Probabilities with logits of this shape, and about this mean."""
    low, high = -60.0, 60.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(1 / (1 + np.exp(-score - middle))) < base else (low, middle)
    return np.asarray(1 / (1 + np.exp(-score - low)))


def honest(n: int, draw: np.random.Generator) -> Rows:
    """Numbers that lean, repeat and lack values, fine and coarse; categories; effects up to an AUC of about .95."""
    gap = draw.random(n) < draw.uniform(0, 0.6)
    heavy, normal = draw.lognormal(0, 1, n), draw.normal(size=n)
    count, mostly = draw.poisson(1.5, n).astype(np.float64), np.where(draw.random(n) < 0.85, 0, draw.gamma(2, 10, n))
    places = draw.choice(np.array(list("abcdefghij"), dtype=object), n, p=draw.dirichlet(np.full(10, 2.0)))
    effect = dict(zip("abcdefghij", draw.normal(0, 1, 10), strict=True))
    strength = draw.uniform(-1, 1, 5) * np.array([1, 1, 1, 0.4, 2])
    strength[draw.integers(3)] *= 2.5
    parts = (heavy / 2.2, normal, count / 1.2, np.sqrt(mostly), gap * 1.0)
    score = sum((one * part for one, part in zip(strength, parts, strict=True)), np.zeros(n))
    truth = law(score + np.array([effect[place] for place in places]), float(draw.choice([0.05, 0.1, 0.27, 0.5])))
    columns = {
        "heavy": np.where(gap, np.nan, heavy).round(2),
        "normal": normal,
        "count": count,
        "mostly_nothing": mostly.round(1),
        "place": places,
    }
    labels = draw.random(n) < truth
    return Rows(columns, labels, truth)


def coarse(n: int, draw: np.random.Generator) -> Rows:
    """Two features that tell nothing each and much together, which a linear model misses, and one of few values."""
    a, b = (draw.choice(np.array(["p", "q"], dtype=object), n) for _ in range(2))
    level = draw.integers(0, 20, n).astype(np.float64)
    truth = np.where(a == b, 0.6, 0.15)
    return Rows({"a": a, "b": b, "level": level}, draw.random(n) < truth, truth)


def plain(n: int, draw: np.random.Generator) -> Rows:
    x, y = draw.normal(size=(2, n)).round(3)
    truth = 1 / (1 + np.exp(-(x - 1.3)))
    plan = draw.choice(np.array(["a", "b", "c"], dtype=object), n)
    return Rows({"x": x, "y": y, "plan": plan}, draw.random(n) < truth, truth)


def reason(share: float, n: int, draw: np.random.Generator) -> Rows:
    """A column that is filled for a share of those who left."""
    rows = plain(n, draw)
    told = draw.choice(np.array(["price", "moved"], dtype=object), n)
    filled = rows.labels & (draw.random(n) < share)
    return replace(rows, columns={**rows.columns, "reason": np.where(filled, told, np.array(None, dtype=object))})


def refund(share: float, n: int, draw: np.random.Generator) -> Rows:
    """A number that is 0, but for a share of those who left."""
    rows = plain(n, draw)
    paid = np.where(rows.labels & (draw.random(n) < share), draw.gamma(2, 20, n).round(2), 0.0)
    return replace(rows, columns={**rows.columns, "refund": paid})


def dates(_: float, n: int, draw: np.random.Generator) -> Rows:
    """Two days, neither of which tells anything; their difference tells all."""
    rows = plain(n, draw)
    day = draw.integers(0, 1000, n).astype(np.float64)
    last = day - np.where(rows.labels, draw.integers(20, 60, n), draw.integers(0, 15, n))
    both: Mapping[str, NDArray[Any]] = {**rows.columns, "day": day, "last": last}
    idle = parse("day - last", {"day": "number", "last": "number"})
    return Rows(with_derived(both, {"idle": idle}), rows.labels, np.where(rows.labels, 0.999, 0.001))


def repeated(share: float, n: int, draw: np.random.Generator) -> Rows:
    """A share of the rows are copies of others, under names of their own."""
    rows = plain(n, draw)
    places = np.where(draw.random(n) < share, draw.integers(0, n, n), np.arange(n))
    return Rows(
        {name: values[places] for name, values in rows.columns.items()}, rows.labels[places], rows.truth[places]
    )


def oversampled(_: float, n: int, draw: np.random.Generator) -> Rows:
    """Positives drawn again, before the split, until they are half."""
    rows = plain(n, draw)
    positive = np.flatnonzero(rows.labels)
    places = np.append(np.arange(n), draw.choice(positive, n - 2 * len(positive)))
    return Rows(
        {name: values[places] for name, values in rows.columns.items()}, rows.labels[places], rows.truth[places]
    )


def judged(rows: Rows, draw: np.random.Generator, knows: bool = True) -> tuple[Check, ...]:
    """What the gates say of a model that is the law itself or, if it knows nothing, the base rate."""
    parts, learnt, asked = rows.apart(draw)
    if not knows:
        learnt, asked = np.full_like(learnt, parts.train.labels.mean()), np.full_like(asked, parts.train.labels.mean())
    kinds = {name: "category" if values.dtype == object else "number" for name, values in rows.columns.items()}
    features = [Input(name, "category" if kind == "category" else "number", True) for name, kind in kinds.items()]
    evidence = {"permuted_auc": Estimate(0.5, 0.49, 0.51, 1), "copied_rows": copied_rows(parts, learnt)}
    evidence |= {f"single_feature_auc:{each.name}": single_feature_auc(each, parts) for each in features}
    evidence |= {f"pure_bins:{each.name}": pure_bins(each, parts) for each in features}
    candidate = Candidate("cd_1", "one", "run", "ds_1", {}, ("No", "Yes"), {}, {}, evidence)
    made = judge(candidate, parts.holdout, asked, 0.5, ONE).checks
    return tuple(each for each in made if each.name in ALARMS)


@functools.cache
def false_alarms(n: int) -> Counter[str]:
    """Of how many honest data sets each alarm is raised, and any at all; each under a model that is good or bad."""
    raised: Counter[str] = Counter()
    for seed in range(HONEST):
        draw = np.random.default_rng(seed)
        made = judged((coarse if seed % 10 == 0 else honest)(n, draw), draw, knows=seed % 20 != 0 and seed % 2 == 1)
        assert all(each.estimate is not None for each in made)
        raised.update({each.name for each in made if not each.met})
        raised["any"] += any(not each.met for each in made)
    return raised


@functools.cache
def dealt(n: int) -> Counter[Outcome]:
    """The outcomes of `permuted_auc` on honest data."""
    outcomes: Counter[Outcome] = Counter()
    for seed in range(DEALT):
        draw = np.random.default_rng(seed)
        train = plain(n, draw).apart(draw)[0].train
        found = permuted_auc(finish(search(ONE, train, lambda trial: None), train, ONE), train, ONE)
        candidate = Candidate("cd_1", "one", "run", "ds_1", {}, ("No", "Yes"), {}, {}, {"permuted_auc": found})
        made = judge(candidate, train, np.full(len(train), 0.5), 0.5, ONE).checks
        outcomes.update(each.outcome for each in made if each.name == "permuted_auc")
    return outcomes


LEAKS = {
    "the difference of two columns tells all": (dates, 0.0, "single_feature_auc"),
    "the model knows everything": (dates, 0.0, "model_auc"),
    "filled for 40 % of leavers": (reason, 0.4, "pure_bins"),
    "filled for 15 % of leavers": (reason, 0.15, "pure_bins"),
    "above 0 for 40 % of leavers": (refund, 0.4, "pure_bins"),
    "above 0 for 15 % of leavers": (refund, 0.15, "pure_bins"),
    "positives drawn again before the split": (oversampled, 0.0, "copied_rows"),
    "5 % of rows are copies": (repeated, 0.05, "copied_rows"),
    "10 % of rows are copies": (repeated, 0.1, "copied_rows"),
}


@functools.cache
def found(leak: str, n: int) -> float:
    """The share of data sets where the alarm that should is raised."""
    plant, share, alarm = LEAKS[leak]
    hits = 0
    for seed in range(PLANTED):
        draw = np.random.default_rng(seed)
        made = judged(plant(share, n, draw), draw)
        hits += any(each.outcome is Outcome.FAIL for each in made if each.name == alarm)
    return hits / PLANTED


@pytest.mark.parametrize("n", SIZES)
def test_honest_data_raise_no_alarm(n: int) -> None:
    raised = false_alarms(n)
    assert raised["any"] <= 0.02 * HONEST, raised
    assert raised["copied_rows"] <= 0.01 * HONEST
    assert raised["pure_bins"] == 0


@pytest.mark.parametrize("n", SIZES)
def test_permuted_labels_refuse_no_honest_candidate(n: int) -> None:
    assert dealt(n)[Outcome.PASS] + dealt(n)[Outcome.QUIET] == DEALT


@pytest.mark.parametrize("leak", LEAKS)
def test_what_was_planted_is_found_on_three_thousand_rows(leak: str) -> None:
    assert found(leak, 3000) >= 0.9


def test_the_alarms_are_documented(documented: dict[str, str]) -> None:
    lines = [
        f"How often honest data raise a leakage alarm, in percent of {HONEST} data sets of each size: numbers that",
        "lean, repeat and lack values, categories, base rates .05 to .5; under the true law, or under a model",
        f"that learnt nothing. Of `permuted_auc` ({DEALT} data sets, a logistic regression), how often it passes; else",
        "it is quiet, which is enough.",
        "",
        "| rows | " + " | ".join(f"`{name}`" for name in ALARMS[1:]) + " | any | `permuted_auc` passes |",
        "|---" * (len(ALARMS) + 2) + "|",
    ]
    for n in SIZES:
        shares = [f"{100 * false_alarms(n)[name] / HONEST:.1f}" for name in (*ALARMS[1:], "any")]
        lines.append(f"| {n:,} | " + " | ".join(shares) + f" | {100 * dealt(n)[Outcome.PASS] / DEALT:.0f} |")
    lines += [
        "",
        f"How often a planted leak is refused, in percent of {PLANTED} data sets of each size, and by what.",
        "",
        "| leak | alarm | " + " | ".join(f"{n:,} rows" for n in SIZES) + " |",
        "|---" * (len(SIZES) + 2) + "|",
    ]
    for leak, (_, _, alarm) in LEAKS.items():
        lines.append(f"| {leak} | `{alarm}` | " + " | ".join(f"{100 * found(leak, n):.0f}" for n in SIZES) + " |")
    documented["Leakage"] = "\n".join(lines)
    assert len(lines) == 12 + len(SIZES) + len(LEAKS)
