"""Bearer tokens of an identity provider (OpenID Connect): JWTs that its published keys vouch for. Extra `oidc`.

RFC 7519 (JWT), RFC 7517 (JWKS), RFC 8725 (the algorithms are ours to choose, never the token's).
"""

import json
import logging
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, get_args

from mainstay.errors import Misconfigured, Unavailable
from mainstay.nouns import Scope
from mainstay.serving.problems import Rejected

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: with a shared secret whoever can check a token could make one."""
FRESH = 300.0
"""Seconds for which the provider's keys are believed without asking again."""
SOONER = 10.0
"""Seconds between two attempts, where asking failed or a token names a key that is not among them."""
PATIENCE = 5.0
LARGEST = 1_000_000
LONGEST = 16_384
SCOPES = frozenset(get_args(Scope))
PREFIX = "mainstay:"


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom a token speaks for, what they may do, and until when."""

    subject: str
    scopes: frozenset[str]
    expires: datetime


log = logging.getLogger(__name__)


class Tokens:
    """Tokens of one issuer for one audience. `fetch` returns the bytes behind the JWKS address.

    Scopes are the words of the claim `scope` (or `scp`) that are `mainstay:NAME`, with NAME one of ours. Misconfigured
    where the package that reads tokens is not here. `verify` never asks the provider; `refresh` does, on a thread.
    """

    def __init__(self, jwks: str, issuer: str, audience: str, fetch: Callable[[str], bytes] | None = None) -> None:
        try:
            import jwt
        except ModuleNotFoundError as error:
            raise Misconfigured("bearer tokens need the package pyjwt: pip install 'mainstay[oidc]'") from error
        self._jwt = jwt
        self._jwks, self._issuer, self._audience = jwks, issuer, audience
        self._fetch = fetch or fetch_jwks
        self._keys: dict[str, Any] = {}
        self._read: Any = None
        self._next = 0.0
        self._soonest = 0.0
        self._asked_for: str | None = None

    def refresh(self, now: float) -> bool:
        """Read the provider's keys where it is time to (`now` is monotonic); whether they changed."""
        if now < self._soonest or (now < self._next and self._asked_for is None):
            return False
        self._asked_for, self._soonest = None, now + SOONER
        try:
            read = json.loads(self._fetch(self._jwks))
            made = self._jwt.PyJWKSet.from_dict(read)
        except (Unavailable, ValueError, TypeError, AttributeError, self._jwt.PyJWTError) as error:
            log.warning("the keys of %s cannot be read, those known before are believed: %s", self._issuer, error)
            self._next = now + SOONER
            return False
        keys = {key.key_id or "": key for key in made.keys if key.public_key_use in (None, "sig")}
        changed: bool = read != self._read
        self._keys, self._read = keys, read
        self._next = now + FRESH
        return changed

    def verify(self, token: bytes, now: datetime) -> Claims:
        """Whom a token speaks for at `now`. Rejected with 401 where it is not to be believed, 503 before any key is."""
        if len(token) > LONGEST:
            raise _unbelieved("this token is too long")
        if not self._keys:
            detail = "tokens cannot be checked yet: the keys of their issuer were not read"
            raise Rejected(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"retry-after": "1"})
        jwt = self._jwt
        try:
            header = jwt.get_unverified_header(token)
            name = str(header.get("kid", ""))
            key = self._keys.get(name)
            if key is None:
                self._asked_for = name
                raise _unbelieved("this token names a key that its issuer has not published")
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                # The times are compared here, with the clock that is ours to simulate.
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires = datetime.fromtimestamp(float(claims["exp"]), UTC)
            begins = datetime.fromtimestamp(float(claims.get("nbf", 0)), UTC)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError) as error:
            log.info("a token was not believed: %s", type(error).__name__)
            raise _unbelieved(
                "this token is not believed: its signature, issuer or audience is not the one wanted"
            ) from error
        if not begins <= now < expires:
            raise _unbelieved("this token is not valid now: it has expired, or its time has not come")
        return Claims(f"oidc:{str(claims['sub'])[:200]}", _scopes(claims), expires)


def tokens_of(jwks: str, issuer: str, audience: str) -> Tokens | None:
    """The tokens that settings tell of; None where they tell of none. Misconfigured where they tell half."""
    given = (jwks, issuer, audience)
    if not any(given):
        return None
    if not all(given):
        raise Misconfigured(
            "bearer tokens need all of MAINSTAY_OIDC_JWKS, MAINSTAY_OIDC_ISSUER, MAINSTAY_OIDC_AUDIENCE"
        )
    local = ("http://127.0.0.1:", "http://localhost:")
    if not jwks.startswith(("https://", *local)):
        raise Misconfigured("the keys that tokens are believed by come over https alone", "MAINSTAY_OIDC_JWKS")
    return Tokens(jwks, issuer, audience)


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    given = claims.get("scope", claims.get("scp", ""))
    words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
    return SCOPES & {str(word).removeprefix(PREFIX) for word in words if str(word).startswith(PREFIX)}


def fetch_jwks(url: str) -> bytes:
    """The bytes behind the address. Unavailable where it does not answer in time, or with more than 1 MB."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310  (settings allow https alone)
            read: bytes = answer.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise Unavailable(f"did not answer ({error})", url) from error
    if len(read) > LARGEST:
        raise Unavailable("answered with more than 1 MB", url)
    return read


def _unbelieved(detail: str) -> Rejected:
    said = 'Bearer realm="mainstay", error="invalid_token"'
    return Rejected(HTTPStatus.UNAUTHORIZED, detail, headers={"www-authenticate": said})
