"""Ray Serve with one replica; Ray on one core, without its dashboard."""

import os
import sys
from typing import Any

import joblib
import pandas as pd
import ray
from ray import serve
from starlette.requests import Request


# Of 16 requests at once the 5 that it would take unasked leave the core half idle.
@serve.deployment(num_replicas=1, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
class Churn:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["CHURN_MODEL"])  # noqa: TID251

    async def __call__(self, request: Request) -> dict[str, Any]:
        features = (await request.json())["features"]
        return {"probability": float(self.model.predict_proba(pd.DataFrame([features]))[0, 1])}


if __name__ == "__main__":
    ray.init(num_cpus=1, object_store_memory=100_000_000, include_dashboard=False, _temp_dir=sys.argv[2])
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Churn.bind(), route_prefix="/predict", blocking=True)
