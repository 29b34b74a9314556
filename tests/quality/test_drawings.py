import math
import re
from xml.etree import ElementTree

import pytest

from mainstay.nouns import Estimate
from mainstay.quality.drawings import bars, curve, dots

DIAGONAL = ((0.0, 0.0), (1.0, 1.0))


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def places(svg: str, kind: str) -> list[tuple[float, float]]:
    found = re.search(rf'<polyline class="{kind}" points="([^"]*)"', svg)
    assert found is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def test_a_curve_runs_from_the_lower_left_to_the_upper_right() -> None:
    drawn = places(curve("ROC", "x", "y", [(0, 0), (0.5, 0.9), (1, 1)], dashed=DIAGONAL), "l")
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert [y for _, y in drawn] == sorted((y for _, y in drawn), reverse=True)


def test_the_upward_axis_reaches_as_far_as_the_points() -> None:
    svg = curve("Profit", "threshold", "profit", [(0, -4), (0.2, 16), (1, 0)], mark=0.2, level="chosen: 0.2")
    assert {"-4", "0", "15"} <= {*texts(svg)} or "15" in texts(svg)
    assert "chosen: 0.2" in texts(svg)
    assert all(26 <= y <= 230 for _, y in places(svg, "l"))


def test_a_ruinous_threshold_leaves_the_picture_and_not_the_axis() -> None:
    drawn = places(curve("Profit", "x", "y", [(0, -1000), (0.5, 1.5), (1, 0)]), "l")
    assert all(26 <= y <= 230 for _, y in drawn)
    assert drawn[0][1] == 230


@pytest.mark.parametrize("points", [(), ((math.nan, 0.5),), ((0.5, math.inf),)])
def test_what_is_not_finite_is_not_drawn(points: tuple[tuple[float, float], ...]) -> None:
    svg = curve("t", "x", "y", points, mark=math.nan)
    assert 'class="l"' not in svg
    assert "nan" not in svg
    assert "inf" not in svg


def test_an_interval_is_a_line_through_its_dot() -> None:
    svg = dots("Calibration", "x", "y", [(0.5, Estimate(0.4, 0.3, 0.6, 10)), (0.7, Estimate(math.nan, 0, 1, 0))])
    assert svg.count("<circle") == 1
    assert svg.count('class="e"') == 1


def test_bars_are_as_long_as_their_numbers() -> None:
    svg = bars("Importance", "gain", [("tenure", 0.2), ("a" * 40, 0.1), ("noise", -0.1), ("unknown", math.nan)])
    widths = [float(found) for found in re.findall(r'<rect class="f"[^>]*width="([\d.]+)"', svg)]
    assert widths[0] == 2 * widths[1] > widths[2] == 0
    assert "a" * 21 + "…" in texts(svg)
    assert "unknown" not in texts(svg)
    assert "nothing was recorded" in texts(bars("Importance", "gain", []))


def test_names_are_text_and_never_markup() -> None:
    svg = bars("<script>", "&", [("<b>\x00\u202e", 1.0)])
    assert "<b>\ufffd\ufffd" in texts(svg)
    assert "<script>" not in svg
    assert "NaN" not in svg


def test_the_same_points_give_the_same_bytes_in_light_and_dark() -> None:
    once = curve("ROC", "x", "y", DIAGONAL)
    assert once == curve("ROC", "x", "y", DIAGONAL)
    assert "prefers-color-scheme:dark" in once
