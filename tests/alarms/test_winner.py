"""Which of two models is better, by labels: paired shadow against a split, and outcomes that decisions have changed.

The judge of rollouts decides; what is simulated are the customers it hears of, one label after the other.
"""

import csv
import functools
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.model_selection import StratifiedKFold
from tests.alarms.bounds import lower
from tests.alarms.traffic import BETTER, LABEL, ROLLOUT, SCORE, START, Floats, against

from mainstay.churn.customers import columns, draw, leaving_probability
from mainstay.churn.offers import OFFERED, fates
from mainstay.gathered import Compared, Gathered, Moments
from mainstay.measures.sequential import weighted_difference
from mainstay.rollout.judge import judge
from mainstay.usecase import Plan, Step
from mainstay.verdicts import Check, Outcome

TELCO = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"
PAIRED = Plan(kind="paired_shadow"), BETTER.model_copy(update={"share": 0.0})
SPLIT = Plan(kind="ab"), BETTER
DEFAULTS: dict[str, float] = {}
TUNED = {
    "n_estimators": 300,
    "learning_rate": 0.03,
    "num_leaves": 6,
    "min_child_samples": 60,
    "reg_lambda": 10.0,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.5,
}


def customers() -> tuple[str, Floats, NDArray[np.bool_]]:
    """What they are, their features as numbers (categories as codes), and who left: Telco's, else the law's."""
    if TELCO.exists():
        with TELCO.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        left = np.array([row["Churn"] == "Yes" for row in rows])
        names = [name for name in rows[0] if name not in ("customerID", "Churn")]
        numbers = {"SeniorCitizen", "tenure", "MonthlyCharges", "TotalCharges"}
        table = {
            name: np.array([float(row[name].strip() or "nan") if name in numbers else row[name] for row in rows])
            for name in names
        }
        said = "IBM's Telco customers"
    else:
        rng = np.random.default_rng(70)
        traits = draw(rng, 7043)
        left, table = rng.random(7043) < leaving_probability(traits), columns(traits)
        said = "simulated customers"
    coded = [v if v.dtype.kind in "if" else np.unique(v.astype(str), return_inverse=True)[1] for v in table.values()]
    return said, np.column_stack(coded).astype(np.float64), left


@functools.cache
def losses() -> tuple[str, Floats, Floats, NDArray[np.bool_]]:
    """Clipped log losses, out of fold, of LightGBM as it comes (the champion) and tuned (the challenger)."""
    said, table, left = customers()
    found = np.empty((2, len(left)))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=7).split(table, left):
        for place, parameters in enumerate((DEFAULTS, TUNED)):
            model = LGBMClassifier(verbose=-1, n_jobs=1, random_state=7, **parameters).fit(table[train], left[train])
            score = np.clip(model.predict_proba(table[test])[:, 1], 0.01, 0.99)
            found[place, test] = -np.log(np.where(left[test], score, 1 - score))
    return said, found[0], found[1], left


def looks(rows: int) -> NDArray[np.int64]:
    return np.unique(np.geomspace(100, rows, round(40 * np.log10(rows / 100))).astype(np.int64))


def told(kind: tuple[Plan, Step], name: str, labels: int, compared: Compared) -> Check:
    """The judge's objective, of so many labels."""
    until = START + timedelta(days=40)
    found = Gathered(until, 1, 2, 2, labels, labels, by_mean={name: compared}, labels=labels, complete_through=until)
    made = judge(ROLLOUT, kind[0], kind[1], against(), found, label=LABEL).checks[-1]
    assert made.name == name
    return made


def decided(
    kind: tuple[Plan, Step], name: str, numbers: Floats, left: NDArray[np.bool_], challenged: NDArray[np.bool_]
) -> tuple[Outcome, float]:
    """What the objective ends as, and after how many labels; INCONCLUSIVE and never. `numbers` are challenger's worse.

    Where both arms are heard of, everybody is in both.
    """
    steps = looks(len(numbers))
    total, squares = numbers.cumsum()[steps - 1], np.square(numbers).cumsum()[steps - 1]
    paired = name.endswith("paired")
    of = (left & (challenged | paired)).cumsum()[steps - 1]
    other = (left & (~challenged | paired)).cumsum()[steps - 1]
    for place, step in enumerate(steps):
        moments = Moments(int(step), float(total[place]), float(squares[place]))
        made = told(kind, name, int(step), Compared(moments, int(of[place]), int(other[place]), int(step)))
        if made.outcome in (Outcome.PASS, Outcome.FAIL):
            return made.outcome, float(step)
    return Outcome.INCONCLUSIVE, np.inf


