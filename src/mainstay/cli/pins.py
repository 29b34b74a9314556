"""`mainstay pins`: who is pinned to which arm, by hand or as a team's flag system says."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, because, open_platform, open_use_case, show_json
from mainstay.cli.given import moment, stated
from mainstay.cli.named import named_version
from mainstay.errors import Misconfigured, NotFound, Refused
from mainstay.journeys import flags
from mainstay.journeys.observations import stored_name
from mainstay.nouns import Pin, Split, rfc3339
from mainstay.records import encode
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

app = typer.Typer(no_args_is_help=True, help="Overrides of the split: an entity, or a group, pinned to an arm.")

Entity = Annotated[str, typer.Option("--entity", metavar="NAME", help="As requests name it.")]
Where = Annotated[str, typer.Option("--where", metavar="EXPR", help="As in `age >= 65 and plan == 'basic'`.")]


@app.command()
def add(
    arm: Annotated[str, typer.Option("--arm", metavar="VERSION", help="A live one: it answers them.")],
    entity: Entity = "",
    where: Where = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME|SPAN", help="As in 7d or 2026-12-31.")] = "",
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Pin an entity, or those for whom a condition over served features holds, to a live arm."""
    use_case, asked = open_use_case(use_case_file)
    asked = stated(asked, why)
    platform = open_platform()
    name = _stored(platform, use_case, entity) if entity else None
    ends = moment(until, "--until", platform.settings.clock()) if until else None
    with platform.ledger:
        version = named_version(platform, use_case.name, arm)
        made = flags.pinned(name, where or None, version, ends, asked.reason)
        split = flags.pin(platform, use_case.name, made, asked)
    _say(split, f"{entity or where} is pinned to {made.arm} in split {split.number}", as_json)
    return 0


@app.command()
def remove(
    entity: Entity = "",
    where: Where = "",
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Take a pin away: whom it held is assigned by the split again."""
    use_case, asked = open_use_case(use_case_file)
    asked = stated(asked, why)
    if bool(entity) == bool(where):
        raise Refused("give either --entity or --where", "pin")
    platform = open_platform()
    name = _stored(platform, use_case, entity) if entity else None
    with platform.ledger:
        split = flags.unpin(platform, use_case.name, name, where or None, asked)
    _say(split, f"{entity or where} is pinned no longer, from split {split.number} on", as_json)
    return 0


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every pin, in the order in which they hold; entities as they are stored."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    with platform.ledger:
        found = flags.pins(platform, use_case.name)
    now = platform.settings.clock()
    if as_json:
        show_json({"pins": [{**encode(each), "over": each.until is not None and each.until <= now} for each in found]})
        return 0
    for each in found:
        until = "" if each.until is None else f" {'until' if each.until > now else 'over since'} {rfc3339(each.until)}"
        show.line(f"{each.arm}{until}  {_whom(each)}: {each.reason}")
    if not found:
        show.line("nobody is pinned")
    return 0


@app.command()
def sync(
    provider: Annotated[
        str, typer.Option("--provider", metavar="MODULE:FACTORY", help="What makes an OpenFeature provider, uncalled.")
    ],
    flag: Annotated[
        str, typer.Option("--flag", metavar="KEY", help="A string flag whose value is a version or empty.")
    ],
    entities: Annotated[
        Path, typer.Option("--entities", metavar="FILE", help="Whom to ask about, one a line, as requests name them.")
    ],
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Have the pins of a flag be what a team's own flag system answers about these entities, in one fact."""
    from mainstay.openfeature import ask  # the extra `openfeature`, needed for nothing else here

    use_case, asked = open_use_case(use_case_file)
    names = _lines(entities)
    made = _provider(provider)
    platform = open_platform()
    asked = because(asked, why, f"What flag {flag} of {provider} says.")
    with platform.ledger:
        before = flags.pins(platform, use_case.name)
        answers = ask(made, flag, names)
        split = flags.follow_flag(
            platform, use_case.name, flag, answers, asked, lambda name: _stored(platform, use_case, name)
        )
    silent = sum(each is None for each in answers.values())
    words = f"{len(split.pins)} pins in split {split.number}" + (", as before" if split.pins == before else "")
    _say(split, words + (f"; {silent} entities without an answer keep theirs" if silent else ""), as_json)
    return 0


def _lines(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError as error:
        raise NotFound("there is no such file", str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"it cannot be read as UTF-8 text ({error})", str(path)) from error
    found = [name for name in dict.fromkeys(names) if name]
    if len(found) > flags.MOST:
        raise Refused(f"it names {len(found):,} entities, and a split holds at most {flags.MOST:,} pins", str(path))
    return found


def _provider(named: str) -> Any:
    """What MODULE:FACTORY makes, modules of the current folder included."""
    module, _, attribute = named.partition(":")
    if not module or not attribute:
        raise Misconfigured("write it as MODULE:FACTORY, as in flags:provider", "--provider")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        raise Misconfigured(f"there is no module {error.name}", "--provider") from error
    finally:
        sys.path.pop(0)
    if not callable(getattr(found, attribute, None)):
        names = [name for name in vars(found) if not name.startswith("_")]
        raise Misconfigured(f"{module} has no {attribute} to call{did_you_mean(attribute, names)}", "--provider")
    return getattr(found, attribute)()


def _stored(platform: Platform, use_case: UseCase, entity: str) -> str:
    """An entity as it is stored and pinned. Refused where the contract drops it: nobody could be told by it."""
    column = use_case.contract.columns.get(use_case.entity or "")
    if column is not None and column.personal == "drop":
        raise Refused(f"`{use_case.entity}` is dropped at the door, so no request is known by it; pin by --where")
    return stored_name(platform, use_case, entity)


def _whom(pin: Pin) -> str:
    return f"entity {pin.entity}" if pin.entity is not None else f"where {pin.where}"


def _say(split: Split, words: str, as_json: bool) -> None:
    if as_json:
        show_json(encode(split))
    else:
        show.line(words)
