"""`mainstay rollout`: the commands of the group, each in a file of its own."""

import typer

from mainstay.cli import rollout_plan

app = typer.Typer(no_args_is_help=True, help="Rollouts: how a new version takes over, and what its plan would notice.")
app.command()(rollout_plan.plan)
