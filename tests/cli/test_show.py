"""Results as people see them."""

import math
from dataclasses import replace

import pytest

from mainstay.cli.show import interval, line, pairs_table, scores_table, trials_table, verdict_table
from mainstay.nouns import Estimate
from mainstay.training.tune import Trial
from mainstay.verdicts import Check, Outcome, Verdict


def test_an_interval_is_shown_where_there_is_one() -> None:
    assert interval(Estimate(0.84721, 0.8366, 0.8573, 1409)) == "0.8472 (0.8366 to 0.8573)"
    assert interval(Estimate(7081.0, 7081.0, 7081.0, 6)) == "7081"
    assert interval(Estimate(math.nan, math.nan, math.nan, 0)) == interval(None) == "not known"


def test_nothing_in_a_line_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    line("[red]rows[/red] [1]")
    assert capsys.readouterr().out == "[red]rows[/red] [1]\n"


def test_a_long_verdict_shows_what_did_not_pass_and_counts_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    checks = (
        Check("rows", Outcome.PASS, "enough"),
        Check("type", Outcome.FAIL, "`[age]` is not a number", "age"),
        Check("gap", Outcome.INCONCLUSIVE, "too few", blocking=False),
    )
    verdict_table(Verdict("cd_" + "0" * 64, checks), passed=False)
    out = capsys.readouterr().out
    assert "Verdict on cd_000000000000: FAIL" in out
    assert "`[age]` is not a number" in out
    assert "INCONCLUSIVE (advisory)" in out
    assert "1 other check" in out
    assert "enough" not in out
    verdict_table(Verdict("shop", checks[:1]), passed=False)
    assert "1 check " in capsys.readouterr().out


def test_scores_that_only_one_side_has_are_not_known_on_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    scores_table("Candidate", {"out of fold": {"profit": Estimate(17.4, 15.3, 19.5, 620)}, "holdout": {}})
    out = capsys.readouterr().out
    assert "out of fold, 620 rows" in out
    assert "17.4000 (15.3000 to 19.5000)" in out
    assert "not known" in out


def test_the_best_trial_of_each_estimator_is_shown_with_the_chosen_first(capsys: pytest.CaptureFixture[str]) -> None:
    def trial(number: int, estimator: str, log_loss: float) -> Trial:
        folds = {"log_loss": (log_loss, log_loss + 0.01), "roc_auc": (0.8, 0.81)}
        return Trial(number, estimator, {"C": log_loss / 3}, folds, log_loss + 0.005)

    stopped = replace(trial(3, "lightgbm", 0.40), stopped=True)  # on the folds that it saw
    trials_table([trial(0, "logistic", 0.45), trial(1, "lightgbm", 0.43), trial(2, "logistic", 0.44), stopped])
    out = capsys.readouterr().out
    assert out.splitlines()[0].strip() == "4 trials (1 stopped early), the best of each estimator"
    assert out.index("lightgbm") < out.index("logistic")
    assert "0.4450 (" in out
    assert "0.4050" not in out
    assert "C 0.147" in out


def test_values_are_shown_without_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    inputs = [{"name": "age", "type": "integer", "range": [18.0, 120.0], "nullable": False}]
    pairs = {"classes": ["No", "Yes"], "inputs": inputs, "code": {"version": "0.1.0"}, "parent": None, "rows": 3}
    pairs_table("shop@1.0.0", pairs.items())
    out = capsys.readouterr().out
    for words in ("No, Yes", "name age, type integer, range 18.0, 120.0", "version: 0.1.0", "none", "3"):
        assert words in out
    assert "'" not in out
