"""Bad input and a failing world, as they come through the command line.

Each is one clear sentence on stderr, beside the line that names the use case, and the right exit code. Nothing is left
half-written, and afterwards the same command works on good input.
"""

import json
import os
import pwd
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mainstay.cli.main import main
from mainstay.data.source import read_any
from mainstay.usecase_file import CHURN

pytestmark = pytest.mark.xdist_group("mlflow")  # importing MLflow takes seconds: once is enough
Run = Callable[..., tuple[int, str, str]]
MAINSTAY = [sys.executable, "-m", "mainstay.cli.main"]


def customers(count: int = 1200) -> list[str]:
    """The lines of a snapshot of simulated customers: a header, then one for each."""
    table = read_any(f"simulator://churn?customers={count}&seed=1&until=2026-01-01").drop_columns(["observed_at"])
    rows = table.to_pylist()
    return [",".join(table.column_names)] + [
        ",".join("" if value is None else str(value) for value in row.values()) for row in rows
    ]


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """1,200 sound rows and their header."""
    return customers()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> Path:
    """The current folder: `mainstay.yaml` on `rows.csv`, and no home yet."""
    text = CHURN.read_text().replace(
        "splines, random_forest, gradient_boosting, lightgbm, xgboost, ensemble", "lightgbm"
    )
    text = text.replace("trials: 30, folds: 5", "trials: 2, folds: 2")
    source = "simulator://churn?customers=20000&seed=7&until=2026-01-01"
    assert source in text
    (tmp_path / "mainstay.yaml").write_text(text.replace(source, "rows.csv"))
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line; its exit code, stdout, and stderr without the line that names the use case."""

    def made(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        err = [line for line in said.err.splitlines() if not line.startswith("use case ")]
        return code, said.out, "\n".join(err)

    return made


def content(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def works_afterwards(folder: Path, run: Run, lines: list[str]) -> None:
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    code, out, err = run("data", "freeze")
    assert (code, out.splitlines()[0]) == (0, "1,200 rows, 0 quarantined"), err


# Bad input


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (lambda lines: None, 2, "rows.csv: there is no such file; the source of the use case churn must be"),
        (lambda lines: b"", 2, "rows.csv: the file is empty; it needs a header and at least one row"),
        (lambda lines: f"{lines[0]}\n".encode(), 2, "rows.csv: there is a header and no rows; it needs at least one"),
        (lambda lines: lines[0].encode(), 2, "rows.csv: there is a header and no rows; it needs at least one"),
        (
            lambda lines: "\n".join(lines).replace(",", ";").encode(),
            2,
            "rows.csv: the values are separated by semicolons, where commas are expected; save it with commas",
        ),
        (
            lambda lines: "\n".join(lines).replace("Month-to-month", "Mänät").encode("latin-1"),
            2,
            "rows.csv: not UTF-8 at byte ",
        ),
        (lambda lines: b"PK\x03\x04" + bytes(100), 2, "rows.csv: this is an Excel workbook or a zip, not text"),
        (
            lambda lines: "\n".join([*lines, "7,Female"]).encode(),
            2,
            "rows.csv: line 1202 has 2 values where the header names 21 columns",
        ),
    ],
    ids=["absent", "empty", "header only", "header without an end", "semicolons", "Latin-1", "Excel", "ragged"],
)
@pytest.mark.parametrize("command", [["release"], ["data", "freeze"], ["data", "validate"]], ids=" ".join)
def test_rows_that_cannot_be_read_are_one_sentence_and_leave_nothing(
    folder: Path, run: Run, lines: list[str], spoil: Callable[[list[str]], bytes | None], code: int, sentence: str,
    command: list[str],
) -> None:  # fmt: skip
    data = spoil(lines)
    (folder / "rows.csv").unlink()
    if data is not None:
        (folder / "rows.csv").write_bytes(data)
    ended, out, err = run(*command)
    assert (ended, out) == (code, "")
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1
    assert not content(folder / "home")
    ended, out, again = run(*command, "--json")
    error = json.loads(out)["error"]
    assert (ended, again, f"{error['place']}: {error['message']}") == (code, err, err)
    works_afterwards(folder, run, lines)


def test_a_target_with_one_class_fails_and_is_named(folder: Path, run: Run, lines: list[str]) -> None:
    only = [line for line in lines if not line.endswith((",Yes", ","))]
    (folder / "rows.csv").write_text("\n".join(only) + "\n")
    (folder / "mainstay.yaml").write_text(
        (folder / "mainstay.yaml").read_text().replace("at_least: 1000", "at_least: 100")
    )
    code, out, err = run("release")
    assert code == 1
    assert out.splitlines()[-1] == (
        "FAIL: stopped at validate. `Churn` has only the class `No`; both `No` and `Yes` are needed"
    )
    assert "Traceback" not in err
    assert not list((folder / "home").rglob("*.parquet"))
    code, out, err = run("release", "--json")
    body = json.loads(out)
    assert (code, body["outcome"], body["stopped_at"], body["dataset"]) == (1, "FAIL", "validate", None)
    works_afterwards(folder, run, lines)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("trials: 2", "trails: 2", " recipe.trails: unknown key `trails`; did you mean `trials`?"),
        ("schema: 1", "schema: 2", " schema: "),
        ('positive: "Yes"', 'positive: "Yess"', " label.positive: `Yess` is not a class; did you mean `Yes`?"),
        ("max(tenure, 1)", "__import__('os')", " features.derived.months_or_one: "),
        ("schema: 1", "schema: [1", ": not YAML: "),
    ],
)
def test_a_use_case_that_cannot_be_meant_is_told_by_line_and_place(
    folder: Path, run: Run, lines: list[str], old: str, new: str, sentence: str
) -> None:
    text = (folder / "mainstay.yaml").read_text()
    assert old in text
    (folder / "mainstay.yaml").write_text(text.replace(old, new))
    code, out, err = run("release")
    assert (code, out) == (2, "")
    assert err.startswith(f"{folder / 'mainstay.yaml'}:")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not (folder / "home").exists()
    (folder / "mainstay.yaml").write_text(text)
    works_afterwards(folder, run, lines)


# A full disk


def unmeasured() -> dict[str, str]:
    """This environment, where coverage is not written: its file would be cut off as well."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # noqa: TID251


