"""`mainstay api-keys`: who may ask a server."""

import re
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, get_args

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, because, open_platform, open_use_case, show_json
from mainstay.digests import new_id, sha256
from mainstay.errors import NotFound, Refused
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import API_KEYS
from mainstay.nouns import ApiKey, Scope, rfc3339
from mainstay.records import encode

app = typer.Typer(no_args_is_help=True, help="API keys: who may ask a server of the use case, for what, how often.")

SCOPES: tuple[Scope, ...] = get_args(Scope)
SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NAME_LENGTH = 100
FASTEST = 1_000_000

Named = Annotated[str, typer.Argument(metavar="KEY", help="Its id, the beginning of it, or its name.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for people.")],
    scopes: Annotated[str, typer.Option(help=f"Of {', '.join(SCOPES)}; with commas.")] = "predict",
    expires: Annotated[str, typer.Option(metavar="SPAN|TIME", help="90d, 12h, or 2027-01-01T00:00:00Z.")] = "",
    rate: Annotated[float | None, typer.Option(help="Requests a second, from each replica.")] = None,
    burst: Annotated[int | None, typer.Option(help="Requests at once; by default as many as in one second.")] = None,
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Make a key and show its secret, this once and never again."""
    use_case, asked = open_use_case(use_case_file)
    platform = open_platform()
    now = platform.settings.clock()
    asked = because(asked, why, f"a key for {name}")
    secret = f"mainstay_{secrets.token_urlsafe(32)}"
    if rate is not None and not 0 < rate <= FASTEST:
        raise Refused(f"a rate is above 0, and at most {FASTEST:,} requests a second", "--rate")
    if rate is not None and burst is None:
        burst = max(1, int(rate))
    try:
        key = ApiKey(
            id=f"key_{new_id(now)}",
            name=_plain(name),
            sha256=sha256(secret.encode()),
            scopes=_scopes(scopes),
            created=now,
            expires=_moment(expires, now) if expires else None,
            rate=rate,
            burst=burst,
        )
    except ValueError as error:
        raise Refused(str(error), name) from error
    with platform.ledger as ledger:
        ledger.write(use_case.name, Entry(API_KEYS, key.id, key), at=now, actor=asked.actor, reason=asked.reason)
    if as_json:
        show_json({**_told(key, now), "secret": secret})
    else:
        show.line(f"{key.id} for {key.name}: {', '.join(key.scopes)}; {_state(key, now)}")
        show.line("its secret, shown this once and kept nowhere; send it as `Authorization: Bearer …`:")
        show.line(secret)
    return 0


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every key that was ever made for the use case, and how it stands."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    now = platform.settings.clock()
    with platform.ledger as ledger:
        keys = [fact.body for fact in ledger.latest_of_each(use_case.name, API_KEYS)]
    keys.sort(key=lambda key: key.id)
    if as_json:
        show_json({"keys": [_told(key, now) for key in keys]})
        return 0
    for key in keys:
        often = "" if key.rate is None else f"; {key.rate:g} a second, {key.burst} at once"
        show.line(f"{key.id}  {key.name}: {', '.join(key.scopes)}; {_state(key, now)}{often}")
    if not keys:
        show.line("no key yet: `mainstay api-keys create NAME` makes one")
    return 0


@app.command()
def revoke(key: Named, use_case_file: UseCaseFile = None, why: Why = "", as_json: AsJson = False) -> int:
    """Take a key back for ever: within three seconds no server believes it any more."""
    return _change(key, use_case_file, why, as_json, None)


@app.command()
def expire(
    key: Named,
    at: Annotated[str, typer.Option(metavar="SPAN|TIME", help="When: 1h, 7d, or a time with its zone.")],
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Have a key end at a time, so that its user can change to another before."""
    return _change(key, use_case_file, why, as_json, at)


def _change(named: str, use_case_file: UseCaseFile, why: str, as_json: bool, at: str | None) -> int:
    """Write that a key ends at a time, or is revoked now where none is given."""
    use_case, asked = open_use_case(use_case_file)
    platform = open_platform()
    now = platform.settings.clock()
    with platform.ledger as ledger:
        fact = _found(ledger, use_case.name, named)
        key = fact.body
        if key.revoked is not None:
            raise Refused(f"it was revoked at {rfc3339(key.revoked)}, and stays so", key.id)
        changed = replace(key, revoked=now) if at is None else replace(key, expires=_moment(at, now))
        asked = because(asked, why, f"{key.name}: revoked" if at is None else f"{key.name}: ends at {at}")
        entry = Entry(API_KEYS, key.id, changed, after=fact.number)
        ledger.write(use_case.name, entry, at=now, actor=asked.actor, reason=asked.reason)
    if as_json:
        show_json(_told(changed, now))
    else:
        show.line(f"{changed.id} for {changed.name}: {_state(changed, now)}")
    return 0


def _found(ledger: Ledger, use_case: str, named: str) -> Fact[ApiKey]:
    """The one key of that id, beginning of an id, or name (of those not revoked, where some are)."""
    facts = ledger.latest_of_each(use_case, API_KEYS)
    matching = [
        fact for fact in facts if fact.body.name == named or (len(named) >= 8 and fact.subject.startswith(named))
    ]
    standing = [fact for fact in matching if fact.body.revoked is None]
    found = standing or matching
    if not found:
        raise NotFound("there is no such key; `mainstay api-keys list` shows them", named)
    if len(found) > 1:
        raise Refused(f"{len(found)} keys are meant: {', '.join(fact.subject for fact in found)}", named)
    return found[0]


def _plain(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise Refused(f"a key's name is 1 to {NAME_LENGTH} printable characters", "NAME")
    return name


def _scopes(given: str) -> tuple[Scope, ...]:
    words = {word.strip() for word in given.split(",")} - {""}
    if not words or not words <= set(SCOPES):
        raise Refused(f"scopes are some of {', '.join(SCOPES)}, with commas between", "--scopes")
    return tuple(scope for scope in SCOPES if scope in words)


def _moment(given: str, now: datetime) -> datetime:
    """A span from now, or a time with its zone. Refused for anything else, and for what is past."""
    place = f"the end {given!r}"
    try:
        span = SPAN.fullmatch(given)
        at = now + timedelta(seconds=int(span[1]) * SECONDS[span[2]]) if span else datetime.fromisoformat(given)
        if at.tzinfo is None:
            raise ValueError("no zone")
    except (ValueError, OverflowError) as error:
        raise Refused("give a span as 90d or 12h, or a time with its zone as 2027-01-01T00:00:00Z", place) from error
    if at <= now:
        raise Refused("it is past; `mainstay api-keys revoke` ends a key now", place)
    return at


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked is not None:
        return f"revoked at {rfc3339(key.revoked)}"
    if key.expires is None:
        return "never expires"
    return f"{'expired' if key.expires <= now else 'expires'} at {rfc3339(key.expires)}"


def _told(key: ApiKey, now: datetime) -> dict[str, object]:
    """A key as `--json` shows it: without the digest of its secret."""
    told: dict[str, object] = {name: value for name, value in encode(key).items() if name != "sha256"}
    return {**told, "active": key.revoked is None and (key.expires is None or key.expires > now)}
