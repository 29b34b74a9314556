"""The pipeline as an MLflow model that answers with probabilities."""

import os
import sys

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(
    joblib.load(os.environ["CHURN_MODEL"]),  # noqa: TID251
    sys.argv[1],
    pyfunc_predict_fn="predict_proba",
    serialization_format="cloudpickle",
    pip_requirements=["mlflow", "scikit-learn", "lightgbm", "pandas"],
)
