"""`data export-gx` and `import-gx`, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path

from mainstay.usecase_file import load

Run = Callable[..., tuple[int, str, str]]


def test_a_contract_goes_out_and_comes_back(empty: Path, run: Run) -> None:
    code, out, err = run("data", "export-gx", "--out", "suite.json")
    assert (code, out) == (0, "wrote suite.json: 66 expectations\n")
    assert "not in the suite: no event time is in the future" in err
    code, out, err = run("data", "import-gx", "suite.json", "--out", "back.yaml", "--source", "rows.csv")
    assert (code, out) == (0, "wrote back.yaml: 22 columns\n")
    assert load(Path("back.yaml")).contract == load(Path("mainstay.yaml")).contract
    assert not (empty / "home").exists()


def test_without_a_file_they_are_printed(empty: Path, run: Run) -> None:
    code, text, _ = run("data", "export-gx")
    assert code == 0
    assert json.loads(text)["name"] == "churn"
    code, text, _ = run("data", "export-gx", "--json")
    said = json.loads(text)
    assert (said["expectations"], len(said["suite"]["expectations"])) == (66, 66)
    Path("s.json").write_text('{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "x"}}]}')
    code, text, _ = run("data", "import-gx", "s.json")
    assert text.splitlines()[-1] == "    x: {type: category, nullable: true}"
    code, text, _ = run("data", "import-gx", "s.json", "--json")
    assert (json.loads(text)["whole"], json.loads(text)["left_out"]) == (False, [])


def test_what_has_no_counterpart_is_said(empty: Path, run: Run) -> None:
    given = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "min_value": 1}}
    Path("s.json").write_text(json.dumps({"name": "s", "expectations": [given]}))
    code, out, err = run("data", "import-gx", "s.json", "--out", "c.yaml")
    assert (code, out) == (0, "wrote c.yaml: 1 columns, the `contract` section alone: --target COLUMN makes it whole\n")
    assert err == "left out: expect_column_mean_to_be_between of `x`: a contract has nothing like it\n"
    assert "# Left out: expect_column_mean" in Path("c.yaml").read_text()


def test_bad_input_is_refused_and_nothing_is_written_over(empty: Path, run: Run) -> None:
    Path("there.json").write_text("{}")
    Path("bytes.json").write_bytes(b"\xff\xfe\x00")
    for arguments, said in (
        (["export-gx", "--out", "there.json"], "it is there already; move it away or choose another --out"),
        (["export-gx", "--out", "suite.txt"], "call it .json"),
        (["import-gx", "nowhere.json"], "no such file"),
        (["import-gx", "."], "cannot be read as a file"),
        (["import-gx", "bytes.json"], "not UTF-8"),
        (["import-gx", "there.json"], "no suite: one has a list of `expectations`"),
    ):
        code, _, err = run("data", *arguments)
        assert code == 2
        assert said in err
    assert Path("there.json").read_text() == "{}"
