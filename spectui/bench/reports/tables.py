"""The tables of a report: throughput and speed-up, laid out like published ones as long as they fit on a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from spectui.bench.reports.document import Block, Heading, Items, Paragraph, Strong, Table, Text
from spectui.bench.reports.selection import Place, Selection
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.matrix import Variant
from spectui.figures import DASH, number_text, ratio_text, three_digits

UNLIKE, DISTURBED = "≠", "†"
"""Marks behind a speed-up: the engines differ; repetitions were disturbed."""

_MOST_PAIRS, _MOST_COLUMNS, _MOST_ACROSS = 3, 6, 4


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of throughput: its names, and where the figures of a variant come from."""

    names: tuple[str, ...]
    figures: Callable[[Variant], CellFigures | None]


def throughput_tables(chosen: Selection, head: tuple[str, ...], rows: Sequence[Row]) -> list[Block]:
    """Throughput and speed-up of all variants.

    Up to three drafting variants get two columns each, up to six get one; more of them become rows, a table for every
    four columns.
    """
    if len(chosen.others) <= _MOST_PAIRS:
        return [_pairs(chosen, head, rows)]
    if len(chosen.others) <= _MOST_COLUMNS:
        return [_singles(chosen, head, rows)]
    return [_turned(chosen, rows[at : at + _MOST_ACROSS]) for at in range(0, len(rows), _MOST_ACROSS)]


def _pairs(chosen: Selection, head: tuple[str, ...], rows: Sequence[Row]) -> Table:
    reference = chosen.reference
    names = [*head, *([f"{chosen.title(reference)} tok/s"] if reference else [])]
    for one in chosen.others:
        names += [f"{chosen.title(one)} tok/s", *(["speed-up"] if reference else [])]
    cells = []
    for row in rows:
        line: list[Text] = [*row.names, *([_rate(row.figures(reference))] if reference else [])]
        for one in chosen.others:
            figures = row.figures(one)
            line += [_rate(figures), *([speedup_text(chosen, one, figures)] if reference else [])]
        cells.append(tuple(line))
    return Table(tuple(names), tuple(cells), len(head))


def _singles(chosen: Selection, head: tuple[str, ...], rows: Sequence[Row]) -> Table:
    reference = chosen.reference
    names = [*head, *([f"{chosen.title(reference)} tok/s"] if reference else [])]
    names += [chosen.title(one) for one in chosen.others]
    cells = [
        (
            *row.names,
            *([_rate(row.figures(reference))] if reference else []),
            *(_both(chosen, one, row.figures(one)) for one in chosen.others),
        )
        for row in rows
    ]
    return Table(tuple(names), tuple(cells), len(head))


def _turned(chosen: Selection, rows: Sequence[Row]) -> Table:
    cells = [
        (chosen.title(one), *(_both(chosen, one, row.figures(one), interval=True) for row in rows))
        for one in (*((chosen.reference,) if chosen.reference else ()), *chosen.others)
    ]
    return Table(("lane", *(", ".join(row.names) for row in rows)), tuple(cells))


def _rate(figures: CellFigures | None) -> str:
    return three_digits(figures.output_throughput) if figures is not None else DASH


def _both(chosen: Selection, variant: Variant, figures: CellFigures | None, interval: bool = False) -> str:
    rate = _rate(figures)
    if figures is None or chosen.reference in (None, variant):
        return rate
    return f"{rate}, {speedup_text(chosen, variant, figures, interval=interval)}"


def speedup_text(chosen: Selection, variant: Variant, figures: CellFigures | None, interval: bool = True) -> str:
    """``1.62x (1.55 to 1.70)``, with marks behind it."""
    if figures is None or figures.speedup is None:
        return DASH
    marks = (UNLIKE if chosen.unlike(variant) else "") + (DISTURBED if figures.disturbed else "")
    between = interval_text(figures.speedup_ci_low, figures.speedup_ci_high) if interval else ""
    return ratio_text(figures.speedup) + (f" ({between})" if between else "") + (f" {marks}" if marks else "")


def interval_text(low: float | None, high: float | None, form: str = ".2f") -> str:
    """``1.55 to 1.70``; empty if an end is not known."""
    return "" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def headline(chosen: Selection) -> list[Block]:
    """The table that people quote, and what it says in a sentence for each of its rows."""
    rows = [Row(chosen.place_cells(place), partial(chosen.whole, place)) for place in chosen.places]
    turned = len(chosen.others) > _MOST_COLUMNS
    if turned:
        rows = [Row((chosen.place_name(place),), row.figures) for place, row in zip(chosen.places, rows, strict=True)]
    verdicts = tuple(text for place in chosen.places if (text := _verdict(chosen, place)))
    blocks: list[Block] = [Items(verdicts)] if verdicts else []
    blocks += throughput_tables(chosen, chosen.place_head, rows)
    blocks.append(Paragraph(_legend(chosen, turned)))
    return blocks


