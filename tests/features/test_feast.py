"""What is written into Feast: definitions that Feast itself can use, and values that it finds as we do."""

import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.defined import FeatureService, project_of
from mainstay.errors import NotFound, Refused
from mainstay.features import feast
from mainstay.features.handwritten import read_definitions
from mainstay.features.offline import with_views
from mainstay.features.views import service_of
from mainstay.nouns import DatasetVersion, Holdout
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads

START = datetime(2026, 1, 1, tzinfo=UTC)
LINES = """
schema: 1
name: phone-lines
source: lines.parquet
entity: id
event_time: {column: seen, optional: true}
label: {column: left, positive: "Yes"}
contract:
  columns:
    id: {type: identifier}
    seen: {type: timestamp}
    age: {type: integer, unit: months}
    left: {type: category, values: ["No", "Yes"]}
features:
  service: lines_v1
  owner: retention
  tags: {tier: gold}
  views:
    - name: usage
      source: postgresql://reader:secret@db/lines?query=SELECT * FROM usage
      event_time: measured
      known_at: loaded
      ttl: 5d
      description: How a line is used.
      columns: {calls: {type: number, unit: calls, description: Calls made.}, plan: {type: category}}
  derived: {calls_a_month: "calls / max(age, 1)"}
"""


@pytest.fixture(scope="module")
def lines() -> UseCase:
    return loads(LINES)


@pytest.fixture(scope="module")
def service(lines: UseCase) -> FeatureService:
    return service_of(lines, "lines.parquet", {"usage": "postgresql://reader:***@db/lines?query=SELECT * FROM usage"})


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Feast, and what it brings, as they come: that they warn is for them to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import feast as _  # noqa: F401


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "feast"


def usage() -> pa.Table:
    """60 measurements of four lines, none alike in time: loaded at once or up to nine days later."""
    random = np.random.default_rng(11)
    rows = [
        {
            "id": f"l{n % 4}",
            "measured": START + timedelta(hours=12 * n),
            "loaded": START + timedelta(hours=12 * n + float(random.choice([0, 0, 30, 216]))),
            "calls": float(n),
            "plan": None if n % 7 == 0 else f"p{n % 3}",
        }
        for n in range(60)
    ]
    return pa.Table.from_pylist(rows)


