import dataclasses
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from mainstay.ledger.facts import Fact
from mainstay.nouns import Arm, Phase, Rollout
from mainstay.quality.card import Facts
from mainstay.quality.document import to_html
from mainstay.quality.lineage import SHOWN, Step, flat, lineage, markdown, mermaid, page, svg

Make = Callable[..., Facts]
Body = Callable[..., Any]


def kinds(steps: tuple[Step, ...]) -> list[str]:
    return [each.kind for each in steps]


def test_the_way_leads_from_rows_to_what_is_live(facts: Make) -> None:
    steps = lineage(facts())
    assert kinds(steps) == ["rows", "dataset", "run", "candidate", "version", "live"]
    assert [each.name for each in steps] == ["7,043 rows", "ds_2", "01a1", "cd_2", "churn@1.1.0", "split 2"]
    assert steps[-1].said == ("answers 100%",)
    beside = {each.kind: [other.kind for other in each.beside] for each in steps}
    assert beside["run"] == ["in MLflow"]
    assert beside["candidate"] == ["verdict"]
    assert beside["version"] == ["measured against"]
    assert beside["live"] == ["with it"]


def test_the_datasets_before_are_beside_it_the_nearest_first(facts: Make, body: Body) -> None:
    older = [body(facts().dataset, id=f"ds_old{n}", rows=100 * n) for n in range(SHOWN + 3)]
    (_, dataset, *_) = lineage(facts(), older)
    assert [each.name for each in dataset.beside] == [f"ds_old{n}" for n in range(SHOWN)]


def test_rollouts_come_after_what_is_live(facts: Make) -> None:
    now = facts().version.at
    rollout = Rollout("ro_1", "1.0.0", "1.1.0", "c" * 64, 2, now, now, now + timedelta(days=14), Phase.PROMOTED)
    fact = Fact(12, "churn", "rollout", "ro_1", 3, now, "operator", "It was no worse.", rollout)
    last = lineage(facts(), (), (fact,))[-1]
    assert (last.kind, last.name, last.said) == ("rollout", "ro_1", ("promoted, step 2",))


def test_a_first_version_that_nobody_tracked_has_less_beside_it(facts: Make, body: Body) -> None:
    steps = lineage(facts(champion=None, against={}, splits=(), run=body(facts().run, tracked=None, code={})))
    assert kinds(steps) == ["rows", "dataset", "run", "candidate", "version"]
    assert [each.kind for each in flat(steps) if each not in steps] == ["verdict"]
    assert "code not recorded" in steps[2].said


def test_what_stood_by_or_listened_says_so(facts: Make, body: Body) -> None:
    split = body(facts().splits[0], arms=(Arm("1.2.0", 1.0), Arm("1.1.0", listens=True), Arm("1.0.0", standby=True)))
    last = lineage(facts(splits=(split,)))[-1]
    assert last.said == ("listens",)
    assert [each.name for each in last.beside] == ["1.2.0 answers 100%", "1.0.0 stands by"]


def test_the_picture_holds_every_step_and_no_two_boxes_meet(facts: Make, body: Body) -> None:
    older = [body(facts().dataset, id=f"ds_old{n}") for n in range(3)]
    steps = lineage(facts(), older)
    drawn = ElementTree.fromstring(svg(steps, "churn@1.1.0"))
    rects = [
        tuple(float(each.attrib[name]) for name in ("x", "y", "width", "height"))
        for each in drawn.iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert len(rects) == len(flat(steps))
    for n, (x, y, width, height) in enumerate(rects):
        assert x + width <= 400
        assert y + height <= float(drawn.attrib["height"])
        for other_x, other_y, other_width, other_height in rects[:n]:
            apart = y >= other_y + other_height or other_y >= y + height
            assert apart or x >= other_x + other_width or other_x >= x + width


@pytest.mark.parametrize("name", ["<script>", 'a"] --> evil["', "```", "a|b", "x" * 300, "\u202e"])
def test_names_from_the_data_break_no_picture(facts: Make, body: Body, name: str) -> None:
    odd = facts(run=body(facts().run, estimator=name), dataset=dataclasses.replace(facts().dataset, reason=name))
    steps = lineage(odd)
    ElementTree.fromstring(svg(steps, name))
    assert "<script>" not in svg(steps, name)
    assert "<script>" not in to_html(page(steps, name))
    text = mermaid(steps)
    assert len(text.splitlines()) == len(mermaid(lineage(facts())).splitlines())
    for line in text.splitlines()[1:]:
        assert re.fullmatch(r'    \w+(\["[^"`|]*"\]|\(\["[^"`|]*"\]\)| --> \w+| -\.- \w+)', line)
    assert markdown(steps, "churn@1.1.0").count("\n```") == 2


def test_markdown_needs_no_other_file(facts: Make) -> None:
    text = markdown(lineage(facts()), "churn@1.1.0")
    assert text.startswith("# Lineage of churn\\@1.1.0\n")
    assert "```mermaid\nflowchart TD\n" in text
    assert 's4["version<br/>churn@1.1.0<br/>key 888062308c012b4e"]' in text
    assert "## The facts" in text
    assert "![" not in text
