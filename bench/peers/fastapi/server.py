"""What most people write: FastAPI, a pydantic model, a pandas frame of one row, scikit-learn's pipeline."""

import os

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["CHURN_MODEL"])  # noqa: TID251


class Customer(BaseModel):
    gender: str
    SeniorCitizen: int
    Partner: str
    Dependents: str
    tenure: int
    PhoneService: str
    MultipleLines: str
    InternetService: str
    OnlineSecurity: str
    OnlineBackup: str
    DeviceProtection: str
    TechSupport: str
    StreamingTV: str
    StreamingMovies: str
    Contract: str
    PaperlessBilling: str
    PaymentMethod: str
    MonthlyCharges: float
    TotalCharges: float | None = None


@app.post("/predict")
def predict(customer: Customer) -> dict[str, float | str]:
    probability = float(model.predict_proba(pd.DataFrame([customer.model_dump()]))[0, 1])
    return {"probability": probability, "prediction": "Yes" if probability >= 0.5 else "No"}
