"""Settings in, Stores out: the adapters that need no ledger, chosen here and in wiring.py alone.

A serving worker has these and no more: neither the ledger nor what speaks to databases takes any of its memory.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mainstay.adapters.blobs import Blobs, blobs_from
from mainstay.adapters.signing import pseudonym_key, public_keys
from mainstay.adapters.stream import Stream, stream_from
from mainstay.settings import Settings, make_home


@dataclass(frozen=True, slots=True)
class Stores:
    """The outside world without the ledger."""

    settings: Settings
    blobs: Blobs

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """The public keys whose signatures are believed, by id."""
        return public_keys(self.settings.keys)

    def stream(self) -> Stream:
        """Where what is observed is written down, and taken up again. Misconfigured for an address that is none."""
        return stream_from(self.settings.segments_url)

    def pseudonym_key(self) -> tuple[str, bytes]:
        """The id and bytes of the key that makes names pseudonyms. NotFound where there is none yet."""
        return pseudonym_key(self.settings.keys)


def stores(settings: Settings) -> Stores:
    """The stores these settings describe. Raises as `make_home`."""
    make_home(settings)
    return Stores(settings, blobs_from(settings.blobs_url))
