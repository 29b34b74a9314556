"""`mainstay keys`: what signs versions and what makes names pseudonyms."""

from typing import Annotated

import typer

from mainstay.adapters.signing import make_key
from mainstay.cli import show
from mainstay.cli.door import AsJson, open_platform, show_json
from mainstay.errors import NotFound
from mainstay.wiring import SIGNING, make_missing_keys

app = typer.Typer(no_args_is_help=True, help="Signing keys and the pseudonym key, in the home's `keys/`.")


@app.command()
def init(as_json: AsJson = False) -> int:
    """Make the signing key and the pseudonym key where the home has none; never overwrites one."""
    platform = open_platform()
    made = make_missing_keys(platform.settings)
    if as_json:
        show_json({"made": list(made), "directory": str(platform.settings.keys)})
    else:
        show.line(f"made {' and '.join(made)} in {platform.settings.keys}" if made else "both keys are there already")
    return 0


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The new key's name: NAME.key and NAME.pub.")], as_json: AsJson = False
) -> int:
    """Make another signing key, trusted from now on. MAINSTAY_SIGNING chooses which one signs."""
    platform = open_platform()
    key = make_key(platform.settings.keys, name)
    if as_json:
        show_json({"key_id": key, "name": name})
    else:
        show.line(f"{name} ({key}) in {platform.settings.keys}")
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """The keys whose signatures are believed, and which one signs."""
    platform = open_platform()
    trusted = sorted(platform.trusted())
    try:
        signing: str | None = platform.signer().key_id
    except NotFound:
        signing = None
    if as_json:
        show_json({"trusted": trusted, "signing": signing})
    else:
        for key in trusted:
            show.line(f"{key}{' (signs)' if key == signing else ''}")
        if not trusted:
            show.line(f"no key yet: `mainstay keys init` makes {SIGNING}.key")
    return 0
