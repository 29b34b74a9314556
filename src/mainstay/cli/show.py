"""How results look to people: tables on stdout, progress on stderr."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mainstay.digests import short
from mainstay.nouns import DatasetVersion, Estimate, ModelVersion, Value
from mainstay.verdicts import Check, Outcome, Verdict

if TYPE_CHECKING:
    from mainstay.training.tune import Trial

_COLOURS = {Outcome.PASS: "green", Outcome.QUIET: "cyan", Outcome.INCONCLUSIVE: "yellow", Outcome.FAIL: "red"}


def console() -> Console:
    """Where results go. A new one each time, so that it writes to the stdout of the moment."""
    return Console(highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """A bar on stderr; silent where stderr is no terminal."""
    stderr = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


def line(words: str) -> None:
    """One line of a result, as it is: nothing in it is taken for markup."""
    console().print(Text(words))


def interval(found: Estimate | None) -> str:
    """`0.8472 (0.8366 to 0.8573)`; a number without its interval where it is exact; `not known` where it is none."""
    if found is None or not math.isfinite(found.value):
        return "not known"
    if found.low == found.high:
        return f"{found.value:.6g}"
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def verdict_table(verdict: Verdict, passed: bool = True) -> None:
    """The verdict check by check: what was asked, what came out and why. Without `passed`, those are only counted."""
    table = Table(title=f"Verdict on {short(verdict.subject)}: {verdict.outcome}", title_justify="left")
    table.add_column("check", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    table.add_column("reason", overflow="fold")
    shown = [made for made in verdict.checks if passed or made.outcome is not Outcome.PASS]
    for made in shown:
        table.add_row(Text(f"{made.name} {made.subject}".strip()), _outcome(made), Text(made.reason))
    if len(shown) < len(verdict.checks):
        other = "other " if shown else ""
        table.add_row(f"{len(verdict.checks) - len(shown)} {other}checks", Text("PASS", style="green"), "")
    print_table(table)


def _outcome(made: Check) -> Text:
    return Text(f"{made.outcome}{'' if made.blocking else ' (advisory)'}", style=_COLOURS[made.outcome])


def scores_table(title: str, scores: Mapping[str, Mapping[str, Estimate]]) -> None:
    """Metrics as rows, one column of estimates for each named set of scores."""
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for name, estimates in scores.items():
        rows = max((found.rows for found in estimates.values()), default=0)
        table.add_column(f"{name}, {rows:,} rows", no_wrap=True)
    for metric in dict.fromkeys(metric for estimates in scores.values() for metric in estimates):
        table.add_row(metric, *(interval(estimates.get(metric)) for estimates in scores.values()))
    print_table(table)


def trials_table(trials: "Sequence[Trial]") -> None:
    """The best trial of each estimator, over its folds with the interval of their mean; the one chosen comes first."""
    from mainstay.measures.rates import mean  # scipy, which is not where models only serve and are listed

    best: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda each: each.log_loss):
        best.setdefault(trial.estimator, trial)
    table = Table(title=f"{len(trials)} trials, the best of each estimator", title_justify="left")
    for column in ("estimator", "trials", "log loss a fold", "ROC AUC a fold", "parameters"):
        table.add_column(column, overflow="fold")
    for name, trial in best.items():
        count = sum(each.estimator == name for each in trials)
        folds = (interval(mean(trial.folds[metric])) for metric in ("log_loss", "roc_auc"))
        parameters = ", ".join(f"{key} {_number(value)}" for key, value in trial.parameters.items())
        table.add_row(name, str(count), *folds, parameters)
    print_table(table)


def _number(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def datasets_table(datasets: Iterable[tuple[str, DatasetVersion]]) -> None:
    """Dataset versions, the latest last."""
    table = Table()
    for column in ("dataset", "frozen at", "rows", "quarantined", "parent", "holdout"):
        table.add_column(column, no_wrap=column != "holdout")
    for at, made in datasets:
        cut = f", from {made.holdout.cut:%Y-%m-%d}" if made.holdout.cut else ", by hash"
        parent = short(made.parent) if made.parent else ""
        share = f"{made.holdout.share:.0%}{cut}"
        table.add_row(short(made.id), at, f"{made.rows:,}", str(made.quarantined), parent, share)
    print_table(table)


def versions_table(versions: Iterable[tuple[str, ModelVersion, str]]) -> None:
    """Model versions with when they were admitted and what they do now."""
    table = Table()
    for column in ("version", "admitted at", "candidate", "dataset", "roc_auc on the holdout", "now"):
        table.add_column(column, no_wrap=True)
    for at, made, state in versions:
        auc = interval(made.metrics.get("roc_auc"))
        table.add_row(f"{made.use_case}@{made.version}", at, short(made.candidate), short(made.dataset), auc, state)
    print_table(table)


def pairs_table(title: str, pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values of one thing."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(Text(name), Text(_words(value)))
    print_table(table)


def _words(value: Any) -> str:
    """A JSON value as people read it: things one below the other, none of them in brackets."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {_inline(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and any(isinstance(each, Mapping) for each in value):
        return "\n".join(_inline(each) for each in value)
    return _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_inline(each)}" for name, each in value.items() if each not in (None, False))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_inline(each) for each in value)
    return value if isinstance(value, str) else json.dumps(value)


def print_table(table: Table) -> None:
    """A table as it is; a terminal folds what is too wide for it."""
    # A pipe has no width: give it enough that nothing is folded that a terminal would show whole.
    made = console()
    if not made.is_terminal:
        made = Console(highlight=False, width=160)
    made.print(table)
