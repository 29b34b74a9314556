"""`score`: a file in, a file out, and exit codes that a script can go by."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.data.source import read_any

pytestmark = pytest.mark.xdist_group("mlflow")  # they look at a release, which imports MLflow: once is enough
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """400 simulated customers, four of which a contract refuses."""
    table = read_any("simulator://churn?customers=400&seed=9&until=2026-01-01")
    tenure = pa.array([None, *[-0.5] * 3, *table["tenure"].to_pylist()[4:]], pa.float64())
    path = tmp_path / "rows.parquet"
    pq.write_table(table.set_column(table.column_names.index("tenure"), "tenure", tenure), path)
    return path


def test_the_summary_is_one_line_or_one_object(released: Path, run: Run, rows: Path, tmp_path: Path) -> None:
    code, out, err = run("score", str(rows), str(tmp_path / "out.parquet"))
    assert code == 0
    assert out.startswith(f"{tmp_path}/out.parquet: 396 of 400 rows scored by churn@1.0.0 in ")
    assert "4 rows are refused, and say why under `error`" in err
    code, out, _ = run("score", str(rows), str(tmp_path / "out.csv"), "--json", "--version", "1.0.0")
    body = json.loads(out)
    assert code == 0
    assert list(body) == ["rows", "scored", "refused", "seconds", "rows_per_second", "version"]
    assert (body["rows"], body["scored"], body["refused"], body["version"]) == (400, 396, 4, "1.0.0")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 401


def test_the_answers_say_which_rows_are_refused_and_why(released: Path, run: Run, rows: Path, tmp_path: Path) -> None:
    run("score", str(rows), str(tmp_path / "out.parquet"))
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    said = "`tenure` is not an integer: it must be an integer from 0 to 120"
    assert [row["error"] for row in found[1:5]] == [said, said, said, None]
    assert found[0]["error"].startswith("`tenure` is missing")
    assert found[4]["entity"] == pq.read_table(rows)["customerID"][4].as_py()


def test_too_many_refused_rows_end_with_1_and_are_written_all_the_same(
    released: Path, run: Run, rows: Path, tmp_path: Path
) -> None:
    pq.write_table(pq.read_table(rows).slice(0, 100), tmp_path / "few.parquet")
    code, _, err = run("score", str(tmp_path / "few.parquet"), str(tmp_path / "out.csv"))
    assert code == 1
    assert "4 rows are refused, and say why under `error`: more than the 1.00% that the contract tolerates" in err
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 101


def test_bad_use_is_one_sentence_and_2(released: Path, run: Run, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("before")
    for arguments, said in [
        ((str(rows), str(tmp_path / "there.csv")), "--overwrite replaces it"),
        ((str(rows), str(tmp_path / "out.xlsx")), "call it .parquet or .csv"),
        ((str(rows), str(rows), "--overwrite"), "a name of their own"),
        ((str(tmp_path / "none.csv"), str(tmp_path / "out.csv")), "there is no such file"),
        ((str(rows), str(tmp_path / "out.csv"), "--version", "9.9.9"), "there is no version churn@9.9.9"),
        ((str(rows), str(tmp_path / "out.csv"), "--version", "latest"), "there is no version churn@latest"),
    ]:
        code, out, err = run("score", *arguments)
        assert (code, out) == (2, "")
        assert said in err.splitlines()[-1]
        code, out, _ = run("score", *arguments, "--json")
        assert (code, said in json.loads(out)["error"]["message"]) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.parquet", "there.csv"]


def test_before_a_release_it_says_how_to_begin(empty: Path, run: Run, rows: Path, tmp_path: Path) -> None:
    code, _, err = run("score", str(rows), str(tmp_path / "out.csv"))
    assert code == 2
    assert "mainstay release" in err


def test_a_fetch_that_finds_its_file_asks_nobody(run: Run, tmp_path: Path) -> None:
    telco = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"
    if not telco.is_file():
        pytest.skip("the Telco file is not beside this checkout")
    (tmp_path / "telco.csv").write_bytes(telco.read_bytes())
    code, out, _ = run("data", "fetch", "telco", "--out", str(tmp_path / "telco.csv"))
    assert code == 0
    assert "is there already: 970,457 bytes, SHA-256 16320c9c" in out
    code, out, _ = run("data", "fetch", "telco", "--out", str(tmp_path / "telco.csv"), "--json")
    assert json.loads(out)["fetched"] is False


def test_a_fetch_of_what_nobody_published_is_refused(run: Run) -> None:
    code, _, err = run("data", "fetch", "telcos")
    assert code == 2
    assert "did you mean `telco`" in err
