"""`rollback`, `audit`, `pins`, `replicas` and `rollout kill` as people type them."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from answered import answered, record

from mainstay.adapters.signing import Signer
from mainstay.ledger.replicas import report
from mainstay.nouns import ModelVersion
from mainstay.observed import Replica
from mainstay.registry.live import go_live
from mainstay.registry.shelf import admit
from mainstay.scoring.bundle import Bundle
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.wiring import Platform, platform

Ended = tuple[int, str, str]
Run = Callable[..., Ended]
FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
YAML = """
schema: 1
name: tiny
source: tiny.csv
entity: id
label: {column: left, positive: "Yes", horizon: 30d, absent_means: "No"}
contract:
  columns:
    id: {type: identifier}
    age: {type: integer, range: [18, 120], unit: years}
    spent: {type: number, nullable: true, range: [0, 1000], unit: USD}
    plan: {type: category, values: [basic, plus]}
    left: {type: category, values: ["No", "Yes"]}
"""
FLAGS = """
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

def provider():
    return InMemoryProvider({"beta": InMemoryFlag("on", {"on": "VERSION"})})
"""


@pytest.fixture
def promoted(
    tiny_live: ModelVersion,
    tiny_use_case: UseCase,
    tiny_other_bundle: Bundle,
    tiny_bundle: Bundle,
    tiny_admission: Callable[..., Any],
    tiny_signer: Signer,
    tiny_keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Platform:
    """The current folder: a home in which 1.0.0 answered for a day, and a later version is champion since."""
    shutil.copytree(tiny_keys, tmp_path / "keys")
    (tmp_path / "mainstay.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_HOME", str(tmp_path))
    opened = platform(Settings(home=tmp_path))
    record(opened, answered(tiny_bundle, "1.0.0", FIRST + timedelta(hours=1), 50))
    asked, later = tiny_admission(tiny_other_bundle), FIRST + timedelta(days=1)
    version = admit(asked, opened.ledger, opened.blobs, tiny_signer, now=later, actor="ada", reason="It passed.")
    go_live(version, tiny_use_case, opened.ledger, opened.blobs, now=later, actor="operator", reason="It is better.")
    opened.ledger.close()
    return opened


def serves(opened: Platform, *warm: str) -> None:
    with opened.ledger as ledger:
        report(ledger, Replica("r1", "host-a", "tiny", 3, warm, FIRST))


def test_a_rollback_says_what_it_restored_and_what_its_proof_rests_on(promoted: Platform, run: Run) -> None:
    code, out, err = run("rollback", "--why", "scores jumped", "--watch", "0")
    assert code == 1
    assert "1.0.0 answers everything in split 3, in place of 1.1.0" in out
    assert "PASS          replay: 50 recorded requests are answered as they were by 1.0.0: 50 to the bit" in out
    assert "INCONCLUSIVE  replicas: no replica is live: nothing serves" in out
    assert "INCONCLUSIVE  stability: not watched, as was asked" in out
    assert "1.0.0 answers everything in split 3, in place of 1.1.0" in err
    code, _, err = run("rollback", "--why", "again")
    assert (code, "1.1.0 stands by, and came after it" in err) == (2, True)
    code, out, _ = run("rollback", "--to", "tiny@1.0.0", "--why", "again")
    assert (code, out) == (0, "1.0.0 is live already: nothing was moved\n")


def test_a_rollback_whose_proof_holds_ends_with_0_and_one_object(promoted: Platform, run: Run) -> None:
    serves(promoted, "1.0.0", "1.1.0")
    code, out, _ = run("rollback", "--to", "1.0.0", "--why", "scores jumped", "--watch", "0", "--json")
    told = json.loads(out)
    assert (code, told["outcome"], told["moved"]) == (0, "PASS", True)
    assert (told["version"], told["before"], told["split"]["number"]) == ("1.0.0", "1.1.0", 3)
    assert told["proof"]["replayed"] == 50


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rollback"], "--why: say why"),
        (["rollback", "--why", "x", "--watch", "long"], "--watch: 'long' is not a span"),
        (["rollback", "--why", "x", "--to", "1.0.9"], "there is no version tiny@1.0.9; did you mean `1.0.0`?"),
        (["rollout", "kill"], "--why: say why"),
        (["pins", "add", "--arm", "1.1.0", "--why", "x"], "give either --entity or --where"),
        (["pins", "add", "--arm", "1.1.0", "--entity", "a", "--where", "age > 3", "--why", "x"], "give either"),
        (["pins", "add", "--arm", "1.1.0", "--where", "age >> 3", "--why", "x"], "age >> 3"),
        (["pins", "add", "--arm", "1.1.0", "--entity", "a", "--until", "soon", "--why", "x"], "'soon' is no time"),
        (["pins", "remove", "--entity", "a", "--why", "x"], "there is no such pin"),
        (["pins", "sync", "--provider", "x", "--flag", "beta", "--entities", "mainstay.yaml"], "MODULE:FACTORY"),
        (["pins", "sync", "--provider", "x:y", "--flag", "beta", "--entities", "none.txt"], "there is no such file"),
        (["audit"], "give --entity NAME --at DAY, or --champion"),
        (["audit", "--entity", "ada"], "say when"),
        (["replicas", "dismiss", "r9", "--why", "gone"], "no such replica"),
    ],
)
def test_what_is_meant_otherwise_is_told(promoted: Platform, run: Run, arguments: list[str], says: str) -> None:
    code, _, err = run(*arguments)
    assert (code, says in err) == (2, True), err


def test_customers_are_pinned_listed_and_set_free(promoted: Platform, run: Run) -> None:
    assert run("pins", "list")[1] == "nobody is pinned\n"
    code, out, _ = run("pins", "add", "--entity", "ada", "--arm", "1.0.0", "--until", "7d", "--why", "she asked")
    assert (code, out) == (0, "ada is pinned to 1.0.0 in split 3\n")
    code, out, _ = run("pins", "add", "--where", "age >= 65", "--arm", "1.1.0", "--why", "elders", "--json")
    assert (code, [each["arm"] for each in json.loads(out)["pins"]]) == (0, ["1.0.0", "1.1.0"])
    assert [each["over"] for each in json.loads(run("pins", "list", "--json")[1])["pins"]] == [False, False]
    assert "where age >= 65: elders" in run("pins", "list")[1]
    assert run("pins", "remove", "--entity", "ada", "--why", "enough")[0] == 0
    assert "entity ada" not in run("pins", "list")[1]


def test_pins_follow_a_team_s_own_flag_system(promoted: Platform, run: Run) -> None:
    Path("team_flags.py").write_text(FLAGS.replace("VERSION", "1.0.0"))
    Path("testers.txt").write_text("ada\n\nbob\n ada\n")
    asked = ["pins", "sync", "--provider", "team_flags:provider", "--flag", "beta", "--entities", "testers.txt"]
    assert run(*asked)[:2] == (0, "2 pins in split 3\n")
    assert run(*asked)[:2] == (0, "2 pins in split 3, as before\n")
    assert "1.0.0  entity bob: flag beta" in run("pins", "list")[1]
    code, _, err = run(*asked[:-4], "--flag", "alpha", "--entities", "testers.txt")
    assert (code, "answers about none of 2 entities" in err) == (3, True)


def test_what_served_a_customer_on_a_day_is_told_with_who_moved_it_there(promoted: Platform, run: Run) -> None:
    code, out, _ = run("audit", "--entity", "customer-3", "--at", "2026-03-01")
    assert (code, out.count("1.0.0 answered everybody")) == (0, 10)
    assert "split 1, since 2026-03-01 12:00:00 by ada: It is the first." in out
    told = json.loads(run("audit", "--entity", "customer-3", "--at", "2026-03-01T14:00:00+01:00", "--json")[1])
    assert [each["version"] for each in told["served"]] == ["1.0.0"] * 10
    assert "nothing of customer-3" in run("audit", "--entity", "customer-3", "--at", "2026-03-02")[1]


def test_who_was_champion_is_told_by_whom_and_why(promoted: Platform, run: Run) -> None:
    code, out, _ = run("audit", "--champion")
    assert code == 0
    assert "1.0.0  2026-03-01 12:00:00 to 2026-03-02 12:00:00  split 1, by ada" in out
    assert "1.1.0  2026-03-02 12:00:00 to now  split 2, by operator\n    It is better." in out
    told = json.loads(run("audit", "--champion", "--until", "2026-03-02", "--json")[1])
    assert [each["version"] for each in told["champions"]] == ["1.0.0"]


def test_there_is_nothing_to_kill_where_nobody_challenges(promoted: Platform, run: Run) -> None:
    assert run("rollout", "kill", "--why", "a fire")[:2] == (
        0,
        "nobody challenges 1.1.0: there is nothing to kill\n",
    )


def test_serving_processes_are_listed_and_one_that_is_live_is_not_dismissed(promoted: Platform, run: Run) -> None:
    assert "no process serves tiny" in run("replicas", "list")[1]
    serves(promoted, "1.0.0")
    assert "live      r1 on host-a: split 3, warm 1.0.0" in run("replicas", "list")[1]
    assert [each["id"] for each in json.loads(run("replicas", "list", "--json")[1])["live"]] == ["r1"]
    code, _, err = run("replicas", "dismiss", "r1", "--why", "gone")
    assert (code, "it is live" in err) == (2, True)
