"""Sources on real servers: an object in a store, a query of PostgreSQL."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.adapters.blobs import BlobDirectory, blobs_from
from mainstay.data.histories import check_history, freeze_history
from mainstay.data.source import read_any
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable
from mainstay.usecase_file import loads
from mainstay.verdicts import Outcome

USAGE = loads("""
schema: 1
name: lines
source: lines.parquet
entity: id
event_time: {column: seen}
label: {column: left, positive: "Yes"}
contract:
  columns:
    id: {type: identifier}
    seen: {type: timestamp}
    left: {type: category, values: ["No", "Yes"]}
features:
  views:
    - name: usage
      source: usage.parquet
      event_time: at
      known_at: loaded
      columns: {calls: {type: number, nullable: true}, plan: {type: category, nullable: true}}
""")


@pytest.mark.s3
def test_a_file_in_an_object_store_is_a_source(bucket: str) -> None:
    blobs_from(f"s3://{bucket}").put("raw/my rows.csv.gz", gzip.compress(b"a;b\n1;x\n"))
    expected = {"a": ["1"], "b": ["x"]}
    assert read_any(f"s3://{bucket}/raw/my rows.csv.gz").to_pydict() == expected
    assert read_any(f"s3://{bucket}/raw/my%20rows.csv.gz").to_pydict() == expected


@pytest.mark.s3
def test_an_object_that_cannot_be_read_says_why(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for absent in (f"s3://{bucket}/gone.csv", "s3://there-is-none/rows.csv"):
        with pytest.raises(NotFound, match="no such object"):
            read_any(absent)
    with pytest.raises(Misconfigured, match="s3://BUCKET/KEY"):
        read_any(f"s3://{bucket}")
    blobs_from(f"s3://{bucket}").put("rows.csv", b"a\n1\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(Refused, match="access denied"):
        read_any(f"s3://{bucket}/rows.csv")


def test_a_store_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="cannot be reached"):
        read_any("s3://bucket/rows.csv")


@pytest.mark.postgres
def test_a_query_of_postgresql_is_a_source(postgres: Any) -> None:
    address = postgres.fresh()
    made = "SELECT n AS id, n::numeric / 4 AS quarter, n % 2 = 0 AS even, 'c' || n AS name, now() AS at"
    query = f"{made} FROM generate_series(1, 25000) AS n WHERE 'a%' LIKE 'a%25'"
    found = read_any(f"{address}&query={query}")
    kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.string()]
    assert (found.num_rows, [field.type for field in found.schema][:4]) == (25_000, kinds)
    assert pa.types.is_timestamp(found.schema.field("at").type)
    assert found.slice(1, 1).to_pylist()[0]["quarter"] == 0.5
    with pytest.raises(Refused, match='relation "nobody" does not exist'):
        read_any(f"{address}&query=SELECT * FROM nobody")
    with pytest.raises(Refused, match="refuses the query"):
        read_any(f"{address}&query=CREATE TABLE more (a int)")


@pytest.mark.postgres
def test_a_history_of_postgresql_is_that_of_a_file_with_the_same_rows(postgres: Any, tmp_path: Path) -> None:
    rows = pa.table(
        {
            "id": ["a", "a", "b"],
            "at": [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)],
            "loaded": [datetime(2026, 1, 5, 12, 30, 0, day, tzinfo=UTC) for day in (1, 2, 3)],
            "calls": [1.5, None, 3.25],
            "plan": ["x", None, "y"],
        }
    )
    pq.write_table(rows, tmp_path / "usage.parquet")
    made = ", ".join(str((*map(str, row.values()),)).replace("'None'", "NULL") for row in rows.to_pylist())
    names = "id, at::timestamptz, loaded::timestamptz, calls::float8, plan"
    query = f"SELECT {names} FROM (VALUES {made}) AS usage(id, at, loaded, calls, plan)"
    view = USAGE.features.views[0]
    blobs = BlobDirectory(tmp_path / "blobs")
    digests = set()
    for source in ("usage.parquet", f"{postgres.fresh()}&query={query}"):
        checked = check_history(read_any(source, tmp_path), view, USAGE, datetime(2026, 2, 1, tzinfo=UTC))
        assert checked.verdict.outcome is Outcome.PASS, checked.verdict
        digests.add(freeze_history(checked.table, view, USAGE, blobs, None))
    assert len(digests) == 1