def _verdict(chosen: Selection, place: Place) -> Text:
    """Which lane is faster than AR, whether AR is faster than all, or that the intervals do not tell."""
    plain = None if chosen.reference is None else chosen.whole(place, chosen.reference)
    found = [
        (figures.output_throughput, one, figures)
        for one in chosen.others
        if (figures := chosen.whole(place, one)) is not None and figures.output_throughput and figures.speedup
    ]
    if not found or plain is None or plain.output_throughput is None:
        return ""
    ar = plain.output_throughput
    top = max(found, key=lambda each: each[0])
    faster = [each for each in found if each[0] > ar and (each[2].speedup_ci_low or 0.0) > 1]
    slower = [each for each in found if each[0] < ar and (each[2].speedup_ci_high or math.inf) < 1]
    open_ones = [each for each in found if each not in slower]
    rate, one, figures = best = max(faster or open_ones or found, key=lambda each: each[0])
    at, name, rate_text = f"{chosen.place_name(place)}: ", chosen.title(one), f"{three_digits(rate)} tok/s"
    between = interval_text(figures.speedup_ci_low, figures.speedup_ci_high)
    ratio = ratio_text(figures.speedup) + f" AR{f' (95 % interval {between})' if between else ''}"
    ratio += f" on an engine that differs from AR's {UNLIKE}" if chosen.unlike(one) else ""
    ratio += f"; measured on a disturbed machine {DISTURBED}" if figures.disturbed or plain.disturbed else ""
    ranked = best is top and len(found) > 1
    if faster:
        claim = "has the highest throughput" if best is top else "is faster than AR"
        return (at, Strong(f"{name} {claim}"), f", {rate_text}, {ratio}.")
    ar_text = f"{three_digits(ar)} tok/s"
    if not open_ones:
        which = f"the fastest drafting lane, {name}," if ranked else name
        return (at, Strong("AR is the fastest"), f", {ar_text}; {which} reaches {ratio}.")
    which = f"{name}, the fastest drafting lane," if ranked else name
    return (at, Strong("no clear winner"), f". AR {ar_text}; {which} {rate_text}, {ratio}.")


def _legend(chosen: Selection, turned: bool) -> str:
    sentences = ["tok/s: completion tokens per second of wall time, over all prompts and repetitions."]
    if chosen.reference is not None:
        sentences.append("Speed-up: over AR on the same prompts, with its 95 % interval in brackets.")
        if len(chosen.others) > _MOST_PAIRS and not turned:
            sentences[-1] = (
                "Behind the comma, the speed-up over AR on the same prompts; intervals are in the next table."
            )
    marks = {text for _, one, figures in chosen.rows(chosen.others) for text in (speedup_text(chosen, one, figures),)}
    if any(UNLIKE in text for text in marks):
        sentences.append(f"{UNLIKE}: the engines differ, see below.")
    if any(DISTURBED in text for text in marks):
        sentences.append(f"{DISTURBED}: other programs disturbed some of the repetitions.")
    return " ".join(sentences)


def detail(chosen: Selection) -> list[Block]:
    """How the repetitions spread."""
    rows = []
    for place, one, figures in chosen.rows(chosen.results.matrix.variants):
        spread = interval_text(figures.output_throughput_low, figures.output_throughput_high, ".1f")
        ratios = interval_text(figures.speedup_low, figures.speedup_high)
        own: tuple[str, ...] = (
            *chosen.place_cells(place),
            chosen.title(one),
            three_digits(figures.output_throughput),
            number_text(figures.output_throughput_median, form=".1f") + (f" ({spread})" if spread else ""),
            three_digits(figures.output_token_throughput_per_user),
        )
        if chosen.reference is not None:
            is_reference = one == chosen.reference
            ratio = number_text(figures.speedup_median, form=".2f") + (f" ({ratios})" if ratios else "")
            own += (DASH, DASH) if is_reference else (speedup_text(chosen, one, figures), ratio)
        count = str(figures.repetitions) + (f", {figures.disturbed} disturbed" if figures.disturbed else "")
        rows.append((*own, count))
    compared = ("speed-up (95 %)", "median (range)") if chosen.reference is not None else ()
    head = (*chosen.place_head, "lane", "tok/s", "median (range)", "tok/s per request", *compared, "repetitions")
    return [
        Heading(3, "Repetitions"),
        Paragraph(
            "Median, lowest and highest of the repetitions; with several categories, every repetition of each counts. "
            "tok/s per request: for each request, the tokens after the first divided by the time they took; the mean "
            "over requests."
        ),
        Table(head, tuple(rows), len(chosen.place_head) + 1),
    ]


def by_category(chosen: Selection) -> list[Block]:
    """The same by category."""
    blocks: list[Block] = []
    for place in chosen.places:
        categories = chosen.finished(place)
        if len(categories) < 2:
            continue
        rows = [Row((name,), partial(chosen.one, place, name)) for name in categories]
        rows.append(Row(("all together",), partial(chosen.whole, place)))
        blocks.append(Heading(3, f"Throughput and speed-up, {chosen.place_name(place)}"))
        blocks += throughput_tables(chosen, ("category",), rows)
    return blocks


def naive(chosen: Selection) -> list[Block]:
    """What a meter would have shown that takes a stream chunk for a token."""
    compared = chosen.reference is not None
    rows = [
        (
            *chosen.place_cells(place),
            chosen.title(one),
            three_digits(figures.output_throughput),
            three_digits(figures.naive_throughput),
            *((ratio_text(figures.speedup), ratio_text(figures.naive_speedup)) if compared else ()),
        )
        for place, one, figures in chosen.rows(chosen.others)
    ]
    head = ("tok/s", "tok/s by chunks", *(("speed-up", "speed-up by chunks") if compared else ()))
    return [
        Heading(2, "What a chunk-counting meter would say"),
        Paragraph(
            "A step of speculative decoding emits several tokens, and a server streams them as one chunk. A meter that "
            "counts a chunk as a token misses all but one of them, up to K of K + 1; AR has one token per chunk, so it "
            "is right only there. Count tokens: the server's own usage figures, or the text through the tokenizer."
        ),
        Table((*chosen.place_head, "lane", *head), tuple(rows), len(chosen.place_head) + 1),
    ]
