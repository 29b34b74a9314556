"""Public data sets, by their addresses and digests: a digest is all that is trusted."""

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from mainstay.data.deliver import appearing, check_target
from mainstay.errors import NotFound, Refused, Unavailable
from mainstay.suggest import did_you_mean

_READ: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Public:
    """A file that anybody can get: where it is, the SHA-256 of its bytes (64 hex digits) and how many there are."""

    address: str
    sha256: str
    size: int
    file: str


PUBLIC: Final[Mapping[str, Public]] = MappingProxyType(
    {
        "telco": Public(
            "https://raw.githubusercontent.com/IBM/telco-customer-churn-on-icp4d/master/data/Telco-Customer-Churn.csv",
            "16320c9c1ec72448db59aa0a26a0b95401046bef5d02fd3aeb906448e3055e91",
            970_457,
            "telco-customer-churn.csv",
        )
    }
)


def named(name: str) -> Public:
    """The data set of that name. NotFound if there is none."""
    if name not in PUBLIC:
        raise NotFound(f"there is no public data set `{name}`{did_you_mean(name, PUBLIC)}")
    return PUBLIC[name]


def fetch(
    public: Public, target: Path, *, wait: float = 20.0, patience: float = 120.0, context: ssl.SSLContext | None = None
) -> bool:
    """Get a public file to `target`, and say whether it had to be got: False where those very bytes are there already.

    `wait` and `patience` are seconds: for an answer and for each part of it, and for the whole. Redirects are followed
    to `https` alone. Unavailable where the network or the server fails or is too slow, or the disk does; Refused where
    the bytes are not those that the digest names, of which no more than `size` are read; Conflict where something else
    is in the way. Nothing is written then: the file appears whole or not at all.
    """
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == public.sha256:
        return False
    endings = (Path(public.file).suffix,)
    check_target(target, replace=False, endings=endings)
    data = _got(public, wait, time.monotonic() + patience, context)
    found = hashlib.sha256(data).hexdigest()
    if found != public.sha256:
        raise Refused(
            f"what is there now ({len(data):,} bytes, SHA-256 {found[:12]}…) is not the file that was published "
            f"({public.size:,} bytes, {public.sha256[:12]}…); nothing was written",
            public.address,
        )
    with appearing(target, replace=False, endings=endings) as file:
        file.write(data)
    return True


class _OnlyToHttps(urllib.request.HTTPRedirectHandler):
    """Whoever listens on the way could answer in place of a server that is not asked by https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            raise Refused("the server leads away from https, and that is not followed", req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _got(public: Public, wait: float, until: float, context: ssl.SSLContext | None) -> bytes:
    place = public.address
    opener = urllib.request.build_opener(_OnlyToHttps, urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(place, timeout=wait) as answer:
            return _read(answer, public, until)
    except urllib.error.HTTPError as error:
        error.close()
        raise Unavailable(f"the server answered {error.code}; try again, or get the file by hand", place) from error
    except TimeoutError as error:
        raise Unavailable(f"no answer within {wait:g} s; try again", place) from error
    except urllib.error.URLError as error:
        slow = isinstance(error.reason, TimeoutError)
        words = f"no answer within {wait:g} s" if slow else f"cannot be reached ({_words(error.reason)})"
        raise Unavailable(f"{words}; is there a network?", place) from error
    except (http.client.HTTPException, OSError) as error:
        raise Unavailable(f"the connection broke ({_words(error)}); try again", place) from error


def _read(answer: Any, public: Public, until: float) -> bytes:
    parts: list[bytes] = []
    count = 0
    while part := answer.read1(_READ):
        parts.append(part)
        count += len(part)
        if count > public.size:
            raise Refused(
                f"what is there now has more than the {public.size:,} bytes that were published; nothing was written",
                public.address,
            )
        if time.monotonic() > until:
            raise Unavailable(f"too slow: {count:,} of {public.size:,} bytes came; try again", public.address)
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and count < int(announced):
        raise Unavailable(f"the connection ended after {count:,} of {announced} bytes; try again", public.address)
    return b"".join(parts)


def _words(error: object) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
