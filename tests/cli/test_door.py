"""What an error means to a script, and what it says to people."""

import errno
import json
from typing import Any

import pytest

from mainstay.cli.door import as_error, exit_code, guarded
from mainstay.errors import Conflict, MainstayError, Misconfigured, NotFound, Refused, Unavailable


def failing(error: BaseException) -> Any:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("No."), 2),
        (NotFound("No."), 2),
        (Conflict("No."), 2),
        (Misconfigured("No."), 2),
        (Unavailable("No."), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 3),
        (OSError(errno.EIO, "Input/output error"), 70),
        (MainstayError("No."), 70),
        (KeyError("age"), 70),
        (ModuleNotFoundError("No module named 'scipy'", name="scipy.stats"), 2),
        (ModuleNotFoundError("No module named 'mainstay.gone'", name="mainstay.gone"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    assert guarded(failing(error), []) == code


def test_a_refusal_is_one_sentence_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(failing(Refused("not UTF-8; save it as UTF-8", "rows.csv")), []) == 2
    assert capsys.readouterr() == ("", "rows.csv: not UTF-8; save it as UTF-8\n")


def test_a_defect_is_no_verdict_and_shows_no_values_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(failing(ValueError("customer 7590-VHVEG")), ["predict", "--json"]) == 70
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["kind"] == "Defect"
    assert "7590" not in out
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("a defect in Mainstay, not a verdict: test_door.py:")


def test_with_json_the_object_says_how_far_it_got(capsys: pytest.CaptureFixture[str]) -> None:
    error = Unavailable("The disk is full.")
    error.so_far = {"dataset": "ds_1"}  # type: ignore[attr-defined]  # as a command leaves its account
    assert guarded(failing(error), ["release", "--json"], {"dataset": None}) == 3
    assert json.loads(capsys.readouterr().out) == {"dataset": "ds_1", "error": as_error(error)}
    assert guarded(failing(NotFound("No.")), ["release", "--json"], {"dataset": None}) == 2
    assert json.loads(capsys.readouterr().out)["dataset"] is None


def test_a_command_that_returns_nothing_has_passed() -> None:
    assert guarded(lambda: None, []) == 0
    assert guarded(lambda: 1, []) == 1