def test_feast_finds_the_values_that_we_do_and_loses_the_rows_that_we_keep(
    lines: UseCase, service: FeatureService, folder: Path
) -> None:
    """Its own join, told to mind arrival: the same values where it gives any (docs/decisions/0008 says what else)."""
    project, history = project_of(lines.name), usage()
    feast.write_offline(folder, project, service.views[1], history, START)
    feast.apply(service, folder, project)
    ids = [f"l{n % 4}" for n in range(120)] + ["nobody"]
    times = [START - timedelta(days=2) + timedelta(hours=7 * n) for n in range(121)]
    store = feast.open_store(folder, project)
    asked = pa.table({"id": ids, "event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = store.get_historical_features(
            entity_df=asked.to_pandas(), features=["usage:calls", "usage:plan"], filter_by_created_timestamp=True
        ).to_arrow()
    told = {(row["id"], row["event_timestamp"]): row for row in answer.to_pylist()}
    rows = pa.table({"id": ids, "seen": pa.array(times, pa.timestamp("us", "UTC"))})
    dataset = DatasetVersion("ds_1", lines.name, len(ids), (), "", Holdout("x", 0.2))
    frame = with_views(rows, {"usage": history}, dataset, lines).to_pylist()
    assert sum(row["calls"] is not None for row in frame) > 50
    for row in frame:
        theirs = told.get((row["id"], row["seen"]), {})
        assert _none(theirs.get("calls")) == row["calls"]
        assert _none(theirs.get("plan")) == row["plan"]
    assert len(frame) == 121
    assert answer.num_rows < 121


def _none(value: Any) -> Any:
    return None if value is None or value != value else value


def test_a_service_is_written_with_all_that_is_said_of_it_and_twice_is_once(
    lines: UseCase, service: FeatureService, folder: Path
) -> None:
    project = project_of(lines.name)
    feast.apply(service, folder, project)
    feast.apply(service, folder, project)
    store = feast.open_store(folder, project)
    (written,) = store.list_feature_services()
    assert (written.name, written.owner) == ("lines_v1", "retention")
    assert written.tags == {
        "tier": "gold", "derived.calls_a_month": "calls / max(age, 1)", feast.MEANING: service.meaning,
    }  # fmt: skip
    assert [view.name for view in written.feature_view_projections] == ["phone-lines", "usage"]
    view = store.get_feature_view("usage")
    assert view.ttl == timedelta(days=5)
    assert view.description == "How a line is used."
    assert {field.name: (str(field.dtype), field.tags.get("unit")) for field in view.features} == {
        "calls": ("Float64", "calls"), "plan": ("String", None),
    }  # fmt: skip
    assert view.batch_source.created_timestamp_column == feast.KNOWN_AT
    assert "secret" not in view.batch_source.description
    assert store.list_on_demand_feature_views() == []


def test_a_dataset_version_has_a_project_of_its_own() -> None:
    assert project_of("phone-lines") == "phone_lines"
    assert project_of("phone-lines", "ds_0123456789abcdef") == "phone_lines__0123456789ab"


def test_rows_of_a_snapshot_bear_the_time_that_they_were_frozen(
    lines: UseCase, service: FeatureService, folder: Path
) -> None:
    rows = pa.table({"id": ["a", "b"], "age": pa.array([3, None], pa.int64())})
    written = pq.read_table(feast.write_offline(folder, "lines", service.views[0], rows, START))
    assert written.to_pylist() == [
        {"id": "a", feast.EVENT_TIME: START, feast.KNOWN_AT: START, "age": 3.0},
        {"id": "b", feast.EVENT_TIME: START, feast.KNOWN_AT: START, "age": None},
    ]


def test_feast_is_not_imported_before_it_is_asked() -> None:
    told = "import sys, mainstay.cli.features, mainstay.features.feast; print('feast' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "False\n"


WRITTEN = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float32, Int64, String

line = Entity(name="line", join_keys=["id"], value_type=ValueType.STRING)
source = FileSource(name="s", path="usage.parquet", timestamp_field="measured", created_timestamp_column="loaded")
usage = FeatureView(
    name="usage", entities=[line], ttl=timedelta(days=5), source=source, owner="network", tags={"tier": "gold"},
    schema=[Field(name="calls", dtype=Float32, description="Calls made.", tags={"unit": "calls"}),
            Field(name="lines", dtype=Int64), Field(name="roams", dtype=Bool)],
)
lines_v1 = FeatureService(name="lines_v1", features=[usage])
"""


def test_feast_python_becomes_a_features_section_that_a_use_case_takes(tmp_path: Path, lines: UseCase) -> None:
    (tmp_path / "defs").mkdir()
    (tmp_path / "defs" / "features.py").write_text(WRITTEN)
    made = read_definitions(tmp_path / "defs" / "features.py", "id", tmp_path)
    assert made == {
        "service": "lines_v1",
        "views": [
            {
                "name": "usage",
                "source": "defs/usage.parquet",
                "event_time": "measured",
                "known_at": "loaded",
                "ttl": "5d",
                "owner": "network",
                "tags": {"tier": "gold"},
                "columns": {
                    "calls": {"type": "number", "unit": "calls", "description": "Calls made."},
                    "lines": {"type": "integer"},
                    "roams": {"type": "category"},
                },
            }
        ],
    }
    described = UseCase.model_validate({**lines.model_dump(by_alias=True), "features": made})
    assert list(described.inputs) == ["age", "calls", "lines", "roams"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            """
import pandas as pd
from feast.on_demand_feature_view import on_demand_feature_view
@on_demand_feature_view(sources=[usage], schema=[Field(name="twice", dtype=Float32)])
def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": inputs["calls"] * 2})
""",
            "`doubled` is an on-demand view; write it as an expression in `features.derived`",
        ),
        ("lines_v2 = FeatureService(name='lines_v2', features=[usage])", "it has 2 feature services"),
        ("usage = None", "there is no feature view in it"),
        ("1 / 0", r"cannot be run \(ZeroDivisionError: division by zero\)"),
        (
            "usage = FeatureView(name='o', entities=[Entity(name='shop', join_keys=['shop'], "
            "value_type=ValueType.STRING)], source=source, schema=[Field(name='x', dtype=Int64)])",
            "its key is shop, and that of the use case `id`",
        ),
        (
            "usage = FeatureView(name='o', entities=[line], source=source, "
            "schema=[Field(name='x', dtype=Array(Int64))])",
            "`x` is Array",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_served_alike_is_refused_with_what_to_write(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "features.py").write_text(WRITTEN + more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Refused, match=said):
            read_definitions(tmp_path / "features.py", "id", tmp_path)


def test_definitions_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_definitions(tmp_path / "features.py", "id", tmp_path)
