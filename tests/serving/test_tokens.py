"""Tokens of an identity provider: whose are believed, and for what."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mainstay.errors import Misconfigured, Unavailable
from mainstay.serving.access import Access
from mainstay.serving.problems import Rejected
from mainstay.serving.tokens import Tokens, fetch_jwks, tokens_of

jwt = pytest.importorskip("jwt", reason="the extra `oidc` is not installed")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("one", "two")}


def jwks(*names: str) -> bytes:
    made = []
    for name in names:
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEYS[name].public_key()))
        made.append({**public, "kid": name, "alg": "ES256", "use": "sig"})
    return json.dumps({"keys": made}).encode()


def token(name: str = "one", signs: str | None = None, **given: Any) -> bytes:
    claims: dict[str, Any] = {
        "iss": "https://id", "aud": "mainstay", "sub": "ada", "exp": NOW.timestamp() + 60,
        "scope": "mainstay:predict openid",
    }  # fmt: skip
    claims = {key: value for key, value in {**claims, **given}.items() if value is not None}
    made: str = jwt.encode(claims, KEYS[signs or name], algorithm="ES256", headers={"kid": name})
    return made.encode()


class Provider:
    """What the address answers with; an error where there is one."""

    def __init__(self, *names: str) -> None:
        self.answer: bytes | Unavailable = jwks(*names)
        self.asked = 0

    def __call__(self, url: str) -> bytes:
        self.asked += 1
        if isinstance(self.answer, Unavailable):
            raise self.answer
        return self.answer


def tokens(provider: Provider) -> Tokens:
    made = Tokens("https://id/jwks", "https://id", "mainstay", provider)
    made.refresh(0.0)
    return made


def test_a_token_speaks_for_its_subject_with_the_scopes_that_are_ours() -> None:
    claims = tokens(Provider("one")).verify(token(), NOW)
    assert (claims.subject, set(claims.scopes)) == ("oidc:ada", {"predict"})
    assert claims.expires == NOW + timedelta(seconds=60)
    listed = tokens(Provider("one")).verify(token(scope=None, scp=["mainstay:read", "mainstay:root", 7]), NOW)
    assert set(listed.scopes) == {"read"}


@pytest.mark.parametrize(
    "given",
    [
        {"iss": "https://other"},
        {"aud": "other"},
        {"exp": None},
        {"sub": None},
        {"exp": NOW.timestamp() - 1},
        {"exp": "soon"},
        {"exp": 1e300},
        {"nbf": NOW.timestamp() + 30},
        {"signs": "two"},
        {"name": "two"},
    ],
)
def test_a_token_that_is_not_to_be_believed_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refused:
        tokens(Provider("one")).verify(token(**given), NOW)
    assert refused.value.status == 401


def test_a_token_that_chooses_its_own_algorithm_is_refused() -> None:
    public = KEYS["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims = {"iss": "https://id", "aud": "mainstay", "sub": "eve", "exp": NOW.timestamp() + 60}
    none = jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}).encode()
    signed = jwt.api_jws.PyJWS()
    signed._algorithms["HS256"].prepare_key = lambda key: key  # what an attacker's own library would do
    shared = signed.encode(json.dumps(claims).encode(), pem, algorithm="HS256", headers={"kid": "one"}).encode()
    for forged in (none, shared, b"a.b.c", b"\xff.\xff.\xff", b"." * 2, b"e30.e30." + b"x" * 20_000):
        with pytest.raises(Rejected) as refused:
            tokens(Provider("one")).verify(forged, NOW)
        assert refused.value.status == 401


def test_a_symmetric_key_among_the_published_ones_vouches_for_nobody() -> None:
    provider = Provider("one")
    provider.answer = json.dumps(
        {"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ", "kid": "s", "alg": "HS256"}]}
    ).encode()
    claims = {"iss": "https://id", "aud": "mainstay", "sub": "eve", "exp": NOW.timestamp() + 60}
    forged = jwt.encode(claims, b"secret-secret-secret-secret-1234", algorithm="HS256", headers={"kid": "s"}).encode()
    with pytest.raises(Rejected) as refused:
        tokens(provider).verify(forged, NOW)
    assert refused.value.status == 401


def test_keys_are_asked_for_again_in_time_and_sooner_where_a_new_one_is_named() -> None:
    provider = Provider("one")
    made = tokens(provider)
    provider.answer = jwks("one", "two")
    assert not made.refresh(9.0)
    with pytest.raises(Rejected):
        made.verify(token("two"), NOW)
    assert not made.refresh(9.0)
    assert made.refresh(11.0)
    assert made.verify(token("two"), NOW).subject == "oidc:ada"
    made.refresh(100.0)
    assert provider.asked == 2
    made.refresh(400.0)
    assert provider.asked == 3


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"[]", b"no", b'{"keys": []}', b'{"keys": [{"kty": "EC"}]}', Unavailable("gone")]
)
def test_a_provider_that_fails_takes_no_key_away(answer: bytes | Unavailable) -> None:
    provider = Provider("one")
    made = tokens(provider)
    provider.answer = answer
    assert not made.refresh(1000.0)
    assert made.verify(token(), NOW).subject == "oidc:ada"


def test_before_any_key_was_read_the_server_is_not_ready() -> None:
    provider = Provider()
    provider.answer = Unavailable("gone")
    with pytest.raises(Rejected) as refused:
        tokens(provider).verify(token(), NOW)
    assert refused.value.status == 503


def test_a_token_passes_where_keys_do_until_it_expires_or_its_key_is_withdrawn() -> None:
    provider, ticks, clock = Provider("one"), [0.0], [NOW]
    made = Tokens("https://id/jwks", "https://id", "mainstay", provider)
    access = Access(list, None, lambda: clock[0], made, monotonic=lambda: ticks[0])
    access.refresh_tokens()
    asks = [(b"authorization", b"Bearer " + token())]
    assert access.anybody
    assert [access.check(asks, "predict") for _ in range(2)] == ["oidc:ada"] * 2
    with pytest.raises(Rejected) as refused:
        access.check(asks, "read")
    assert refused.value.status == 403
    ticks[0], clock[0] = 61.0, NOW + timedelta(seconds=61)
    with pytest.raises(Rejected, match="expired"):
        access.check(asks, "predict")
    asks = [(b"authorization", b"Bearer " + token(exp=NOW.timestamp() + 9999))]
    access.check(asks, "predict")
    provider.answer, ticks[0] = jwks("two"), 400.0
    access.refresh_tokens()
    with pytest.raises(Rejected, match="not published"):
        access.check(asks, "predict")


def test_half_a_setting_and_keys_that_anybody_could_swap_are_misconfigured() -> None:
    assert tokens_of("", "", "") is None
    assert tokens_of("https://id/jwks", "https://id", "mainstay") is not None
    for given in (
        ("https://id/jwks", "", ""),
        ("", "https://id", "x"),
        ("http://id/jwks", "i", "a"),
        ("file:///k", "i", "a"),
    ):
        with pytest.raises(Misconfigured):
            tokens_of(*given)


class Published:
    """A provider over real HTTP: the keys that it publishes, how it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = jwks("one"), 200, 0
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    def starts(self) -> str:
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                self.send_response(provider.status)
                self.send_header("content-length", str(len(provider.body)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(provider.body)

            def log_message(self, *words: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Answers)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self.port}/jwks"

    def dies(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def published() -> Iterator[Published]:
    made = Published()
    yield made
    made.dies()


def test_keys_are_rotated_over_http_and_outlive_a_provider_that_dies(published: Published) -> None:
    made = tokens_of(published.starts(), "https://id", "mainstay")
    assert made is not None
    assert made.refresh(0.0)
    assert made.verify(token("one"), NOW).subject == "oidc:ada"
    published.body = jwks("one", "two")
    with pytest.raises(Rejected, match="not published"):
        made.verify(token("two"), NOW)
    assert made.refresh(11.0)
    assert made.verify(token("two"), NOW).subject == "oidc:ada"
    published.body = jwks("two")
    assert made.refresh(400.0)
    with pytest.raises(Rejected, match="not published"):
        made.verify(token("one"), NOW)
    published.dies()
    assert not made.refresh(800.0)
    assert made.verify(token("two"), NOW).subject == "oidc:ada"
    published.body = jwks("one")
    published.starts()
    assert not made.refresh(805.0)  # not sooner than ten seconds after it failed
    assert made.refresh(811.0)
    assert made.verify(token("one"), NOW).subject == "oidc:ada"
    assert published.asked == 4


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (404, b"{}"), (200, b" " * 1_000_001)])
def test_an_answer_that_is_no_set_of_keys_is_unavailable(published: Published, status: int, body: bytes) -> None:
    published.status, published.body = status, body
    with pytest.raises(Unavailable, match=r"did not answer|more than 1 MB"):
        fetch_jwks(published.starts())


def test_tokens_of_one_subject_share_a_rate_and_a_new_token_grants_nothing() -> None:
    ticks = [0.0]
    made = tokens(Provider("one"))
    access = Access(list, None, lambda: NOW, made, monotonic=lambda: ticks[0], token_rate=(1.0, 3))

    def ask(*given: bytes, rows: int = 1) -> int:
        try:
            for each in given:
                access.charge(access.check([(b"authorization", b"Bearer " + each)], "predict"), rows)
        except Rejected as rejected:
            return rejected.status
        return 200

    assert ask(token(), token(jti="2"), token(jti="3")) == 200
    assert ask(token(jti="4")) == 429
    assert ask(token(sub="bob")) == 200
    ticks[0] = 1.0
    assert ask(token(jti="5"), rows=30) == 200
    ticks[0] = 29.0
    assert ask(token()) == 429
    ticks[0] = 31.1
    assert ask(token()) == 200


def test_an_address_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        fetch_jwks("http://127.0.0.1:9/jwks")
