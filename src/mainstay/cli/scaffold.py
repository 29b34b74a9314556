"""What makes a project's folder a DVC project: its one stage, and what neither DVC nor Git should keep."""

from pathlib import Path
from typing import Final

import yaml

_STAGE: Final = """\
# `dvc repro` releases from the raw data, and does nothing where neither the data nor mainstay.yaml changed.
# Begin with: git init; dvc init; dvc add the data where it lies in this folder; dvc repro
"""
REPORT: Final = "reports/release.json"
_IGNORED: Final = """\
# Keys, ledger, blobs and runs: the home is a record of its own, and its keys are secret.
/.mainstay/
/.venv/
"""


def scaffold(folder: Path, source: str) -> tuple[Path, ...]:
    """Make a folder with a `mainstay.yaml` a DVC project; the files written. What is there already is left as it is.

    `source` is the raw data as named from the folder. The stage is one, since a release is one journey: its steps hand
    each other ids in the ledger, not files. Everything in `mainstay.yaml` is a parameter, so that comments are none.
    """
    stage = {
        "cmd": f"mainstay release --use-case mainstay.yaml --json > {REPORT}",
        "deps": [source.replace("${", "\\${")],
        "params": [{"mainstay.yaml": None}],
        "metrics": [REPORT],
    }
    text = yaml.safe_dump({"stages": {"release": stage}}, sort_keys=False, allow_unicode=True, width=1000)
    written = []
    for name, content in (
        ("dvc.yaml", _STAGE + text),
        (".dvcignore", _IGNORED),
        (".gitignore", _IGNORED),
        # The stage writes here, and Git keeps no empty folder.
        ("reports/.gitkeep", ""),
    ):
        path = folder / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
            written.append(path)
    return tuple(written)
