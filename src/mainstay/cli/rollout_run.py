"""`rollout start|status|watch|promote|abort|history`: a rollout as people move it and look at it."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, because, open_platform, open_use_case, say, show_json
from mainstay.decided import Decision, Move
from mainstay.digests import short
from mainstay.errors import NotFound, Refused
from mainstay.journeys import rollout as journey
from mainstay.journeys.mirrored import mirror_or_tell
from mainstay.journeys.operate import begin_soon
from mainstay.journeys.recorded import recorded
from mainstay.ledger.facts import Fact
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS
from mainstay.ledger.replicas import live
from mainstay.nouns import Phase, Rollout, rfc3339
from mainstay.records import encode
from mainstay.registry.configured import configuration, store_configuration
from mainstay.rollout.bandit import step_of
from mainstay.rollout.plans import steps_of
from mainstay.spans import span_text
from mainstay.usecase_file import load_plan
from mainstay.wiring import Platform

Named = Annotated[str | None, typer.Argument(metavar="ROLLOUT", help="Its id, or the start of one; else the last.")]
Reason = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept with what is changed.")]
IMMEDIATE_WITHIN = 30.0
"""Seconds that the start of an immediate plan waits for the servers; else it is the operator's to begin."""
PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Another plan: a use case, or its section `plan` alone.")
]


