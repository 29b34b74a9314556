"""What a server's log looks like."""

import json
import logging
from contextvars import copy_context
from typing import Any

import pytest

from mainstay.serving.logs import AsJson, AsText, about


def record(message: str, *, error: Exception | None = None) -> logging.LogRecord:
    caught: Any = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("mainstay.serving", logging.ERROR, __file__, 1, message, None, caught)


def raised() -> Exception:
    try:
        try:
            raise KeyError("secret")
        except KeyError as cause:
            raise ValueError("two\nlines") from cause
    except ValueError as error:
        return error


def test_a_record_is_one_line_with_what_was_raised_and_behind_it() -> None:
    line = AsText().format(record("a\ndefect", error=raised()))
    assert "\n" not in line
    assert "ERROR" in line
    assert "a | defect | ValueError: two | lines (" in line
    assert "KeyError: 'secret' (" in line
    assert "test_logs.py" in line


def test_a_record_is_a_json_object() -> None:
    told = json.loads(AsJson().format(record("two\nlines")))
    assert told.keys() == {"at", "level", "process", "logger", "message"}
    assert (told["level"], told["message"]) == ("error", "two\nlines")
    assert told["at"].endswith("Z")


@pytest.mark.parametrize("form", [AsText(), AsJson()])
def test_while_a_request_is_worked_on_its_ids_are_told_and_what_an_exception_says_is_not(form: Any) -> None:
    def said() -> str:
        about("t" * 32, "p" * 32)
        line: str = form.format(record("a defect", error=raised()))
        return line

    line = copy_context().run(said)
    assert "t" * 32 in line
    assert "p" * 32 in line
    assert "ValueError (" in line
    assert "secret" not in line
    assert "two" not in line
    assert "t" * 32 not in form.format(record("something else"))
