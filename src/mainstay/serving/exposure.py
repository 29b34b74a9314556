"""Whom a server would let in as it is started: without a key, and without TLS."""

import ipaddress
from collections.abc import Callable

from mainstay.errors import Refused


def check_access(open_: bool, asked: bool, tls: bool, host: str, say: Callable[[str], None]) -> None:
    """Refused unless somebody may ask: by a key or a token (`asked`), or everybody, which it says loudly.

    Says as loudly that keys can be read on their way where they leave this machine without TLS.
    """
    if not open_ and not asked:
        words = "there are no API keys: make one with `mainstay api-keys create NAME`, or start with --open to serve"
        raise Refused(f"{words} everybody without one")
    if not open_:
        if not tls and not _loopback(host):
            say(f"WARNING: {host} is reached from other machines, and without TLS every key can be read on its way")
        return
    say("WARNING: --open: whoever reaches this server may ask it for predictions; no API key is asked for")
    if not _loopback(host):
        say(f"WARNING: {host} is reached from other machines too, not from this one alone")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
