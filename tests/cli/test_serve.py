"""`serve` refuses the open by default; `predict` answers as the server would."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.cli.demo import CUSTOMER

pytestmark = pytest.mark.xdist_group("mlflow")  # they look at a release, which imports MLflow: once is enough
Run = Callable[..., tuple[int, str, str]]


class Piped:
    """A stdin that holds these bytes."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def request(folder: Path, body: Any) -> str:
    (folder / "request.json").write_text(body if isinstance(body, str) else json.dumps(body))
    return str(folder / "request.json")


def test_serving_everybody_has_to_be_asked_for(released: Path, run: Run) -> None:
    code, out, err = run("serve")
    assert (code, out) == (2, "")
    assert "--open" in err.splitlines()[-1]


def test_a_port_that_cannot_be_is_told(released: Path, run: Run) -> None:
    code, _, err = run("serve", "--open", "--port", "99999")
    assert code == 2
    assert "a port is a number from 0 to 65535" in err.splitlines()[-1]


def test_one_request_gets_the_champions_answer(
    released: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"entity": "7590-VHVEG", "features": CUSTOMER}
    code, out, _ = run("predict", request(tmp_path, asked), "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["version"], answer["entity"], answer["classes"]) == ("1.0.0", "7590-VHVEG", ["No", "Yes"])
    assert 0.5 < answer["probability"] < 1
    assert answer["risk"] == "High"
    monkeypatch.setattr(sys, "stdin", Piped(json.dumps(asked).encode()))
    code, out, _ = run("predict")
    assert code == 0
    assert json.loads(out)["probability"] == answer["probability"]


def test_one_bad_row_does_not_spoil_the_batch(released: Path, run: Run, tmp_path: Path) -> None:
    rows = [{"entity": "a", "features": CUSTOMER}, {"features": {**CUSTOMER, "tenure": "two"}}, 3]
    code, out, _ = run("predict", request(tmp_path, {"rows": rows}), "--json")
    good, bad, worse = json.loads(out)["predictions"]
    assert code == 0
    assert good["entity"] == "a"
    assert bad["errors"][0]["field"] == "tenure"
    assert worse["status"] == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"features": {**CUSTOMER, "tenure": "two"}}, "tenure is not a number: it must be an integer from 0 to 120"),
        ([1], "it is not an object: it must be an object"),
        ("{", "not JSON"),
        ("", "JSON"),
        ({"rows": 3}, "features is missing"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_in_words(
    released: Path, run: Run, tmp_path: Path, body: Any, words: str
) -> None:
    code, out, err = run("predict", request(tmp_path, body), "--json")
    assert code == 2
    assert json.loads(out)["error"]["kind"] == "Refused"
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_file_that_is_not_there_is_told(released: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("predict", str(tmp_path / "gone.json"))
    assert code == 2
    assert "there is no such file" in err
    code, _, err = run("predict", str(tmp_path))
    assert code == 2
    assert "is a directory" in err


def test_without_a_release_nothing_answers(empty: Path, run: Run, tmp_path: Path) -> None:
    code, out, err = run("predict", request(tmp_path, {"features": CUSTOMER}), "--json")
    assert code == 2
    assert json.loads(out)["error"]["kind"] == "NotFound"
    assert err.splitlines()[-1].startswith("churn: ")
