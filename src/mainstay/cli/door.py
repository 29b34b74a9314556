"""What every command shares: its options, how errors become exit codes, and who is asking."""

import errno
import getpass
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer._click.exceptions import UsageError  # Typer brings a click of its own, and no other name for this

from mainstay.errors import Conflict, MainstayError, Misconfigured, NotFound, Refused, Unavailable
from mainstay.journeys.asked import Asked
from mainstay.settings import read_settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import find, load
from mainstay.verdicts import Outcome

if TYPE_CHECKING:
    from mainstay.wiring import Platform

PASSED, NOT_PASSED, BAD_USE, WORLD_DOWN, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130
CLOSED = 141
"""Whoever read our output closed it (128 + SIGPIPE, as shells have it): how it would have ended is not known."""

UseCaseFile = Annotated[
    Path | None,
    typer.Option("--use-case", metavar="FILE", help="The use case; else ./mainstay.yaml, else the churn that ships."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept with what is changed.")]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Overrides the recipe's seed.")
]
Source = Annotated[str | None, typer.Option("--source", metavar="URL", help="Overrides the use case's source.")]

_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EROFS: "read-only disk"}
_EXTRAS = {"duckdb": "observations", "feast": "features", "great_expectations": "gx", "openfeature": "openfeature"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def exit_code(error: BaseException) -> int:
    """What an error means to a script: 2 bad use or input, 3 the world is down, 70 a defect of Mainstay."""
    if isinstance(error, Unavailable):
        return WORLD_DOWN
    if isinstance(error, Refused | NotFound | Conflict | Misconfigured | UsageError) or absent_package(error):
        return BAD_USE
    if isinstance(error, OSError) and error.errno in _DISK:
        return WORLD_DOWN
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else DEFECT


def absent_package(error: BaseException) -> str | None:
    """What to install, where an error says that somebody else's package is not here: serving does without many."""
    if not isinstance(error, ModuleNotFoundError) or not error.name or error.name.partition(".")[0] == "mainstay":
        return None
    package = error.name.partition(".")[0]
    return f"this needs the package {package}: pip install 'mainstay[{_EXTRAS.get(package, 'training')}]'"


def as_error(error: BaseException) -> dict[str, str]:
    """An error as `--json` shows it: kind, message, place."""
    if isinstance(error, MainstayError):
        return {"kind": type(error).__name__, "message": error.message, "place": error.place}
    if isinstance(error, UsageError):
        return {"kind": "BadUsage", "message": error.format_message(), "place": "command line"}
    if isinstance(error, OSError) and error.errno in _DISK:
        return {"kind": "Unavailable", "message": _DISK[error.errno], "place": str(error.filename or "")}
    if missing := absent_package(error):
        return {"kind": "Misconfigured", "message": missing, "place": ""}
    if isinstance(error, KeyboardInterrupt):
        return {"kind": "Interrupted", "message": "interrupted", "place": ""}
    last = traceback.extract_tb(error.__traceback__)[-1]
    return {"kind": "Defect", "message": type(error).__name__, "place": f"{Path(last.filename).name}:{last.lineno}"}


def guarded(command: Callable[[], Any], arguments: Sequence[str], so_far: Mapping[str, Any] = _NOTHING) -> int:
    """Run a command; what comes out becomes an exit code, one sentence on stderr, and one object with --json.

    That object holds `so_far` where the error that ends the command brings no account of its own.
    """
    try:
        code = command()
    except typer.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        # Point stdout elsewhere, so that flushing it at exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (the outermost door: nothing may read as a verdict)
        return _report(error, arguments, so_far)
    return code if isinstance(code, int) else PASSED


def _report(error: BaseException, arguments: Sequence[str], so_far: Mapping[str, Any]) -> int:
    code = exit_code(error)
    said = as_error(error)
    with suppress(OSError):  # the disk that stdout is on may be what is full; the exit code still tells
        if "--json" in arguments:
            show_json({**getattr(error, "so_far", so_far), "error": said})
    place = f"{said['place']}: " if said["place"] else ""
    if code == DEFECT:
        traceback.print_exception(error)
        say(f"a defect in Mainstay, not a verdict: {place}{said['message']}")
    elif isinstance(error, UsageError):
        error.show(sys.stderr)
    else:
        say(f"{place}{said['message']}")
    return code


def verdict_code(outcome: Outcome) -> int:
    """0 for PASS, else 1."""
    return PASSED if outcome is Outcome.PASS else NOT_PASSED


def open_platform() -> "Platform":
    """The platform of this process's settings."""
    from mainstay.wiring import platform  # `serve` has its workers started before anything speaks to a database

    return platform(read_settings())


def open_use_case(file: Path | None, source: str | None = None, seed: int | None = None) -> tuple[UseCase, Asked]:
    """The use case of this command and who asks; says on stderr which file it is."""
    path = find(file, Path.cwd())
    use_case = load(path)
    say(f"use case {use_case.name} from {path}")
    folder = path.parent
    if source is not None:
        if not source.strip():
            raise Refused("an empty address; give a path to a .csv or .parquet file", "--source")
        use_case, folder = use_case.model_copy(update={"source": source}), Path.cwd()
    if seed is not None:
        use_case = use_case.model_copy(update={"recipe": use_case.recipe.model_copy(update={"seed": seed})})
    return use_case, Asked(actor=f"user:{getpass.getuser()}", reason="", folder=folder, beside=path.parent)


def because(asked: Asked, why: str, otherwise: str) -> Asked:
    """The same asker with a reason: the one given, else what the command does."""
    return replace(asked, reason=why or otherwise)


def say(words: str) -> None:
    """Words for people, beside the result: always on stderr."""
    typer.echo(words, err=True)


def show_json(value: Any) -> None:
    """The one object of a command with --json."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))
