"""Tokens of an identity provider: whose are believed, and for what."""

import json
from datetime import UTC, datetime, timedelta
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


def test_an_address_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        fetch_jwks("http://127.0.0.1:9/jwks")
