"""Who may ask: API keys and bearer tokens, looked up without asking anybody while a request waits.

A thread reads the keys from the ledger every second and keeps them in a file, so that neither a dead ledger nor a
restart without it locks anybody out. Only digests of secrets are held. A token is found by its SHA-256: how long that
takes tells about a digest that nobody can choose, and nothing about a secret.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from mainstay.errors import MainstayError, Unavailable
from mainstay.nouns import ApiKey, Scope
from mainstay.serving.kept_keys import keep_keys, read_keys
from mainstay.serving.problems import Rejected
from mainstay.serving.rates import Bucket
from mainstay.serving.tokens import Tokens

EVERY = 1.0
"""Seconds between two looks at the ledger."""
REMEMBERED = 4096
"""The most bearer tokens that are remembered as believed; past them the oldest is verified again."""
OPEN = "open"
"""Who asks where nobody is asked who they are."""

Headers = Iterable[tuple[bytes, bytes]]

log = logging.getLogger(__name__)


class _Known:
    """One who may ask: what, until the monotonic time `ends`, and how often, where that is limited."""

    __slots__ = ("bucket", "ends", "id", "scopes")

    def __init__(self, id_: str, scopes: frozenset[str], ends: float, bucket: Bucket | None) -> None:
        self.id = id_
        self.scopes = scopes
        self.ends = ends
        self.bucket = bucket


class Access:
    """Who may ask one replica. Any thread may `check`; one thread calls `refresh`, or `follow`.

    `read` returns every key of the use case; it raises MainstayError when it cannot. `kept` is the file in which the
    keys outlive the ledger (mode 0600; None for none). `clock` is the time by which keys expire. With `open_` everybody
    may do everything. Rates are counted here: each replica grants a key its rate again. `token_rate` is that of every
    subject of the identity provider, in requests a second and at once; None for no limit.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[ApiKey]],
        kept: Path | None,
        clock: Callable[[], datetime],
        tokens: Tokens | None = None,
        open_: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        token_rate: tuple[float, int] | None = None,
    ) -> None:
        self.open = open_
        self.trouble: str | None = None
        """Why the keys could not be read at the last look; None where they could."""
        self._read = read
        self._kept = kept
        self._clock = clock
        self._tokens = tokens
        self._monotonic = monotonic
        self._token_rate = token_rate
        self._known: dict[bytes, _Known] = {}
        self._believed: dict[bytes, _Known] = {}
        self._subjects: dict[str, Bucket] = {}
        self._buckets: dict[str, Bucket] = {}
        self._keys: Sequence[ApiKey] | None = None
        self._filed: Sequence[ApiKey] | None = None  # what the file holds
        self._unkept: str | None = None

    @property
    def anybody(self) -> bool:
        """Whether there is anybody who may ask."""
        return self.open or bool(self._known) or self._tokens is not None

    def check(self, headers: Headers, needed: Scope | None) -> str:
        """The id of the key that asks, where it may do what is `needed`; None is anything that needs a key at all.

        `headers` are those of an ASGI scope: names in lower case. Rejected with 401 without a key that is believed,
        403 where the key lacks the scope, 429 where its rate is used up, and 503 while the keys were never read.
        """
        if self.open:
            return OPEN
        given = None
        for name, value in headers:
            if name == b"authorization":
                if given is not None:
                    raise _unknown("more than one Authorization header was given")
                given = value
        if given is None:
            raise _unknown("this route asks for a key: send `Authorization: Bearer KEY`", "")
        if given[:7].lower() != b"bearer ":
            raise _unknown("keys are sent as `Authorization: Bearer KEY`, and in no other way")
        token = given[7:].strip()
        digest = _digest(token)
        now = self._monotonic()
        known = self._known.get(digest) or self._believed.get(digest)
        if known is None:
            known = self._stranger(token, digest, now)
        if known.ends <= now:
            raise _unknown("this key has expired")
        if needed is not None and needed not in known.scopes:
            raise _forbidden(needed)
        if known.bucket is not None:
            known.bucket.ask(now)
        return known.id

    def knows(self, digest: bytes | None, needed: Scope) -> bool:
        """Whether `check` lets in whoever sends the token with this digest, without anything to count; else ask it."""
        if self.open:
            return True
        if digest is None:
            return False
        known = self._known.get(digest) or self._believed.get(digest)
        return known is not None and known.bucket is None and needed in known.scopes and known.ends > self._monotonic()

    def charge(self, who: str, rows: int) -> None:
        """Have a request of so many rows, which `check` let in as `who`, spend what they cost beyond the first.

        Rejected with 429 where other requests of theirs used more than there was meanwhile.
        """
        bucket = self._buckets.get(who) or self._subjects.get(who)
        if bucket is not None:
            bucket.charge(rows, self._monotonic())

    def _stranger(self, token: bytes, digest: bytes, now: float) -> _Known:
        """Who a token that is no known key speaks for. Rejected where nobody vouches for it."""
        if self._tokens is not None and token.count(b".") == 2:
            believed = self._believed  # held, so that what the old keys vouched for never joins what the new ones do
            claims = self._tokens.verify(token, self._clock())
            ends = now + (claims.expires - self._clock()).total_seconds()
            known = _Known(claims.subject, claims.scopes, ends, self._of_subject(claims.subject))
            while len(believed) >= REMEMBERED:
                believed.pop(next(iter(believed)), None)
            believed[digest] = known
            return known
        if self._keys is None and self._tokens is None:
            raise Rejected(
                503, "the keys were not read yet: the ledger cannot be reached", headers={"retry-after": "1"}
            )
        raise _unknown("this key is not known: it was never made, was revoked, or has expired")

    def _of_subject(self, subject: str) -> Bucket | None:
        """The bucket that all tokens of a subject share: a new token grants nothing anew."""
        if self._token_rate is None:
            return None
        bucket = self._subjects.pop(subject, None) or Bucket(*self._token_rate)
        while len(self._subjects) >= REMEMBERED:
            self._subjects.pop(next(iter(self._subjects)), None)
        self._subjects[subject] = bucket
        return bucket

    def follow(self, stop: threading.Event, every: float = EVERY, looked: threading.Event | None = None) -> None:
        """Refresh until told to stop; `looked` is set after the first time."""
        if self._tokens is not None and not self.open:
            # On a thread of its own: a provider that does not answer must not delay a revocation.
            threading.Thread(target=self._follow_tokens, args=(stop, every), daemon=True).start()
        while True:
            try:
                self.refresh()
            except Exception:
                # The thread must outlive any defect: without it no revocation would ever be heard of.
                log.exception("a defect while the keys were read; those that were read last stay")
            if looked is not None:
                looked.set()
            if stop.wait(every):
                return

    def refresh(self) -> None:
        """Read the keys. Where that fails those read last stay, or those in the file; expiry goes on by the clock."""
        if self.open:
            return
        if self._keys is None:
            self._keys = self._filed = None if self._kept is None else read_keys(self._kept)
            self._apply()
        try:
            keys = list(self._read())
        except MainstayError as error:
            self._note(f"the keys cannot be read, those known before are believed: {error}")
        else:
            self._note(None)
            self._keys = keys
            if keys != self._filed:
                self._keep(keys)
        self._apply()

    def refresh_tokens(self) -> None:
        """Read the keys of the identity provider where it is time to; those withdrawn vouch for nobody any more."""
        if self._tokens is not None and self._tokens.refresh(self._monotonic()):
            self._believed = {}

    def _follow_tokens(self, stop: threading.Event, every: float) -> None:
        while True:
            try:
                self.refresh_tokens()
            except Exception:  # as in `follow`
                log.exception("a defect while the identity provider's keys were read; those that were read last stay")
            if stop.wait(every):
                return

    def _apply(self) -> None:
        now, moment = self._monotonic(), self._clock()
        made, buckets = {}, {}
        for key in self._keys or ():
            ends = float("inf") if key.expires is None else now + (key.expires - moment).total_seconds()
            if key.revoked is not None or ends <= now:
                continue
            bucket = None
            if key.rate is not None and key.burst is not None:
                bucket = self._buckets.get(key.id)
                if bucket is None or (bucket.rate, bucket.burst) != (key.rate, key.burst):
                    bucket = Bucket(key.rate, key.burst)
                buckets[key.id] = bucket
            made[bytes.fromhex(key.sha256)] = _Known(key.id, frozenset(key.scopes), ends, bucket)
        self._known, self._buckets = made, buckets

    def _keep(self, keys: Sequence[ApiKey]) -> None:
        if self._kept is None:
            return
        try:
            keep_keys(self._kept, keys)
        except Unavailable as error:  # tried again at the next look; what the file may still hold was revoked meanwhile
            if str(error) != self._unkept:
                log.warning("%s: a restart without the ledger would believe the keys of before", error)
            self._unkept = str(error)
        else:
            self._filed, self._unkept = keys, None

    def _note(self, trouble: str | None) -> None:
        if trouble != self.trouble and trouble is not None:
            log.warning("%s", trouble)
        self.trouble = trouble


def digest_of(authorization: bytes) -> bytes | None:
    """The digest by which the token of an Authorization header is known; None where it holds none."""
    return _digest(authorization[7:].strip()) if authorization[:7].lower() == b"bearer " else None


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _unknown(detail: str, error: str = "invalid_token") -> Rejected:
    said = f'Bearer realm="mainstay", error="{error}"' if error else 'Bearer realm="mainstay"'
    return Rejected(HTTPStatus.UNAUTHORIZED, detail, headers={"www-authenticate": said})


def _forbidden(needed: Scope) -> Rejected:
    said = f'Bearer realm="mainstay", error="insufficient_scope", scope="{needed}"'
    detail = f"this key may not do that: it lacks the scope `{needed}`"
    return Rejected(HTTPStatus.FORBIDDEN, detail, headers={"www-authenticate": said})
