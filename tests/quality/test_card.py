import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.nouns import Estimate
from mainstay.quality.card import Facts, card
from mainstay.quality.document import to_html, to_markdown
from mainstay.records import encode
from mainstay.verdicts import Limit, Verdict, check

Make = Callable[..., Facts]
Body = Callable[..., Any]
SECTIONS = (
    "Purpose", "Data", "Training", "Scores", "Decisions and profit", "Verdict", "Fairness", "Slices", "Calibration",
    "Importance", "Beside the champion", "Limits", "How to reproduce it", "The run",
)  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?")


def section(markdown: str, title: str) -> str:
    return markdown.partition(f"## {title}\n")[2].partition("\n## ")[0]


def plain(html: str) -> str:
    """The words that people see of a page, a blank between any two elements."""
    inside = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " ", inside))


def leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def recorded(facts: Facts) -> tuple[list[float], str]:
    """Every number in the facts, and every text in them put together, times as people are shown them."""
    found = [each for field in dataclasses.fields(facts) for each in leaves(_json(getattr(facts, field.name)))]
    numbers = [float(each) for each in found if isinstance(each, int | float)]
    texts = [str(each) for each in found if isinstance(each, str)]
    texts += [datetime.fromisoformat(each).strftime("%Y-%m-%d %H:%M:%S") for each in texts if _is_time(each)]
    return numbers, "\n".join(texts)


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        return {name: _json(each) for name, each in value.items()}
    if hasattr(value, "seq"):
        return [value.seq, value.at.astimezone(UTC).isoformat(), value.actor, value.reason, _json(value.body)]
    return encode(value) if dataclasses.is_dataclass(value) else value


def _is_time(text: str) -> bool:
    return re.match(r"\d{4}-\d\d-\d\dT", text) is not None


def unfounded(words: str, facts: Facts) -> list[str]:
    """The numbers in a card that no recorded number is when it is rounded alike, and that no recorded text holds."""
    numbers, texts = recorded(facts)
    found = []
    for token in _NUMBER.findall(words):
        bare = token.rstrip("%").replace(",", "")
        scale = 100 if token.endswith("%") else 1
        places = len(bare.partition("e")[0].partition(".")[2]) if "." in bare else 0
        near = abs(float(bare)) * 1e-5 if "e" in bare or len(bare) > 7 else 0.0
        apart = max(0.5 * 10**-places * 1.0001, near)
        if token in texts or bare in texts:
            continue
        if not any(abs(each * scale - float(bare)) <= apart for each in numbers):
            found.append(token)
    return found


def test_it_has_every_part_that_a_reviewer_asks_for(facts: Make) -> None:
    made = card(facts())
    assert tuple(each.title for each in made.sections) == SECTIONS
    markdown = to_markdown(made)
    assert "`Churn` will be `Yes` within 30d" in section(markdown, "Purpose")
    assert "7,043" in section(markdown, "Data")
    assert "lightgbm" in section(markdown, "Training")
    assert "[0.8512 (0.8411 to 0.8613)][run]" in section(markdown, "Scores")
    assert "[16.2500 (14.1250 to 18.5000)][run]" in section(markdown, "Decisions and profit")
    assert "3.5" in section(markdown, "Beside the champion") or "0.0350" in section(markdown, "Beside the champion")
    assert "mainstay train --dataset ds_2 --seed 7" in section(markdown, "How to reproduce it")
    assert f"git checkout {'b' * 40}" in section(markdown, "How to reproduce it")
    assert "churn-1.1.0-calibration.svg" in section(markdown, "Calibration")


def test_a_number_leads_to_its_run(facts: Make) -> None:
    embedded, served = card(facts()), card(facts(tracking="https://mlflow.example"))
    assert 'href="#the-run"' in to_html(embedded)
    assert 'id="the-run"' in to_html(embedded)
    assert f'href="https://mlflow.example/#/runs/{"f" * 32}"' in to_html(served)
    assert f"[run]: https://mlflow.example/#/runs/{'f' * 32}" in to_markdown(served)
    rows = [line for line in section(to_markdown(served), "Scores").splitlines() if line.startswith("| `")]
    assert [row.count("][run]") for row in rows] == [4, 4, 4]


def test_both_formats_say_the_same(facts: Make) -> None:
    made = card(facts())
    html = plain(to_html(made))
    for heading in SECTIONS:
        assert heading in html
    assert sorted(set(_NUMBER.findall(html)) - set(_NUMBER.findall(to_markdown(made)))) == []


def test_no_number_is_in_it_that_is_not_in_the_facts(facts: Make) -> None:
    made = facts()
    assert unfounded(plain(to_html(card(made))), made) == []
    assert unfounded("0.8513 and 44 %", made) == ["0.8513", "44"]