def middle(found: list[float]) -> tuple[float, float, float]:
    """The median with the bounds that it lies within, each with 95 % confidence, by the order of what was found."""
    ordered, runs = sorted(found), len(found)
    below = int(binom.ppf(0.05, runs, 0.5))
    return ordered[below - 1], ordered[runs // 2], ordered[runs - below]


def test_paired_shadow_needs_a_tenth_of_the_labels_of_a_split(documented: dict[str, str]) -> None:
    said, champion, challenger, left = losses()
    draw_of = np.random.default_rng(71)
    runs = 100
    expected = float(champion.mean())  # what the gate measured: known before the first label
    pairs, splits = [], []
    for _ in range(runs):
        who = draw_of.integers(len(left), size=20_000)
        pairs.append(decided(PAIRED, "log_loss_paired", (challenger - champion)[who], left[who], left[who]))
        who = draw_of.integers(len(left), size=200_000)
        treated = draw_of.random(who.size) < 0.5
        psi = weighted_difference(np.where(treated, challenger[who], champion[who]), treated, 0.5, expected)
        splits.append(decided(SPLIT, "log_loss", psi, left[who], treated))
    assert all(outcome is not Outcome.FAIL for outcome, _ in pairs + splits)
    few, many = (middle([labels for _, labels in found]) for found in (pairs, splits))
    rows = []
    for name, found, ends in (("paired shadow", few, pairs), ("split, half each", many, splits)):
        share = np.isfinite([labels for _, labels in ends]).mean()
        rows.append(f"| {name} | {found[1]:,.0f} | {found[0]:,.0f} to {found[2]:,.0f} | {share:.2f} |")
    documented["Labels until a better model is known to be better"] = (
        f"LightGBM as it comes (log loss {champion.mean():.4f}) against LightGBM tuned ({challenger.mean():.4f}),\n"
        f"out of fold, on {said}; {runs} rollouts each, labels in the order in which they ripen,\n"
        "looked at all along. Bounds are of the median, each at 95 %.\n\n"
        "| plan | median labels | its bounds | decided |\n|---|---|---|---|\n" + "\n".join(rows)
    )
    assert many[0] >= 10 * few[2]


def saved(draw_of: np.random.Generator, rows: int) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
    """Two equal models, one of which answers: offers go to 80 % of those it flags, and save 30 % of the leavers.

    Returns paired losses, of everybody by what was seen to happen and of those not acted upon, and who left.
    """
    truth = np.clip(draw_of.choice(SCORE, rows), 1e-3, 1 - 1e-3)
    logit = np.log(truth / (1 - truth))
    one, other = (np.clip(1 / (1 + np.exp(-logit - draw_of.normal(0, 0.5, rows))), 0.01, 0.99) for _ in range(2))
    acting = np.where(other >= 20 / 120, OFFERED, 0.0)  # the champion answers; a fifth of whom it flags is left alone
    acted = draw_of.random(rows) < acting
    leaves, persuadable = fates(truth, *draw_of.random((2, rows)))
    leaves &= ~(acted & persuadable)
    apart = np.where(leaves, np.log(other / one), np.log((1 - other) / (1 - one)))
    return {"everybody": apart, "those not acted upon, weighted": np.where(acted, 0.0, apart / (1 - acting))}, leaves


def test_two_equal_arms_of_which_one_saves_customers_are_not_told_apart(documented: dict[str, str]) -> None:
    draw_of = np.random.default_rng(72)
    runs, rows = 100, 100_000
    told_apart: Counter[str] = Counter()
    for _ in range(runs):
        found, left = saved(draw_of, rows)
        for name, apart in found.items():
            ended, _ = decided(PAIRED, "log_loss_paired", apart, left, left)
            told_apart[name] += ended is not Outcome.INCONCLUSIVE
    lines = [f"| {name} | {told_apart[name] / runs:.2f} |" for name in found]
    documented["Equal models, one of which saves customers"] = (
        f"How often a winner or a loser is found in {runs} paired shadows of two equal models, of {rows:,} labels\n"
        "each: the one that answers has an offer sent to 80 % of those it flags, which keeps 30 % of leavers. The\n"
        "judge goes by the last, weighted by the logged probability of not acting.\n\n"
        "| outcomes of | told apart |\n|---|---|\n" + "\n".join(lines)
    )
    assert told_apart["those not acted upon, weighted"] <= 3
    assert lower(told_apart["everybody"], runs) >= 0.2
