"""Who may ask: by key, scope, expiry and rate; with and without a ledger."""

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mainstay.errors import Unavailable
from mainstay.nouns import ApiKey
from mainstay.serving.access import Access
from mainstay.serving.problems import Rejected

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def key(secret: str, **given: Any) -> ApiKey:
    return ApiKey(**{"id": f"key_{secret}", "name": secret, "sha256": sha256(secret.encode()).hexdigest(),
                     "scopes": ("predict",), "created": NOW, **given})  # fmt: skip


def bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"here"), (b"authorization", f"Bearer {secret}".encode())]


@dataclass
class Book:
    """A ledger of keys that can be dead, and two clocks."""

    keys: list[ApiKey]
    dead: bool = False
    now: datetime = NOW
    ticks: float = 100.0
    reads: list[int] = field(default_factory=list)

    def read(self) -> Sequence[ApiKey]:
        if self.dead:
            raise Unavailable("the ledger is dead")
        return list(self.keys)

    def access(self, kept: Path | None = None) -> Access:
        made = Access(self.read, kept, lambda: self.now, monotonic=lambda: self.ticks)
        made.refresh()
        return made

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.ticks += seconds


def status(access: Access, headers: list[tuple[bytes, bytes]], needed: Any = "predict") -> int:
    try:
        access.check(headers, needed)
    except Rejected as rejected:
        return rejected.status
    return 200


def test_a_key_opens_what_its_scopes_name_and_nothing_else() -> None:
    access = Book([key("a"), key("b", scopes=("read", "feedback"))]).access()
    assert access.check(bearer("a"), "predict") == "key_a"
    assert access.check(bearer("b"), "read") == "key_b"
    with pytest.raises(Rejected) as refused:
        access.check(bearer("b"), "predict")
    assert refused.value.status == 403
    assert 'error="insufficient_scope", scope="predict"' in refused.value.headers["www-authenticate"]
    assert access.check(bearer("b"), None) == "key_b"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"a")],
        [(b"authorization", b"Basic YQ==")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Bearer b")],
        [(b"authorization", b"Bearer a b")],
        [(b"authorization", b"Bearer \xff\x00")],
        [*bearer("a"), (b"authorization", b"Bearer a")],
        [(b"authorization", b"Bearer " + b"x" * 60_000)],
    ],
)
def test_what_is_no_key_is_told_how_to_send_one(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Rejected) as refused:
        Book([key("a")]).access().check(headers, "predict")
    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"].startswith('Bearer realm="mainstay"')


def test_the_scheme_is_read_in_any_case() -> None:
    assert Book([key("a")]).access().check([(b"authorization", b"bEARER  a ")], "predict") == "key_a"


def test_a_revoked_key_is_refused_at_the_next_look() -> None:
    book = Book([key("a")])
    access = book.access()
    book.keys = [key("a", revoked=NOW)]
    assert status(access, bearer("a")) == 200
    access.refresh()
    assert status(access, bearer("a")) == 401
    assert not access.anybody


def test_a_key_expires_by_the_clock_without_any_look() -> None:
    book = Book([key("a", expires=NOW + timedelta(seconds=10))])
    access = book.access()
    book.passes(9.9)
    assert status(access, bearer("a")) == 200
    book.passes(0.2)
    assert status(access, bearer("a")) == 401
    book.dead = True
    access.refresh()
    assert status(access, bearer("a")) == 401


