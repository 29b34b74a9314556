"""The fixed work: a LightGBM of 300 trees with 7 leaves on the Telco row, released as any version is."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from mainstay.journeys import release
from mainstay.journeys.asked import Asked
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import API_KEYS
from mainstay.nouns import ApiKey, DatasetVersion
from mainstay.settings import Settings
from mainstay.training import estimators
from mainstay.usecase import UseCase
from mainstay.usecase_file import CHURN, loads
from mainstay.wiring import Platform, platform

ROW = {
    "gender": "Female", "SeniorCitizen": 0, "Partner": "Yes", "Dependents": "No", "tenure": 1, "PhoneService": "No",
    "MultipleLines": "No phone service", "InternetService": "DSL", "OnlineSecurity": "No", "OnlineBackup": "Yes",
    "DeviceProtection": "No", "TechSupport": "No", "StreamingTV": "No", "StreamingMovies": "No",
    "Contract": "Month-to-month", "PaperlessBilling": "Yes", "PaymentMethod": "Electronic check",
    "MonthlyCharges": 29.85, "TotalCharges": 29.85,
}  # fmt: skip
"""The first customer of IBM's Telco data."""
TELCO = Path(__file__).parents[1] / "../shared/data/telco-customer-churn.csv"
SIMULATED = "simulator://churn?customers=6000&seed=7&until=2026-01-01"


@dataclass(frozen=True)
class Released:
    """A version that is live, and the secret of a key that may ask for it."""

    home: Platform
    use_case: UseCase
    dataset: DatasetVersion
    version: str
    key: str


def released(home: Path, recipe: str) -> Released:
    """Release a version of the churn use case to a new home: on IBM's Telco rows where they are, else on simulated."""
    table = dict(estimators.ESTIMATORS)
    table["lightgbm"] = replace(table["lightgbm"], build=seven_leaves)
    estimators.ESTIMATORS.update(table)  # type: ignore[attr-defined]  # the work is fixed here, not by a search
    source = str(TELCO.resolve()) if TELCO.exists() else SIMULATED
    text = re.sub(r"estimators: \[[^]]*\]", f"estimators: {recipe}", CHURN.read_text())
    trials = 1 if "ensemble" not in recipe else 3
    use_case = loads(text.replace("trials: 30, folds: 5", f"trials: {trials}, folds: 2"))
    use_case = use_case.model_copy(update={"source": source})
    opened = platform(Settings(home=home))
    found = release.Release(use_case.name)
    release.release(opened, use_case, Asked("bench", "to be measured", home), found, lambda noun: None)
    if found.version is None or found.dataset is None:
        raise RuntimeError(f"the release stopped at {found.stage}: {found.verdict}")
    secret, now = secrets.token_urlsafe(24), datetime.now(UTC)  # noqa: TID251  (a door)
    key = ApiKey("bench", "bench", sha256(secret.encode()).hexdigest(), ("predict",), now)
    with opened.ledger as ledger:
        ledger.write(use_case.name, Entry(API_KEYS, key.id, key), at=now, actor="bench", reason="to be measured")
    return Released(opened, use_case, found.dataset, found.version.version, secret)


def seven_leaves(parameters: Mapping[str, Any], seed: int) -> Any:
    """The LightGBM that every server is measured with, unfitted."""
    from lightgbm import LGBMClassifier

    shape = {"n_estimators": 300, "num_leaves": 7, "max_depth": -1}
    return LGBMClassifier(**{**parameters, **shape}, random_state=seed, deterministic=True, num_threads=1, verbosity=-1)
