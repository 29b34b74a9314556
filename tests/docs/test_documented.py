"""Every command, route, setting, metric and exit code is documented, and nothing is documented that is not there."""

import re
from pathlib import Path
from typing import get_args

import pytest
import typer
from typer.core import TyperGroup

from mainstay.adapters.stream import Spool
from mainstay.cli.main import COMMANDS, application
from mainstay.recipe import Recipe
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.feedback import Feedback
from mainstay.serving.log import Log
from mainstay.serving.materialized import Materialized
from mainstay.serving.metrics import METRICS
from mainstay.serving.problems import KINDS
from mainstay.serving.shipped import ShipperProgress
from mainstay.settings import Settings
from mainstay.usecase import Column, Features, Label, Monitors, Profit, Serving, UseCase, View
from mainstay.usecase_gates import Fairness, Gates, Leakage
from mainstay.usecase_plan import Margins, Notice, Plan, Step

PLANS = (Plan, Step, Notice, Margins)
ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def commands() -> set[str]:
    """Every command with its group, as people type it."""
    root = typer.main.get_command(application())
    assert isinstance(root, TyperGroup)
    found = set()
    for name, command in root.commands.items():
        inner = command.commands if isinstance(command, TyperGroup) else {"": command}
        found |= {f"{name} {each}".strip() for each in inner}
    return found


def test_every_command_is_in_the_reference_and_no_other() -> None:
    text = (REFERENCE / "commands.md").read_text()
    rows = set(re.findall(r"^\| `mainstay ([a-z -]+?)(?: [A-Z\[-].*?)?` \|", text, re.MULTILINE))
    assert {name.strip() for name in rows} == commands()


def test_every_command_says_what_it_does() -> None:
    root = typer.main.get_command(application())
    assert isinstance(root, TyperGroup)
    for name, command in root.commands.items():
        assert command.help, f"`mainstay {name}` has no help"
        for inner, each in getattr(command, "commands", {}).items():
            assert each.help, f"`mainstay {name} {inner}` has no help"


def test_the_table_of_commands_is_that_of_the_application() -> None:
    assert {name.split()[0] for name in commands()} == COMMANDS.keys()


def test_every_setting_is_in_the_reference_and_in_the_example_and_no_other() -> None:
    settings = {f"MAINSTAY_{name.upper()}" for name in Settings.model_fields}
    reference = (REFERENCE / "settings.md").read_text()
    assert set(re.findall(r"^\| `(MAINSTAY_\w+)`", reference, re.MULTILINE)) == settings
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?(MAINSTAY_\w+)=", example, re.MULTILINE)) == settings


def test_every_decision_says_what_it_costs() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert decisions
    for number, path in enumerate(decisions, start=1):
        assert path.name.startswith(f"{number:04d}-"), f"{path.name} breaks the numbering"
        text = path.read_text()
        for part in ("**Context.**", "**Decision.**", "**What it costs.**"):
            assert part in text, f"{path.name} lacks {part}"


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_the_unreleased_changes_are_on_top() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    long = {
        path: count for path in (ROOT / folder).rglob("*.py") if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_package_files_are_empty_where_python_asks_for_one() -> None:
    assert not [path for path in (ROOT / "src").rglob("__init__.py") if path.read_text().strip()]


def test_the_targets_of_make_are_listed_by_help() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE)) - {"help"}
    helped = set(re.findall(r"^([a-z]+):.*## ", text, re.MULTILINE))
    assert targets == helped - {"help"}
    assert {"setup", "demo", "test", "check", "faults", "alarms"} <= targets


def test_every_metric_is_in_the_reference_and_no_other() -> None:
    shipped = ShipperProgress(lambda: pytest.fail("asked"), Settings().clock)
    materialized = Materialized(ROOT, "tiny", Settings().clock)
    families = [family for metric in (*METRICS, shipped, materialized) for family in metric.describe()]
    named = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    text = (REFERENCE / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) == named


def test_every_route_and_every_status_is_in_the_reference_and_no_other() -> None:
    arms = Arms(lambda: None, lambda version: pytest.fail(version), lambda digest: pytest.fail(digest))
    clock = Settings().clock
    access = Access(list, None, clock)
    written = Log(Spool(ROOT), "tiny", "", clock)
    feedback = Feedback(written, pytest.fail, lambda told, at: pytest.fail("asked"), clock)
    routes = create_app(arms, "tiny", Answering(written, clock), access, feedback=feedback).openapi()["paths"]
    text = (REFERENCE / "http.md").read_text()
    told = set(re.findall(r"^\| `(GET|POST) (/[\w/{}]*)`", text, re.MULTILINE))
    assert told == {(method.upper(), path) for path, methods in routes.items() for method in methods}
    assert {int(status) for status in re.findall(r"^\| (\d{3}) \|", text, re.MULTILINE)} == KINDS.keys()


def test_every_key_of_a_use_case_is_in_the_reference() -> None:
    text = (REFERENCE / "usecase.md").read_text()
    for name, field in UseCase.model_fields.items():
        assert f"| `{field.alias or name}` |" in text, f"`{field.alias or name}` is not documented"
    for section in (Column, Label, View, Features, Recipe, Profit, Gates, Leakage, Fairness, Serving, *PLANS, Monitors):
        for name in section.model_fields:
            assert re.search(rf"\b{name}\b", text), f"`{name}` is not documented"
    for kind in get_args(Plan.model_fields["kind"].annotation):
        assert f"| `{kind}` |" in text, f"the kind of plan `{kind}` is not documented"
