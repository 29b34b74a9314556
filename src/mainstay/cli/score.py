"""`mainstay score`: a file of rows in, a file of answers out."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TaskID

from mainstay.cli import show
from mainstay.cli.door import NOT_PASSED, PASSED, AsJson, UseCaseFile, open_platform, open_use_case, say, show_json
from mainstay.journeys import score as journey


class _Bar:
    """Rows as they are scored, on stderr; the bar is taken away at the end."""

    def __init__(self) -> None:
        self._bar = show.progress_bar()
        self._task: TaskID | None = None

    def __call__(self, scored: journey.Scored, total: int | None) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("rows", total=total)
        self._bar.update(self._task, completed=scored.rows)

    def close(self) -> None:
        self._bar.stop()


def score(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Rows: .parquet, .csv, .tsv, .csv.gz.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Answers: .parquet or .csv.")],
    version: Annotated[str, typer.Option("--version", metavar="V", help="As in 1.4.0; else the champion.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT where it is there.")] = False,
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Score every row of a file as serving would; rows that cannot be scored say why."""
    use_case, _ = open_use_case(use_case_file)
    bar = _Bar()
    began = time.perf_counter()
    try:
        scored = journey.score(
            open_platform(), use_case, source, target, version=version, overwrite=overwrite, tell=bar, note=say
        )
    finally:
        bar.close()
    seconds = time.perf_counter() - began
    tolerated = use_case.contract.rows.bad_share_at_most
    too_many = scored.refused > tolerated * scored.rows
    if as_json:
        show_json(
            {
                "rows": scored.rows,
                "scored": scored.rows - scored.refused,
                "refused": scored.refused,
                "seconds": round(seconds, 3),
                "rows_per_second": round(scored.rows / seconds),
                "version": scored.version,
            }
        )
    else:
        show.line(
            f"{target}: {scored.rows - scored.refused:,} of {scored.rows:,} rows scored by "
            f"{use_case.name}@{scored.version} in {seconds:.1f} s ({scored.rows / seconds:,.0f} a second)"
        )
    if scored.refused:
        words = f"{scored.refused:,} rows are refused, and say why under `error`"
        say(f"{words}: more than the {tolerated:.2%} that the contract tolerates" if too_many else words)
    return NOT_PASSED if too_many else PASSED
