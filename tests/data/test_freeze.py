"""Datasets: named by what their rows say, stored once, believed only as long as they are unchanged."""

import dataclasses
import io
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.blobs import BlobDirectory
from mainstay.data.freeze import blob_name, content_digest, freeze, open_dataset, quarantine
from mainstay.data.source import read
from mainstay.data.validate import validate
from mainstay.digests import unit_interval
from mainstay.errors import NotFound, Refused, Unavailable
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import HELD_OUT
from mainstay.usecase import UseCase

KEY = ("k1", b"k" * 32)


def frozen(
    table: pa.Table, use_case: UseCase, blobs: BlobDirectory, parent: DatasetVersion | None = None
) -> DatasetVersion:
    checked = validate(table, use_case)
    return freeze(checked.table, use_case, blobs, KEY, parent, checked.quarantine.num_rows)


class FullDisk(BlobDirectory):
    """A store that takes nothing."""

    def put(self, name: str, data: bytes) -> None:
        raise Unavailable(f"disk full while writing {name}", "disk")


def test_a_dataset_says_what_it_is(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    made = freeze(validate(rows, shop).table, shop, blobs, KEY, None, 3)
    assert made.id.startswith("ds_")
    assert len(made.id) == 67
    assert made.columns == ("id", "age", "spent", "plan", "member", "left")
    assert (made.rows, made.quarantined, made.parent, made.watermark) == (8, 3, None, None)
    assert (made.pseudonym_key, made.contract, made.use_case) == ("k1", shop.contract_digest, "shop")
    assert (made.holdout.salt, made.holdout.share, made.holdout.cut) == ("shop", 0.25, None)
    assert blobs.names() == [blob_name(made)]
    assert blob_name(made).startswith(f"datasets/shop/{made.id.removeprefix('ds_')}")


def test_what_was_frozen_is_opened_in_canonical_order(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    made = frozen(rows, shop, blobs)
    found = open_dataset(made, blobs)
    assert found.column_names == [*made.columns, HELD_OUT]
    names = found["id"].to_pylist()
    assert names == sorted(names)
    assert sorted(found["age"].to_pylist()) == [18, 30, 41, 52, 63, 74, 85, 120]


def test_the_same_rows_are_the_same_dataset_in_any_order_and_format(
    rows: pa.Table, shop: UseCase, blobs: BlobDirectory, tmp_path: Path
) -> None:
    made = frozen(rows, shop, blobs)
    shuffled = rows.take(random.Random(3).sample(range(8), 8)).select(list(reversed(rows.column_names)))
    pa_csv.write_csv(shuffled, tmp_path / "rows.csv")
    typed = validate(rows, shop).table
    pq.write_table(typed.slice(4).combine_chunks(), tmp_path / "half.parquet")
    pq.write_table(pa.concat_tables([typed.slice(4), typed.slice(0, 4)]), tmp_path / "rows.parquet")
    before = blobs.get(blob_name(made))
    for name in ("rows.csv", "rows.parquet"):
        assert frozen(read(name, shop, tmp_path), shop, blobs) == made
    assert blobs.names() == [blob_name(made)]
    assert blobs.get(blob_name(made)) == before


def test_another_value_is_another_dataset(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    typed = validate(rows, shop).table
    ids = {freeze(typed, shop, blobs, KEY, None, 0).id}
    columns = typed.to_pydict()
    for name, value in (("spent", 1.6), ("spent", None), ("left", None), ("plan", "plus"), ("age", 19)):
        other = pa.table({**columns, name: [value, *columns[name][1:]]}, schema=typed.schema)
        ids.add(freeze(other, shop, blobs, KEY, None, 0).id)
    ids.add(freeze(typed.slice(1), shop, blobs, KEY, None, 0).id)
    assert len(ids) == 7


def test_no_name_and_no_address_is_in_the_stored_bytes(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    checked = validate(rows.set_column(2, "age", pa.array(["?", *rows["age"].to_pylist()[1:]])), shop)
    made = freeze(checked.table, shop, blobs, KEY, None, 1)
    bad = quarantine(checked.quarantine.append_column("phone", pa.array(["555-1234"])), shop, blobs, KEY)
    stored = [pq.read_table(io.BytesIO(blobs.get(name))) for name in (blob_name(made), bad)]
    for table in stored:
        said = str(table.to_pydict()) + str(table.schema)
        assert "shop.example" not in said
        assert "555-1234" not in said
        assert not {f"c{n}" for n in range(8)} & set(table["id"].to_pylist())


def test_quarantined_rows_are_kept_with_their_reasons(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    checked = validate(rows.set_column(2, "age", pa.array(["?", *rows["age"].to_pylist()[1:]])), shop)
    name = quarantine(checked.quarantine, shop, blobs, KEY)
    assert name.startswith("quarantine/shop/")
    found = pq.read_table(io.BytesIO(blobs.get(name)))
    assert found["reasons"].to_pylist() == ["`age` is not an integer: `?`"]
    assert (found["row"].to_pylist(), found["age"].to_pylist()) == ([1], ["?"])
    assert quarantine(checked.quarantine, shop, blobs, KEY) == name


def test_without_a_key_nothing_personal_is_stored(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    checked = validate(rows, shop)
    with pytest.raises(NotFound, match="keys init"):
        freeze(checked.table, shop, blobs, None, None, 0)
    with pytest.raises(NotFound, match="keys init"):
        quarantine(checked.quarantine, shop, blobs, None)
    assert blobs.names() == []


def test_a_contract_without_pseudonyms_needs_no_key(tiny_use_case: UseCase, blobs: BlobDirectory) -> None:
    rows = {"id": ["a", "b"], "age": [20, 30], "spent": [1.0, None], "plan": ["basic"] * 2, "left": ["Yes", "No"]}
    made = freeze(validate(pa.table(rows), tiny_use_case).table, tiny_use_case, blobs, None, None, 0)
    assert made.pseudonym_key is None
    assert open_dataset(made, blobs)["id"].to_pylist() == ["a", "b"]


def test_no_rows_are_no_dataset(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    with pytest.raises(Refused, match="no row is left"):
        freeze(validate(rows, shop).table.slice(0, 0), shop, blobs, KEY, None, 0)


def test_a_dataset_is_never_its_own_parent(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    first = frozen(rows.slice(2), shop, blobs)
    second = frozen(rows, shop, blobs, first)
    assert second.parent == first.id
    assert frozen(rows, shop, blobs, second) == second


def test_the_same_rows_held_out_otherwise_do_not_replace_the_first(
    rows: pa.Table, shop: UseCase, blobs: BlobDirectory
) -> None:
    many = pa.concat_tables([rows] * 20).set_column(0, "id", pa.array([f"c{n}" for n in range(160)]))
    other = shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"holdout": 0.5})})
    first, second = frozen(many, shop, blobs), frozen(many, other, blobs)
    assert first.id == second.id
    held = [int(np.sum(open_dataset(made, blobs)[HELD_OUT].to_numpy())) for made in (first, second)]
    assert held[0] < held[1]


def test_a_full_disk_leaves_nothing_behind(rows: pa.Table, shop: UseCase, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="disk full"):
        frozen(rows, shop, FullDisk(tmp_path / "blobs"))
    assert list(tmp_path.rglob("*")) == []


def test_bytes_that_were_changed_are_refused(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    made = frozen(rows, shop, blobs)
    data = blobs.get(blob_name(made))
    for at in range(0, len(data), 29):
        blobs.put(blob_name(made), data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            found = open_dataset(made, blobs)
        except Refused as error:
            assert error.place == blob_name(made)  # noqa: PT017  (a byte that matters to no value is nobody's loss)
        else:
            assert f"ds_{content_digest(found.select(made.columns))}" == made.id
            assert found[HELD_OUT].type == pa.bool_()


def test_other_rows_or_columns_under_the_name_are_refused(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    made = frozen(rows, shop, blobs)
    table = open_dataset(made, blobs)
    for other, words in (
        (table.slice(1), "not those that were frozen"),
        (table.take(list(reversed(range(8)))), "not those that were frozen"),
        (table.drop_columns(HELD_OUT), "other columns"),
        (table.set_column(6, HELD_OUT, pa.array([0] * 8)), "other columns"),
    ):
        sink = io.BytesIO()
        pq.write_table(other, sink)
        blobs.put(blob_name(made), sink.getvalue())
        with pytest.raises(Refused, match=words):
            open_dataset(made, blobs)


def test_a_dataset_that_is_not_stored_is_not_found(rows: pa.Table, shop: UseCase, blobs: BlobDirectory) -> None:
    made = dataclasses.replace(frozen(rows, shop, blobs), id="ds_" + "0" * 64)
    with pytest.raises(NotFound):
        open_dataset(made, blobs)


COLUMN = st.lists(st.none() | st.text(max_size=3), min_size=1, max_size=6)


@settings(max_examples=50)
@given(COLUMN, COLUMN)
def test_the_digest_tells_texts_apart_and_nothing_else(first: list[str | None], second: list[str | None]) -> None:
    tables = [pa.table({"a": pa.array(values, pa.string())}) for values in (first, second)]
    assert (content_digest(tables[0]) == content_digest(tables[1])) == (first == second)
    padded = pa.concat_tables([tables[1], tables[0], tables[1]]).combine_chunks().slice(len(second), len(first))
    assert content_digest(padded) == content_digest(tables[0])


def test_the_digest_does_not_see_how_zero_and_nothing_are_written() -> None:
    zero, minus = (pa.table({"a": [value, 1.0]}) for value in (0.0, -0.0))
    assert content_digest(zero) == content_digest(minus)
    none = pa.table({"a": pa.array([9.0, 1.0], mask=np.array([True, False]))})
    assert content_digest(none) == content_digest(pa.table({"a": [None, 1.0]}))
    assert content_digest(none) != content_digest(zero)
    offsets, texts = pa.array([0, 6, 7], pa.int32()).buffers()[1], pa.py_buffer(b"hiddenx")
    hiding = pa.StringArray.from_buffers(2, offsets, texts, pa.py_buffer(b"\x02"), 1)
    assert hiding.to_pylist() == [None, "x"]
    assert content_digest(pa.table({"a": hiding})) == content_digest(pa.table({"a": [None, "x"]}))


def test_the_telco_file_freezes_with_the_holdout_of_its_raw_names(
    telco: Path, churn: UseCase, blobs: BlobDirectory
) -> None:
    table = read(str(telco), churn, Path())
    made = frozen(table, churn, blobs)
    found = open_dataset(made, blobs)
    names = table["customerID"].to_pylist()
    expected = sum(unit_interval("holdout", "churn", name) < 0.2 for name in names)
    assert (made.rows, int(np.sum(found[HELD_OUT].to_numpy()))) == (7043, expected)
    other = freeze(validate(table, churn).table, churn, blobs, ("k2", b"l" * 32), None, 0)
    assert int(np.sum(open_dataset(other, blobs)[HELD_OUT].to_numpy())) == expected
    stored = blobs.get(blob_name(made))
    assert not any(name.encode() in stored for name in names)
    assert not set(names) & set(found["customerID"].to_pylist())


def test_the_telco_file_shuffled_and_as_parquet_is_the_same_dataset(
    telco: Path, churn: UseCase, blobs: BlobDirectory, tmp_path: Path
) -> None:
    table = read(str(telco), churn, Path())
    made = frozen(table, churn, blobs)
    shuffled = table.take(np.random.default_rng(5).permutation(table.num_rows))
    pa_csv.write_csv(shuffled, tmp_path / "telco.csv")
    assert frozen(read("telco.csv", churn, tmp_path), churn, blobs) == made
    pq.write_table(pa_csv.read_csv(tmp_path / "telco.csv"), tmp_path / "telco.parquet")
    parquet = read("telco.parquet", churn, tmp_path)
    assert parquet.schema.field("tenure").type == pa.int64()
    assert frozen(parquet, churn, blobs) == made
