"""`init`, `schema` and `doctor`: beginning, editing and checking a project."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mainstay.usecase_file import CHURN, load

pytestmark = pytest.mark.xdist_group("mlflow")  # they look at a release, which imports MLflow: once is enough
Run = Callable[..., tuple[int, str, str]]


def strange_file(folder: Path, rows: int = 2000) -> None:
    """Rows with accents, blanks, booleans in words, a constant column, an empty one and free text."""
    random = np.random.default_rng(3)
    age, score, active = random.integers(18, 90, rows), random.normal(0, 3, rows).round(3), random.random(rows) < 0.5
    leaves = random.random(rows) < 1 / (1 + np.exp(-(0.15 * (age - 50) + score + 3 * active - 2)))
    places = random.choice(["Zürich", "Genève", '"O\'Brien, Co"', "Bâle"], rows)
    lines = ["Kunden Nr.,Alter (Jahre),Größe: x,Ort,aktiv?,seit,konstant,leer,Bemerkung,gekündigt"]
    lines += [
        f"K-{n:05d},{age[n] if n % 11 else ''},{score[n]},{places[n]},{'yes' if active[n] else 'no'},"
        f"2025-{n % 12 + 1:02d}-01,DE,,{f'note {n}' if n % 2 else ''},{'ja' if leaves[n] else 'nein'}"
        for n in range(rows)
    ]
    (folder / "Kündigungen 2026.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `Kündigungen 2026.csv` and nothing else."""
    strange_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_HOME", str(tmp_path / "home"))
    return tmp_path


def cheaper(file: Path) -> None:
    """The budget alone: 30 trials would only take longer."""
    file.write_text(file.read_text().replace("trials: 30, folds: 5", "trials: 2, folds: 3"))


def test_what_init_writes_can_be_released_as_it_is(project: Path, run: Run) -> None:
    code, out, err = run("init", "Kündigungen 2026.csv", "--target", "gekündigt")
    assert (code, err) == (0, "")
    assert out == "wrote mainstay.yaml from 2,000 rows; read it, then: mainstay release\n"
    use_case = load(project / "mainstay.yaml")
    assert (use_case.name, use_case.source) == ("kundigungen_2026", "Kündigungen 2026.csv")
    assert (use_case.entity, use_case.classes) == ("Kunden Nr.", ("nein", "ja"))
    assert list(use_case.inputs) == ["Alter (Jahre)", "Größe: x", "Ort", "aktiv?", "konstant"]
    cheaper(project / "mainstay.yaml")
    code, out, err = run("release", "--json")
    body = json.loads(out)
    assert code == 0, (
        body["stopped_at"],
        [made["reason"] for made in body["checks"] or () if made["outcome"] != "PASS"],
    )
    (project / "request.json").write_text(
        json.dumps(
            {
                "features": {
                    "Alter (Jahre)": None, "Größe: x": 1.5, "Ort": "Genève", "aktiv?": "yes", "konstant": "DE",
                }
            }
        )
    )  # fmt: skip
    code, out, err = run("predict", "request.json", "--json")
    assert code == 0, err
    assert json.loads(out)["classes"] == ["nein", "ja"]


