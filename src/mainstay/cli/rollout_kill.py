"""`mainstay rollout kill`: the kill switch."""

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, open_platform, open_use_case, say, show_json
from mainstay.cli.given import stated
from mainstay.journeys import flags
from mainstay.journeys.mirrored import mirror_or_tell
from mainstay.nouns import Split
from mainstay.records import encode
from mainstay.rollout.proof import Reach


def kill(use_case_file: UseCaseFile = None, why: Why = "", as_json: AsJson = False) -> int:
    """Take the challenger off at once, on every replica within three seconds; the rollout goes home."""
    use_case, asked = open_use_case(use_case_file)
    asked = stated(asked, why)
    platform = open_platform()
    with platform.ledger:
        split, rollout, reach = flags.kill(platform, use_case.name, asked)
        code = _told(split, rollout, reach, as_json)
        if reach is not None:
            mirror_or_tell(platform, use_case.name, say)
    return code


def _told(split: Split, rollout: str | None, reach: Reach | None, as_json: bool) -> int:
    behind = [] if reach is None else [each for each in reach.live if each.split < split.number]
    lost = [] if reach is None else reach.vanished
    if as_json:
        said = {"killed": reach is not None, "split": encode(split), "rollout": rollout}
        reported = None if reach is None else len(reach.live) - len(behind)
        names = {"behind": [each.id for each in behind], "vanished": [each.id for each in lost]}
        show_json({**said, "seconds": None if reach is None else reach.seconds, "reported": reported, **names})
    elif reach is None:
        show.line(f"nobody challenges {split.reigning}: there is nothing to kill")
    else:
        ended = f"; rollout {rollout} went home" if rollout else ""
        show.line(f"{split.champion} answers everything from split {split.number} on{ended}")
        for each in behind:
            show.line(f"  {each.id} on {each.host} is still on split {each.split} after {reach.seconds:.1f} s")
        for each in lost:
            show.line(f"  {each.id} on {each.host} vanished: what it serves nobody knows")
        if not behind and not lost:
            show.line(f"  all {len(reach.live)} live replicas report it after {reach.seconds:.1f} s")
    return 1 if behind or lost else 0
