"""`data export-gx` and `import-gx`: a contract as a suite of Great Expectations, and back."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_use_case, say, show_json
from mainstay.data.deliver import appearing
from mainstay.data.gx import written
from mainstay.data.suite import suite_of
from mainstay.data.suite_file import render
from mainstay.data.suite_read import contract_of
from mainstay.errors import NotFound, Refused
from mainstay.usecase_file import MAX_BYTES, loads

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; else it is printed.")]


def export_gx(use_case_file: UseCaseFile = None, out: Out = None, as_json: AsJson = False) -> int:
    """Write the contract as a suite of Great Expectations 1.x; what only Mainstay asks is named."""
    use_case, _ = open_use_case(use_case_file)
    _check_free(out)
    suite = suite_of(use_case)
    text = written(suite)
    for why in suite.not_expressed if not as_json else ():
        say(f"not in the suite: {why}")
    if out is not None or not as_json:
        _deliver(text, out, (".json",))
    if as_json:
        kept = {"written": str(out)} if out is not None else {"suite": json.loads(text)}
        show_json({**kept, "expectations": len(suite.expectations), "not_expressed": suite.not_expressed})
    elif out is not None:
        show.line(f"wrote {out}: {len(suite.expectations)} expectations")
    return 0


def import_gx(
    suite: Annotated[Path, typer.Argument(metavar="SUITE", help="The suite's JSON.")],
    out: Out = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="What to predict: makes a whole file.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="ROWS", help="Where the rows will be.")] = None,
    as_json: AsJson = False,
) -> int:
    """Make a contract of a suite of Great Expectations; what has no counterpart is named."""
    _check_free(out)
    imported = contract_of(_text(suite), str(suite))
    text = render(imported, target, source)
    whole = "\nlabel: " in text
    if whole:
        loads(text, str(out or suite))
    for why in imported.left_out if not as_json else ():
        say(f"left out: {why}")
    if out is not None or not as_json:
        _deliver(text, out, (".yaml", ".yml"))
    if as_json:
        kept = {"written": str(out)} if out is not None else {"contract": text}
        show_json({**kept, "whole": whole, "left_out": imported.left_out})
    elif out is not None:
        rest = "" if whole else ", the `contract` section alone: --target COLUMN makes it whole"
        show.line(f"wrote {out}: {len(imported.contract.columns)} columns{rest}")
    return 0


def _check_free(out: Path | None) -> None:
    if out is not None and out.exists():
        raise Refused("it is there already; move it away or choose another --out", str(out))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES * 10:
            raise Refused(f"larger than {MAX_BYTES * 10:,} bytes: not a suite", str(path))
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound("no such file; GX keeps suites in gx/expectations/", str(path)) from error
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8 at byte {error.start}", str(path)) from error
    except (IsADirectoryError, PermissionError) as error:
        raise Refused("cannot be read as a file", str(path)) from error


def _deliver(text: str, out: Path | None, endings: tuple[str, ...]) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    with appearing(out, replace=False, endings=endings) as file:
        file.write(text.encode())
