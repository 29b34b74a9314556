"""`rollout replay|what-if`: decisions made again, as they were and as another policy would have made them."""

from pathlib import Path
from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.journeys import again
from mainstay.nouns import rfc3339
from mainstay.records import encode
from mainstay.usecase_file import load_plan

Named = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id, or the start of one.")]


def replay(named: Named, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Judge every recorded decision again, from what was kept with it. Exit code 1 where one comes out otherwise."""
    use_case, _ = open_use_case(use_case_file)
    made = again.replay(open_platform(), use_case.name, named)
    differing = [each for each in made if each.differs is not None]
    judged = [each for each in made if each.again is not None]
    if as_json:
        rows = [
            {
                "number": each.number,
                "at": rfc3339(each.recorded.at),
                "move": str(each.recorded.move),
                "again": None if each.again is None else str(each.again.move),
                "differs": each.differs,
            }
            for each in made
        ]
        show_json({"decisions": rows, "judged": len(judged), "differing": len(differing)})
        return 1 if differing else 0
    for each in made:
        words = each.differs or ("no evidence made it" if each.again is None else "the same")
        show.line(f"{each.number}: {each.recorded.at:%Y-%m-%d %H:%M:%S} {each.recorded.move}: {words}")
    if differing:
        show.line(f"{len(differing)} of {len(judged)} decisions come out otherwise, number {differing[0].number} first")
    else:
        show.line(f"all {len(judged)} decisions come out the same")
    return 1 if differing else 0


def what_if(
    named: Named,
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="A use case, or its section `plan` alone.")],
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """What another plan would have decided on the same traffic, look by look, while the observations are kept."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    plan = load_plan(policy)
    made = again.what_if(platform, use_case.name, named, plan, platform.settings.clock())
    if as_json:
        show_json(encode(made))
        return 0
    for each in made.decisions:
        show.line(f"{each.at:%Y-%m-%d %H:%M:%S} step {each.step + 1} {each.move}: {each.reason}")
    ended = f" at {made.ended_at:%Y-%m-%d %H:%M:%S}" if made.ended_at else f" after {made.looks} looks"
    actual = f" at {made.actual_at:%Y-%m-%d %H:%M:%S}" if made.actual_at else ""
    show.line(f"this plan: {made.phase}{ended}; the plan that ran: {made.actual}{actual}")
    show.line("the traffic had the shares of the plan that ran, whatever this one asks for")
    return 0
