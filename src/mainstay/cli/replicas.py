"""`mainstay replicas`: the serving processes, and those that vanished."""

from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, open_platform, open_use_case, show_json
from mainstay.cli.given import stated
from mainstay.ledger import replicas
from mainstay.records import encode

app = typer.Typer(no_args_is_help=True, help="Serving processes: which there are, and which vanished.")


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every serving process that is live or vanished without signing off: its split, and what it holds warm."""
    use_case, _ = open_use_case(use_case_file)
    with open_platform().ledger as ledger:
        live, gone = replicas.live(ledger, use_case.name), replicas.vanished(ledger, use_case.name)
    if as_json:
        show_json({"live": [encode(each) for each in live], "vanished": [encode(each) for each in gone]})
        return 0
    for state, found in (("live", live), ("vanished", gone)):
        for each in found:
            warm = ", ".join(each.warm) or "nothing"
            show.line(f"{state:<8}  {each.id} on {each.host}: split {each.split}, warm {warm}, seen {each.at:%H:%M:%S}")
    if not live and not gone:
        show.line(f"no process serves {use_case.name}, as far as the ledger was told")
    return 0


@app.command()
def dismiss(
    replica: Annotated[str, typer.Argument(metavar="REPLICA", help="Its id, as `mainstay replicas list` shows it.")],
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Say that a process that vanished is gone for good: no proof of a rollback waits for it any longer."""
    use_case, asked = open_use_case(use_case_file)
    asked = stated(asked, why)
    platform = open_platform()
    with platform.ledger as ledger:
        now = platform.settings.clock()
        done = replicas.dismiss(ledger, use_case.name, replica, at=now, actor=asked.actor, reason=asked.reason)
    if as_json:
        show_json(encode(done))
    else:
        show.line(f"{done.replica} on {done.host}, last seen {done.seen_at:%Y-%m-%d %H:%M:%S}, is dismissed")
    return 0
