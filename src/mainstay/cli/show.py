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
from mainstay.nouns import Candidate, DatasetVersion, Estimate, ModelVersion, Run, Value
from mainstay.quality.remedy import TO_PASS, to_pass
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
        rest = len(verdict.checks) - len(shown)
        said = f"{rest} {'other ' if shown else ''}{'check' if rest == 1 else 'checks'}"
        table.add_row(said, Text("PASS", style="green"), "")
    print_table(table)


def verdict_end(stop: str, verdict: Verdict) -> None:
    """How a verdict that did not pass ends: where it stopped, what was not met, and what would let it pass."""
    blocking = [made for made in verdict.checks if made.blocking]
    if not any(TO_PASS in made.reason for made in blocking):
        line(f"{stop}. {verdict.reason}")
        return
    failed = sum(made.outcome is Outcome.FAIL for made in blocking)
    told = [f"{failed} of {len(blocking)} blocking checks failed"] if failed else []
    unknown = sum(not made.met for made in blocking) - failed
    if unknown:
        told.append(f"{unknown} {'' if failed else f'of {len(blocking)} blocking checks '}cannot be told")
    line(f"{stop}: {', '.join(told)}. To pass:")
    for way in to_pass(verdict):
        line(f"  - {way}")


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
    for trial in sorted((each for each in trials if not each.stopped), key=lambda each: each.log_loss):
        best.setdefault(trial.estimator, trial)
    stopped = sum(each.stopped for each in trials)
    early = f" ({stopped} stopped early)" if stopped else ""
    table = Table(title=f"{len(trials)} trials{early}, the best of each estimator", title_justify="left")
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


def runs_table(runs: Iterable[tuple[str, Run, Candidate | None, str]]) -> None:
    """Runs with when they ended, what they made, and the version that this became, if any."""
    table = Table()
    for column in (
        "run",
        "ended at",
        "estimator",
        "seed",
        "dataset",
        "roc_auc held out",
        "log_loss held out",
        "version",
    ):
        table.add_column(column, no_wrap=True)
    table.add_column("in MLflow", overflow="fold")
    for at, run, made, version in runs:
        scores = made.holdout if made else {}
        auc, loss = (interval(scores.get(name)) for name in ("roc_auc", "log_loss"))
        about = (short(run.id), at, run.estimator, str(run.seed), short(run.dataset))
        table.add_row(*about, auc, loss, version, run.tracked or "")
    print_table(table)


def side_by_side(title: str, heads: Sequence[str], values: Mapping[str, Sequence[Value]]) -> None:
    """Things by name, one column for each of several that are compared."""
    table = Table(title=title, title_justify="left")
    for column in ("what", *heads):
        table.add_column(column, overflow="fold")
    for name, row in values.items():
        shown = ("none" if each is None else _number(each) for each in row)
        table.add_row(Text(name), *(Text(short(each)) for each in shown))
    print_table(table)


def print_table(table: Table) -> None:
    """A table on stdout, as wide as there is room."""
    # A pipe has no width: give it enough that nothing is folded that a terminal would show whole.
    made = console()
    if not made.is_terminal:
        made = Console(highlight=False, width=160)
    made.print(table)
