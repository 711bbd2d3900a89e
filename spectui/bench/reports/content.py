"""A report from its title to its last line."""

from __future__ import annotations

from collections.abc import Sequence

from spectui.bench.reports import conditions, drafting, glossary, repeating, tables
from spectui.bench.reports.charts.drawing import acceptance_charts, category_charts, step_charts, throughput_charts
from spectui.bench.reports.document import Block, Foreign, Heading, Mono, Paragraph, Strong, listed
from spectui.bench.reports.notes import notes
from spectui.bench.reports.selection import Selection
from spectui.bench.reports.why import Why, why_failed
from spectui.bench.reports.why import words_of as why_words
from spectui.core.bench.results import Results


def report(
    results: Results, *, naive: bool = False, lossless_markdown: str = "", compared: str = "", why: Why | None = None
) -> tuple[Block, ...]:
    """The blocks of the report; see `spectui.bench.reports.writing.write_reports`."""
    chosen = Selection(results)
    blocks: list[Block] = [Heading(1, f"Benchmark of {_short(results.header.target)}"), _about(chosen)]
    if not results.complete:
        blocks.append(Paragraph(Strong("Not finished: some of the cells are still to be measured.")))
    if chosen.places:
        blocks += _measured(chosen, naive, why or Why())
    blocks += _foreign("Losslessness", lossless_markdown)
    if not lossless_markdown and results.lossless is None and results.distribution is None:
        blocks += [
            Heading(2, "Losslessness"),
            Paragraph(("Not checked in this run; ", Mono("--lossless"), " compares every lane's output with AR's.")),
        ]
    blocks += _foreign("Published figures", compared)
    for title, own in (
        ("Words", glossary.words(chosen, why_words(why))),
        ("How it was measured", conditions.method(chosen)),
        ("Environment", conditions.environment(chosen)),
        ("Lanes", conditions.lanes(chosen)),
        ("Prompts", conditions.prompts(chosen)),
        ("Repeat it", repeating.repeat(chosen)),
        ("Counts", drafting.counts(chosen)),
    ):
        blocks += [Heading(2, title), *own] if own else []
    return tuple(blocks)


def _measured(chosen: Selection, naive: bool, why: Why) -> list[Block]:
    blocks: list[Block] = [Heading(2, "Throughput and speed-up"), *tables.headline(chosen), *throughput_charts(chosen)]
    blocks += tables.detail(chosen)
    blocks += [Heading(2, "Caveats"), *notes(chosen)]
    if naive:
        blocks += tables.naive(chosen)
    sections: tuple[tuple[str, Sequence[Block]], ...] = (
        ("By category", _with_charts(tables.by_category(chosen), category_charts(chosen))),
        ("Acceptance", _with_charts(drafting.acceptance(chosen), acceptance_charts(chosen), 2)),
        ("Why drafts failed", why_failed(chosen.results, why)),
        ("Time of a step", _with_charts(drafting.steps(chosen), step_charts(chosen))),
        ("Latency", drafting.latency(chosen)),
        ("Energy and bandwidth", drafting.energy(chosen)),
    )
    for title, own in sections:
        if own:
            blocks += [Heading(2, title), *own]
    return blocks


def _with_charts(blocks: Sequence[Block], charts: Sequence[Block], at: int | None = None) -> list[Block]:
    """Blocks with charts after the first ``at`` of them, or at the end."""
    if not blocks:
        return []
    at = len(blocks) if at is None else at
    return [*blocks[:at], *charts, *blocks[at:]]


def _about(chosen: Selection) -> Paragraph:
    """What was measured, in two sentences."""
    results = chosen.results
    header, matrix = results.header, results.matrix
    tokens = matrix.sampling.max_tokens
    length = f"exactly {tokens:,}" if matrix.protocol == "fixed" else f"at most {tokens:,}"
    categories = len({block.category for block in matrix.blocks})
    in_flight = listed(str(one) for one in dict.fromkeys(block.concurrency for block in matrix.blocks))
    return Paragraph(
        (
            Mono(header.target),
            f" on {header.device}, measured with SpecTUI {header.version} on {header.started}. Protocol ",
            Mono(matrix.protocol),
            f": {length} completion tokens per request, {in_flight} in flight, {matrix.repetitions} repetitions, "
            f"{categories} {'category' if categories == 1 else 'categories'} of prompts. "
            "Terms are explained under Words.",
        )
    )


def _short(target: str) -> str:
    """A model's name without the folders before it."""
    return target.rstrip("/").rpartition("/")[2] or target


def _foreign(title: str, markdown: str) -> list[Block]:
    """A section that somebody else wrote, under a title of ours unless it brings its own."""
    text = markdown.strip("\n")
    if not text.strip():
        return []
    return [Foreign(text)] if text.startswith("## ") else [Heading(2, title), Foreign(text)]
