"""A file of rows is scored as a server scores them, one by one or in a batch."""

import json
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.adapters.signing import KeyFile
from mainstay.errors import Conflict, MainstayError, NotFound, Refused, Unavailable
from mainstay.journeys.score import believed, score
from mainstay.ledger.facts import Ledger
from mainstay.ledger.kinds import SPLITS
from mainstay.registry.live import go_live
from mainstay.registry.shelf import Admission, admit
from mainstay.scoring.bundle import Bundle
from mainstay.serving.arms import Live
from mainstay.serving.predict import answers
from mainstay.serving.problems import Rejected
from mainstay.settings import Settings
from mainstay.usecase import Serving, UseCase
from mainstay.wiring import Platform

GoLive = Callable[..., Platform]
CHOICES = {
    "age": ["30", "45", "52", " 61 ", "17", "121", "30.5", "", "abc", "4e1"],
    "spent": ["0", "12.5", "199.99", "200", "200.01", "", "1000.5", "-3", "much", "55.5"],
    "plan": ["basic", "plus", " plus ", "gold", "", "BASIC"],
}


@pytest.fixture
def live(
    tmp_path: Path,
    tiny_admission: Callable[..., Admission],
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
    tiny_keys: Path,
    tiny_use_case: UseCase,
) -> GoLive:
    """A home in which these bundles were released one after the other, under these policies."""
    shutil.copytree(tiny_keys, tmp_path / "home" / "keys")

    def made(*bundles: Bundle, policies: Serving | None = None) -> Platform:
        use_case = tiny_use_case.model_copy(update={"serving": policies or Serving()})
        settings = Settings(home=tmp_path / "home")
        for bundle in bundles:
            asked, now = tiny_admission(bundle), settings.clock()
            version = admit(asked, tiny_ledger, tiny_blobs, tiny_signer, now=now, actor="ada", reason="It passed.")
            go_live(version, use_case, tiny_ledger, tiny_blobs, now=now, actor="ada", reason="It is new.")
        return Platform(settings, tiny_blobs, tiny_ledger)

    return made


def odd_rows(count: int) -> list[dict[str, str]]:
    """Rows as a CSV has them, many of them wrong in some way."""
    choose = random.Random(4)
    rows = [{name: choose.choice(values) for name, values in CHOICES.items()} for _ in range(count)]
    return [{"id": f"c{n}", **row} for n, row in enumerate(rows)]


def as_json(row: dict[str, str]) -> dict[str, Any]:
    """The row as a program would send it: numbers as numbers where they are any, nothing for a blank."""

    def value(name: str, text: str) -> Any:
        if not text.strip():
            return None
        try:
            return float(text) if name != "plan" else text
        except ValueError:
            return text

    return {"entity": row["id"], "features": {name: value(name, row[name]) for name in CHOICES}}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(rows)
    pa_csv.write_csv(table, path) if path.suffix == ".csv" else pq.write_table(table, path)
    return path


def test_rows_are_read_with_what_the_contract_says_separates_them(
    live: GoLive, tiny_use_case: UseCase, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    home = live(tiny_bundle)
    commas, semicolons = write(tmp_path / "rows.csv", odd_rows(50)), tmp_path / "others.csv"
    semicolons.write_text(commas.read_text().replace(",", ";"))
    contract = tiny_use_case.contract.model_copy(update={"delimiter": ";"})
    score(home, tiny_use_case, commas, tmp_path / "one.csv")
    score(home, tiny_use_case.model_copy(update={"contract": contract}), semicolons, tmp_path / "other.csv")
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "other.csv").read_text()


