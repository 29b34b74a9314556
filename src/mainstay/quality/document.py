"""A page of sections, tables and pictures, as Markdown and as one HTML file that needs nothing else.

Whatever a page says may come from anybody's data: a category named `<script>` or `|` is shown as it is in both, and
characters that cannot be seen (controls, marks that turn the direction of text) as U+FFFD. The HTML has no script and
loads nothing, which its own policy forbids besides; light or dark is as the reader's system has it.
"""

import base64
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """Some words: a link to what the page names `to`, or an exact name (`code`), or neither."""

    text: str
    to: str = ""
    code: bool = False


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    line: Line


@dataclass(frozen=True, slots=True)
class Bullets:
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are `columns`; those from `numbers_from` on are set as numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    numbers_from: int = 99


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines to be typed as they are."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as a whole SVG document, the name of its file, and what it shows in words."""

    name: str
    svg: str
    words: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Drawings beside one another where there is room."""

    each: tuple[Picture, ...]


Block = Paragraph | Bullets | Table | Commands | Pictures


@dataclass(frozen=True, slots=True)
class Section:
    """`anchor` is what links within the page lead to: the title in small letters, with hyphens for spaces."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Page:
    """`links` maps what spans name to where it is: `#ANCHOR` of a section, or an address of http(s)."""

    title: str
    lead: Line
    sections: tuple[Section, ...]
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every drawing, in order: Markdown names their files."""
        found = (block for section in self.sections for block in section.blocks if isinstance(block, Pictures))
        return tuple(picture for block in found for picture in block.each)


def words(*parts: str | Span) -> Line:
    """A line of words and spans."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def code(text: str) -> Span:
    """An exact name: of a column, a digest, a command."""
    return Span(text, code=True)


