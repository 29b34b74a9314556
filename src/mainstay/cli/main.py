"""The `mainstay` command: one file per group of commands, one door for every error."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version as installed
from typing import Annotated, Any

import typer

from mainstay.cli.door import absent_package, guarded

COMMANDS = {
    "init": "mainstay.cli.project:init",
    "data": "mainstay.cli.data:app",
    "features": "mainstay.cli.features:app",
    "train": "mainstay.cli.release:train",
    "gate": "mainstay.cli.release:gate",
    "register": "mainstay.cli.release:register",
    "release": "mainstay.cli.release:release",
    "models": "mainstay.cli.models:app",
    "runs": "mainstay.cli.runs:app",
    "rollout": "mainstay.cli.rollout:app",
    "operate": "mainstay.cli.operate:operate",
    "config": "mainstay.cli.config:app",
    "rollback": "mainstay.cli.rollback:rollback",
    "pins": "mainstay.cli.pins:app",
    "audit": "mainstay.cli.audit:audit",
    "replicas": "mainstay.cli.replicas:app",
    "serve": "mainstay.cli.serve:serve",
    "predict": "mainstay.cli.predict:predict",
    "score": "mainstay.cli.score:score",
    "schema": "mainstay.cli.project:schema",
    "observations": "mainstay.cli.observations:app",
    "monitor": "mainstay.cli.monitor:app",
    "keys": "mainstay.cli.keys:app",
    "api-keys": "mainstay.cli.api_keys:app",
    "doctor": "mainstay.cli.project:doctor",
}
"""Where each command is. Only the one that is called is imported, so that serving never pays for training."""

UNREACHED = {
    "use_case": None, "dataset": None, "run": None, "candidate": None, "version": None, "rollout": None,
    "outcome": "INCONCLUSIVE", "stopped_at": "read", "checks": None, "cross_validated": None, "holdout": None,
}  # fmt: skip
"""What `release --json` says of a release that did not begin: all of its keys."""


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
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            missing = absent_package(error)
            if names or missing is None:
                raise
            command = _listed(f"Not here: {missing}.")
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _listed(words: str) -> Callable[[], None]:
    """A command of which there is nothing but a line in the help."""

    def listed() -> None: ...

    listed.__doc__ = words
    return listed


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
    return guarded(lambda: _run(list(arguments)), arguments, UNREACHED if "release" in arguments[:1] else {})


def _run(arguments: list[str]) -> Any:
    # Not Typer's own main: it swallows an interrupt, and has a closed pipe end with 1, which is a verdict here.
    command = typer.main.get_command(application(*(name for name in arguments[:1] if name in COMMANDS)))
    with command.make_context("mainstay", arguments) as context:
        return command.invoke(context)


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
