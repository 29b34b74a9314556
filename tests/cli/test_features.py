"""`features`: applied, listed, shown, compared, written for people."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Feast, and what it brings, as they come: that they warn is for them to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import feast as _  # noqa: F401


def rewrite(folder: Path, old: str, new: str) -> None:
    text = (folder / "mainstay.yaml").read_text()
    assert old in text
    (folder / "mainstay.yaml").write_text(text.replace(old, new))


def test_a_use_case_s_features_are_applied_listed_and_shown(empty: Path, run: Run) -> None:
    code, out, _ = run("features", "list")
    assert (code, out) == (0, "no feature service of churn yet; `mainstay features apply` records one\n")
    code, out, err = run("features", "apply", "--why", "The first.")
    assert (code, out) == (0, "churn_v1: 19 features in 1 view, 2 derived\n")
    assert "Feast's offline store is empty: no dataset was frozen yet" in err
    code, out, _ = run("features", "list")
    assert "churn_v1" in out
    code, out, _ = run("features", "list", "--json")
    (service,) = json.loads(out)["services"]
    assert (code, service["name"], service["views"][0]["name"]) == (0, "churn_v1", "churn")
    code, out, _ = run("features", "show")
    assert code == 0
    assert "The first." in out
    assert "MonthlyCharges" in out
    assert "extra_paid" in out
    assert (empty / "home" / "feast" / "registry.db").is_file()


def test_applying_again_fills_the_offline_store_and_records_nothing_new(empty: Path, run: Run) -> None:
    assert run("data", "freeze")[0] == 0
    for _ in range(2):
        assert run("features", "apply")[0] == 0
    _, out, _ = run("features", "show", "--json")
    body = json.loads(out)
    assert body["reason"] == "features applied from the use case churn"
    import pyarrow.parquet as pq

    rows = pq.read_table(empty / "home" / "feast" / "offline" / "churn" / "churn.parquet")
    assert rows.num_rows == 3000
    assert rows.column_names[:3] == ["customerID", "event_timestamp", "created_timestamp"]


def test_another_meaning_under_the_same_name_is_refused_and_the_difference_is_shown(empty: Path, run: Run) -> None:
    assert run("features", "apply")[0] == 0
    assert run("features", "diff")[:2] == (0, "nothing: churn_v1 is as the use case describes it\n")
    rewrite(empty, "max(tenure, 1)", "max(tenure, 2)")
    code, out, _ = run("features", "diff")
    assert (code, out) == (1, "means something else: derived months_or_one: max(tenure, 1) → max(tenure, 2)\n")
    code, _, err = run("features", "apply")
    assert code == 2
    assert "name it churn_v2, in features.service" in err
    rewrite(empty, "service: churn_v1", "service: churn_v2")
    assert run("features", "apply")[0] == 0
    assert run("features", "diff")[0] == 0
    code, out, _ = run("features", "diff", "churn_v1", "--json")
    assert (code, json.loads(out)["meaning"]) == (1, ["derived months_or_one: max(tenure, 1) → max(tenure, 2)"])


def test_what_is_only_said_otherwise_is_no_other_meaning(empty: Path, run: Run) -> None:
    assert run("features", "apply")[0] == 0
    rewrite(empty, "service: churn_v1", "service: churn_v1\n  owner: retention\n  tags: {tier: gold}")
    code, out, _ = run("features", "diff")
    assert code == 0
    assert out.splitlines()[:2] == [
        "said otherwise: owner: nothing → retention",
        "said otherwise: tags: nothing → tier=gold",
    ]


def test_the_features_are_written_for_people(empty: Path, run: Run) -> None:
    code, out, _ = run("features", "docs")
    assert code == 0
    assert out.startswith("# Features: churn_v1\n")
    assert "| `tenure` | integer | months | 0 to 120 |  |" in out
    assert "| `months_or_one` | `max(tenure, 1)` |" in out
    code, told, _ = run("features", "docs", "--out", "features.md")
    assert (code, told) == (0, "wrote features.md\n")
    assert (empty / "features.md").read_text() == out
    assert run("features", "docs", "churn_v9")[0] == 2


def test_hand_written_definitions_are_taken_in(empty: Path, run: Run) -> None:
    (empty / "defs.py").write_text(
        "from feast import Entity, FeatureView, Field, FileSource, ValueType\n"
        "from feast.types import Float32\n"
        "who = Entity(name='who', join_keys=['customerID'], value_type=ValueType.STRING)\n"
        "usage = FeatureView(name='usage', entities=[who], schema=[Field(name='calls', dtype=Float32)],\n"
        "    source=FileSource(name='s', path='usage.parquet', timestamp_field='measured'))\n"
    )
    code, out, _ = run("features", "import", "defs.py")
    assert code == 0
    assert out.startswith("features:\n  views:\n  - name: usage\n    source: usage.parquet\n")
    code, out, _ = run("features", "import", "defs.py", "--out", "features.yaml", "--json")
    assert (code, json.loads(out)["written"]) == (0, "features.yaml")
    assert run("features", "import", "absent.py")[0] == 2


def test_without_an_entity_there_is_nothing_to_look_up(empty: Path, run: Run) -> None:
    rewrite(empty, "entity: customerID\n", "")
    for arguments in (["apply"], ["import", "defs.py"]):
        code, _, err = run("features", *arguments)
        assert code == 2
        assert "features are looked up by entity, and the use case names none" in err


def test_one_object_is_on_stdout_with_json(empty: Path, run: Run) -> None:
    assert json.loads(run("features", "docs", "--json")[1])["markdown"].startswith("# Features: churn_v1")
    assert json.loads(run("features", "apply", "--json")[1])["name"] == "churn_v1"


def test_a_registry_that_cannot_be_opened_is_the_world_down(empty: Path, run: Run) -> None:
    (empty / "home" / "feast").mkdir(parents=True)
    (empty / "home" / "feast" / "registry.db").write_bytes(b"not a database " * 100)
    code, _, err = run("features", "apply")
    assert code == 3
    assert "Feast's registry cannot be" in err
