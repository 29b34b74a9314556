"""A shop whose customers come back or leave: a use case that says something of every kind of column."""

from pathlib import Path

import pyarrow as pa
import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.usecase import UseCase
from mainstay.usecase_file import CHURN, load, loads

SHOP = """
schema: 1
name: shop
source: shop.csv
entity: id
event_time: {column: seen, known_at: loaded, optional: true}
label: {column: left, positive: "Yes", horizon: 30d, grace: 3d, absent_means: "No"}
contract:
  rows: {at_least: 2, bad_share_at_most: 0.25}
  columns:
    id: {type: identifier, personal: hash, unique: true}
    seen: {type: timestamp}
    loaded: {type: timestamp, nullable: true}
    mail: {type: identifier, nullable: true, personal: drop}
    age: {type: integer, range: [18, 120], unit: years}
    spent: {type: number, nullable: true, range: [0, 1000]}
    plan: {type: category, values: [basic, plus]}
    member: {type: category, values: [0, 1]}
    left: {type: category, values: ["No", "Yes"], nullable: true}
  rules: ["spent > 0 or plan == 'basic'"]
recipe: {holdout: 0.25}
protected: [member]
"""
TELCO = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"


@pytest.fixture(scope="session")
def shop() -> UseCase:
    """Snapshots or timed rows of customers: ids are hashed, mail is dropped, `spent` and `left` may be missing."""
    return loads(SHOP)


@pytest.fixture(scope="session")
def churn() -> UseCase:
    """The use case that ships."""
    return load(CHURN)


@pytest.fixture(scope="session")
def telco() -> Path:
    """The real Telco file."""
    if not TELCO.is_file():
        pytest.skip("the Telco file is not beside this checkout")
    return TELCO


@pytest.fixture
def rows() -> pa.Table:
    """Eight sound rows of a snapshot, as a CSV gives them: all strings."""
    return pa.table(
        {
            "id": [f"c{n}" for n in range(8)],
            "mail": [f"c{n}@shop.example" if n else None for n in range(8)],
            "age": ["18", "30", "41", "52", "63", "74", "85", "120"],
            "spent": ["1.5", None, "0.1", "1000", "5", "6", "7", "8"],
            "plan": ["basic", "plus"] * 4,
            "member": ["0", "1", "1", "0", "0", "1", "1", "0"],
            "left": ["No", "Yes", None, "No", "Yes", "No", "No", "No"],
        }
    )


@pytest.fixture
def blobs(tmp_path: Path) -> BlobDirectory:
    """An empty store."""
    return BlobDirectory(tmp_path / "blobs")
