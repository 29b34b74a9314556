"""Settings in, Platform out: the only place that chooses adapters. No room calls it; a room is handed what it needs."""

from contextlib import suppress
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mainstay.adapters.blobs import Blobs, blobs_from
from mainstay.adapters.signing import (
    PSEUDONYM,
    Signer,
    make_key,
    make_pseudonym_key,
    pseudonym_key,
    public_keys,
    signer_from,
)
from mainstay.adapters.stream import Stream, stream_from
from mainstay.errors import Misconfigured, Refused, Unavailable
from mainstay.ledger.facts import Ledger
from mainstay.settings import Settings

SIGNING = "signing"


@dataclass(frozen=True, slots=True)
class Platform:
    """The outside world, as journeys and doors see it."""

    settings: Settings
    ledger: Ledger
    blobs: Blobs

    def signer(self) -> Signer:
        """What signs versions. NotFound where there is no key yet."""
        return signer_from(self.settings.signing_url)

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """The public keys whose signatures are believed, by id."""
        return public_keys(self.settings.keys)

    def stream(self) -> Stream:
        """Where what is observed is written down, and taken up again. Misconfigured for an address that is none."""
        return stream_from(self.settings.segments_url)

    def pseudonym_key(self) -> tuple[str, bytes]:
        """The id and bytes of the key that makes names pseudonyms. NotFound where there is none yet."""
        return pseudonym_key(self.settings.keys)


def platform(settings: Settings) -> Platform:
    """The platform these settings describe. Nothing but the home is touched yet.

    Misconfigured where the home cannot be a directory, Unavailable where it cannot be made.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise Misconfigured("a file is in the way; MAINSTAY_HOME names a directory", str(settings.home)) from error
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise Unavailable(f"the home cannot be made ({words})", str(settings.home)) from error
    return Platform(settings, Ledger(settings.ledger_url), blobs_from(settings.blobs_url))


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
