"""`models card`, `lineage`, `diff`: what is recorded of versions, told to people."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mainstay.cli.main import main

pytestmark = pytest.mark.xdist_group("mlflow")  # they look at a release, which imports MLflow: once is enough
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def second_release(first_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the first release in which another recipe, of trees, was released too."""
    import shutil

    folder = tmp_path_factory.mktemp("twice") / "copy"
    shutil.copytree(first_release, folder)
    text = (folder / "mainstay.yaml").read_text()
    (folder / "mainstay.yaml").write_text(text.replace("estimators: [logistic, lightgbm]", "estimators: [lightgbm]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MAINSTAY_HOME", str(folder / "home"))
        assert main(["release", "--json", "--seed", "11", "--source", "simulator://churn?customers=3000&seed=1"]) == 0
    return folder


@pytest.fixture
def twice(second_release: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: two versions, only to be looked at."""
    monkeypatch.chdir(second_release)
    monkeypatch.setenv("MAINSTAY_HOME", str(second_release / "home"))
    return second_release


def test_the_card_is_written_in_both_formats_with_its_plots(released: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("models", "card", "--out", str(tmp_path / "cards"), "--json")
    body = json.loads(out)
    assert (code, body["version"]) == (0, "1.0.0")
    assert {Path(each).name for each in body["written"]} == {each.name for each in (tmp_path / "cards").iterdir()}
    made = json.loads((released / "released.json").read_text())
    auc = made["metrics"]["roc_auc"]
    said = f"{auc['value']:.4f} ({auc['low']:.4f} to {auc['high']:.4f})"
    for name in ("churn-1.0.0-card.md", "churn-1.0.0-card.html"):
        text = (tmp_path / "cards" / name).read_text()
        assert said in text
        assert made["run"] in text
        assert "kept no" not in text
    markdown = (tmp_path / "cards" / "churn-1.0.0-card.md").read_text()
    for drawing in (tmp_path / "cards").glob("*.svg"):
        assert f"({drawing.name})" in markdown
        ElementTree.fromstring(drawing.read_text())
    assert len(list((tmp_path / "cards").glob("*.svg"))) == 5


def test_a_version_that_was_tampered_with_gets_no_card(released_copy: Path, run: Run) -> None:
    model = released_copy / "home/blobs/versions/churn/1.0.0/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    code, _, err = run("models", "card")
    assert code == 2
    assert "model.onnx" in err.splitlines()[-1]
    assert not list(released_copy.glob("*.html"))


def test_an_examination_that_was_changed_gets_no_card(released_copy: Path, run: Run) -> None:
    (kept,) = (released_copy / "home/blobs/examinations/churn").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"0.", b"1.", 1))
    code, _, err = run("models", "card", "--json")
    assert code == 2
    assert "it was changed after the run wrote it" in err.splitlines()[-1]


def test_a_place_that_cannot_be_written_is_the_world_being_down(released: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = run("models", "card", "--out", str(tmp_path / "file"))
    assert code == 3
    assert "cannot be written" in err.splitlines()[-1]


def test_the_lineage_is_a_table_and_a_picture(released: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("models", "lineage")
    assert code == 0
    for step in ("rows", "dataset", "run", "candidate", "verdict", "version", "live"):
        assert f"│ {step} " in out
    assert "The first one." in out
    for ending in ("svg", "html", "md"):
        code, out, _ = run("models", "lineage", "1.0.0", "--out", str(tmp_path / f"way.{ending}"), "--json")
        assert (code, json.loads(out)["steps"][0]["kind"]) == (0, "rows")
    ElementTree.fromstring((tmp_path / "way.svg").read_text())
    assert "flowchart TD" in (tmp_path / "way.md").read_text()
    assert "data:image/svg+xml" in (tmp_path / "way.html").read_text()


def test_a_picture_of_another_kind_is_refused(released: Path, run: Run) -> None:
    code, _, err = run("models", "lineage", "--out", "way.png")
    assert code == 2
    assert "written as .svg, .html or .md, not as `.png`" in err.splitlines()[-1]


def test_two_versions_are_set_side_by_side(twice: Path, run: Run) -> None:
    named = [each["version"] for each in json.loads(run("models", "list", "--json")[1])["versions"]]
    assert len(named) == 2
    code, out, _ = run("models", "diff", *named)
    assert code == 0
    assert "seed" in out
    assert f"decided otherwise on the holdout of {named[1]}" in out
    code, out, _ = run("models", "diff", *named, "--json")
    body = json.loads(out)
    assert (code, body["before"], body["after"]) == (0, *named)
    flips = body["flips"]
    assert flips["holdout_of"] == named[1]
    assert 0 <= flips["share"]["low"] <= flips["share"]["value"] <= flips["share"]["high"]
    assert flips["caution"] == ""
    assert {each["name"] for each in body["training"]} >= {"seed", "recipe"}
    lineage = run("models", "lineage", named[1])[1]
    assert "measured against" in lineage
    # The other way round, the older one's rows are never asked about.
    back = json.loads(run("models", "diff", *reversed(named), "--json")[1])["flips"]
    assert back["holdout_of"] == named[1]
    assert (back["to_positive"], back["to_negative"]) == (flips["to_negative"], flips["to_positive"])


def test_a_version_beside_itself_has_nothing_to_tell(released: Path, run: Run) -> None:
    code, out, _ = run("models", "diff", "1.0.0", "churn@1.0.0")
    assert code == 0
    assert "the same data, features and parameters" in out


@pytest.mark.parametrize(("named", "said"), [(["1.0.0", "1.0.9"], "there is no version"), (["1.0.0", ""], "an empty")])
def test_what_is_no_version_is_refused(released: Path, run: Run, named: list[str], said: str) -> None:
    code, _, err = run("models", "diff", *named)
    assert code == 2
    assert said in err.splitlines()[-1]


def test_without_its_rows_a_difference_says_what_is_recorded(released_copy: Path, run: Run) -> None:
    for rows in (released_copy / "home/blobs/datasets/churn").iterdir():
        rows.unlink()
    code, out, _ = run("models", "diff", "1.0.0", "1.0.0")
    assert code == 0
    assert "whose decisions flip is not known" in out


def test_the_files_of_a_card_are_listed_for_people(released: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("models", "card", "churn@1.0.0", "--out", str(tmp_path))
    assert (code, out.splitlines()[0]) == (0, str(tmp_path / "churn-1.0.0-card.md"))
    code, out, _ = run("models", "lineage", "--out", str(tmp_path / "way.svg"))
    assert (code, out.splitlines()[-1]) == (0, str(tmp_path / "way.svg"))
