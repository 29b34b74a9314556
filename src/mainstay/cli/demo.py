"""`make demo`: the whole spine on simulated customers, in a fresh home of its own, with nothing left running."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from mainstay.churn.simulate import chunks, parse
from mainstay.cli import show
from mainstay.usecase_file import CHURN, loads

PATIENCE = 60.0
SHORT = 100
"""Bytes of a body that is shown as it is sent."""
CUSTOMER = {
    "gender": "Female", "SeniorCitizen": "0", "Partner": "No", "Dependents": "No", "tenure": 2, "PhoneService": "Yes",
    "MultipleLines": "No", "InternetService": "Fiber optic", "OnlineSecurity": "No", "OnlineBackup": "No",
    "DeviceProtection": "No", "TechSupport": "No", "StreamingTV": "Yes", "StreamingMovies": "No",
    "Contract": "Month-to-month", "PaperlessBilling": "Yes", "PaymentMethod": "Electronic check",
    "MonthlyCharges": 79.85, "TotalCharges": 160.2,
}  # fmt: skip


def demo() -> int:
    """Release the churn use case from its simulator, serve it, ask it; 0 if every step did what it should."""
    home = Path(tempfile.mkdtemp(prefix="mainstay-demo-"))
    environment = {**os.environ, "MAINSTAY_HOME": str(home)}  # noqa: TID251  (handed on to the commands it runs)
    command = [sys.executable, "-m", "mainstay.cli.main"]
    started = time.monotonic()
    try:
        show.line("$ mainstay release\n")
        released = subprocess.run([*command, "release"], env=environment, check=False)  # noqa: S603  (our own command line)
        if released.returncode:
            return released.returncode
        steps = {
            "list": "the definition that training and serving share",
            "materialize": "the release has brought them online; this brings what is new since",
        }
        for step, why in steps.items():
            words = ["features", step]
            show.line(f"\n$ mainstay features {step}  # {why}\n")
            done = subprocess.run([*command, *words], env=environment, check=False)  # noqa: S603  (our own command line)
            if done.returncode:
                return done.returncode
        show.line("\n$ mainstay serve --open --port 0\n")
        serving = subprocess.Popen(  # noqa: S603  (our own command line)
            [*command, "serve", "--open", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            _ask(_address(serving))
        finally:
            serving.send_signal(signal.SIGTERM)
            ended = serving.wait(PATIENCE)
        show.line(f"\nserver stopped with exit code {ended}; {time.monotonic() - started:.0f} s in all")
        return ended
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _address(serving: subprocess.Popen[str]) -> str:
    """The server's address, once it says that it is ready."""
    for line in serving.stdout or ():
        show.line(line.rstrip())
        if found := re.search(r"http://[\w.:]+", line):
            return found[0]
    raise SystemExit(f"the server ended before it was ready, with exit code {serving.wait(PATIENCE)}")


def _ask(address: str) -> None:
    stays = {**CUSTOMER, "tenure": 60, "Contract": "Two year", "TotalCharges": 4791.0}
    bad = {**CUSTOMER, "tenure": "two"}
    _show(address, "/health", None)
    _show(address, "/predict", {"entity": "7590-VHVEG", "features": CUSTOMER})
    # One of the simulated customers, by id alone; and what it would be if that customer's contract were another.
    known = str(next(chunks(parse(str(loads(CHURN.read_text()).source).partition("?")[2])))["customerID"][0])
    _show(address, "/predict", {"entity": known})
    _show(address, "/predict", {"entity": known, "features": {"Contract": "Month-to-month"}})
    rows = [{"entity": "a", "features": CUSTOMER}, {"entity": "b", "features": stays}, {"entity": "c", "features": bad}]
    _show(address, "/predict_batch", {"rows": rows})


def _show(address: str, route: str, body: Any) -> None:
    """Ask one route and print what it answers; a refusal ends the demo."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + route, data, {"content-type": "application/json"})  # noqa: S310  (the server started above)
    short = data is not None and len(data) < SHORT
    sent = "" if data is None else f" -d '{data.decode()}'" if short else " -d @request.json"
    show.line(f"\n$ curl {address}{route}{sent}")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310  (the server started above)
        show.line(json.dumps(json.load(answer), indent=2))


if __name__ == "__main__":
    sys.exit(demo())
