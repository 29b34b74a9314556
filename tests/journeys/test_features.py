"""Views from their sources to a training frame and a service: what was known then, under a name that keeps its word."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.data.freeze import content_digest, open_dataset
from mainstay.errors import NotFound, Refused
from mainstay.journeys import features, progress
from mainstay.journeys.asked import Asked
from mainstay.journeys.parts import parts_of, rows_of
from mainstay.journeys.release import ingest
from mainstay.journeys.release import release as journey
from mainstay.ledger.kinds import DATASETS, FEATURE_SERVICES
from mainstay.nouns import DatasetVersion
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.verdicts import Outcome
from mainstay.wiring import Platform, platform

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 9, 1, tzinfo=UTC)
LINES = """
schema: 1
name: lines
source: lines.parquet
entity: id
event_time: {column: seen}
label: {column: left, positive: "Yes", horizon: 30d, absent_means: "No"}
contract:
  rows: {at_least: 10}
  columns:
    id: {type: identifier, personal: hash}
    seen: {type: timestamp}
    age: {type: integer, range: [0, 90]}
    left: {type: category, values: ["No", "Yes"], nullable: true}
features:
  service: lines_v1
  views:
    - name: usage
      source: usage.parquet
      event_time: measured
      known_at: loaded
      ttl: 45d
      columns: {calls: {type: number, range: [0, 1000], unit: calls}}
  derived: {calls_a_year: "calls / max(age, 1)"}
recipe: {estimators: [logistic], trials: 1, folds: 2, seed: 7}
gates: {leakage: {permuted_auc: {at_most: 0.62}}}
"""


def lines_but(old: str, new: str) -> UseCase:
    assert old in LINES
    return loads(LINES.replace(old, new))


@pytest.fixture(scope="module")
def lines() -> UseCase:
    """Will a line be given up? By age, and by how many calls were made on it."""
    return loads(LINES)


def history(count: int) -> tuple[pa.Table, pa.Table]:
    """`count` lines seen each month of half a year, and their calls, measured monthly and loaded three days later.

    Who calls little leaves. After a line is given up it makes a thousand calls less: a future that gives it away.
    """
    random = np.random.default_rng(5)
    seen, usage = [], []
    for n in range(count):
        for month in range(6):
            at, calls = START + timedelta(days=30 * month + 10), float(random.uniform(100, 900))
            leaves = bool(random.random() < 1 / (1 + np.exp((calls - 300) / 40)))
            seen.append({"id": f"l{n}", "seen": at, "age": n % 60, "left": "Yes" if leaves else None})
            for days, value in ((-8, calls), (-1, 0.0 if leaves else 1000.0)):  # the second is loaded after `seen`
                measured = at + timedelta(days=days)
                usage.append(
                    {"id": f"l{n}", "measured": measured, "loaded": measured + timedelta(days=3), "calls": value}
                )
    return pa.Table.from_pylist(seen), pa.Table.from_pylist(usage)


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    return history(150)


@pytest.fixture
def home(tmp_path: Path, tables: tuple[pa.Table, pa.Table], empty_store: Path) -> Platform:
    """A home in which nothing has happened, with the lines and their usage beside it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mlflow.db").write_bytes(empty_store.read_bytes())
    pq.write_table(tables[0], tmp_path / "lines.parquet")
    pq.write_table(tables[1], tmp_path / "usage.parquet")
    return platform(Settings(home=tmp_path / "home", now=NOW))


def ask(home: Platform) -> Asked:
    return Asked("user:ada", "It was asked for.", home.settings.home.parent)


def frozen(home: Platform, use_case: UseCase, heard: list[Any] | None = None) -> DatasetVersion:
    far = progress.Release(use_case.name)
    made = ingest(home, use_case, ask(home), far, (heard if heard is not None else []).append)
    assert made is not None, far.verdict
    return made


