import base64
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.quality.document import (
    Bullets,
    Commands,
    Page,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Span,
    Table,
    code,
    to_html,
    to_markdown,
    visible,
    words,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b",
    "`a|b``c`",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "# not a heading",
    "1. not a list",
    "*bold* _it_ ~no~",
    "line\nbreak",
    "\u202egnp.exe",
    "&lt;b&gt;",
    "</table></section>",
    "$x$",
    "@ada",
    "\\|",
    "`",
    "",
]


class Seen(HTMLParser):
    """The elements of a page, and the words in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page_of(text: str) -> Page:
    rows = ((words(code(text)), words(text)), (words(Span(text, "run")), words("x")))
    blocks = (Paragraph(words(text)), Table(("a", "b"), rows), Bullets((words(text),)), Commands((text,)))
    return Page(text, words(text), (Section("One thing", blocks),), {"run": "#one-thing"})


@pytest.mark.parametrize("text", HOSTILE)
def test_html_shows_any_text_as_it_is(text: str) -> None:
    seen, plain = Seen(to_html(page_of(text))), Seen(to_html(page_of("plain")))
    assert seen.tags == plain.tags
    assert not {"script", "img", "iframe"} & {*seen.tags}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert visible(text) in "".join(seen.words)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_of_markdown_keeps_its_cells_whatever_is_in_them(text: str) -> None:
    lines = [line for line in to_markdown(page_of(text)).splitlines() if line.startswith("| ")]
    assert len(lines) == 4
    for line in lines:
        assert line.count("|") == 3  # none of them is escaped, so no reader can take one for another


@given(st.text().filter(lambda text: bool(visible(text))))
def test_no_text_makes_markup_in_markdown(text: str) -> None:
    first, lead, heading, *_ = (part for part in to_markdown(page_of(text)).split("\n\n") if part.strip() != "#")
    assert heading == "## One thing"
    for line in (first.removeprefix("# "), lead):
        assert "<" not in line
        assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]|~$@]", line)
        assert not re.match(r"[-+](\s|$)|[-=]+$|\d+[.)](\s|$)", line)


def test_a_link_leads_only_within_the_page_or_to_http() -> None:
    for address in ("javascript:alert(1)", "data:text/html,x", 'https://a"b', "https://a b", "file:///etc"):
        page = Page("t", words(Span("x", "run")), (), {"run": address})
        assert 'href="#"' in to_html(page)
        assert "[run]: #\n" in to_markdown(page)
    page = Page("t", words(Span("x", "run")), (), {"run": "https://mlflow.example/#/runs/1"})
    assert '<a href="https://mlflow.example/#/runs/1">x</a>' in to_html(page)
    assert "[x][run]" in to_markdown(page)


def test_commands_cannot_end_their_block() -> None:
    markdown = to_markdown(Page("t", words("l"), (Section("s", (Commands(("```", "mainstay x")),)),)))
    assert "````\n```\nmainstay x\n````" in markdown


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    drawing = Picture("p", "<svg xmlns='http://www.w3.org/2000/svg'></svg>", "A <drawing>.")
    html = to_html(Page("t", words("l"), (Section("s", (Pictures((drawing,)),)),)))
    seen = Seen(html)
    assert "script" not in seen.tags
    assert [value for name, value in seen.attributes if name == "src"] == [
        f"data:image/svg+xml;base64,{base64.b64encode(drawing.svg.encode()).decode()}"
    ]
    assert ("alt", "A <drawing>.") in seen.attributes
    assert "default-src 'none'" in html
    assert "prefers-color-scheme:dark" in html
    assert 'name="viewport"' in html


def test_a_table_of_prose_carries_the_names_of_its_columns_for_narrow_screens() -> None:
    rows = ((words("a"), words("b"), words("c")),)
    html = to_html(Page("t", words("l"), (Section("s", (Table(("x", "y", 'z"'), rows),)),)))
    assert 'data-name="z&quot;"' in html


def test_what_cannot_be_seen_is_shown() -> None:
    assert visible("a\u202eb\u200bc\td") == "a\ufffdb\ufffdc d"