def visible(text: str) -> str:
    """A text on one line, in which nothing hides: white space is one blank, what cannot be seen is U+FFFD."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in " ".join(text.split()))


def to_markdown(page: Page) -> str:
    """The page for a repository or a wiki (GitHub's Markdown). Its pictures are files beside it, under their names."""
    parts = [f"# {_plain(page.title)}", _marked(page.lead)]
    for section in page.sections:
        parts.append(f"## {_plain(section.title)}")
        parts += [_block_marked(block) for block in section.blocks]
    parts += ["\n".join(f"[{name}]: {_address(to)}" for name, to in page.links.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block_marked(block: Block) -> str:
    match block:
        case Paragraph(line):
            return _marked(line)
        case Bullets(lines):
            return "\n".join(f"- {_marked(line)}" for line in lines)
        case Table(columns, rows, numbers_from):
            rule = [("---:" if n >= numbers_from else "---") for n in range(len(columns))]
            cells = [[_plain(each) for each in columns], rule, *([_marked(cell) for cell in row] for row in rows)]
            return "\n".join(f"| {' | '.join(row)} |" for row in cells)
        case Commands(lines):
            fence = "`" * max(3, 1 + max((len(found) for found in re.findall("`+", "".join(lines))), default=0))
            return "\n".join([fence, *(visible(line) for line in lines), fence])
        case Pictures(each):
            return "\n".join(f"![{_plain(picture.words)}]({picture.name}.svg)" for picture in each)


_MARKS = re.compile(r"([\\`*_\[\]~#$@])")
_STARTS = re.compile(r"^(?:[-+](?=\s|$)|[-=](?=[-=]*$)|\d+(?=[.)](?:\s|$)))")


def _plain(text: str) -> str:
    """A text in which Markdown finds no markup, HTML or address."""
    escaped = _MARKS.sub(r"\\\1", visible(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bar by its number: how a table takes one after a backslash depends on who reads it.
    escaped = escaped.replace("|", "&#124;").replace("://", r":\/\/").replace("www.", r"www\.")
    found = _STARTS.match(escaped)
    if found is None:
        return escaped
    rest = escaped[found.end() :]
    return f"\\{found[0]}{rest}" if not found[0].isdigit() else f"{found[0]}\\{rest}"


def _marked(line: Line) -> str:
    return "".join(_span_marked(span) for span in line)


def _span_marked(span: Span) -> str:
    text = visible(span.text)
    if span.code and not {*"|\\<"} & {*text}:  # bars have no form in code that every table takes alike
        fence = "`" * (max((len(found) for found in re.findall("`+", text)), default=0) + 1)
        padding = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
        made = f"{fence}{padding}{text}{padding}{fence}"
    else:
        blank = " " if span.text.startswith(" ") else ""
        made = blank + _plain(span.text) + (" " if span.text.endswith(" ") and span.text.strip() else "")
    return f"[{made}][{span.to}]" if span.to else made


def _address(to: str) -> str:
    """An address without anything that could end it or run; a section of the page where it is none."""
    if not re.fullmatch(r"#[a-z0-9-]+|https?://[^\s<>\"'`\\]+", to):
        return "#"
    return to


def to_html(page: Page) -> str:
    """The page as one file: styles and pictures are in it, scripts are not."""
    body = [f"<h1>{_escaped(page.title)}</h1>", f'<p class="lead">{_inline(page, page.lead)}</p>']
    for section in page.sections:
        inside = "".join(_block_inline(page, block) for block in section.blocks)
        body.append(f'<section id="{section.anchor}"><h2>{_escaped(section.title)}</h2>{inside}</section>')
    return _FRAME.format(title=_escaped(page.title), style=_STYLE, body="\n".join(body))


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _inline(page: Page, line: Line) -> str:
    return "".join(_span_inline(page, span) for span in line)


def _span_inline(page: Page, span: Span) -> str:
    text = _escaped(span.text)
    lead, tail = span.text[:1].isspace(), span.text[1:][-1:].isspace()
    made = f"<code>{text}</code>" if span.code else f"{' ' if lead else ''}{text}{' ' if tail else ''}"
    return f'<a href="{html.escape(_address(page.links[span.to]))}">{made}</a>' if span.to else made


def _block_inline(page: Page, block: Block) -> str:
    match block:
        case Paragraph(line):
            return f"<p>{_inline(page, line)}</p>"
        case Bullets(lines):
            return f"<ul>{''.join(f'<li>{_inline(page, line)}</li>' for line in lines)}</ul>"
        case Table():
            return _table(page, block)
        case Commands(lines):
            return f"<pre>{html.escape(chr(10).join(visible(line) for line in lines))}</pre>"
        case Pictures(each):
            return f'<div class="pictures">{"".join(_figure(picture) for picture in each)}</div>'


def _table(page: Page, table: Table) -> str:
    count = len(table.columns)
    look = "prose" if 2 < count <= table.numbers_from else "dense" if count > 6 else "grid"
    kinds = [' class="n"' if n >= table.numbers_from else "" for n in range(count)]
    names = [f' data-name="{_escaped(name)}"' if look == "prose" else "" for name in table.columns]
    head = "".join(f"<th{kind}>{_escaped(name)}</th>" for name, kind in zip(table.columns, kinds, strict=True))
    body = []
    for row in table.rows:
        cells = [_inline(page, cell) for cell in row]
        if look != "prose":  # an interval may go below its number, but stays in one piece
            cells = [cell.replace(" to ", "&nbsp;to&nbsp;") for cell in cells]
        made = zip(cells, kinds, names, strict=True)
        body.append(f"<tr>{''.join(f'<td{kind}{name}>{cell}</td>' for cell, kind, name in made)}</tr>")
    inside = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    # It can be scrolled by finger and by key where it is wider than the page.
    return f'<div class="wide" tabindex="0"><table class="{look}">{inside}</table></div>'


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.svg.encode()).decode()
    said = _escaped(picture.words)
    return f'<figure><img alt="{said}" src="data:image/svg+xml;base64,{data}"><figcaption>{said}</figcaption></figure>'


_STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1f2328;--soft:#57606a;--rule:#d8dee4;--band:#f6f8fa;--link:#0b5cad}
@media(prefers-color-scheme:dark){:root{--page:#0f1419;--ink:#e6e9ec;--soft:#a3adb8;--rule:#333c46;--band:#1a2027;
--link:#7ab8ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.25rem 1rem 4rem;background:var(--page);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--rule)}
.lead{color:var(--soft);margin-top:0}
a{color:var(--link);text-decoration:none}
a:hover,a:focus{text-decoration:underline}
code,pre{font:.88em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--band);padding:.75rem;border-radius:6px;white-space:pre-wrap}
ul{padding-left:1.2rem}
li{margin:.3rem 0}
.wide{overflow-x:auto;margin:.8rem 0;border:1px solid var(--rule);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.88rem;overflow-wrap:normal}
th,td{padding:.38rem .65rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{background:var(--band);color:var(--soft);font-weight:600;white-space:nowrap}
td{overflow-wrap:break-word;min-width:5.5rem;max-width:34rem}
td code{overflow-wrap:anywhere}
td:first-child{position:sticky;left:0;background:var(--page)}
td:first-child code{overflow-wrap:normal}
tr:last-child td{border-bottom:0}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1rem;margin:.8rem 0}
figure{margin:0;max-width:32rem}
img{display:block;width:100%;height:auto}
figcaption{color:var(--soft);font-size:.88rem}
.dense .n{white-space:normal;min-width:0}
.dense th,.dense td{padding:.38rem .42rem}
.dense th.n{vertical-align:bottom}
td:nth-child(2):not(.n){min-width:7rem}
@media(max-width:40rem){table{font-size:.82rem}th,td,.dense th,.dense td{padding:.32rem .4rem}
td.n{white-space:normal}td,.dense td:nth-child(2):not(.n){min-width:4.5rem}td.n{min-width:0}
.prose thead{display:none}.prose,.prose tbody,.prose tr{display:block}
.prose td{display:flex;gap:.6rem;border:0;padding:.15rem .6rem;max-width:none}
.prose td::before{content:attr(data-name);color:var(--soft);flex:0 0 5.2rem}
.prose td:empty{display:none}
.prose tr{padding:.4rem 0;border-bottom:1px solid var(--rule)}.prose tr:last-child{border-bottom:0}}
@media print{body{max-width:none}.wide{overflow:visible}}
"""
_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
