"""`data log`, `diff`, `tag` and `checkout`, as a person and as a script use them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.xdist_group("mlflow")
Run = Callable[..., tuple[int, str, str]]
VERSIONS = [
    ["data", "log"],
    ["data", "diff", "ds_00000000"],
    ["data", "tag", "q1"],
    ["data", "checkout", "ds_00000000"],
    ["data", "quarantine"],
    ["models", "list"],
    ["models", "lineage"],
    ["models", "diff", "1.0.0", "1.0.1"],
    ["models", "card"],
    ["runs", "list"],
    ["runs", "compare", "aaaaaa", "bbbbbb"],
]


def only(out: str) -> Any:
    """The one object on stdout."""
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.fixture
def two(released_copy: Path, run: Run) -> tuple[str, str]:
    """Two dataset versions of one home: that of the release, and one with fewer customers."""
    first = json.loads((released_copy / "released.json").read_text())["dataset"]
    source = "simulator://churn?customers=2900&seed=1&until=2026-01-01"
    code, out, _ = run("data", "freeze", "--source", source, "--json", "--why", "Fewer.")
    assert code == 0
    return first, only(out)["dataset"]["id"]


def test_the_log_has_the_newest_first_with_its_parent_and_reason(two: tuple[str, str], run: Run) -> None:
    code, out, _ = run("data", "log", "--json")
    newest, oldest = only(out)["log"]
    assert code == 0
    assert (newest["id"], newest["parent"], newest["reason"], newest["tags"]) == (two[1], two[0], "Fewer.", [])
    assert (oldest["id"], oldest["parent"], oldest["reason"]) == (two[0], None, "The first one.")
    code, out, _ = run("data", "log")
    assert code == 0
    assert f", after {two[0][:15]}" in out.splitlines()[0]


def test_a_tag_names_a_version_wherever_an_id_would_and_may_move(two: tuple[str, str], run: Run) -> None:
    assert only(run("data", "tag", "q1", two[0][:12], "--json")[1])["dataset"] == two[0]
    assert only(run("data", "show", "q1", "--json")[1])["id"] == two[0]
    assert run("data", "tag", "q1")[:2] == (0, f"q1 is {two[1]}\n")
    assert [each["tags"] for each in only(run("data", "log", "--json")[1])["log"]] == [["q1"], []]


def test_a_difference_counts_rows_and_shows_no_pseudonym(two: tuple[str, str], run: Run) -> None:
    code, out, _ = run("data", "diff", two[0], two[1], "--json")
    found = only(out)
    assert (code, found["before"], found["after"]) == (0, two[0], two[1])
    rows = found["rows"]
    assert rows["before"] - rows["removed"] + rows["added"] == rows["after"]
    assert only(run("data", "diff", two[0], "--json")[1]) == found
    same = only(run("data", "diff", two[0], two[0], "--json")[1])["rows"]
    assert (same["added"], same["removed"], same["changed"]) == (0, 0, 0)
    code, out, _ = run("data", "diff", two[0], two[1])
    assert code == 0
    assert f"{rows['added']:,} added, {rows['removed']:,} removed" in out


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_checkout_is_the_rows_as_a_file(two: tuple[str, str], run: Run, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    code, said, err = run("data", "checkout", two[0], "--out", str(out), "--json")
    made = only(said)
    read = pq.read_table(out) if name.endswith("parquet") else pa_csv.read_csv(out)
    assert (code, made["dataset"], made["rows"]) == (0, two[0], read.num_rows)
    assert "customerID: pseudonyms." in err
    code, said, _ = run("data", "checkout", two[0], "--out", str(out), "--json")
    assert (code, only(said)["error"]["kind"]) == (2, "Refused")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["data", "diff", "nothing-so-called"], "NotFound", "there is no dataset `nothing-so-called`"),
        (["data", "checkout", "ds_1"], "Refused", "too short"),
        (["data", "checkout", ""], "Refused", "too short"),
        (["data", "tag", "ds_mine"], "Refused", "a tag is 1 to 63"),
        (["data", "tag", ""], "Refused", "a tag is 1 to 63"),
        (["data", "tag", "q1", "ds_ffffffff"], "NotFound", "there is no dataset `ds_ffffffff`"),
        (["data", "checkout", "{first}", "--out", "rows.xlsx"], "Refused", "not `.xlsx`"),
        (["data", "checkout", "{first}", "--out", "a-file/rows.csv"], "Refused", "a-file"),
        (["data", "checkout", "{first}", "--out", "/proc/rows.csv"], "Unavailable", "/proc"),
        (["models", "diff", "1.0.0", "9.9.9"], "NotFound", "there is no version churn@9.9.9"),
        (["models", "card", "9.9.9"], "NotFound", "there is no version churn@9.9.9"),
        (["models", "lineage", "9.9.9"], "NotFound", "there is no version churn@9.9.9"),
        (["runs", "compare", "01"], "Refused", "too short"),
        (["data", "log", "--frobnicate"], "BadUsage", "No such option"),
    ],
)
def test_bad_input_is_one_sentence_and_one_object(
    released_copy: Path, run: Run, arguments: list[str], kind: str, words: str
) -> None:
    first = json.loads((released_copy / "released.json").read_text())["dataset"]
    (released_copy / "a-file").write_text("")
    code, out, err = run(*(each.replace("{first}", first) for each in arguments), "--json")
    error = only(out)["error"]
    assert (code, error["kind"]) == (3 if kind == "Unavailable" else 2, kind)
    assert words in f"{error['place']} {error['message']}"
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", VERSIONS, ids=" ".join)
def test_an_empty_home_is_one_object_and_says_how_to_begin(empty: Path, run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments, "--json")
    body = only(out)
    assert code == (2 if "error" in body else 0)
    assert "Traceback" not in err
    if "error" in body:
        assert "makes one" in body["error"]["message"] or "there is no" in body["error"]["message"]
