"""Plots as small SVG documents, drawn from recorded points: legible on a phone, light and dark, the same bytes again.

Points that are not finite are left out. Every function gives a whole document, 360 units wide.
"""

import html
import math
from collections.abc import Sequence

from mainstay.nouns import Estimate

Points = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT = 360, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 350, 26, 230
_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#1f2328}.t{font-size:13px;font-weight:600}"
    ".s{fill:#57606a}.g{stroke:#d8dee4}.a{stroke:#8c959f}.l{stroke:#1f6fb2;stroke-width:2;fill:none}"
    ".d{stroke:#8c959f;stroke-dasharray:4 3;fill:none}.m{stroke:#c0561f;stroke-width:1.5}.f{fill:#1f6fb2}"
    ".e{stroke:#1f6fb2;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e9ec}.s{fill:#a3adb8}.g{stroke:#333c46}.a{stroke:#6b7681}"
    ".l{stroke:#6cb2f2}.d{stroke:#6b7681}.m{stroke:#f0925c}.f{fill:#6cb2f2}.e{stroke:#6cb2f2}}"
)


def curve(
    title: str, across: str, up: str, points: Points, *, dashed: Points = (), mark: float | None = None, level: str = ""
) -> str:
    """A line through `points`, a dashed one through others, and a vertical mark at an x, named `level`.

    Both axes reach from 0 to 1, the upward one further where a point is outside.
    """
    known = _finite(points)
    axes = _Axes(known)
    drawn = [axes.frame(title, across, up)]
    if dashed:
        drawn.append(f'<polyline class="d" points="{axes.path(_finite(dashed))}"/>')
    if known:
        drawn.append(f'<polyline class="l" points="{axes.path(known)}"/>')
    if mark is not None and math.isfinite(mark):
        x = axes.x(mark)
        anchor, aside = ("start", 4) if mark < 0.6 else ("end", -4)
        drawn.append(f'<line class="m" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>')
        drawn.append(f'<text x="{x + aside:.1f}" y="{_BOTTOM - 16}" text-anchor="{anchor}">{_text(level)}</text>')
    return _document(title, _HEIGHT, drawn)


def dots(title: str, across: str, up: str, points: Sequence[tuple[float, Estimate]]) -> str:
    """Estimates with their intervals over x, both from 0 to 1, and the diagonal on which they would be equal."""
    axes = _Axes(())
    drawn = [axes.frame(title, across, up), f'<polyline class="d" points="{axes.path([(0, 0), (1, 1)])}"/>']
    for at, each in points:
        if not all(map(math.isfinite, (at, each.value, each.low, each.high))):
            continue
        x = axes.x(at)
        drawn.append(
            f'<line class="e" x1="{x:.1f}" x2="{x:.1f}" y1="{axes.y(each.low):.1f}" y2="{axes.y(each.high):.1f}"/>'
        )
        drawn.append(f'<circle class="f" cx="{x:.1f}" cy="{axes.y(each.value):.1f}" r="3.5"/>')
    return _document(title, _HEIGHT, drawn)


def bars(title: str, across: str, values: Sequence[tuple[str, float]]) -> str:
    """Named bars from the top down, each with its number; those below zero have no length."""
    known = [(name, value) for name, value in values if math.isfinite(value)]
    longest = max((value for _, value in known), default=0.0)
    height = 56 + 19 * max(len(known), 1)
    drawn = [f'<text class="t" x="8" y="16">{_text(title)}</text>']
    if not known:
        drawn.append('<text class="s" x="8" y="40">nothing was recorded</text>')
    for n, (name, value) in enumerate(known):
        y = 30 + 19 * n
        length = 150 * max(value, 0.0) / longest if longest > 0 else 0.0
        short = name if len(name) <= 22 else f"{name[:21]}…"
        drawn.append(f'<text x="142" y="{y + 11}" text-anchor="end">{_text(short)}</text>')
        drawn.append(f'<rect class="f" x="150" y="{y + 1}" width="{length:.1f}" height="13" rx="2"/>')
        drawn.append(f'<text class="s" x="{154 + length:.1f}" y="{y + 11}">{value:.4f}</text>')
    drawn.append(f'<text class="s" x="150" y="{height - 8}">{_text(across)}</text>')
    return _document(title, height, drawn)


class _Axes:
    """From numbers to places: x from 0 to 1, y from 0 to 1 or as far as the points reach."""

    def __init__(self, points: Points) -> None:
        ups = [up for _, up in points]
        inside = all(0 <= up <= 1 for up in ups)
        low, high = (0.0, 1.0) if inside else (min([0.0, *ups]), max([0.0, *ups]))
        if not inside:
            low = max(low, -2 * high) if high > 0 else low  # a ruinous threshold may leave the picture
            low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
        self._low, self._high = low, high

    def x(self, value: float) -> float:
        return _LEFT + min(max(value, 0.0), 1.0) * (_RIGHT - _LEFT)

    def y(self, value: float) -> float:
        inside = min(max(value, self._low), self._high)
        return _BOTTOM - (inside - self._low) / (self._high - self._low) * (_BOTTOM - _TOP)

    def path(self, points: Points) -> str:
        return " ".join(f"{self.x(across):.1f},{self.y(up):.1f}" for across, up in points)

    def frame(self, title: str, across: str, up: str) -> str:
        made = [f'<text class="t" x="8" y="16">{_text(title)}</text>']
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = self.x(tick)
            made.append(f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>')
            made.append(f'<text class="s" x="{x:.1f}" y="{_BOTTOM + 15}" text-anchor="middle">{tick:g}</text>')
        for value in self._ticks():
            y = self.y(value)
            made.append(f'<line class="g" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            made.append(f'<text class="s" x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        made.append(f'<line class="a" x1="{_LEFT}" x2="{_RIGHT}" y1="{self.y(0):.1f}" y2="{self.y(0):.1f}"/>')
        middle = (_LEFT + _RIGHT) / 2
        made.append(f'<text class="s" x="{middle}" y="{_BOTTOM + 32}" text-anchor="middle">{_text(across)}</text>')
        turned = f'transform="rotate(-90 12 {(_TOP + _BOTTOM) / 2})"'
        made.append(
            f'<text class="s" x="12" y="{(_TOP + _BOTTOM) / 2}" text-anchor="middle" {turned}>{_text(up)}</text>'
        )
        return "".join(made)

    def _ticks(self) -> list[float]:
        """About five round numbers on the upward axis."""
        rough = (self._high - self._low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = unit * min((1, 2, 2.5, 5, 10), key=lambda each: abs(each * unit - rough))
        first = math.ceil(self._low / step - 1e-9)
        return [round(step * n, 12) for n in range(first, math.floor(self._high / step + 1e-9) + 1)]


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(across, up) for across, up in points if math.isfinite(across) and math.isfinite(up)]


def _text(text: str) -> str:
    return html.escape("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text))


def _document(title: str, height: int, drawn: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img"><title>{_text(title)}</title><style>{_STYLE}</style>{"".join(drawn)}</svg>'
    )
