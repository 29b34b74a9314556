"""Training frames: which rows enter, in which order, and that no key has a say in it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.blobs import BlobDirectory
from mainstay.data.freeze import canonical_order, freeze, open_dataset
from mainstay.data.source import read
from mainstay.data.split import split
from mainstay.data.validate import validate
from mainstay.errors import Refused
from mainstay.features.offline import Left, training_frame
from mainstay.nouns import DatasetVersion, Holdout
from mainstay.scoring.frame import HELD_OUT, Frame
from mainstay.usecase import UseCase
from mainstay.usecase_file import CHURN, load, loads

TELCO = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"
VISITS = """
schema: 1
name: visits
source: visits.csv
entity: id
event_time: {column: seen, optional: true}
label: {column: left, positive: "Yes", horizon: 30d, grace: 3d, absent_means: "No"}
contract:
  columns:
    id: {type: identifier, personal: hash}
    seen: {type: timestamp}
    age: {type: integer, nullable: true}
    plan: {type: category, nullable: true}
    gender: {type: category, feature: false, nullable: true}
    secret: {type: category, feature: false, personal: drop, nullable: true}
    left: {type: category, values: ["No", "Yes"], nullable: true}
features: {derived: {older: age + 1}}
protected: [gender, age, secret]
"""
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def visits() -> UseCase:
    return loads(VISITS)


def table(rows: list[dict[str, Any]], *, timed: bool) -> pa.Table:
    """Rows with what is not said filled in; `day` counts from the start."""
    return pa.table(
        {
            "id": [row.get("id", f"c{n}") for n, row in enumerate(rows)],
            "age": pa.array([row.get("age") for row in rows], pa.int64()),
            "plan": pa.array([row.get("plan") for row in rows], pa.string()),
            "gender": pa.array([row.get("gender") for row in rows], pa.string()),
            "secret": pa.array(["x"] * len(rows)),
            "left": pa.array([row.get("left") for row in rows], pa.string()),
            **({"seen": [START + timedelta(days=row["day"]) for row in rows]} if timed else {}),
        }
    )


def framed(
    rows: list[dict[str, Any]], use_case: UseCase, folder: Path, *, timed: bool = False, key: bytes = b"k" * 32
) -> tuple[Frame, Left]:
    blobs = BlobDirectory(folder / "blobs")
    checked = validate(table(rows, timed=timed), use_case)
    made = freeze(checked.table, use_case, blobs, ("k", key), None, 0)
    return training_frame(open_dataset(made, blobs), made, use_case)


def test_a_snapshot_s_labelled_rows_enter_as_columns_for_the_scorer(visits: UseCase, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"age": 30, "plan": "b", "left": "Yes", "gender": "f"},
        {"age": None, "plan": "a", "left": "No"},
        {"age": 20, "plan": None, "left": "No"},
        {"age": 10, "plan": "a"},
    ]
    frame, left = framed(rows, visits, tmp_path)
    assert left == Left(unripe=0, unlabelled=1)
    assert list(frame.columns) == ["age", "plan"]
    assert frame.columns["age"].dtype == np.float64
    np.testing.assert_array_equal(frame.columns["age"], [20, 30, np.nan])
    assert frame.columns["plan"].tolist() == [None, "b", "a"]
    assert frame.labels.tolist() == [False, True, False]
    assert frame.groups.tolist() == [0, 1, 2]
    assert frame.times is None
    assert {name: values.tolist() for name, values in frame.slices.items()} == {
        "gender": [None, "f", None],
        "age": ["20", "30", None],
    }


def test_unripe_rows_never_enter_and_silence_on_ripe_ones_is_a_class(visits: UseCase, tmp_path: Path) -> None:
    rows = [{"day": day, "age": day, "left": "Yes" if day in (1, 39) else None} for day in range(41)]
    frame, left = framed(rows, visits, tmp_path, timed=True)
    assert left == Left(unripe=33, unlabelled=0)
    assert str(left) == "33 rows are not ripe, and 0 have no label"
    assert frame.columns["age"].tolist() == list(range(8))  # 7 + 30 + 3 = 40, the last day that was seen
    assert frame.labels.tolist() == [False, True] + [False] * 6
    assert frame.times is not None
    assert frame.times[0] == np.datetime64("2026-01-01")
    assert frame.held_out.tolist() == [False] * 6 + [True] * 2


def test_where_silence_means_nothing_a_ripe_row_without_a_label_is_left_out(visits: UseCase, tmp_path: Path) -> None:
    silent = visits.model_copy(update={"label": visits.label.model_copy(update={"absent_means": "unknown"})})
    rows = [{"day": day, "age": day, "left": "Yes" if day in (1, 39) else None} for day in range(41)]
    frame, left = framed(rows, silent, tmp_path, timed=True)
    assert left == Left(unripe=33, unlabelled=7)
    assert frame.columns["age"].tolist() == [1]


def test_where_nothing_can_be_learnt_from_the_numbers_are_said(visits: UseCase, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="of 2, 2 rows are not ripe, and 0 have no label"):
        framed([{"day": 0, "left": "Yes"}, {"day": 1, "left": "No"}], visits, tmp_path, timed=True)
    with pytest.raises(Refused, match="0 rows are not ripe, and 1 have no label"):
        framed([{"age": 1}], visits, tmp_path)


def test_rows_of_one_entity_are_one_group_in_the_order_of_time(visits: UseCase, tmp_path: Path) -> None:
    rows = [{"id": name, "day": day, "left": "No"} for name, day in (("b", 2), ("a", 1), ("a", 3), ("c", 0), ("z", 60))]
    frame, _ = framed(rows, visits, tmp_path, timed=True)
    assert frame.groups.tolist() == [0, 1, 2, 1]


def test_without_entities_every_row_is_its_own_group(visits: UseCase, tmp_path: Path) -> None:
    nameless = visits.model_copy(update={"entity": None})
    frame, _ = framed([{"id": "a", "left": "No"}] * 3, nameless, tmp_path)
    assert frame.groups.tolist() == [0, 1, 2]


@pytest.mark.parametrize("timed", [False, True])
def test_no_pseudonym_key_and_no_order_of_rows_changes_the_frame(visits: UseCase, tmp_path: Path, timed: bool) -> None:
    random = np.random.default_rng(3)
    rows = [
        {
            "id": f"c{n}",
            "day": int(random.integers(0, 80)),
            "age": int(random.integers(0, 5)),
            "plan": str(random.choice(["a", "b"])),
            "gender": str(random.choice(["f", "m"])),
            "left": str(random.choice(["No", "Yes"])),
        }
        for n in range(300)
    ]
    shuffled = [rows[n] for n in random.permutation(300)]
    first, _ = framed(rows, visits, tmp_path, timed=timed, key=b"a" * 32)
    second, _ = framed(shuffled, visits, tmp_path, timed=timed, key=b"b" * 32)
    for name, values in first.columns.items():
        np.testing.assert_array_equal(values, second.columns[name])
    for name, values in first.slices.items():
        np.testing.assert_array_equal(values, second.slices[name])
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.held_out, second.held_out)
    np.testing.assert_array_equal(first.groups, second.groups)


ALIKE = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 1), st.booleans(), st.integers(0, 1))


@pytest.mark.parametrize("timed", [False, True])
@settings(deadline=None)
@given(st.lists(ALIKE, min_size=2, max_size=20), st.permutations(range(5)), st.randoms())
def test_no_pseudonym_decides_between_rows_that_are_alike(
    timed: bool, rows: list[tuple[int, int, int, bool, int]], names: list[int], random: Random
) -> None:
    """Entities of several rows, many of them the same: what comes first and what keeps together is in the rows."""
    use_case = loads(VISITS)

    def frame_of(names: list[int], rows: list[tuple[int, int, int, bool, int]]) -> Frame:
        given_rows = [
            {"id": f"c{names[who]}", "age": age, "left": ("No", "Yes")[left], "day": day, "gender": "fm"[day]}
            for who, age, left, _, day in rows
        ]
        stored = table(given_rows, timed=timed).append_column(HELD_OUT, pa.array([row[3] for row in rows]))
        if timed:
            stored = stored.set_column(stored.column_names.index("seen"), "seen", stored["seen"].cast("timestamp[us]"))
        stored = stored.take(canonical_order(stored, use_case))
        seen = START + timedelta(days=100) if timed else None
        made = DatasetVersion("ds_x", "visits", len(rows), (), "", Holdout("visits", 0.2), watermark=seen)
        return training_frame(stored, made, use_case)[0]

    first, second = frame_of(list(range(5)), rows), frame_of(names, random.sample(rows, len(rows)))
    np.testing.assert_array_equal(first.groups, second.groups)
    np.testing.assert_array_equal(first.columns["age"], second.columns["age"])
    np.testing.assert_array_equal(first.slices["gender"], second.slices["gender"])
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.held_out, second.held_out)


def test_a_protected_attribute_kept_as_a_pseudonym_decides_no_order(visits: UseCase, tmp_path: Path) -> None:
    columns = dict(visits.contract.columns)
    columns["gender"] = columns["gender"].model_copy(update={"personal": "hash"})
    hashed = visits.model_copy(update={"contract": visits.contract.model_copy(update={"columns": columns})})
    rows = [{"id": f"c{n // 3}", "age": n % 2, "gender": "fm"[n % 5 // 3], "left": "No"} for n in range(60)]
    first, second = (framed(rows, hashed, tmp_path, key=key * 32)[0] for key in (b"a", b"b"))
    np.testing.assert_array_equal(first.groups, second.groups)


def test_the_simulator_s_rows_are_split_by_time(tmp_path: Path) -> None:
    churn, blobs = load(CHURN), BlobDirectory(tmp_path / "blobs")
    checked = validate(read("simulator://churn?customers=4000", churn, tmp_path), churn)
    made = freeze(checked.table, churn, blobs, ("k", b"k"), None, 0)
    frame, left = training_frame(open_dataset(made, blobs), made, churn)
    parts = split(frame, made, churn)
    assert len(frame) + left.unripe + left.unlabelled == 4000
    assert frame.times is not None
    assert parts.train.times is not None
    assert parts.holdout.times is not None
    assert parts.train.times.max() + np.timedelta64(30, "D") <= parts.holdout.times.min()
    assert len(parts.holdout) / len(frame) == pytest.approx(0.2, abs=0.01)


@pytest.mark.skipif(not TELCO.is_file(), reason="the Telco file is not beside this checkout")
def test_the_telco_file_becomes_a_frame_of_all_its_rows(tmp_path: Path) -> None:
    churn, blobs = load(CHURN), BlobDirectory(tmp_path / "blobs")
    checked = validate(read(str(TELCO), churn, tmp_path), churn)
    made = freeze(checked.table, churn, blobs, ("k", b"k"), None, 0)
    frame, left = training_frame(open_dataset(made, blobs), made, churn)
    assert (len(frame), left) == (7043, Left())
    assert int(frame.labels.sum()) == 1869
    assert list(frame.columns) == list(churn.inputs)
    assert int(np.isnan(frame.columns["TotalCharges"]).sum()) == 11
    assert set(frame.slices["SeniorCitizen"]) == {"0", "1"}
    assert len(set(frame.groups.tolist())) == 7043
    parts = split(frame, made, churn)
    assert len(parts.train) + len(parts.holdout) == 7043
