"""Where a version comes from and where it went: rows, dataset, run, candidate, version, what is live.

As steps, of which each follows from the one before; what stood beside a step is beside it in the picture. The picture
is 400 units wide, so that its words are as large on a phone as on a desk.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mainstay.digests import short
from mainstay.ledger.facts import Fact
from mainstay.nouns import Arm, DatasetVersion, Rollout, Split
from mainstay.quality.card import Facts
from mainstay.quality.document import Page, Picture, Pictures, Section, Table, code, to_markdown, visible, words

_BOX, _GAP, _LEFT, _RIGHT = 180, 26, 8, 212
_LINE = 15
_LETTERS = 27
SHOWN = 4
"""How many older datasets, and how many splits, are told: the nearest ones."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing on the way: its kind, its name whole, what is worth saying of it, who made it when, and why."""

    kind: str
    name: str
    said: tuple[str, ...] = ()
    at: str = ""
    actor: str = ""
    reason: str = ""
    beside: tuple["Step", ...] = field(default=())


def lineage(
    facts: Facts, ancestors: Sequence[Fact[DatasetVersion]] = (), rollouts: Sequence[Fact[Rollout]] = ()
) -> tuple[Step, ...]:
    """The steps to a version and after it, the first first. `ancestors` are its dataset's, the nearest first."""
    dataset, run, version = facts.dataset.body, facts.run.body, facts.version.body
    held = "by hash" if dataset.holdout.cut is None else f"from {dataset.holdout.cut:%Y-%m-%d}"
    commit = run.code.get("commit", "")
    code_said = f"code {commit[:12]}{'-dirty' if commit.endswith('-dirty') else ''}" if commit else "code not recorded"
    tracked = () if run.tracked is None else (Step("in MLflow", run.tracked),)
    champion: tuple[Step, ...] = ()
    if facts.champion is not None:
        flipped = facts.against.get("flipped_share")
        said = () if flipped is None else (f"{flipped.value:.2%} decided otherwise",)
        champion = (Step("measured against", f"{version.use_case}@{facts.champion}", said),)
    return (
        Step("rows", f"{dataset.rows:,} rows", (f"{dataset.quarantined:,} quarantined",), reason=facts.dataset.reason),
        _made(
            "dataset", dataset.id, (f"{dataset.holdout.share:.0%} held out {held}",), facts.dataset, _older(ancestors)
        ),
        _made("run", run.id, (f"{run.estimator}, seed {run.seed}", code_said), facts.run, tracked),
        _made(
            "candidate",
            facts.candidate.body.id,
            (),
            facts.candidate,
            (_made("verdict", str(facts.verdict.body.outcome), (f"fact {facts.verdict.seq}",), facts.verdict),),
        ),
        _made("version", f"{version.use_case}@{version.version}", (f"key {version.key_id}",), facts.version, champion),
        *(_live(fact, version.version) for fact in facts.splits[-SHOWN:]),
        *(
            _made("rollout", fact.subject, (f"{fact.body.phase}, step {fact.body.step}",), fact)
            for fact in rollouts[-SHOWN:]
        ),
    )


def _older(ancestors: Sequence[Fact[DatasetVersion]]) -> tuple[Step, ...]:
    return tuple(
        _made("dataset before", fact.body.id, (f"{fact.body.rows:,} rows",), fact) for fact in ancestors[:SHOWN]
    )


def _made(kind: str, name: str, said: tuple[str, ...], fact: Fact[Any], beside: tuple[Step, ...] = ()) -> Step:
    return Step(kind, name, said, f"{fact.at:%Y-%m-%d %H:%M:%S} UTC", fact.actor, fact.reason, beside)


def _live(fact: Fact[Split], version: str) -> Step:
    arms = [_role(arm) for arm in fact.body.arms if arm.version == version]
    others = tuple(Step("with it", f"{arm.version} {_role(arm)}") for arm in fact.body.arms if arm.version != version)
    return _made("live", f"split {fact.body.number}", tuple(arms), fact, others)


def _role(arm: Arm) -> str:
    return "stands by" if arm.standby else "listens" if arm.listens else f"answers {arm.share:.0%}"


def flat(steps: Sequence[Step]) -> list[Step]:
    """Every step with those beside it, in order: the rows of a table."""
    return [each for step in steps for each in (*step.beside, step)]


def page(steps: Sequence[Step], named: str) -> Page:
    """The picture, and the same as a table with nothing shortened."""
    drawn = Picture(
        f"{named.replace('@', '-')}-lineage", svg(steps, named), f"From rows to {named}, and what became of it."
    )
    rows = tuple(
        (
            words(each.kind),
            words(code(each.name)),
            words("; ".join(each.said)),
            words(each.at),
            words(each.actor),
            words(each.reason),
        )
        for each in flat(steps)
    )
    lead = words("Every step is a fact in the ledger, with who wrote it and why.")
    return Page(
        f"Lineage of {named}",
        lead,
        (
            Section("The way", (Pictures((drawn,)),)),
            Section("The facts", (Table(("step", "name", "what", "at", "by", "why"), rows),)),
        ),
    )


