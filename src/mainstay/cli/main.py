"""The `mainstay` command: one file per group of commands, one door for every error."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version as installed
from typing import Annotated

import typer

from mainstay.cli.door import guarded

COMMANDS = {
    "init": "mainstay.cli.project:init",
    "data": "mainstay.cli.data:app",
    "train": "mainstay.cli.release:train",
    "gate": "mainstay.cli.release:gate",
    "register": "mainstay.cli.release:register",
    "release": "mainstay.cli.release:release",
    "models": "mainstay.cli.models:app",
    "serve": "mainstay.cli.serve:serve",
    "predict": "mainstay.cli.serve:predict",
    "schema": "mainstay.cli.project:schema",
    "keys": "mainstay.cli.keys:app",
    "doctor": "mainstay.cli.project:doctor",
}
"""Where each command is. Only the one that is called is imported, so that serving never pays for training."""


def application(*names: str) -> typer.Typer:
    """The application with the commands named, or with all of them where none is."""
    app = typer.Typer(
        name="mainstay",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        epilog="Exit codes: 0 PASS, 1 the verdict was not PASS, 2 bad use or input, 3 the world is down, 70 a defect.",
    )
    app.callback()(options)
    for name in names or COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(module), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"mainstay {installed('mainstay')}")
        raise typer.Exit


def options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """From raw rows to a production model that watches itself, and back again."""


def main(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    called = [name for name in arguments[:1] if name in COMMANDS]
    return guarded(
        lambda: application(*called)(list(arguments), prog_name="mainstay", standalone_mode=False), arguments
    )


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