def test_a_dead_ledger_locks_nobody_out_and_neither_does_a_restart_without_it(tmp_path: Path) -> None:
    kept = tmp_path / "access" / "tiny.json"
    book = Book([key("a"), key("old", revoked=NOW)])
    access = book.access(kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    book.dead = True
    access.refresh()
    assert status(access, bearer("a")) == 200
    again = book.access(kept)
    assert status(again, bearer("a")) == 200
    assert status(again, bearer("old")) == 401
    assert "the ledger is dead" in (again.trouble or "")
    # What the ledger says counts again as soon as it can be read.
    book.dead, book.keys = False, []
    again.refresh()
    assert (status(again, bearer("a")), again.trouble) == (401, None)
    assert json.loads(kept.read_text())["keys"] == []
    assert list(kept.parent.iterdir()) == [kept]


def test_while_the_keys_were_never_read_it_is_the_server_that_is_not_ready() -> None:
    access = Book([key("a")], dead=True).access()
    assert status(access, bearer("a")) == 503
    assert status(access, []) == 401


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "1", "null", '{"schema": 1}', '{"schema": 99, "keys": [{}]}', '{"schema":1,"keys":[{}]}'),
        *(
            '{"schema":1,"keys":[1]}',
            '{"schema":1,"keys":7}',
            '{"schema":"1","keys":[{}]}',
            '{"schema":[],"keys":[{}]}',
        ),
    ],
)
def test_a_kept_file_that_cannot_be_read_is_not_believed(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "tiny.json"
    kept.write_text(text)
    assert status(Book([key("a")]).access(kept), bearer("a")) == 200
    kept.write_text(text)
    assert status(Book([key("a")], dead=True).access(kept), bearer("a")) == 503


def test_keys_that_could_not_be_kept_are_kept_as_soon_as_they_can_be(tmp_path: Path) -> None:
    """Or a revocation that met a full disk would be undone by a restart without the ledger, however much later."""
    kept = tmp_path / "access" / "tiny.json"
    book = Book([key("a")])
    access = book.access(kept)
    kept.parent.rename(tmp_path / "aside")
    kept.parent.write_text("in the way")
    book.keys = [replace(key("a"), revoked=NOW)]
    access.refresh()
    assert status(access, bearer("a")) == 401
    kept.parent.unlink()
    (tmp_path / "aside").rename(kept.parent)
    access.refresh()
    book.dead = True
    assert status(book.access(kept), bearer("a")) == 401


def test_a_place_where_keys_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert status(Book([key("a")]).access(tmp_path / "file" / "tiny.json"), bearer("a")) == 200


def test_a_rate_is_granted_by_each_replica_and_fills_again() -> None:
    book = Book([key("a", rate=2.0, burst=3), key("b")])
    one, other = book.access(), book.access()
    assert [status(one, bearer("a")) for _ in range(4)] == [200, 200, 200, 429]
    assert status(other, bearer("a")) == 200
    assert {status(one, bearer("b")) for _ in range(20)} == {200}
    with pytest.raises(Rejected, match="grants it 2 requests a second, 3 at once, and each row") as refused:
        one.check(bearer("a"), "predict")
    assert refused.value.headers["retry-after"] == "1"
    assert refused.value.headers["ratelimit-policy"] == '"key-per-replica";q=3;w=2'
    one.refresh()  # a look at the ledger gives nothing back
    assert status(one, bearer("a")) == 429
    book.passes(0.5)
    assert [status(one, bearer("a")) for _ in range(2)] == [200, 429]
    book.passes(1000)
    assert [status(one, bearer("a")) for _ in range(4)] == [200, 200, 200, 429]


def test_what_a_key_may_do_changes_without_a_restart() -> None:
    book = Book([key("a", rate=1.0, burst=1)])
    access = book.access()
    assert [status(access, bearer("a")) for _ in range(2)] == [200, 429]
    book.keys = [replace(book.keys[0], scopes=("read",), rate=None, burst=None)]
    access.refresh()
    assert (status(access, bearer("a")), status(access, bearer("a"), "read")) == (403, 200)


def test_an_open_door_asks_nobody() -> None:
    access = Access(list, None, lambda: NOW, open_=True)
    access.refresh()
    assert access.anybody
    assert access.check([], "operate") == "open"


@pytest.mark.parametrize(
    "given",
    [
        {"sha256": "abc"},
        {"scopes": ()},
        {"rate": 1.0},
        {"burst": 1},
        {"rate": 0.0, "burst": 1},
        {"rate": float("inf"), "burst": 1},
        {"rate": 1.0, "burst": 0},
    ],
)
def test_a_key_that_cannot_be_meant_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"digest|scope|rate"):
        key("a", **given)
