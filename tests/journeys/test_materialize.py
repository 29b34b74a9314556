"""A home's features online: after a release, after a push, after going back to earlier data."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lined import LINES, NOW, Home, day, first, service, usage

from mainstay.adapters.online import Wanted, online_from
from mainstay.adapters.signing import pseudonym_key
from mainstay.data.histories import open_histories
from mainstay.defined import project_of
from mainstay.digests import pseudonym
from mainstay.errors import NotFound, Refused
from mainstay.features import feast
from mainstay.journeys import progress
from mainstay.journeys.asked import Asked
from mainstay.journeys.materialize import head, materialize, offline, status, writer_of
from mainstay.journeys.mirrored import Mirroring
from mainstay.journeys.operate import Memory, make_it_so
from mainstay.journeys.push import push, take_up, topic
from mainstay.journeys.recorded import standing_datasets
from mainstay.journeys.release import ingest
from mainstay.journeys.versions import log
from mainstay.journeys.withdraw import rollback
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DATASETS, FEATURE_SERVICES, SPLITS, VERSIONS, WITHDRAWALS
from mainstay.nouns import Arm, ModelVersion
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.wiring import platform


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, loads(LINES))


def test_the_head_is_brought_online_view_by_view(home: Home) -> None:
    made = first(home)
    assert home.online("x") == {"age": 30.0, "calls": 10.0, "plan": "a"}
    platform = home.at(day(62))
    (own, view) = status(platform, home.use_case)
    assert (own.view, view.view, view.watermark, view.written) == ("lines", "usage", day(61), 2)
    assert view.project == f"lines__{made.id.removeprefix('ds_')[:12]}"
    again = materialize(platform, home.use_case, head(platform, home.use_case), day(62), home.heard.append)
    assert [each.written for each in again] == [0, 0]


def test_pushed_events_are_online_and_offline_as_of_when_they_arrived(home: Home) -> None:
    first(home)
    assert home.push(day(70), usage("x", 65, 99.0), usage("new", 66, None, None)) == 2
    assert home.online("x") == {"age": 30.0, "calls": 99.0, "plan": "b"}
    assert home.online("new") == {"calls": None, "plan": None}
    assert home.push(day(71), usage("x", 64, 5.0)) == 1
    assert home.online("x")["calls"] == 99.0
    platform = home.at(day(72))
    second = home.freeze(day(73), {"x": 30, "y": 41}, [("x", 40, 41, 10.0), ("y", 40, 41, 20.0)])
    history = open_histories(second, home.use_case, platform.blobs)["usage"]
    told = sorted((row["measured"], row["loaded"], row["calls"] or -1) for row in history.to_pylist())
    assert told == [
        (day(40), day(41), 10.0), (day(40), day(41), 20.0), (day(64), day(71), 5.0), (day(65), day(70), 99.0),
        (day(66), day(70), -1),
    ]  # fmt: skip


def test_a_push_that_was_interrupted_is_taken_up_again_and_counts_once(home: Home) -> None:
    first(home)
    platform = home.at(day(70))
    event = json.dumps(usage("x", 65, 99.0))
    assert push(platform, home.use_case, [event], "-", day(70)) == 1
    spool = platform.settings.home / "segments" / topic("lines")
    shutil.copytree(spool, home.folder / "kept")
    assert take_up(platform, home.use_case, home.heard.append) == 1
    assert take_up(platform, home.use_case, home.heard.append) == 0
    shutil.copytree(home.folder / "kept", spool, dirs_exist_ok=True)
    later = home.at(day(75))
    assert take_up(later, home.use_case, home.heard.append) == 1
    assert push(later, home.use_case, [event], "-", day(76)) == 1
    assert take_up(later, home.use_case, home.heard.append) == 1
    rows = offline(later, home.use_case, head(later, home.use_case), service(home))["usage"].to_pylist()
    assert sorted(row[feast.KNOWN_AT] for row in rows if row["calls"] == 99.0) == [day(70)]
    assert home.online("x")["calls"] == 99.0


def test_what_is_pushed_reaches_the_challenger_of_a_rollout_too(home: Home) -> None:
    old = first(home)
    new = home.freeze(day(62), {"x": 30, "y": 42}, [("x", 40, 41, 10.0), ("y", 40, 41, 20.0)])
    opened = home.at(day(63))
    for version, made in (("1.0.0", old), ("1.1.0", new)):
        said = ModelVersion("lines", version, version, made.id, "run", "m" * 64, "key", {})
        opened.ledger.write("lines", Entry(VERSIONS, version, said), at=day(63), actor="ada", reason="It passed.")
    standing = opened.ledger.latest("lines", SPLITS, "lines")
    assert standing is not None
    arms = (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True))
    split = dataclasses.replace(standing.body, number=2, arms=arms, rollout="r1")
    opened.ledger.write("lines", Entry(SPLITS, "lines", split, 1), at=day(63), actor="ada", reason="A rollout.")
    assert home.push(day(70), usage("x", 65, 99.0)) == 1
    assert home.online("x") == {"age": 30.0, "calls": 99.0, "plan": "b"}
    assert home.online("x", new.id) == {"age": 30.0, "calls": 99.0, "plan": "b"}
    assert home.online("y", new.id)["age"] == 42.0
    assert not [each for each in home.heard if "not brought online" in str(each)]


def test_the_operator_brings_a_new_head_up_to_date_once(home: Home) -> None:
    made = first(home)
    later, said = home.at(day(80)), list[str]()
    memory = Memory({"lines": home.use_case}, mirroring=Mirroring(0.0))
    make_it_so(later, "lines", said.append, memory)
    assert memory.filled == {"lines": made.id}
    assert [each.watermark for each in status(later, home.use_case)] == [day(80), day(80)]
    make_it_so(home.at(day(81)), "lines", said.append, memory)
    assert [each.watermark for each in status(later, home.use_case)] == [day(80), day(80)]


def test_events_that_are_taken_up_behind_a_watermark_are_online_all_the_same(home: Home) -> None:
    """Another process was faster, or this clock is slow: what counted from before the watermark would never come."""
    made = first(home)
    ahead = home.at(day(80))
    fact = ahead.ledger.latest("lines", DATASETS, made.id)
    assert fact is not None
    materialize(ahead, home.use_case, fact, day(80), home.heard.append)
    assert home.push(day(70), usage("x", 65, 99.0)) == 1
    assert home.online("x")["calls"] == 99.0


def test_a_push_that_was_killed_before_it_had_written_all_is_not_taken_up(home: Home) -> None:
    first(home)
    platform = home.at(day(70))
    lines = [json.dumps(usage(f"line {n}", 65, 99.0)) for n in range(50)]
    push(platform, home.use_case, lines, "-", day(70))
    (whole,) = (platform.settings.home / "segments" / topic("lines")).glob("*.sealed")
    data = whole.read_bytes()
    whole.with_suffix(".open").write_bytes(data[: len(data) // 2])
    whole.unlink()
    assert take_up(platform, home.use_case, home.heard.append) == 0
    assert any("push them again" in str(each) for each in home.heard)
    push(platform, home.use_case, lines, "-", day(70))
    assert take_up(platform, home.use_case, home.heard.append) == 50
    assert home.online("line 49")["calls"] == 99.0


def test_events_that_were_withdrawn_count_again_where_they_are_pushed_again(home: Home) -> None:
    older = first(home)
    home.push(day(70), usage("x", 65, 99.0))
    newer = home.freeze(day(75), {"x": 31, "y": 41}, [("x", 60, 60, 3.0)])
    home.live(day(75), newer.id)
    rollback(home.at(day(80)), home.use_case, older.id, home.asked, home.heard.append)
    assert home.online("x")["calls"] != 99.0
    home.push(day(85), usage("x", 65, 99.0))
    assert home.online("x")["calls"] == 99.0


@pytest.mark.parametrize("given", [7, "7", " 07 ", "7.0"])
def test_an_entity_that_is_a_number_is_the_same_however_it_is_written(tmp_path: Path, given: Any) -> None:
    home = Home(tmp_path, loads(LINES.replace("{type: identifier, personal: hash}", "{type: integer, personal: hash}")))
    made = home.freeze(day(60), {7: 30, 8: 40}, [(7, 40, 41, 10.0), (8, 40, 41, 20.0)])  # type: ignore[dict-item, list-item]
    home.live(day(60), made.id)
    assert home.online("7") == {"age": 30.0, "calls": 10.0, "plan": "a"}
    home.push(day(70), {**usage("7", 65, 99.0), "entity": given})
    assert home.online("7")["calls"] == 99.0


def test_what_is_live_is_brought_online_as_it_is_bound_while_the_next_service_is_described(home: Home) -> None:
    first(home)
    home.at(day(62)).ledger.write(
        "lines", Entry(FEATURE_SERVICES, "lines_v1", service(home)), at=day(62), actor="ada", reason="bound"
    )
    changed = LINES.replace("lines_v1", "lines_v2").replace(
        "plan: {type: category, values: [a, b], nullable: true}", "visits: {type: integer, nullable: true}"
    )
    more = """    - name: bills
      source: bills.parquet
      event_time: at
      known_at: came
      columns:
        spent: {type: number, nullable: true}
