"""What the benches found: `results.json`, a section for each, and `RESULTS.md`, which is written from it alone."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_PACKAGES = ("mainstay", "numpy", "onnxruntime", "pyarrow", "lightgbm", "scikit-learn", "pandas")


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    packages = {name: version(name) for name in _PACKAGES}
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **packages,
    }


def record(name: str, section: Mapping[str, Any]) -> None:
    """Keep a section in place of the one of that name, and write both files anew.

    A section has `title`, `question`, `how` (sentences), `columns` and `rows` (a table), `found` (a sentence).
    """
    path = FOLDER / "results.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[name] = {**section, "machine": machine()}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    (FOLDER / "RESULTS.md").write_text(rendered(kept))


def rendered(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """`RESULTS.md`: every section, by name."""
    parts = ["# Side by side\n\nWritten by `make bench`; every number is in `results.json`.\n"]
    for _, each in sorted(sections.items()):
        where = ", ".join(f"{name} {value}" for name, value in each["machine"].items())
        parts.append(
            f"## {each['title']}\n\n{each['question']} {each['how']}\n\n"
            f"{table(each['columns'], each['rows'])}\n\n{each['found']}\n\n*{where}*\n"
        )
    return "\n".join(parts)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