finite = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-3)
estimates = st.builds(
    lambda value, below, above, rows: Estimate(value, value - below, value + above, rows),
    st.one_of(finite, st.just(math.nan)),
    st.floats(0, 10),
    st.floats(0, 10),
    st.integers(0, 10**9),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    scores=st.dictionaries(st.sampled_from(["roc_auc", "profit", "log_loss", "f1"]), estimates),
    against=st.dictionaries(st.sampled_from(["flipped_share", "score_shift"]), estimates),
    limit=finite,
    rows=st.integers(0, 10**9),
)
def test_whatever_is_recorded_no_number_is_made_up(
    facts: Make, body: Body, scores: dict[str, Estimate], against: dict[str, Estimate], limit: float, rows: int
) -> None:
    made = facts()
    checks = tuple(check(name, each, Limit(at_least=limit)) for name, each in scores.items())
    made = facts(
        candidate=body(made.candidate, holdout=scores, cross_validated=scores),
        verdict=body(made.verdict, checks=checks),
        dataset=body(made.dataset, rows=rows),
        against=against,
    )
    assert unfounded(plain(to_html(card(made))), made) == []


def test_what_was_not_recorded_is_left_out_in_words(facts: Make, body: Body) -> None:
    made = facts()
    bare = facts(
        examined=None,
        champion=None,
        against={},
        derived=(),
        splits=(),
        run=body(made.run, tracked=None, code={}, parameters={}),
        candidate=body(made.candidate, holdout={}, cross_validated={}),
        verdict=body(made.verdict, checks=()),
    )
    markdown = to_markdown(card(bare))
    assert "Its label is not recorded" in section(markdown, "Purpose")
    assert "not measured" in section(markdown, "Fairness")
    assert "kept no scores by slice" in section(markdown, "Slices")
    assert "No version was live" in section(markdown, "Beside the champion")
    assert "there is no profit" in section(markdown, "Decisions and profit")
    assert "The commit of the code that trained it is not recorded" in section(markdown, "Limits")
    assert "git checkout" not in markdown
    assert not card(bare).pictures
    assert "nan" not in plain(to_html(card(bare))).lower().split()
    assert unfounded(plain(to_html(card(bare))), bare) == []


def test_a_number_without_an_interval_says_so(facts: Make, body: Body) -> None:
    made = facts()
    scores = {"roc_auc": Estimate(0.75, math.nan, math.nan, 3), "f1": Estimate(math.nan, math.nan, math.nan, 0)}
    markdown = to_markdown(card(facts(candidate=body(made.candidate, holdout=scores, cross_validated={}))))
    scored = section(markdown, "Scores")
    assert "[0.7500][run], how exactly is not known" in scored
    assert "not known" in next(line for line in scored.splitlines() if "`f1`" in line)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a|b", "[x](javascript:y)", "`", "\u202eevil", "a\n# b"])
def test_names_from_the_data_break_neither_format(facts: Make, body: Body, name: str) -> None:
    made = facts()
    assert made.examined is not None
    slices = tuple(dataclasses.replace(each, column=name, value=name) for each in made.examined.slices)
    odd = facts(
        inputs=(dataclasses.replace(made.inputs[0], name=name, values=(name,)),),
        dataset=dataclasses.replace(made.dataset, reason=name, actor=name),
        run=body(made.run, parameters={name: name}),
        verdict=body(made.verdict, checks=(check(name, None, Limit(at_most=1), subject=name),)),
        examined=dataclasses.replace(made.examined, slices=slices, importance={name: 0.5}, protected=(name,)),
    )
    html, markdown = to_html(card(odd)), to_markdown(card(odd))
    assert "<script>" not in html
    assert "<script>" not in markdown
    assert [line for line in markdown.splitlines() if line.startswith("#")] == [
        "# Model card: churn\\@1.1.0",
        *(f"## {title}" for title in SECTIONS),
    ]
    columns = 0
    for line in markdown.splitlines():
        columns = line.count("|") if line.startswith("| ") and not columns else columns if line.startswith("|") else 0
        assert not columns or line.count("|") == columns


def test_the_facts_alone_make_it(facts: Make) -> None:
    assert to_html(card(facts())) == to_html(card(facts()))
    assert json.dumps(to_markdown(card(facts())))


def test_a_verdict_that_holds_nothing_is_no_reason_to_fail(facts: Make, body: Body) -> None:
    made = facts()
    assert Verdict("cd_2", ()).outcome == "INCONCLUSIVE"
    assert "INCONCLUSIVE" in to_markdown(card(facts(verdict=body(made.verdict, checks=()))))