"""
    home.use_case = loads(changed + more)
    platform = home.at(day(70))
    made = materialize(platform, home.use_case, head(platform, home.use_case), day(70), home.heard.append)
    assert [each.view for each in made] == ["lines", "usage"]
    event = {"view": "usage", "entity": "x", "event_time": day(71).isoformat(), "values": {"calls": 5.0, "visits": 2}}
    assert home.push(day(72), event) == 1
    assert home.online("x") == {"age": 30.0, "calls": 5.0, "plan": None}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"view": "usages"}, "-:2: view: there is no view 'usages'; did you mean `usage`?"),
        ({"view": 7}, "-:2: view: there is no view 7"),
        ({"entity": None}, "-:2: entity: an entity is a text or a number"),
        ({"entity": " "}, "-:2: entity: a blank is no entity"),
        ({"event_time": "2026-07-01"}, "-:2: event_time: '2026-07-01' is no time with its zone"),
        ({"event_time": "2027-01-01T00:00:00Z"}, "-:2: event_time: 2027-01-01T00:00:00Z is to come"),
        ({"event_time": "1969-01-01T00:00:00Z"}, "before 1970"),
        ({"event_time": 12}, "-:2: event_time: 12 is no time"),
        ({"values": []}, "-:2: values: the values are an object"),
        ({"values": {"calls": 1}}, "-:2: values: `plan` is missing: an event has every feature of usage"),
        ({"values": {"calls": 1, "plan": "a", "cals": 2}}, "-:2: values: `cals` is no feature of the view usage"),
        ({"values": {"calls": float("nan"), "plan": "a"}}, "-:2: values.calls: nan is no number"),
        ({"values": {"calls": True, "plan": "a"}}, "-:2: values.calls: True is no number"),
        ({"values": {"calls": "many", "plan": "a"}}, "-:2: values.calls: 'many' is no number"),
        ({"values": {"calls": 10**400, "plan": "a"}}, "is no number"),
        ({"values": {"calls": 1001, "plan": "a"}}, "-:2: values.calls: 1001 is not between 0 and 1000"),
        ({"values": {"calls": 1, "plan": "c"}}, "-:2: values.plan: 'c' is no category of it"),
        ({"values": {"calls": 1, "plan": "\ud800"}}, "values.plan: '\\ud800' is no category"),
        ({"values": {"calls": 1, "plan": {}}}, "-:2: values.plan: {} is no category"),
        ({"more": 1}, "-:2: `more` means nothing here"),
    ],
)  # fmt: skip
def test_hostile_events_are_refused_with_their_place_and_nothing_is_taken(
    home: Home, changed: dict[str, Any], said: str
) -> None:
    first(home)
    lines = [json.dumps(usage("x", 65, 99.0)), json.dumps({**usage("x", 65, 98.0), **changed})]
    with pytest.raises(Refused) as refused:
        push(home.at(day(70)), home.use_case, lines, "-", day(70))
    assert said in str(refused.value)
    assert take_up(home.at(day(70)), home.use_case, home.heard.append) == 0


@pytest.mark.parametrize("line", ["{", "[]", "7", "[" * 100_000, '{"view": "usage"}', "\ud800"])
def test_what_is_no_event_at_all_is_refused(home: Home, line: str) -> None:
    with pytest.raises(Refused, match="-:1"):
        push(home.at(NOW), home.use_case, [line], "-", NOW)


def test_data_is_rolled_back_by_one_split_and_what_came_after_it_is_withdrawn(home: Home) -> None:
    one = first(home)
    home.push(day(62), usage("x", 61, 77.0))
    two = home.freeze(day(70), {"x": 31, "y": 41}, [("x", 68, 69, 11.0), ("y", 68, 69, 21.0)])
    home.live(day(71), two.id)
    home.push(day(72), usage("x", 71, 500.0))
    assert home.online("x") == {"age": 31.0, "calls": 500.0, "plan": "b"}
    platform = home.at(day(80))
    made = rollback(platform, home.use_case, one.id[:10], home.asked, home.heard.append)
    assert (made.changed, made.verified, made.withdrawn) == (True, 4, (two.id,))
    assert home.online("x") == {"age": 30.0, "calls": 10.0, "plan": "a"}
    splits = platform.ledger.history("lines", SPLITS, "lines")
    assert [fact.body.dataset_head for fact in splits] == [one.id, two.id, one.id]
    assert splits[-1].body.arms == splits[-2].body.arms
    assert splits[-1].reason == "It was asked for."
    (withdrawn,) = platform.ledger.history("lines", WITHDRAWALS, "lines")
    assert withdrawn.body.datasets == (two.id,)
    assert [each.withdrawn for each in log(platform, home.use_case)] == [True, False]
    assert standing_datasets(platform.ledger, "lines")[-1].subject == one.id
    twice = rollback(platform, home.use_case, one.id, home.asked, home.heard.append)
    assert (twice.changed, twice.split, twice.withdrawn) == (False, 3, (two.id,))
    assert len(platform.ledger.history("lines", SPLITS, "lines")) == 3
    # What was pushed before is kept, and no longer used; what comes now is.
    home.push(day(81), usage("y", 80, 33.0))
    third = home.freeze(day(82), {"x": 30, "y": 42}, [("x", 40, 41, 10.0)])
    calls = open_histories(third, home.use_case, platform.blobs)["usage"]["calls"].to_pylist()
    assert sorted(calls) == [10.0, 33.0]
    assert len(platform.blobs.names("pushed/lines/usage/")) == 3


def test_going_back_again_is_at_once_and_lifts_what_was_withdrawn(home: Home) -> None:
    one = first(home)
    two = home.freeze(day(70), {"x": 31, "y": 41}, [("x", 68, 69, 11.0)])
    home.live(day(71), two.id)
    assert rollback(home.at(day(80)), home.use_case, one.id, home.asked, home.heard.append).at_once
    again = rollback(home.at(day(81)), home.use_case, two.id, home.asked, home.heard.append)
    assert (again.at_once, again.withdrawn) == (True, ())
    assert home.online("x") == {"age": 31.0, "calls": 11.0, "plan": "a"}


def test_the_namespaces_of_the_last_two_heads_are_kept(home: Home) -> None:
    made = []
    for n in range(4):
        made.append(home.freeze(day(60 + n), {"x": 30 + n, "y": 40}, [("x", 40, 41, 10.0)]))
        home.live(day(60.5 + n), made[-1].id)
    platform = home.at(day(70))
    assert len(writer_of(platform.settings).projects("lines__")) == 4
    rolled = rollback(platform, home.use_case, made[0].id, home.asked, home.heard.append)
    assert rolled.at_once
    kept = [project_of("lines", each.id) for each in (made[0], made[3])]
    assert writer_of(platform.settings).projects("lines__") == sorted(kept)
    back = rollback(platform, home.use_case, made[1].id, home.asked, home.heard.append)
    assert not back.at_once
    assert home.online("x")["age"] == 31.0


def test_a_rollback_that_cannot_be_is_refused_with_its_reason(home: Home) -> None:
    with pytest.raises(NotFound, match="no dataset `ds_0123`"):
        rollback(home.at(NOW), home.use_case, "ds_0123", home.asked, home.heard.append)
    one = home.freeze(day(60), {"x": 30, "y": 40}, [("x", 40, 41, 10.0)])
    with pytest.raises(Refused, match="nothing is live"):
        rollback(home.at(NOW), home.use_case, one.id, home.asked, home.heard.append)
    home.live(day(61), one.id, service="lines_v0")
    two = home.freeze(day(70), {"x": 31, "y": 41}, [("x", 68, 69, 11.0)])
    home.live(day(71), two.id)
    with pytest.raises(
        Refused, match=r"its features are those of lines_v0, and 1.0.0, the champion, is bound to lines_v1"
    ):
        rollback(home.at(NOW), home.use_case, one.id, home.asked, home.heard.append)
    three = home.freeze(day(72), {"x": 32, "y": 41}, [("x", 68, 69, 11.0)])
    platform = home.at(NOW)
    for name in platform.blobs.names("datasets/"):
        if three.id.removeprefix("ds_") in name:
            platform.blobs.remove(name)
    with pytest.raises(NotFound, match="its rows are gone"):
        rollback(platform, home.use_case, three.id, home.asked, home.heard.append)
    assert home.online("x")["age"] == 31.0
    assert len(platform.ledger.history("lines", SPLITS, "lines")) == 2


def test_a_snapshot_s_rows_are_its_values_as_of_when_it_was_frozen(
    shop: UseCase, tmp_path: Path, write_rows: Callable[..., None], customers: list[dict[str, str]]
) -> None:
    write_rows(tmp_path / "shop.csv", customers)
    home = platform(Settings(home=tmp_path / "home", now=NOW))
    made = ingest(home, shop, Asked("user:ada", "x", tmp_path), progress.Release("shop"), lambda noun: None)
    assert made is not None
    (filled,) = materialize(home, shop, head(home, shop), NOW, lambda noun: None)
    assert (filled.written, filled.rows, filled.watermark) == (800, 800, NOW)
    stored = pseudonym("c0005", pseudonym_key(home.settings.keys)[1])
    wanted = [Wanted("shop", ("age", "spent", "plan"))]
    (row,) = online_from(home.settings.online).read(filled.project, "id", wanted, [stored]).rows
    given = customers[5]
    assert row["shop"].values == {"age": float(given["age"]), "spent": None, "plan": given["plan"]}
    assert row["shop"].event_time == round(NOW.timestamp() * 1_000_000)