def test_training_sees_the_calls_that_had_been_loaded_and_not_those_that_had_been_made(
    home: Platform, lines: UseCase, tables: tuple[pa.Table, pa.Table]
) -> None:
    dataset = frozen(home, lines)
    rows = rows_of(home, lines, dataset)
    assert rows.num_rows == 900
    calls = rows["calls"].to_numpy()
    assert not np.isin(calls, [0.0, 1000.0]).any()  # what gives a line away came later
    assert ((calls >= 100) & (calls <= 900)).all()
    parts = parts_of(home, lines, dataset, lambda noun: None)
    assert list(parts.train.columns) == ["age", "calls"]
    assert len(parts.train) + len(parts.holdout) <= 900


def test_a_release_with_views_goes_through_and_is_the_same_candidate_again(
    home: Platform, lines: UseCase, release: Callable[..., progress.Release]
) -> None:
    first = release(home, lines)
    assert first.outcome is Outcome.PASS, first.verdict
    assert first.candidate is not None
    again = progress.Release(lines.name)
    journey(home, lines, ask(home), again, lambda noun: None, named=first.dataset.id if first.dataset else "")
    assert again.candidate is not None
    assert again.candidate.id == first.candidate.id
    bound = features.standing(home, "lines", "lines_v1")
    assert [view.name for view in bound.body.views] == ["lines", "usage"]


def test_a_dataset_version_names_its_histories_and_is_another_where_one_of_them_changed(
    home: Platform, lines: UseCase, tables: tuple[pa.Table, pa.Table]
) -> None:
    before = frozen(home, lines)
    folder = home.settings.home.parent
    shuffled = tables[1].take(np.random.default_rng(1).permutation(tables[1].num_rows))
    pq.write_table(shuffled, folder / "usage.parquet")
    assert frozen(home, lines) == before  # the same rows in another order
    pq.write_table(tables[1].slice(1), folder / "usage.parquet")
    after = frozen(home, lines)
    assert after.id != before.id
    assert after.parent == before.id
    assert after.views.keys() == before.views.keys() == {"usage"}
    assert open_dataset(after, home.blobs).equals(open_dataset(before, home.blobs))
    assert rows_of(home, lines, before).num_rows == 900  # what it was frozen with is still there


def test_what_is_frozen_without_views_is_named_as_it_ever_was(home: Platform, lines: UseCase) -> None:
    plain = lines.model_copy(update={"features": lines.features.model_copy(update={"views": (), "derived": {}})})
    made = frozen(home, plain)
    assert made.views == {}
    assert made.id == "ds_" + content_digest(open_dataset(made, home.blobs).select(made.columns))


def test_names_are_pseudonyms_in_a_history_too(home: Platform, lines: UseCase, tmp_path: Path) -> None:
    frozen(home, lines)
    held = list((tmp_path / "home" / "blobs").rglob("features/lines/usage/*.parquet"))
    assert len(held) == 1
    assert not any(name.startswith("l") for name in pq.read_table(held[0])["id"].to_pylist())


def test_rows_of_a_view_that_break_their_word_are_set_aside_and_too_many_stop_the_release(
    home: Platform, lines: UseCase, tables: tuple[pa.Table, pa.Table]
) -> None:
    folder, usage = home.settings.home.parent, tables[1].to_pylist()
    usage[3]["calls"] = -5.0
    usage[4]["loaded"] = NOW + timedelta(days=1)
    usage[5]["id"] = None
    pq.write_table(pa.Table.from_pylist(usage), folder / "usage.parquet")
    heard: list[Any] = []
    frozen(home, lines, heard)
    assert any("3 rows of the view usage are quarantined with their reasons" in str(said) for said in heard)
    for row in usage[:200]:
        row["measured"] = None
    pq.write_table(pa.Table.from_pylist(usage), folder / "usage.parquet")
    far = progress.Release("lines")
    assert ingest(home, lines, ask(home), far, heard.append) is None
    assert far.verdict is not None
    failed = {check.subject for check in far.verdict.checks if check.blocking and check.outcome is Outcome.FAIL}
    assert failed == {"usage.measured", "usage"}


def test_a_history_without_a_column_that_its_view_promises_stops_the_release(
    home: Platform, lines: UseCase, tables: tuple[pa.Table, pa.Table]
) -> None:
    pq.write_table(tables[1].drop_columns(["loaded"]), home.settings.home.parent / "usage.parquet")
    far = progress.Release("lines")
    assert ingest(home, lines, ask(home), far, lambda noun: None) is None
    assert far.verdict is not None
    assert any("the source has no column `loaded`" in check.reason for check in far.verdict.checks)


