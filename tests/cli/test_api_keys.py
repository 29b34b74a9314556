"""`api-keys`: a secret shown once, and keys that end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mainstay.digests import sha256
from mainstay.ledger.kinds import API_KEYS
from mainstay.settings import read_settings
from mainstay.wiring import platform

Run = Callable[..., tuple[int, str, str]]


def test_a_secret_is_shown_once_and_kept_nowhere(empty: Path, run: Run) -> None:
    code, out, _ = run(
        "api-keys", "create", "shop", "--scopes", "feedback,predict", "--expires", "90d", "--rate", "5", "--json"
    )
    made = json.loads(out)
    assert code == 0
    assert (made["scopes"], made["rate"], made["burst"], made["active"]) == (["predict", "feedback"], 5.0, 5, True)
    with platform(read_settings()).ledger as ledger:
        (fact,) = ledger.latest_of_each("churn", API_KEYS)
    assert fact.body.sha256 == sha256(made["secret"].encode())
    assert not [
        path for path in (empty / "home").rglob("*") if path.is_file() and made["secret"].encode() in path.read_bytes()
    ]
    listed = run("api-keys", "list", "--json")[1]
    assert json.loads(listed)["keys"] == [{name: value for name, value in made.items() if name != "secret"}]
    assert fact.body.sha256 not in listed
    assert "5 a second, 5 at once" in run("api-keys", "list")[1]


def test_a_key_ends_at_a_time_or_at_once_and_then_for_ever(empty: Path, run: Run) -> None:
    assert "no key yet" in run("api-keys", "list")[1]
    first = run("api-keys", "create", "shop")[1].split()[0]
    assert "never expires" in run("api-keys", "list")[1]
    assert "expires at 2999-01-01" in run("api-keys", "expire", "shop", "--at", "2999-01-01T00:00:00Z")[1]
    run("api-keys", "create", "shop")
    code, _, err = run("api-keys", "revoke", "shop")
    assert (code, "2 keys are meant" in err) == (2, True)
    assert json.loads(run("api-keys", "revoke", first[:-1], "--json")[1])["active"] is False
    code, _, err = run("api-keys", "expire", first, "--at", "1h")
    assert (code, "stays so" in err) == (2, True)
    assert run("api-keys", "revoke", "shop")[0] == 0  # the one that still stood


@pytest.mark.parametrize(
    "given",
    [
        ["create", " "],
        ["create", "x" * 101],
        ["create", "x", "--scopes", "root"],
        ["create", "x", "--scopes", ","],
        ["create", "x", "--expires", "yesterday"],
        ["create", "x", "--expires", "2020-01-01T00:00:00Z"],
        ["create", "x", "--expires", "2999-01-01"],
        ["create", "x", "--rate", "nan"],
        ["create", "x", "--rate", "0"],
        ["create", "x", "--rate", "inf"],
        ["create", "x", "--burst", "3"],
        ["create", "x", "--rate", "3", "--burst", "0"],
        ["revoke", "nobody"],
    ],
)
def test_what_cannot_be_meant_is_one_sentence(empty: Path, run: Run, given: list[str]) -> None:
    code, out, err = run("api-keys", *given)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "no key yet" in run("api-keys", "list")[1]
