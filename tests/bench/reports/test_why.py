"""The section of a report about why drafts failed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from spectui.bench.reports.content import report
from spectui.bench.reports.html import page
from spectui.bench.reports.markdown import markdown
from spectui.bench.reports.why import Why
from tests.bench.reports.making import CASES
from tests.support import analyses
from tests.support.benchmarks import made_up_results


def section(why: Why | None, case: str = "small") -> str:
    """The section in Markdown; empty if there is none."""
    found = re.search(r"^## Why drafts failed\n(.*?)(?=^## )", markdown(report(CASES[case](), why=why)), re.M | re.S)
    return found[1].strip() if found else ""


def test_each_lane_has_its_sentences_and_the_tokens_that_stand_out() -> None:
    why = Why(66, analyses.analysis())
    said = section(why)
    assert said.startswith("### MTP\n\n- The drafter is weak at numbers: 20 % accepted where 62 % is expected.\n- They")
    assert "of all lost tokens.\n- Work on the drafter: a perfect one" in said
    assert "\n- **Expected acceptance**: that of the lane's other tokens" in markdown(report(CASES["small"](), why=why))
    rows = re.findall(
        r"^\| (below|above) expected \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", said, re.M
    )
    assert rows[0] == ("below", "Kind of token", "numbers", "200", "20 % (14 to 26 %)", "62 %", "320")
    assert [row[0] for row in rows[:5]] == ["below", "below", "below", "above", "above"]
    assert "### DFlash\n\n- No weakness stands out." in said
    assert "\n- 12 steps were lost.\n\nFrom 66 traces of first repetitions" in said


def test_lanes_come_in_the_order_of_the_run() -> None:
    made = analyses.analysis()
    turned = replace(made, lanes=made.lanes[::-1])
    assert section(Why(66, turned)) == section(Why(66, made))


def test_without_traces_it_says_how_to_get_them() -> None:
    said = "No traces were recorded: with `--record` this section says where drafts fail and what that costs."
    assert section(None) == said
    results = made_up_results()
    asynchronous = replace(results, header=replace(results.header, arguments=("--async",)))
    assert "with `--record`, without `--async`, this section" in markdown(report(asynchronous))


def test_traces_that_say_nothing_say_why() -> None:
    assert section(Why(2, None, "a.jsonl is empty.")) == "The traces could not be analysed: a.jsonl is empty."


def test_where_nothing_stands_out_there_is_no_table() -> None:
    dull = analyses.dimensions()[:1]
    analysis = analyses.analysis()
    lanes = tuple(replace(lane, dimensions=dull) for lane in analysis.lanes)
    said = section(Why(1, replace(analysis, lanes=lanes, notes=())))
    assert "No property of the tokens stands out" in said
    assert "From one trace" in said
    assert "|" not in said


def test_only_ar_has_no_such_section() -> None:
    assert section(None, "plain") == ""


@pytest.mark.parametrize("case", ["small", "hostile"])
def test_hostile_texts_are_only_text(case: str) -> None:
    blocks = report(CASES[case](), why=Why(1, analyses.hostile()))
    for text in (markdown(blocks), page(blocks)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800]", text)
    assert "<b>" not in page(blocks)
