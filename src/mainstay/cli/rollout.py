"""`mainstay rollout`: the commands of the group, each in a file of its own."""

import typer

from mainstay.cli import rollout_again, rollout_kill, rollout_plan, rollout_run

app = typer.Typer(no_args_is_help=True, help="Rollouts: how a new version takes over, and what its plan would notice.")
app.command()(rollout_plan.plan)
app.command()(rollout_run.start)
app.command()(rollout_run.status)
app.command()(rollout_run.watch)
app.command()(rollout_run.promote)
app.command()(rollout_run.abort)
app.command()(rollout_kill.kill)
app.command()(rollout_run.history)
app.command()(rollout_again.replay)
app.command("what-if")(rollout_again.what_if)
