"""The page as a browser shows it: on a desk and on a phone, by day and by night."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.bench.reports.content import report
from spectui.bench.reports.document import Chart
from spectui.bench.reports.html import page
from tests.bench.reports.making import CASES
from tests.support.browser import browsing, chromium

_SIZES = """
(() => {
    const box = (one) => { const r = one.getBoundingClientRect(); return [r.left, r.right, r.width, r.height]; };
    return {
        page: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
        charts: [...document.querySelectorAll("figure svg")].map(box),
        boxes: [...document.querySelectorAll("figure, .box, p, li, h1, h2, h3, pre, nav")].map(box),
        seen: [...document.querySelectorAll("figure svg text")].every((one) => one.getBBox().width > 0),
        paper: getComputedStyle(document.querySelector("figure .paper")).fill,
        body: getComputedStyle(document.body).backgroundColor,
    };
})()
"""


@pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")
async def test_a_browser_shows_it_well_and_it_asks_for_nothing(tmp_path: Path) -> None:
    async with browsing(tmp_path / "profile") as browser:
        for case in ("wide", "hostile"):
            blocks = report(CASES[case](), naive=True)
            path = tmp_path / f"{case}.html"
            path.write_text(page(blocks), encoding="utf-8")
            for width, dark in ((1200, False), (400, False), (400, True)):
                complaints = await browser.look(path.as_uri(), width, dark=dark)
                assert complaints == []
                sizes = await browser.value(_SIZES)
                whole, shown = sizes["page"]
                assert whole == shown <= width, "the page itself never scrolls sideways"
                assert len(sizes["charts"]) == sum(isinstance(block, Chart) for block in blocks)
                assert all(across >= 350 and down >= 80 for _, _, across, down in sizes["charts"])
                assert all(left >= 0 and right <= width for left, right, *_ in sizes["boxes"])
                assert sizes["seen"]
                assert (sizes["paper"] == "rgb(255, 255, 255)") is not dark
                assert (sizes["body"] == "rgb(255, 255, 255)") is not dark
                await browser.screenshot(tmp_path / f"{case}-{width}.png")


@pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")
async def test_a_page_that_asks_or_complains_would_be_noticed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<img src=other.png><script>console.error('ouch')</script>", encoding="utf-8")
    async with browsing(tmp_path / "profile") as browser:
        said = " ".join(await browser.look(bad.as_uri(), 400))
    assert "asked for " in said
    assert "ouch" in said