def test_a_dataset_that_was_frozen_without_a_view_is_refused_with_what_to_do(home: Platform, lines: UseCase) -> None:
    plain = lines.model_copy(update={"features": lines.features.model_copy(update={"views": (), "derived": {}})})
    made = frozen(home, plain)
    with pytest.raises(Refused, match="it was frozen without the history of the view `usage`; freeze the rows again"):
        rows_of(home, lines, made)


def test_a_history_that_was_tampered_with_is_refused(home: Platform, lines: UseCase, tmp_path: Path) -> None:
    made = frozen(home, lines)
    held = next((tmp_path / "home" / "blobs").rglob("features/lines/usage/*.parquet"))
    rows = pq.read_table(held)
    held.chmod(0o644)
    pq.write_table(rows.slice(1), held)
    with pytest.raises(Refused, match="are not those that were frozen"):
        rows_of(home, lines, made)
    held.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(Refused, match="the stored rows are damaged"):
        rows_of(home, lines, made)


def test_a_name_keeps_its_meaning_and_the_next_one_is_proposed(home: Platform, lines: UseCase) -> None:
    frozen(home, lines)
    features.bind(home, lines, ask(home))
    features.bind(home, lines, ask(home))
    assert len(home.ledger.history("lines", FEATURE_SERVICES, "lines_v1")) == 1
    other = lines_but("ttl: 45d", "ttl: 60d")
    with pytest.raises(Refused, match=r"means something else already \(view usage: ttl: 45d → 60d\).*name it lines_v2"):
        features.bind(home, other, ask(home))
    features.bind(home, lines_but("ttl: 45d", "ttl: 60d").model_copy(
        update={"features": other.features.model_copy(update={"service": "lines_v2"})}), ask(home))  # fmt: skip
    assert {fact.subject for fact in home.ledger.latest_of_each("lines", FEATURE_SERVICES)} == {"lines_v1", "lines_v2"}


def test_training_under_a_name_that_means_something_else_stops_before_anything_is_paid_for(
    home: Platform, lines: UseCase, release: Callable[..., progress.Release]
) -> None:
    features.record(home, lines, features.described(lines), ask(home))
    far = progress.Release("lines")
    with pytest.raises(Refused, match="name it lines_v2"):
        release(home, lines_but("calls / max(age, 1)", "calls / 12"), far)
    assert far.stage == "features"
    assert far.run is None


def test_what_is_said_of_features_may_change_under_the_same_name(home: Platform, lines: UseCase) -> None:
    features.record(home, lines, features.described(lines), ask(home))
    told = lines_but("service: lines_v1", "service: lines_v1\n  owner: retention")
    features.record(home, told, features.described(told), ask(home))
    assert features.standing(home, "lines", "lines_v1").body.owner == "retention"
    assert told.recipe_digest == lines.recipe_digest


def test_a_service_that_was_never_recorded_is_not_found(home: Platform, lines: UseCase) -> None:
    with pytest.raises(NotFound, match="`mainstay features apply` records one"):
        features.standing(home, "lines", "lines_v1")
    assert home.ledger.latest_of_each("lines", DATASETS) == []


def test_the_offline_store_is_told_to_be_empty_where_no_dataset_has_the_views(home: Platform, lines: UseCase) -> None:
    plain = lines.model_copy(update={"features": lines.features.model_copy(update={"views": (), "derived": {}})})
    frozen(home, plain)
    heard: list[Any] = []
    features.offline(home, lines, features.described(lines), "lines", heard.append)
    assert len(heard) == 1
    assert "Feast's offline store is not filled" in heard[0]
    assert "frozen without the history of the view `usage`" in heard[0]
    frozen(home, lines)
    features.offline(home, lines, features.described(lines), "lines", heard.append)
    assert len(heard) == 1
    held = features.feast_folder(home.settings) / "offline" / "lines"
    assert sorted(path.name for path in held.iterdir()) == ["lines.parquet", "usage.parquet"]
