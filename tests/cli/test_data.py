"""`data`: rows held to their contract, frozen, listed and shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("mlflow")  # they look at a release, which imports MLflow: once is enough
Run = Callable[..., tuple[int, str, str]]


def write_source(folder: Path, name: str, rows: int, first: str = "Female") -> None:
    """A source of simulated customers; the gender of the first row is as given."""
    from mainstay.data.source import read_any

    table = read_any(f"simulator://churn?customers={rows}&seed=1&until=2026-01-01").drop_columns(["observed_at"])
    lines = [",".join(table.column_names)]
    for row in table.to_pylist():
        if len(lines) == 1:
            row["gender"] = first
        lines.append(",".join("" if value is None else str(value) for value in row.values()))
    (folder / name).write_text("\n".join(lines) + "\n")


def test_validate_shows_every_promise_and_keeps_nothing(empty: Path, run: Run) -> None:
    code, out, _ = run("data", "validate")
    assert code == 0
    assert "type tenure" in out
    assert out.splitlines()[-1] == "3,000 rows kept, 0 quarantined"
    assert not (empty / "home").exists()


def test_validate_names_the_rows_that_break_a_promise(empty: Path, run: Run) -> None:
    write_source(empty, "rows.csv", 1200, first="Unknown")
    code, out, _ = run("data", "validate", "--source", "rows.csv", "--json")
    body = json.loads(out)
    assert (code, body["outcome"], body["quarantined"]) == (0, "PASS", 1)
    broken = next(made for made in body["checks"] if (made["name"], made["subject"]) == ("values", "gender"))
    assert "row 1 `Unknown`" in broken["reason"]


def test_validate_ends_with_1_where_the_contract_is_not_kept(empty: Path, run: Run) -> None:
    write_source(empty, "rows.csv", 500)
    code, out, _ = run("data", "validate", "--source", "rows.csv", "--json")
    assert (code, json.loads(out)["outcome"]) == (1, "FAIL")


def test_freeze_prints_the_id_last_and_twice_is_once(empty: Path, run: Run) -> None:
    code, out, err = run("data", "freeze", "--why", "The first snapshot.")
    assert code == 0
    dataset = out.splitlines()[-1]
    assert dataset.startswith("ds_")
    assert "keep a copy, it cannot be made again" in err
    code, out, _ = run("data", "freeze", "--json", "--why", "Again.")
    assert (code, json.loads(out)["dataset"]["id"]) == (0, dataset)
    code, out, _ = run("data", "list", "--json")
    assert [each["id"] for each in json.loads(out)["datasets"]] == [dataset]
    code, out, _ = run("data", "show", dataset[:9], "--json")
    assert json.loads(out)["reason"] == "The first snapshot."


def test_freeze_of_rows_that_fail_keeps_them_apart_and_says_where(empty: Path, run: Run) -> None:
    write_source(empty, "rows.csv", 500, first="Unknown")
    code, out, err = run("data", "freeze", "--source", "rows.csv")
    assert code == 1
    assert "FAIL" in out
    assert "1 rows are quarantined with their reasons, in quarantine/churn/" in err
    code, out, _ = run("data", "freeze", "--source", "rows.csv", "--json")
    assert (code, json.loads(out)["dataset"]) == (1, None)
    assert run("data", "list", "--json")[1] == '{"datasets": []}\n'


def test_an_empty_home_says_how_to_begin(empty: Path, run: Run) -> None:
    assert run("data", "list")[:2] == (0, "no dataset of churn yet; `mainstay data freeze` makes one\n")
    assert run("models", "list")[:2] == (0, "no version of churn yet; `mainstay release` makes one\n")


def test_list_and_show_are_for_people_too(released: Path, run: Run) -> None:
    dataset = json.loads((released / "released.json").read_text())["dataset"]
    code, out, _ = run("data", "list")
    assert code == 0
    assert dataset[:15] in out
    assert "3,000" in out
    code, out, _ = run("data", "show", dataset[:12])
    assert code == 0
    assert ": The first one." in out
    assert "tenure" in out
    assert "['" not in out


def test_an_id_needs_four_digits_and_one_owner(released: Path, run: Run) -> None:
    for short in ("ds_", "ds_1", "", "ds"):
        code, _, err = run("data", "show", short)
        assert code == 2
        assert "is too short to name a dataset: give at least 4 digits" in err
    code, _, err = run("data", "show", "ds_ffff0000")
    assert code == 2
    assert "there is no dataset `ds_ffff0000` of churn (the last are: ds_" in err