@pytest.mark.parametrize("policy", ["flag", "refuse"])
@pytest.mark.parametrize("model", ["tiny_bundle", "tiny_forest"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_every_row_is_answered_as_by_a_server(
    live: GoLive,
    tiny_use_case: UseCase,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    model: str,
    policy: Any,
    ending: str,
) -> None:
    policies = Serving(unseen_category=policy, out_of_range=policy)
    home = live(request.getfixturevalue(model), policies=policies)
    rows = odd_rows(600)
    source = write(tmp_path / f"rows.{ending}", rows)
    scored = score(home, tiny_use_case, source, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()

    loaded = believed(home, "tiny")
    split = home.ledger.latest("tiny", SPLITS, "tiny")
    assert split is not None
    served = Live(split.body, {"1.0.0": loaded.scorer.scorer}, policies)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    expected = answers(served, [as_json(row) for row in rows], [str(n) for n in range(len(rows))], "trace", now)

    assert [row["row"] for row in found] == list(range(1, len(rows) + 1))
    assert (scored.rows, scored.version) == (600, "1.0.0")
    assert scored.refused == sum(isinstance(each, Rejected) for each in expected) > 0
    for row, answer in zip(found, expected, strict=True):
        if isinstance(answer, Rejected):
            assert [row[name] for name in ("probability", "decision", "risk", "flags")] == [None] * 4
            assert [said.split("`")[1] for said in row["error"].split("; ")] == [each.field for each in answer.errors]
        else:
            assert row["error"] is None
            assert abs(row["probability"] - answer["probability"]) <= 1e-6
            for name in ("entity", "decision", "risk", "flags", "version"):
                assert row[name] == answer[name]


def test_an_error_says_what_would_be_right(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    source = write(tmp_path / "rows.csv", [{"id": "c1", "age": "x", "spent": "1", "plan": ""}])
    score(live(tiny_bundle), tiny_use_case, source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == (
        '"c1",1,,,,,"1.0.0","`age` is not an integer: it must be an integer from 18 to 120; '
        '`plan` is missing: it must be one of basic, plus"'
    )


def test_the_version_named_answers_and_the_champion_without_a_name(
    live: GoLive, tiny_bundle: Bundle, tiny_forest: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    home = live(tiny_bundle, tiny_forest)
    source = write(tmp_path / "rows.parquet", [{"id": "c1", "age": 40, "spent": 5.0, "plan": "plus"}])
    said = {}
    for version in ("", "1.0.0", "tiny@1.0.0"):
        score(home, tiny_use_case, source, tmp_path / "out.parquet", version=version, overwrite=True)
        (said[version],) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert said["1.0.0"] == said["tiny@1.0.0"]
    assert said["1.0.0"]["version"] == "1.0.0"
    assert said[""]["version"] != "1.0.0"
    with pytest.raises(NotFound, match=r"did you mean `1\.0\.0`"):
        score(home, tiny_use_case, source, tmp_path / "out.csv", version="1.0.9")
    assert not (tmp_path / "out.csv").exists()


def test_a_version_that_was_changed_is_not_loaded(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    home = live(tiny_bundle)
    path = tmp_path / "blobs" / "versions" / "tiny" / "1.0.0" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    source = write(tmp_path / "rows.parquet", [{"id": "c1", "age": 40, "spent": 5.0, "plan": "plus"}])
    with pytest.raises(Refused, match="was changed after it was signed"):
        score(home, tiny_use_case, source, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_columns_that_are_absent_are_told_and_others_are_let_be(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    home, heard = live(tiny_bundle), list[str]()
    source = write(tmp_path / "rows.parquet", [{"age": 40, "spend": 5.0, "plan": "plus", "other": 1}])
    scored = score(home, tiny_use_case, source, tmp_path / "out.parquet", note=heard.append)
    assert scored.refused == 0
    assert heard == [
        "the rows have no column `spent`, which may be missing: it is, in every row; did you mean `spend`?"
    ]
    assert "entity" not in pq.read_schema(tmp_path / "out.parquet").names
    write(source, [{"ages": 40, "spent": 5.0, "plan": "plus"}])
    with pytest.raises(Refused, match="no column `age`; did you mean `ages`"):
        score(home, tiny_use_case, source, tmp_path / "out.csv")


@pytest.mark.parametrize(
    "names", [pa.array([7, 8]), pa.array(["a", "b"]).dictionary_encode(), pa.array([None, "b"])], ids=["7", "a", "none"]
)
def test_an_entity_stays_as_it_is_given(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path, names: pa.Array
) -> None:
    rows = pa.table({"age": [40, 50], "spent": [1.0, 2.0], "plan": ["plus", "plus"], "id": names})
    pq.write_table(rows, tmp_path / "rows.parquet")
    home = live(tiny_bundle)
    for ending in ("parquet", "csv"):
        score(home, tiny_use_case, tmp_path / "rows.parquet", tmp_path / f"out.{ending}")
    assert pq.read_table(tmp_path / "out.parquet")["entity"].to_pylist() == names.to_pylist()


def test_an_entity_that_is_a_list_is_refused(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"age": [40], "plan": ["plus"], "id": [["a"]]}), tmp_path / "rows.parquet")
    with pytest.raises(Refused, match="must be a text or a number"):
        score(live(tiny_bundle), tiny_use_case, tmp_path / "rows.parquet", tmp_path / "out.csv")


def test_the_target_is_never_the_source_and_never_replaced_unasked(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    home = live(tiny_bundle)
    source = write(tmp_path / "rows.parquet", [{"id": "c1", "age": 40, "spent": 5.0, "plan": "plus"}])
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(Conflict, match="--overwrite"):
        score(home, tiny_use_case, source, tmp_path / "out.csv")
    (tmp_path / "same.parquet").symlink_to(source)
    with pytest.raises(Refused, match="a name of their own"):
        score(home, tiny_use_case, source, tmp_path / "same.parquet", overwrite=True)
    assert (tmp_path / "out.csv").read_text() == "before"


def test_nothing_is_left_where_the_rows_break_off_or_the_disk_is_full(
    live: GoLive, tiny_bundle: Bundle, tiny_use_case: UseCase, tmp_path: Path
) -> None:
    home = live(tiny_bundle)
    rows = "id,age,spent,plan\n" + "".join(f"{'c' * 90}{n},40,5,plus\n" for n in range(120_000))
    (tmp_path / "rows.csv").write_text(rows + "1,2\n")
    (tmp_path / "out").mkdir()

    def scored() -> MainstayError | None:
        try:
            score(home, tiny_use_case, tmp_path / "rows.csv", tmp_path / "out" / "out.parquet")
        except MainstayError as error:
            return error
        return None

    assert isinstance(scored(), Refused)
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "rows.csv").write_text(rows)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        failed = scored()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(failed, Unavailable)
    assert not list((tmp_path / "out").iterdir())
    assert scored() is None


def test_before_anything_is_live_it_says_how_to_begin(live: GoLive, tiny_use_case: UseCase, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.parquet", [{"id": "c1", "age": 40, "spent": 5.0, "plan": "plus"}])
    with pytest.raises(NotFound, match="mainstay release"):
        score(live(), tiny_use_case, source, tmp_path / "out.csv")


CHILD = """
import json, resource, sys
from pathlib import Path
from mainstay.journeys.score import score
from mainstay.settings import Settings
from mainstay.usecase_file import load
from mainstay.wiring import platform
folder = Path(sys.argv[1])
home = platform(Settings(home=folder / "home", ledger=f"sqlite:///{folder}/ledger.db", blobs=f"file://{folder}/blobs"))
score(home, load(folder / "tiny.yaml"), folder / sys.argv[2], folder / "out.parquet", overwrite=True)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_memory_does_not_grow_with_the_rows_nor_with_a_row_group(
    live: GoLive, tiny_forest: Bundle, tmp_path: Path, tiny_text: str, ending: str
) -> None:
    live(tiny_forest).ledger.close()
    (tmp_path / "tiny.yaml").write_text(tiny_text)
    used = {}
    for count in (200_000, 1_000_000):
        made = np.random.default_rng(1)
        plan = pa.array(["basic", "plus"]).take(pa.array(made.integers(0, 2, count)))
        rows = {"id": made.integers(0, 10**12, count), "age": made.integers(18, 99, count), "plan": plan}
        table = pa.table({**rows, "spent": made.integers(0, 900, count)})
        path = tmp_path / f"rows.{ending}"
        pq.write_table(table, path, row_group_size=count) if ending == "parquet" else pa_csv.write_csv(table, path)
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(tmp_path), path.name], capture_output=True, text=True, check=True
        )
        used[count] = json.loads(child.stdout)
    assert used[1_000_000] - used[200_000] < 60_000  # KB; the rows are 40 MB more, and would be many times that
