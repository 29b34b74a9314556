"""A BentoML service of one worker."""

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1)
class Churn:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["CHURN_MODEL"])  # noqa: TID251

    @bentoml.api
    def predict(self, features: dict[str, Any]) -> dict[str, float]:
        return {"probability": float(self.model.predict_proba(pd.DataFrame([features]))[0, 1])}
