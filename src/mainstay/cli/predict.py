"""`predict`: the answers of a server, without a server."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.digests import new_id
from mainstay.errors import NotFound, Refused, Unavailable
from mainstay.ledger.kinds import SPLITS
from mainstay.registry.configured import configuration
from mainstay.registry.loading import load
from mainstay.scoring.scorer import Scorer
from mainstay.serving.arms import Live
from mainstay.serving.entities import entity_of_all, storing
from mainstay.serving.guard import parse_json
from mainstay.serving.predict import answers
from mainstay.serving.problems import Rejected, problem
from mainstay.wiring import Platform


def predict(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON as for HTTP; - is stdin.")] = "-",
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Score one request, or a batch of them under `rows`, with what is live, without a server."""
    use_case, _ = open_use_case(use_case_file)
    body = _read(file)
    platform = open_platform()
    live = _live(platform, use_case.name)
    batch = isinstance(body, dict) and isinstance(body.get("rows"), list)
    rows = body["rows"] if batch else [body]
    now = platform.settings.clock()
    ids = [new_id(now) for _ in rows]
    trace_id = new_id(now)
    made = answers(live, rows, ids, trace_id, now)
    if not batch and isinstance(made[0], Rejected):
        raise Refused(
            "; ".join(f"{each.field or 'it'} {each.reason}: it must be {each.expected}" for each in made[0].errors),
            file,
        )
    shown = [problem(each, trace_id) if isinstance(each, Rejected) else each for each in made]
    found = {"predictions": shown} if batch else shown[0]
    if as_json:
        show_json(found)
    else:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return 0


def _live(platform: Platform, use_case: str) -> Live:
    """What is live, as a server would hold it; unlike a server, what is wrong with it is raised."""
    fact = platform.ledger.latest(use_case, SPLITS, use_case)
    if fact is None:
        raise NotFound("no version is live yet; `mainstay release` makes one", use_case)
    arms, manifests = {}, {}
    for arm in fact.body.arms:
        if arm.share:
            manifests[arm.version], bundle = load(use_case, arm.version, platform.blobs, platform.trusted())
            arms[arm.version] = Scorer(bundle)
            arms[arm.version].warm_up()
    stored = storing(entity_of_all(each.entity for each in manifests.values()), platform.pseudonym_key)
    policies = configuration(fact.body.configuration, platform.blobs).serving
    return Live(fact.body, arms, policies, manifests, stored=stored)


def _read(file: str) -> Any:
    try:
        return parse_json(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except Rejected as rejected:
        raise Refused(f'{rejected.detail}; write {{"features": {{…}}}}', file) from rejected
    except FileNotFoundError as error:
        raise NotFound("there is no such file; name one with a JSON request, or - for stdin", file) from error
    except (IsADirectoryError, PermissionError) as error:
        raise Refused(
            f"{(error.strerror or '').lower()}; name a file with a JSON request, or - for stdin", file
        ) from error
    except OSError as error:
        raise Unavailable(f"cannot be read ({error.strerror})", file) from error
