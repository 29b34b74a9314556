"""What a serving process needs, as it is locked in requirements/serving.txt."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

SERVING = Path(__file__).parents[1] / "requirements/serving.txt"
LARGEST = 260e6
"""Bytes. With every extra that serving may use; an install without them is smaller."""


def _size(name: str) -> int:
    """Bytes that a distribution installed here takes, without what Python compiled of it."""
    files = importlib.metadata.files(name) or []
    placed = [Path(str(file.locate())) for file in files if "__pycache__" not in file.parts]
    return sum(path.stat().st_size for path in placed if path.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="wheels differ in size from system to system")
def test_what_serving_needs_takes_at_most_260_mb() -> None:
    names = re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==", SERVING.read_text(), re.MULTILINE)
    installed = {found.metadata["Name"].lower().replace("_", "-") for found in importlib.metadata.distributions()}
    sizes = {name: _size(name) for name in names if name in installed}
    assert {"onnxruntime", "numpy", "fastapi", "uvicorn"} <= sizes.keys()
    assert not {"pandas", "pyarrow", "duckdb", "scipy", "mlflow", "feast", "scikit-learn"} & set(names)
    assert sum(sizes.values()) <= LARGEST, sorted(sizes.items(), key=lambda item: -item[1])[:5]
