"""`keys`: made once, never overwritten, listed by id."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]


def test_keys_are_made_once_and_are_their_owners_alone(empty: Path, run: Run) -> None:
    code, out, _ = run("keys", "init", "--json")
    body = json.loads(out)
    assert (code, len(body["made"])) == (0, 2)
    keys = empty / "home" / "keys"
    assert stat.S_IMODE((keys / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((keys / "pseudonym.key").stat().st_mode) == 0o600
    before = {path: path.read_bytes() for path in keys.iterdir()}
    assert run("keys", "init")[:2] == (0, "both keys are there already\n")
    assert json.loads(run("keys", "init", "--json")[1])["made"] == []
    assert {path: path.read_bytes() for path in keys.iterdir()} == before


def test_the_lost_half_is_made_again_and_no_other(empty: Path, run: Run) -> None:
    run("keys", "init")
    (empty / "home/keys/pseudonym.key").unlink()
    code, out, _ = run("keys", "init")
    assert code == 0
    assert out.startswith("made a pseudonym key (")
    assert "signing" not in out.partition(" in ")[0]


def test_another_key_is_trusted_beside_the_one_that_signs(empty: Path, run: Run) -> None:
    assert run("keys", "list")[:2] == (0, "no key yet: `mainstay keys init` makes signing.key\n")
    assert json.loads(run("keys", "list", "--json")[1]) == {"trusted": [], "signing": None}
    run("keys", "init")
    code, out, _ = run("keys", "add", "second", "--json")
    second = json.loads(out)["key_id"]
    assert code == 0
    code, out, _ = run("keys", "list")
    assert second in out.splitlines()
    assert sum(line.endswith(" (signs)") for line in out.splitlines()) == 1
    assert second in json.loads(run("keys", "list", "--json")[1])["trusted"]


def test_a_key_is_never_overwritten_and_its_name_is_plain(empty: Path, run: Run) -> None:
    assert run("keys", "add", "second")[0] == 0
    for name, words in (("second", "keys are never overwritten"), ("B ad", "no name for a key"), ("pseudonym", "name")):
        code, _, err = run("keys", "add", name)
        assert code == 2
        assert words in err