def test_init_elsewhere_names_the_file_from_there(project: Path, run: Run) -> None:
    code, out, _ = run("init", "Kündigungen 2026.csv", "--target", "gekündigt", "--out", "below/here", "--json")
    body = json.loads(out)
    assert (code, body["written"], body["rows"]) == (0, "below/here/mainstay.yaml", 2000)
    assert load(project / "below/here/mainstay.yaml").source == "../../Kündigungen 2026.csv"
    code, out, _ = run("data", "validate", "--use-case", "below/here/mainstay.yaml", "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "PASS")


def test_init_overwrites_nothing(project: Path, run: Run) -> None:
    (project / "mainstay.yaml").write_text("mine")
    code, _, err = run("init", "Kündigungen 2026.csv", "--target", "gekündigt")
    assert code == 2
    assert err == "mainstay.yaml: it is there already; move it away or choose another --out\n"
    assert (project / "mainstay.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "target", "words"),
    [
        ("Kündigungen 2026.csv", "gekundigt", "--target: there is no column `gekundigt`; did you mean `gekündigt`?"),
        ("Kündigungen 2026.csv", "Ort", "--target: a target has exactly two values; `Ort` has 4 ("),
        ("gone.csv", "y", "gone.csv: there is no such file"),
        (".", "y", ".: a directory; name the .csv or .parquet file in it"),
    ],
)
def test_init_says_what_it_needs(project: Path, run: Run, file: str, target: str, words: str) -> None:
    code, out, err = run("init", file, "--target", target, "--out", "new")
    assert (code, out) == (2, "")
    assert err.startswith(words)
    assert len(err.splitlines()) == 1
    assert not (project / "new").exists()


# What the schema allows, read by hand: no validator of JSON Schema is among the dependencies.


def refused_keys(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> list[str]:
    """The keys of a YAML value that no alternative of its schema knows."""
    if "$ref" in schema:
        return refused_keys(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    if "anyOf" in schema:
        return min((refused_keys(value, each, root, place) for each in schema["anyOf"]), key=len)
    if isinstance(value, list):
        return [key for each in value for key in refused_keys(each, schema.get("items", {}), root, f"{place}[]")]
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", schema.get("patternProperties", {}))
    if not known and others is not False:
        others = next(iter(others.values())) if "patternProperties" in schema else others
        below = others if isinstance(others, dict) else {}
        return [key for name, each in value.items() for key in refused_keys(each, below, root, f"{place}.{name}")]
    unknown = [f"{place}.{name}" for name in value if name not in known]
    return unknown + [
        key
        for name, each in value.items()
        if name in known
        for key in refused_keys(each, known[name], root, f"{place}.{name}")
    ]


def test_the_schema_knows_every_key_of_the_use_case_that_ships(run: Run) -> None:
    code, out, err = run("schema")
    schema = json.loads(out)
    assert (code, err) == (0, "")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    shipped = yaml.safe_load(CHURN.read_text())
    assert refused_keys(shipped, schema, schema) == []
    assert set(schema["required"]) <= set(shipped)
    shipped["recipe"]["trails"] = 3
    shipped["contract"]["columns"]["tenure"]["rnage"] = [0, 1]
    assert refused_keys(shipped, schema, schema) == [".contract.columns.tenure.rnage", ".recipe.trails"]


def test_the_doctor_finds_a_released_home_well(released: Path, run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert "ill" not in out.split()
    code, out, _ = run("doctor", "--json")
    checks = {made["name"]: made for made in json.loads(out)["checks"]}
    assert code == 0
    assert all(made["ok"] for made in checks.values())
    assert list(checks) == ["python", "packages", "home", "ledger", "blobs", "keys", "clock", "use case"]
    assert "use cases: churn" in checks["ledger"]["said"]
    assert "churn from " in checks["use case"]["said"]


def test_the_doctor_finds_a_new_machine_well(empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_NOW", "2026-01-01T00:00:00Z")
    code, out, _ = run("doctor", "--json")
    said = {made["name"]: made["said"] for made in json.loads(out)["checks"]}
    assert code == 0
    assert said["keys"] == "none yet; the first release makes them"
    assert said["clock"] == "simulated: it is always 2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("name", "value", "ill", "code"),
    [
        ("MAINSTAY_LEDGER", "garbage", {"home", "ledger", "blobs", "keys"}, 2),
        ("MAINSTAY_LEDGER", "sqlite:////proc/version", {"ledger"}, 3),
        ("MAINSTAY_NOW", "garbage", {"home", "ledger", "blobs", "keys", "clock"}, 2),
        ("MAINSTAY_HOME", "mainstay.yaml", {"home", "ledger", "blobs", "keys"}, 2),
    ],
)
def test_the_doctor_says_what_is_ill_and_ends_as_that_would(
    empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, ill: set[str], code: int
) -> None:
    monkeypatch.setenv(name, value)
    ended, out, _ = run("doctor", "--json")
    assert {made["name"] for made in json.loads(out)["checks"] if not made["ok"]} == ill
    assert ended == code
    assert "ill" in run("doctor")[1].split()


def test_the_doctor_looks_at_the_use_case_and_the_keys(released_copy: Path, run: Run) -> None:
    (released_copy / "mainstay.yaml").write_text("schema: 1\nnmae: churn\n")
    (released_copy / "home/keys/signing.key").chmod(0o644)
    code, out, _ = run("doctor", "--json")
    said = {made["name"]: made["said"] for made in json.loads(out)["checks"] if not made["ok"]}
    assert (code, set(said)) == (2, {"keys", "use case"})
    assert "others may use this key (mode 0644)" in said["keys"]
    assert "unknown key `nmae`; did you mean `name`?" in said["use case"]
