"""Charts: well-formed, inside their edges, and no text upon another."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import which
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.bench.reports.charts.canvas import HUES, fitted, text_width, ticks
from spectui.bench.reports.charts.lines import spread
from spectui.bench.reports.content import report
from spectui.bench.reports.document import Chart
from spectui.cli.raster import png
from tests.bench.reports.making import CASES, LONG

SVG = "{http://www.w3.org/2000/svg}"


def charts(case: str) -> dict[str, str]:
    return {one.name: one.svg for one in report(CASES[case]()) if isinstance(one, Chart)}


@dataclass(frozen=True)
class Box:
    """Where a text is."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def upon(self, other: Box) -> bool:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 0 and down > 0


def boxes(tree: ElementTree.Element) -> list[Box]:
    found = []
    for text in tree.iter(f"{SVG}text"):
        # What is said when the pointer rests there is not written.
        written = (text.text or "") + "".join(child.tail or "" for child in text)
        size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
        # `text_width` is rather too wide: what is close together in the picture is not yet upon each other.
        width = text_width(written, size) * 0.95
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[text.attrib["text-anchor"]]
        found.append(Box(written, left, y - size * 0.75, left + width, y + size * 0.2))
    return found


@pytest.mark.parametrize("case", [case for case in CASES if case != "nothing"])
def test_no_text_lies_upon_another_or_beyond_the_edge(case: str) -> None:
    drawn = charts(case)
    assert drawn
    for name, svg in drawn.items():
        tree = ElementTree.fromstring(svg)
        _, _, width, height = map(float, tree.attrib["viewBox"].split())
        texts = boxes(tree)
        for at, box in enumerate(texts):
            assert box.left >= 0, (name, box)
            assert box.right <= width, (name, box)
            assert box.bottom <= height, (name, box)
            assert not [other for other in texts[:at] if box.upon(other)], (name, box)
        for shape in tree.iter(f"{SVG}rect"):
            if "x" in shape.attrib:
                assert float(shape.attrib["x"]) + float(shape.attrib["width"]) <= width, name


def test_a_picture_needs_nothing_else_and_says_what_it_shows() -> None:
    for name, svg in charts("wide").items():
        tree = ElementTree.fromstring(svg)
        assert tree.attrib["role"] == "img"
        title, desc = tree.find(f"{SVG}title"), tree.find(f"{SVG}desc")
        assert title is not None
        assert desc is not None
        assert f"{title.text}. {desc.text}" == tree.attrib["aria-label"]
        assert "href" not in svg
        assert svg.count("http") == 1, "the namespace"
        assert all(pattern.attrib["id"].startswith(name) for pattern in tree.iter(f"{SVG}pattern"))


def test_a_lane_has_the_same_colour_in_every_chart_and_no_other_lane_has() -> None:
    for name, svg in charts("wide").items():
        tree = ElementTree.fromstring(svg)
        of_lanes = {hue: svg.count(f'class="hue{hue}"') for hue in range(len(HUES))}
        assert {hue for hue, count in of_lanes.items() if count} == ({0, 1, 2} if name == "step-time" else {1, 2}), name
        assert tree.attrib["width"] == "820"


def test_bars_say_what_they_are_and_how_long_they_are() -> None:
    results = CASES["small"]()
    texts = [box.text for box in boxes(ElementTree.fromstring(charts("small")["speedup"]))]
    for cell in results.pooled:
        figures = cell.figures
        if cell.variant.k:
            said = f"{figures.speedup:.2f}x ({figures.speedup_ci_low:.2f} to {figures.speedup_ci_high:.2f})"
            assert texts[texts.index(said) - 1] == f"{cell.variant.title} K={cell.variant.k}"


def test_lengths_are_in_proportion() -> None:
    results = CASES["small"]()
    tree = ElementTree.fromstring(charts("small")["speedup"])
    bars = [float(one.attrib["width"]) for one in tree.iter(f"{SVG}rect") if "hue" in one.attrib.get("class", "")]
    speedups = [cell.figures.speedup or 0 for cell in results.pooled if cell.variant.k]
    assert [bar / bars[0] for bar in bars] == pytest.approx([one / speedups[0] for one in speedups], abs=0.002)


def test_a_long_name_is_cut_and_can_still_be_read() -> None:
    assert fitted("short", 100) == "short"
    cut = fitted(LONG, 200)
    assert cut.endswith("… day")
    assert text_width(cut) <= 200
    assert fitted(f"{LONG} K=7", 200).endswith("… K=7")
    assert text_width(fitted(f"{LONG} K=7", 200)) <= 200
    assert text_width("世界") > text_width("abc")


@given(st.floats(0.001, 1e6), st.floats(0, 1e6))
def test_ticks_are_round_few_and_within(span: float, least: float) -> None:
    found = ticks(least + span, least)
    assert len(found) <= 7
    assert all(least - span * 1e-6 <= tick <= (least + span) * 1.000001 for tick in found)
    assert found == sorted(found)


@given(st.lists(st.floats(0, 300), max_size=12))
def test_labels_are_spread_in_their_order(wanted: list[float]) -> None:
    placed = spread(wanted, 15, 300)
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    heights = [placed[place] for place in order]
    assert all(below - above >= 15 - 1e-6 for above, below in pairwise(heights))
    assert all(height <= 300 for height in heights)


@pytest.mark.skipif(which("rsvg-convert") is None, reason="rsvg-convert is not installed")
def test_another_program_draws_it_too(tmp_path: Path) -> None:
    made = png(charts("hostile")["speedup"])
    assert made.startswith(b"\x89PNG")
    (tmp_path / "a.svg").write_text(charts("small")["step-time"], encoding="utf-8")
    assert subprocess.run(["rsvg-convert", tmp_path / "a.svg"], capture_output=True, check=True).stderr == b""