def start(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version on the shelf, as in 1.4.0.")],
    why: Reason,
    plan: PlanFile = None,
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Start the use case's plan, or another, for a version; `mainstay operate` moves it, an immediate one itself."""
    use_case, asked = open_use_case(use_case_file)
    platform = open_platform()
    if plan is not None:
        use_case = use_case.model_copy(update={"plan": load_plan(plan)})
    policy = store_configuration(use_case, platform.blobs)
    made = journey.start(
        platform, use_case.name, version, policy, because(asked, stated(why), why), say, definition=use_case
    )
    if use_case.plan is not None and use_case.plan.kind == "immediate" and live(platform.ledger, use_case.name):
        if begin_soon(platform, use_case.name, IMMEDIATE_WITHIN, asked.actor):
            say(f"{version} answers everything")
        else:
            say(f"not every server holds {version} warm after {IMMEDIATE_WITHIN:g} s: `mainstay operate` begins it")
    if as_json:
        show_json(encode(made))
    else:
        show.line(f"rollout {made.id}: {made.challenger} against {made.champion}, until {rfc3339(made.deadline)}")
    return 0


def status(named: Named = None, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Where a rollout stands: its step, the share, the hold left, each check in words, and what it waits for."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    fact = found(platform, use_case.name, named)
    told = account(platform, use_case.name, fact)
    if as_json:
        show_json(told)
    else:
        _show(platform, use_case.name, fact, told)
    return 0


def watch(
    named: Named = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Follow a rollout until it ends. Exit code 0 where it was promoted, 1 where it ended otherwise."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    rollout = found(platform, use_case.name, named).subject
    shown = 0
    while True:
        fact = recorded(platform.ledger, use_case.name, ROLLOUTS, rollout)
        for each in platform.ledger.history(use_case.name, DECISIONS, rollout)[shown:]:
            shown += 1
            words = f"{each.at:%Y-%m-%d %H:%M:%S} {each.body.move}: {each.body.reason}"
            (say if as_json else show.line)(words)
        if fact.body.phase is not Phase.RUNNING:
            break
        time.sleep(every)
    if as_json:
        show_json(account(platform, use_case.name, fact))
    else:
        show.line(f"{fact.body.challenger}: {fact.body.phase}")
    return 0 if fact.body.phase is Phase.PROMOTED else 1


def promote(why: Reason, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Let the challenger answer everything now, whatever the evidence says. Refused while a server is not warm."""
    return _decided(Move.PROMOTE, why, use_case_file, as_json)


def abort(why: Reason, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """End the rollout that runs: the champion answers everything again."""
    return _decided(Move.GO_HOME, why, use_case_file, as_json)


def _decided(move: Move, why: str, use_case_file: Path | None, as_json: bool) -> int:
    use_case, asked = open_use_case(use_case_file)
    platform = open_platform()
    decision = journey.decide(platform, use_case.name, move, because(asked, stated(why), why))
    made = recorded(platform.ledger, use_case.name, ROLLOUTS, decision.rollout).body
    if as_json:
        show_json(encode(made))
    else:
        show.line(f"rollout {short(made.id)} of {made.challenger}: {made.phase}")
    mirror_or_tell(platform, use_case.name, say)
    return 0


def history(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every rollout, the first first: which version, against which, how it ended and why; and who waits."""
    use_case, _ = open_use_case(use_case_file)
    ledger = open_platform().ledger
    facts = ledger.latest_of_each(use_case.name, ROLLOUTS)
    facts.sort(key=lambda fact: fact.body.started_at)
    waits = journey.waiting(ledger, use_case.name)
    if as_json:
        rows = [
            {**encode(fact.body), "at": rfc3339(fact.at), "by": fact.actor, "reason": fact.reason} for fact in facts
        ]
        show_json({"rollouts": rows, "waiting": [encode(each) for each in waits]})
        return 0
    table = Table()
    for column in ("rollout", "version", "against", "started", "now", "since", "by", "why"):
        table.add_column(column, overflow="fold")
    for fact in facts:
        made = fact.body
        times = (f"{made.started_at:%Y-%m-%d %H:%M}", f"{fact.at:%Y-%m-%d %H:%M}")
        row = (short(made.id), made.challenger, made.champion, times[0], str(made.phase), times[1], fact.actor)
        table.add_row(*row, Text(fact.reason))
    show.print_table(table)
    for each in waits:
        show.line(_waits(each))
    return 0


def _waits(each: journey.Waiting) -> str:
    if each.superseded is not None:
        return f"{each.version} is superseded by {each.superseded}, and has no turn; `mainstay rollout start` starts it"
    return f"{each.version} waits its turn"


def stated(why: str) -> str:
    """A reason that says something. Refused otherwise."""
    if not why.strip():
        raise Refused("say why: the reason is kept with what is changed", "--why")
    return why


def found(platform: Platform, use_case: str, named: str | None) -> Fact[Rollout]:
    """The rollout that is named, else the one that runs, else the last. NotFound where there is none."""
    if named is not None:
        return recorded(platform.ledger, use_case, ROLLOUTS, named)
    runs = journey.running(platform.ledger, use_case)
    if runs is not None:
        return runs
    facts = platform.ledger.latest_of_each(use_case, ROLLOUTS)
    if not facts:
        raise NotFound("there was no rollout yet; a release starts one once a version is live", use_case)
    return max(facts, key=lambda fact: fact.body.started_at)


def account(platform: Platform, use_case: str, fact: Fact[Rollout]) -> dict[str, Any]:
    """Where a rollout stands, as `--json` shows it."""
    rollout = fact.body
    plan = configuration(rollout.configuration, platform.blobs).plan
    steps = steps_of(plan) if plan else ()
    step = step_of(rollout, plan) if plan and steps else None
    last = platform.ledger.latest(use_case, DECISIONS, rollout.id)
    runs = rollout.phase is Phase.RUNNING
    begun = not runs or journey.stage(platform, use_case, fact).begun
    left = None
    if step is not None and runs and begun:
        left = max(0.0, (rollout.entered_at + step.hold - platform.settings.clock()).total_seconds())
    checks = last.body.verdict.checks if last and last.body.verdict else ()
    return {
        **encode(rollout),
        "kind": plan.kind if plan else None,
        "begun": begun,
        "steps": len(steps),
        "share": step.share if step and begun else 0.0,
        "hold_left_seconds": left,
        "checks": [encode(each) for each in checks],
        "last": None if last is None else _last(last),
        "waiting": [encode(each) for each in journey.waiting(platform.ledger, use_case)],
    }


def _last(fact: Fact[Decision]) -> dict[str, Any]:
    made = fact.body
    return {"at": rfc3339(made.at), "by": fact.actor, "move": str(made.move), "reason": made.reason}


def _show(platform: Platform, use_case: str, fact: Fact[Rollout], told: dict[str, Any]) -> None:
    rollout, last = fact.body, told["last"]
    rows: list[tuple[str, Any]] = [("version", f"{rollout.challenger} against {rollout.champion}")]
    rows += [("plan", told["kind"]), ("phase", str(rollout.phase))]
    if rollout.phase is Phase.RUNNING and not told["begun"]:
        rows.append(("step", f"before the first of {told['steps']}: {rollout.challenger} stands by"))
    else:
        rows.append(("step", f"{rollout.step + 1} of {told['steps']}, share {told['share']:g}"))
    if told["hold_left_seconds"] is not None:
        left = told["hold_left_seconds"]
        rows.append(("hold", f"{_left(left)} left" if left else "over"))
    rows.append(("deadline", f"{rollout.deadline:%Y-%m-%d %H:%M} UTC"))
    words = (
        f"{last['reason']} ({last['move']} by {last['by']}, {last['at'][:16]})" if last else "nothing was decided yet"
    )
    rows.append(("last decision", words))
    rows += [("then", _waits(each)) for each in journey.waiting(platform.ledger, use_case)]
    show.pairs_table(f"rollout {short(rollout.id)}", rows)
    known = platform.ledger.latest(use_case, DECISIONS, rollout.id)
    if known is not None and known.body.verdict is not None:
        show.verdict_table(known.body.verdict)


def _left(seconds: float) -> str:
    whole = max(60, round(seconds / 60) * 60) if seconds >= 60 else max(1, round(seconds))
    days, rest = divmod(whole, 86_400)
    return f"{days}d {span_text(timedelta(seconds=rest))}" if days and rest else span_text(timedelta(seconds=whole))