def markdown(steps: Sequence[Step], named: str) -> str:
    """Mermaid's flow chart (which GitHub draws) and the table, as Markdown that needs no other file."""
    whole = page(steps, named)
    table = Page(whole.title, whole.lead, (Section("The facts", whole.sections[1].blocks),))
    head, _, rest = to_markdown(table).partition("## ")
    return f"{head}```mermaid\n{mermaid(steps)}```\n\n## {rest}"


def mermaid(steps: Sequence[Step]) -> str:
    """The steps as Mermaid's flow chart, from the top down."""
    lines, before = ["flowchart TD"], ""
    for n, step in enumerate(steps):
        lines.append(f'    s{n}["{_label(step)}"]')
        if before:
            lines.append(f"    {before} --> s{n}")
        for k, each in enumerate(step.beside):
            lines += [f'    s{n}b{k}(["{_label(each)}"])', f"    s{n}b{k} -.- s{n}"]
        before = f"s{n}"
    return "\n".join(lines) + "\n"


def _label(step: Step) -> str:
    return "<br/>".join(_entities(part) for part in (step.kind, short(step.name), *step.said))


def _entities(text: str) -> str:
    """A text in which Mermaid finds no quote, markup or entity: all but letters, digits and a few signs by number."""
    return "".join(each if each.isalnum() or each in " .,:@%_/-" else f"#{ord(each)};" for each in visible(text))


def svg(steps: Sequence[Step], named: str) -> str:
    """The steps from the top down, and beside each what stood beside it; words that are too long end in `…`."""
    drawn: list[str] = []
    top, last = 10, 0
    for step in steps:
        heights = [_height(each) for each in step.beside]
        height = max(_height(step), sum(heights) + 8 * max(len(heights) - 1, 0))
        if last:
            middle = _LEFT + _BOX / 2
            drawn.append(
                f'<path class="w" d="M{middle} {last}V{top - 5}"/><path class="h" d="M{middle - 4} {top - 7}h8l-4 7z"/>'
            )
        drawn.append(_box(step, _LEFT, top, "b"))
        last, beside = top + _height(step), top
        for each, tall in zip(step.beside, heights, strict=True):
            y = beside + tall / 2
            joined = min(y, top + _height(step) - 8)
            drawn.append(f'<path class="d" d="M{_LEFT + _BOX} {joined}H{_LEFT + _BOX + 12}V{y}H{_RIGHT}"/>')
            drawn.append(_box(each, _RIGHT, beside, "c"))
            beside += tall + 8
        top += height + _GAP
    height = top - _GAP + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 {height}" width="400" height="{height}" role="img">'
        f"<title>{_text(f'Lineage of {named}')}</title><style>{_STYLE}</style>{''.join(drawn)}</svg>"
    )


def _height(step: Step) -> int:
    return 38 + _LINE * len(step.said)


def _box(step: Step, x: int, y: int, kind: str) -> str:
    lines = [f'<rect class="{kind}" x="{x}" y="{y}" width="{_BOX}" height="{_height(step)}" rx="7"/>']
    lines.append(f'<text class="k" x="{x + 10}" y="{y + 15}">{_text(step.kind)}</text>')
    lines.append(f'<text class="n" x="{x + 10}" y="{y + 30}">{_text(_fitting(short(step.name), _LETTERS - 5))}</text>')
    for n, said in enumerate(step.said):
        lines.append(f'<text x="{x + 10}" y="{y + 45 + _LINE * n}">{_text(_fitting(said, _LETTERS))}</text>')
    return "".join(lines)


def _fitting(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _text(text: str) -> str:
    return html.escape(visible(text))


_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#1f2328}.k{fill:#57606a}.n{font-size:12px;font-weight:600}"
    ".b{fill:#eaf3fb;stroke:#1f6fb2}.c{fill:#f6f8fa;stroke:#8c959f}.w{stroke:#1f6fb2;stroke-width:1.5;fill:none}"
    ".h{fill:#1f6fb2}.d{stroke:#8c959f;stroke-dasharray:3 3;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e9ec}.k{fill:#a3adb8}.b{fill:#13283a;stroke:#6cb2f2}"
    ".c{fill:#1a2027;stroke:#6b7681}.w{stroke:#6cb2f2}.h{fill:#6cb2f2}.d{stroke:#6b7681}}"
)
