"""Our gaps between groups are those of fairlearn's MetricFrame (Bird et al. 2020), on customers like Telco's."""

import warnings

import numpy as np
import pytest

from mainstay.quality.fairness import fairness_checks
from mainstay.scoring.frame import Frame
from mainstay.usecase_gates import Fairness, Gate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

ASKED = Gate(at_most=0.1, blocking=False)
GATES = Fairness(selection_gap=ASKED, true_positive_gap=ASKED, false_positive_gap=ASKED)
METRICS = {
    "selection_gap": selection_rate,
    "true_positive_gap": true_positive_rate,
    "false_positive_gap": false_positive_rate,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.2, 0.35, 0.5])
def test_the_gaps_are_fairlearns(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    n = 1409  # Telco's holdout
    senior = (random.random(n) < 0.16).astype(int)
    attributes = {
        "SeniorCitizen": np.array(["0", "1"], dtype=object)[senior],
        "gender": random.choice(np.array(["Female", "Male"], dtype=object), n),
        "PaymentMethod": random.choice(np.array(["check", "mail", "bank", "card"], dtype=object), n),
    }
    logit = -1.3 + 0.8 * senior + random.normal(0, 1.3, n)
    probability = 1 / (1 + np.exp(-logit))
    labels = random.random(n) < probability
    frame = Frame({}, labels, np.arange(n), np.ones(n, dtype=np.bool_), attributes)
    checks = fairness_checks(frame, probability, threshold, GATES)
    assert len(checks) == len(METRICS) * len(attributes)
    for attribute, groups in attributes.items():
        oracle = MetricFrame(
            metrics=METRICS, y_true=labels, y_pred=probability >= threshold, sensitive_features=groups.astype(str)
        ).difference(method="between_groups")
        for check in checks:
            if check.subject == attribute:
                assert check.estimate is not None
                assert check.estimate.value == pytest.approx(oracle[check.name], abs=1e-12)
