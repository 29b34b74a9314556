import hashlib
import hmac
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.digests import canonical_json, digest, new_id, pseudonym, pseudonyms, sha256, short, unit_interval

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    assert digest({"b": 1, "a": [1, 2.5, None]}) == digest({"a": [1, 2.5, None], "b": 1})
    assert canonical_json({"b": 1.0, "a": "ü"}) == '{"a":"ü","b":1}'.encode()


def test_a_digest_is_sha_256_over_the_canonical_bytes() -> None:
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest() == sha256(b'{"a":1}')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {"a": float("-inf")}, "\ud800", {1: 2}])
def test_what_json_cannot_hold_has_no_digest(value: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        digest(value)


def test_people_are_shown_twelve_digits() -> None:
    assert short("ds_" + "0123456789abcdef" * 4) == "ds_0123456789ab"
    assert short("0123456789abcdef" * 4) == "0123456789ab"
    assert short("ds_12") == "ds_12"


def test_the_hash_is_the_documented_one() -> None:
    first_eight = hashlib.sha256(b"holdout\0churn\0customer-1").digest()[:8]
    assert unit_interval("holdout", "churn", "customer-1") == int.from_bytes(first_eight, "big") / 2**64
    assert unit_interval("assign", "r1", "Zoë") == unit_interval("assign", "r1", unicodedata.normalize("NFD", "Zoë"))


def test_texts_fall_evenly() -> None:
    below = sum(unit_interval("holdout", "churn", f"customer-{number}") < 0.2 for number in range(10_000))
    assert abs(below - 2_000) < 4 * 40  # four standard deviations


def test_another_purpose_or_salt_draws_other_texts() -> None:
    texts = [f"customer-{number}" for number in range(10_000)]
    held = {text for text in texts if unit_interval("holdout", "churn", text) < 0.2}
    for other in (
        {text for text in texts if unit_interval("assign", "churn", text) < 0.2},
        {text for text in texts if unit_interval("holdout", "churn2", text) < 0.2},
    ):
        assert abs(len(held & other) - 400) < 4 * 20


@given(st.text(st.characters(codec="utf-8")))
def test_every_text_falls_between_nought_and_one(text: str) -> None:
    assert 0 <= unit_interval("assign", "salt", text) <= 1


@given(st.binary(max_size=130), st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_pseudonyms_under_one_key_are_hmac_sha_256(key: bytes, texts: list[str]) -> None:
    named = pseudonyms(key)
    for text in texts:
        assert named(text) == pseudonym(text, key) == hmac.new(key, text.encode(), "sha256").hexdigest()


@given(st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1)), st.integers(1, 10**10))  # noqa: DTZ001
def test_ids_sort_by_time_to_the_millisecond(at: datetime, later_ms: int) -> None:
    at = at.replace(tzinfo=UTC)
    first, second = new_id(at), new_id(at + timedelta(milliseconds=later_ms + 1))
    assert first < second


def test_ids_are_fresh_and_shaped_as_uuid_7() -> None:
    made = {new_id(NOW) for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(len(each) == 32 and each[12] == "7" and each[16] in "89ab" for each in made)
    assert {int(each[:12], 16) for each in made} == {int(NOW.timestamp() * 1000)}
