"""`init`, `schema` and `doctor`: beginning, editing and checking a project."""

import json
import os
import platform as python_platform
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mainstay.cli import show
from mainstay.cli.door import BAD_USE, PASSED, WORLD_DOWN, AsJson, UseCaseFile, open_platform, show_json
from mainstay.cli.scaffold import scaffold
from mainstay.errors import MainstayError, Refused, Unavailable
from mainstay.nouns import rfc3339
from mainstay.settings import read_settings
from mainstay.usecase_file import find, json_schema, load, loads
from mainstay.wiring import Platform

FREE_BYTES = 1_000_000_000
_PACKAGES = (
    "mainstay",
    "numpy",
    "onnxruntime",
    "fastapi",
    "sqlalchemy",
    "lightgbm",
    "scikit-learn",
    "mlflow",
    "pyarrow",
)


def init(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="CSV or Parquet rows, a pattern, s3://…, a database's query."),
    ],
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="What to predict.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write mainstay.yaml.")] = Path(),
    as_json: AsJson = False,
) -> int:
    """Propose a commented mainstay.yaml for rows that nobody has described yet."""
    from mainstay.data.infer import render  # Arrow, which is not where models only serve and `doctor` is asked
    from mainstay.data.source import read_undescribed

    written = out / "mainstay.yaml"
    if written.exists():
        raise Refused("it is there already; move it away or choose another --out", str(written))
    table, delimiter = read_undescribed(file, Path.cwd())
    text = render(_named(file), _relative(file, out), table, target, delimiter)
    loads(text, str(written))
    out.mkdir(parents=True, exist_ok=True)
    written.write_text(text, encoding="utf-8")
    scaffold(out, _relative(file, out))
    if as_json:
        show_json({"written": str(written), "rows": table.num_rows, "columns": table.column_names})
    else:
        show.line(f"wrote {written} from {table.num_rows:,} rows; read it, then: mainstay release")
    return 0


def _named(file: str) -> str:
    """A use case's name from a file's: lower case, accents dropped, anything else that it may not hold a `_`."""
    plain = unicodedata.normalize("NFKD", Path(file.partition("?")[0]).name.partition(".")[0].casefold())
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    name = re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-") or "data"
    return (name if name[0].isalpha() else f"data_{name}")[:63]


def _relative(file: str, folder: Path) -> str:
    """How the file is named from the folder that the YAML will be in; an address is the same everywhere."""
    scheme, separator, rest = file.partition("://")
    if not separator:
        return Path(os.path.relpath(Path(file).resolve(), folder.resolve())).as_posix()
    if scheme.partition("+")[0] != "sqlite" or not rest.startswith("/") or rest.startswith("//"):
        return file
    name, mark, query = rest[1:].partition("?")
    return f"{scheme}:///{_relative(name, folder)}{mark}{query}"


def schema(as_json: AsJson = False) -> int:
    """Print the JSON Schema of mainstay.yaml, for editors to complete it."""
    typer.echo(json.dumps(json_schema(), indent=None if as_json else 2, ensure_ascii=False))
    return 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor asked, what came out, and the exit code that it calls for (0: it is well)."""

    what: str
    code: int
    said: str


def doctor(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Check this machine, the home and the use case, one line each, and say what would mend what is wrong."""
    found = [
        _asked("python", _python),
        _asked("packages", _packages),
        _asked("home", lambda: _home(open_platform())),
        _asked("ledger", lambda: _ledger(open_platform())),
        _asked("blobs", lambda: _blobs(open_platform())),
        _asked("keys", lambda: _keys(open_platform())),
        _asked("clock", _clock),
        _asked("use case", lambda: _use_case(use_case_file)),
    ]
    if as_json:
        show_json({"checks": [{"name": each.what, "ok": each.code == PASSED, "said": each.said} for each in found]})
    else:
        table = Table(show_header=False)
        for each in found:
            mark = Text("well", style="green") if each.code == PASSED else Text("ill", style="red")
            table.add_row(each.what, mark, Text(each.said))
        show.console().print(table)
    return max(each.code for each in found)


def _asked(what: str, question: Callable[[], str]) -> Finding:
    try:
        return Finding(what, PASSED, question())
    except Unavailable as error:
        return Finding(what, WORLD_DOWN, str(error))
    except MainstayError as error:
        return Finding(what, BAD_USE, str(error))


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise Refused(f"Python 3.11 to 3.13 is needed, not {python_platform.python_version()}")
    return f"{python_platform.python_version()} on {python_platform.machine()}"


def _packages() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError as error:
            raise Refused(
                f"{name} is not installed; pip install 'mainstay[training]' (only serving does without)"
            ) from error
    return ", ".join(found)


def _home(home: Platform) -> str:
    place = home.settings.home.absolute()
    free = shutil.disk_usage(place).free
    if free < FREE_BYTES:
        raise Unavailable(f"only {free / 1e9:.1f} GB free; a release wants 1 GB", str(place))
    return f"{place}, {free / 1e9:.0f} GB free"


def _ledger(home: Platform) -> str:
    return f"{home.ledger.place}, use cases: {', '.join(home.ledger.use_cases()) or 'none yet'}"


def _blobs(home: Platform) -> str:
    return f"{home.settings.blobs_url}, {len(home.blobs.names()):,} kept"


def _clock() -> str:
    now = read_settings().now
    return f"simulated: it is always {rfc3339(now)}" if now else "the machine's"


def _keys(home: Platform) -> str:
    if not home.trusted():
        return "none yet; the first release makes them"
    return f"{home.signer().key_id} signs, {len(home.trusted())} trusted, pseudonym key {home.pseudonym_key()[0]}"


def _use_case(file: Path | None) -> str:
    path = find(file, Path.cwd())
    use_case = load(path)
    return f"{use_case.name} from {path}: {len(use_case.inputs)} inputs, {len(use_case.derived)} derived"
