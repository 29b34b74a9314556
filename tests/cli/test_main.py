"""One command line for people and scripts: what it offers, what it does with a slip, and how it ends."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from mainstay.cli.main import COMMANDS, UNREACHED

Run = Callable[..., tuple[int, str, str]]
GROUPS = {"data": "validate freeze list show", "models": "list show verify", "keys": "init add list"}
# What a machine that only serves does not have.
WITHOUT_TRAINING = """
import sys
ABSENT = {"pyarrow", "pandas", "mlflow", "sklearn", "scipy", "lightgbm", "matplotlib", "onnx", "onnxmltools",
          "skl2onnx", "optuna", "threadpoolctl"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from mainstay.cli.main import main
sys.exit(max(main(line.split()) for line in sys.argv[1:]))
"""


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"mainstay {version('mainstay')}\n", "")


def test_nothing_asked_shows_what_there_is(run: Run) -> None:
    code, out, _ = run()
    assert code == 2
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: mainstay {name}" in out
    for inner in GROUPS.get(name, "").split():
        assert inner in out
        assert run(name, inner, "--help")[0] == 0


@pytest.mark.parametrize(
    ("slip", "meant"),
    [(["relese"], "release"), (["data", "frieze"], "freeze"), (["release", "--sed", "3"], "--seed")],
)
def test_a_slip_is_told_what_was_meant(run: Run, slip: list[str], meant: str) -> None:
    code, out, err = run(*slip)
    assert (code, out) == (2, "")
    assert meant in err.splitlines()[-1]


def test_a_value_that_cannot_be_is_named(run: Run) -> None:
    code, _, err = run("release", "--seed", "many")
    assert code == 2
    assert "--seed" in err


@pytest.mark.parametrize("slip", [["relese"], ["release", "--sed", "3"], ["train"], ["data", "show"], ["gate"]])
def test_bad_usage_is_one_object_with_json(run: Run, slip: list[str]) -> None:
    code, out, err = run(*slip, "--json")
    body = json.loads(out)
    assert code == 2
    assert body["error"]["kind"] == "BadUsage"
    assert err
    if slip[0] == "release":
        assert body.keys() == {*UNREACHED, "error"}


def test_a_reader_that_goes_away_does_not_read_as_a_verdict(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mainstay.cli.main", "schema"]
    asked = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asked.stdout is not None
    assert asked.stderr is not None
    asked.stdout.close()
    assert asked.stderr.read() == ""
    assert asked.wait(30) == 141
    asked.stderr.close()


def test_a_full_disk_behind_stdout_is_the_world_being_down(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = [sys.executable, "-m", "mainstay.cli.main", "keys", "list", "--json"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr) == (3, "the disk is full\n")


def test_a_machine_that_only_serves_says_what_is_missing(tmp_path: Path) -> None:
    def without_training(*lines: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", WITHOUT_TRAINING, *lines]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    released = without_training("release --json")
    assert released.returncode == 2
    assert json.loads(released.stdout).keys() == {*UNREACHED, "error"}
    assert released.stderr.startswith("this needs the package ")
    assert released.stderr.endswith(": pip install 'mainstay[training]'\n")
    assert "Traceback" not in released.stderr
    served = without_training("--help", "models list", "keys list", "schema", "serve --help", "predict --help")
    assert served.returncode == 0, served.stderr
    assert "Not here" in served.stdout
