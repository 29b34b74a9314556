"""`mainstay rollout plan`: what the use case's plan would do."""

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_use_case, show_json
from mainstay.errors import Refused
from mainstay.rollout.plans import steps_of


def plan(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """The steps of the plan, their durations at today's traffic, and what size of harm it would notice, by when."""
    use_case, _ = open_use_case(use_case_file)
    if use_case.plan is None:
        raise Refused("there is no plan: write `plan: {kind: canary}` into the use case", use_case.name)
    steps = steps_of(use_case.plan)
    if as_json:
        show_json({"kind": use_case.plan.kind, "steps": [each.model_dump(mode="json") for each in steps]})
    else:
        for each in steps:
            show.line(f"share {each.share:g}, held {each.hold}, needs {each.needs}")
    return 0
