"""Addresses as they may be shown, logged and written down: without what opens the door."""

import re
from collections.abc import Sequence
from typing import Final

_SECRETS: Final = re.compile(r"(?i)([?&](?:password|passwd|pwd|sslpassword|token|secret[^=&]*)=)[^&]*")


def shown(source: str | Sequence[str]) -> str:
    """One address, or several with commas between them, with *** for every password."""
    if not isinstance(source, str):
        return ", ".join(shown(each) for each in source)
    scheme, separator, rest = source.partition("://")
    if not separator:
        return source
    # What opens the door stands before the query, which may hold an @ of its own.
    options = rest.find("?", rest.rfind("@", 0, rest.find("query=") if "query=" in rest else len(rest)) + 1)
    head, more = (rest, "") if options < 0 else (rest[:options], rest[options:])
    owner, at, host = head.rpartition("@")
    user, colon, _ = owner.partition(":")
    hidden = ":***" if colon else ""
    return f"{scheme}://{user}{hidden}{at}{host}" + _SECRETS.sub(r"\1***", more)