def test_a_file_that_can_grow_no_further_while_freezing_leaves_nothing_half_written(
    folder: Path, run: Run, lines: list[str]
) -> None:
    assert run("keys", "init")[0] == 0
    assert run("data", "list")[0] == 0
    (folder / "rows.csv").write_text("\n".join(customers(6_000)) + "\n")
    before = content(folder / "home")
    most = 100_000  # bytes of one file: the ledger's fit, the dataset does not
    assert all(len(data) < most for data in before.values())
    limited = subprocess.run(
        [*MAINSTAY, "data", "freeze"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=unmeasured(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert limited.returncode == 3, limited.stderr
    (said,) = [line for line in limited.stderr.splitlines() if not line.startswith("use case ")]
    assert said.startswith(f"{folder}/home/blobs: disk full while writing datasets/churn/")
    after = content(folder / "home")
    assert {name for name in after if "ledger" not in name} == {name for name in before if "ledger" not in name}
    assert run("data", "list", "--json")[1] == '{"datasets": []}\n'
    code, out, err = run("data", "freeze")
    assert (code, out.splitlines()[0]) == (0, "6,000 rows, 0 quarantined"), err


FULL_DISK = """
set -e
mount -t tmpfs -o size=220k tmpfs "$MAINSTAY_HOME"
python="$1"
"$python" -m mainstay.cli.main keys init >&2
"$python" -m mainstay.cli.main data list >&2
find "$MAINSTAY_HOME" -type f | grep -v ledger | sort >before
code=0
"$python" -m mainstay.cli.main data freeze --json 2>said || code=$?
echo "$code" >code
find "$MAINSTAY_HOME" -type f | grep -v ledger | sort >after
mount -o remount,size=64m "$MAINSTAY_HOME"
"$python" -m mainstay.cli.main data freeze >again
"""


def test_a_full_disk_while_freezing_leaves_nothing_half_written(folder: Path) -> None:
    unshare = shutil.which("unshare")
    private = [str(unshare), "--user", "--map-root-user", "--mount"]
    probe = ["sh", "-c", f'mount -t tmpfs tmpfs "{folder}"']
    if unshare is None or subprocess.run([*private, *probe], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a disk of their own (unshare --user --mount)")
    (folder / "home").mkdir()
    (folder / "rows.csv").write_text("\n".join(customers(6_000)) + "\n")
    shell = [*private, "sh", "-c", FULL_DISK, "sh", sys.executable]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120, check=False, env=unmeasured())
    assert done.returncode == 0, done.stderr
    assert (folder / "code").read_text() == "3\n"
    (said,) = [line for line in (folder / "said").read_text().splitlines() if not line.startswith("use case ")]
    assert said.startswith(f"{folder}/home/blobs: disk full while writing datasets/churn/")
    assert json.loads(done.stdout)["error"]["kind"] == "Unavailable"
    assert (folder / "after").read_text() == (folder / "before").read_text()
    assert (folder / "again").read_text().startswith("6,000 rows, 0 quarantined\n")


# Homes, settings, ledgers and keys


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A directory that every user may look into, while this process is nobody in particular."""
    place = Path(tempfile.mkdtemp(prefix="mainstay-open-"))
    place.chmod(0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield place
    finally:
        os.seteuid(before)
        shutil.rmtree(place)


def test_a_home_that_may_not_be_made_is_the_world_being_down(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, ordinary_user: Path
) -> None:
    monkeypatch.setenv("MAINSTAY_HOME", str(ordinary_user / "home"))
    if os.getuid() != 0:
        ordinary_user.chmod(0o555)
    code, out, err = run("keys", "init")
    assert (code, out) == (3, "")
    assert err == f"{ordinary_user}/home: the home cannot be made (permission denied)"


@pytest.mark.parametrize(
    ("name", "value", "code", "sentence"),
    [
        ("HOME", "rows.csv", 2, "rows.csv: a file is in the way; MAINSTAY_HOME names a directory"),
        ("NOW", "garbage", 2, "MAINSTAY_NOW: a time with its zone, as in 2026-01-01T00:00:00Z, not 'garbage'"),
        ("LEDGER", "garbage", 2, "the ledger's address is not one: use sqlite:///FILE or postgresql://USER@HOST/DATA"),
        (
            "LEDGER",
            "postgresql://ada:secret@127.0.0.1:1/x",
            3,
            "postgresql://ada@127.0.0.1:1/x: the ledger cannot",
        ),
        ("LEDGER", "sqlite:///rows.csv", 3, "sqlite:///rows.csv: the ledger cannot be used: file is not a database"),
        ("BLOBS", "ftp://bucket", 2, "no blobs are kept at ftp: use file:///ABSOLUTE/DIRECTORY"),
        ("MLFLOW", "garbage", 2, "MLflow cannot be at garbage: use sqlite:////ABSOLUTE/FILE or http://HOST:PORT"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, lines: list[str], name: str, value: str, code: int,
    sentence: str,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setenv(f"MAINSTAY_{name}", value)
        ended, out, err = run("release", "--json")
    assert ended == code
    told = err.splitlines()
    assert told[-1].startswith(sentence)
    # A ledger is opened once the rows are sound; all that may be said before is that keys were made.
    assert all(line.startswith("made a ") for line in told[:-1])
    assert "secret" not in out + err
    assert json.loads(out)["version"] is None
    assert not list((folder / "home").rglob("*.parquet"))
    works_afterwards(folder, run, lines)


def test_a_signing_key_that_others_may_read_stops_a_release_before_it_trains(
    folder: Path, run: Run, lines: list[str]
) -> None:
    assert run("keys", "init")[0] == 0
    key = folder / "home/keys/signing.key"
    key.chmod(0o644)
    code, out, err = run("release", "--json")
    assert code == 2
    assert err == f"{key}: others may use this key (mode 0644): run chmod 600 {key}"
    assert json.loads(out)["run"] is None
    assert not (folder / "home/mlflow.db").exists()


# A release that is interrupted, and one that was tampered with


def test_an_interrupted_training_is_a_failed_run_and_nothing_else(folder: Path, run: Run) -> None:
    text = (folder / "mainstay.yaml").read_text()
    (folder / "mainstay.yaml").write_text(text.replace("trials: 2,", "trials: 5000,"))
    training = subprocess.Popen(
        [*MAINSTAY, "release", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that a shell runs in the background ignores SIGINT, and so would whatever it starts.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    database, until = folder / "home/mlflow.db", time.monotonic() + 60
    while time.monotonic() < until and not (database.exists() and states(database).get("FINISHED")):
        time.sleep(0.2)
    training.send_signal(signal.SIGINT)
    out, err = training.communicate(timeout=60)
    assert training.returncode == 130
    body = json.loads(out)
    assert (body["stopped_at"], body["candidate"], body["error"]["kind"]) == ("train", None, "Interrupted")
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    with sqlite3.connect(database) as store:
        query = "SELECT status FROM runs r WHERE NOT EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = r.run_uuid"
        (status,) = store.execute(f"{query} AND t.key = 'mlflow.parentRunId')").fetchall()
    assert status == ("FAILED",)
    assert {path.parts[-3] for path in (folder / "home/blobs").rglob("*") if path.is_file()} == {"datasets"}
    assert run("models", "list", "--json")[1] == '{"versions": []}\n'
    (folder / "mainstay.yaml").write_text(text)
    assert run("data", "freeze")[0] == 0


def states(database: Path) -> dict[str, int]:
    """How many runs are in which state."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
            return dict(store.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall())
    except sqlite3.OperationalError:  # it is just being made
        return {}


def test_a_version_that_was_tampered_with_is_refused_wherever_it_is_loaded(folder: Path, run: Run) -> None:
    text = (folder / "mainstay.yaml").read_text().replace("rows.csv", "simulator://churn?customers=3000&seed=1")
    (folder / "mainstay.yaml").write_text(text.replace("seed=1", "seed=1&until=2026-01-01"))
    code, out, err = run("release", "--json")
    assert code == 0, err
    model = folder / "home/blobs/versions/churn/1.0.0/model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    code, out, err = run("models", "verify")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "model.onnx" in err
    (folder / "request.json").write_text('{"features": {}}')
    code, out, err = run("predict", "request.json")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err == "churn@1.0.0: model.onnx was changed after it was signed"
