"""Settings in, Platform out: the only place that chooses adapters. No room calls it; a room is handed what it needs."""

from contextlib import suppress
from dataclasses import dataclass

from mainstay.adapters.blobs import blobs_from
from mainstay.adapters.signing import PSEUDONYM, Signer, make_key, make_pseudonym_key, signer_from
from mainstay.errors import Refused
from mainstay.ledger.facts import Ledger
from mainstay.settings import Settings, make_home
from mainstay.stores import Stores

SIGNING = "signing"


@dataclass(frozen=True, slots=True)
class Platform(Stores):
    """The outside world, as journeys and doors see it."""

    ledger: Ledger

    def signer(self) -> Signer:
        """What signs versions. NotFound where there is no key yet."""
        return signer_from(self.settings.signing_url)


def platform(settings: Settings) -> Platform:
    """The platform these settings describe. Nothing but the home is touched yet. Raises as `make_home`."""
    make_home(settings)
    return Platform(settings, blobs_from(settings.blobs_url), Ledger(settings.ledger_url))


def make_missing_keys(settings: Settings) -> tuple[str, ...]:
    """Make the signing key and the pseudonym key where the home has none; what was made, in words."""
    made = []
    with suppress(Refused):  # another process was a moment faster, and one key is enough
        if not settings.signing and not (settings.keys / f"{SIGNING}.key").exists():
            made.append(f"a signing key ({make_key(settings.keys, SIGNING)})")
    with suppress(Refused):
        if not (settings.keys / f"{PSEUDONYM}.key").exists():
            made.append(f"a pseudonym key ({make_pseudonym_key(settings.keys)})")
    return tuple(made)
