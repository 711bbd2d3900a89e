"""The tables of a report about drafts, steps, latency, energy and bandwidth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spectui.bench.reports.document import Block, Heading, Paragraph, Table
from spectui.bench.reports.selection import Place, Selection
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.matrix import Variant
from spectui.figures import DASH, number_text, percent_text

_MOST_POSITIONS, _MOST_ROWS, _MOST_COLUMNS = 8, 12, 6


def acceptance(chosen: Selection) -> list[Block]:
    """Lengths, rate, and what happens position by position; nothing without drafts."""
    rows = [
        (
            *chosen.place_cells(place),
            chosen.title(one),
            number_text(figures.spec_decode_acceptance_length, form=".2f"),
            number_text(figures.acceptance_length_request_mean, form=".2f"),
            number_text(figures.draft_acceptance_rate, form=".3f"),
            f"{figures.spec_decode_num_drafts:,}",
            f"{figures.spec_decode_draft_tokens:,}",
            f"{figures.spec_decode_accepted_tokens:,}",
        )
        for place, one, figures in chosen.rows(chosen.drafting)
    ]
    if not rows:
        return []
    lengths = ("length (step-weighted)", "length (request mean)", "rate")
    counts = ("steps with a draft", "drafted", "accepted")
    head = (*chosen.place_head, "lane", *lengths, *counts)
    return [
        Paragraph(
            "Step-weighted length: tokens per step with a draft, the target's own included: 1 + accepted / steps. vLLM "
            "counts it the same way. Request mean: the same for each request, then the mean over requests, as in "
            "SPEED-Bench, NVIDIA's benchmark of speculative decoding. Rate: accepted / drafted."
        ),
        Table(head, tuple(rows), len(chosen.place_head) + 1),
        *_by_category(chosen),
        *_positions(chosen),
    ]


def _by_category(chosen: Selection) -> list[Block]:
    blocks: list[Block] = []
    for place in chosen.places:
        categories = chosen.finished(place)
        if len(categories) < 2:
            continue

        def length(category: str, one: Variant, place: Place = place) -> str:
            figures = chosen.one(place, category, one)
            return DASH if figures is None else number_text(figures.spec_decode_acceptance_length, form=".2f")

        blocks.append(Heading(3, f"Acceptance length by category, {chosen.place_name(place)}"))
        titles = [chosen.title(one) for one in chosen.drafting]
        cells = [[length(category, one) for one in chosen.drafting] for category in categories]
        blocks += _either_way("category", categories, "lane", titles, cells)
    return blocks


def counts(chosen: Selection) -> list[Block]:
    """What was counted in every cell with a draft; nothing for a single category, whose counts are those of all."""
    blocks: list[Block] = []
    titles = [chosen.title(one) for one in chosen.drafting]
    for place in chosen.places:
        categories = chosen.finished(place)
        if len(categories) < 2 or not titles:
            continue
        cells = [[_counted(chosen.one(place, category, one)) for one in chosen.drafting] for category in categories]
        blocks.append(Heading(3, f"Steps with a draft / drafted / accepted, {chosen.place_name(place)}"))
        blocks += _either_way("category", categories, "lane", titles, cells)
    if not blocks:
        return []
    about = "For whoever repeats the benchmark: the figures that depend least on the machine, all repetitions together."
    return [Paragraph(about), *blocks]


def _counted(figures: CellFigures | None) -> str:
    if figures is None:
        return DASH
    three = (figures.spec_decode_num_drafts, figures.spec_decode_draft_tokens, figures.spec_decode_accepted_tokens)
    return " / ".join(f"{count:,}" for count in three)


def _either_way(
    what: str, rows: Sequence[str], across: str, columns: Sequence[str], cells: Sequence[Sequence[str]]
) -> list[Block]:
    """A table, turned if it would be too wide, and then in parts."""
    if len(columns) <= _MOST_POSITIONS:
        return [Table((what, *columns), tuple((name, *own) for name, own in zip(rows, cells, strict=True)))]
    turned = list(zip(*cells, strict=True))
    return [
        Table(
            (across, *rows[at : at + _MOST_COLUMNS]),
            tuple((name, *own[at : at + _MOST_COLUMNS]) for name, own in zip(columns, turned, strict=True)),
        )
        for at in range(0, len(rows), _MOST_COLUMNS)
    ]


_TABLES: tuple[tuple[str, str, Callable[[CellFigures], tuple[str, ...]], int], ...] = (
    (
        "Acceptance at position i, unconditional",
        "Of the steps that drafted at least i tokens, the share whose first i were all accepted.",
        lambda figures: _shares(figures.spec_decode_per_position_acceptance_rates),
        1,
    ),
    (
        "Acceptance at position i, conditional",
        "Of the steps that accepted the first i - 1 tokens and drafted an i-th, the share that accepted that too.",
        lambda figures: _shares(figures.conditional_acceptance_rates),
        1,
    ),
    (
        "Accepted tokens per step",
        "Of the steps with a draft, the share that accepted exactly so many tokens.",
        lambda figures: _histogram(figures.accepted_histogram),
        0,
    ),
)


def _shares(shares: Sequence[float | None]) -> tuple[str, ...]:
    return tuple(number_text(share, form=".3f") for share in shares)


def _histogram(steps: Sequence[int]) -> tuple[str, ...]:
    return tuple(percent_text(count / sum(steps)) for count in steps) if sum(steps) else ()


def _positions(chosen: Selection) -> list[Block]:
    every = list(chosen.rows(chosen.drafting))
    shown = every
    if len(every) > _MOST_ROWS:
        # Acceptance hardly depends on how many requests are in flight: the first of each context speaks for the others.
        firsts = {place.context: place for place in reversed(chosen.places)}
        shown = [row for row in every if row[0] == firsts[row[0].context]]
    blocks: list[Block] = []
    for title, means, read, first in _TABLES:
        cells = [read(figures) for _, _, figures in shown]
        count = max(map(len, cells))
        if not count:
            continue
        padded = [(*own, *[DASH] * (count - len(own))) for own in cells]
        numbers = [str(number) for number in range(first, first + count)]
        blocks += [Heading(3, title), Paragraph(means)]
        if count <= _MOST_POSITIONS + 1 - first:
            rows = [
                (*chosen.place_cells(place), chosen.title(one), *own)
                for (place, one, _), own in zip(shown, padded, strict=True)
            ]
            blocks.append(Table((*chosen.place_head, "lane", *numbers), tuple(rows), len(chosen.place_head) + 1))
        else:
            blocks += _standing(chosen, [(place, one) for place, one, _ in shown], numbers, padded)
    if len(shown) < len(every):
        blocks.append(Paragraph("Of each context only the fewest requests in flight; results.json has them all."))
    return blocks


def _standing(
    chosen: Selection, shown: Sequence[tuple[Place, Variant]], numbers: Sequence[str], cells: Sequence[Sequence[str]]
) -> list[Block]:
    """With many positions, each is a row, and there is a table for every few variants."""
    several = len({place for place, _ in shown}) > 1
    names = [chosen.title(one) + (f", {chosen.place_name(place)}" if several else "") for place, one in shown]
    return [
        Table(
            ("i", *names[at : at + _MOST_COLUMNS]),
            tuple(
                (number, *(own[place] for own in cells[at : at + _MOST_COLUMNS]))
                for place, number in enumerate(numbers)
                if any(own[place] != DASH for own in cells[at : at + _MOST_COLUMNS])
            ),
        )
        for at in range(0, len(names), _MOST_COLUMNS)
    ]


def steps(chosen: Selection) -> list[Block]:
    """The time of an engine step by its parts."""
    rows = [
        (
            *chosen.place_cells(place),
            chosen.title(one),
            *(_ms(part) for part in (figures.step_ms, figures.draft_ms, figures.verify_ms, figures.rest_ms)),
            f"{figures.engine_steps:,}",
            number_text(_tokens_per_step(figures), form=".2f"),
        )
        for place, one, figures in chosen.rows(chosen.results.matrix.variants)
    ]
    parts = ("step ms", "draft ms", "verify ms", "rest ms", "steps", "tokens per step")
    return [
        Paragraph(
            "Means over all engine steps; a step serves every request in flight. Verify is the target's forward pass, "
            "the rest is sampling, scheduling and counting. A lane beats AR if its tokens per step grow more than its "
            "time per step."
        ),
        Table((*chosen.place_head, "lane", *parts), tuple(rows), len(chosen.place_head) + 1),
    ]


def _tokens_per_step(figures: CellFigures) -> float | None:
    return figures.total_output_tokens / figures.engine_steps if figures.engine_steps else None


def _ms(value: float | None) -> str:
    return number_text(value, form=".1f")


def latency(chosen: Selection) -> list[Block]:
    """How long a user waits for the first token and for each after it."""
    rows = [
        (
            *chosen.place_cells(place),
            chosen.title(one),
            *(_ms(value) for value in (figures.mean_ttft_ms, figures.median_ttft_ms, figures.mean_tpot_ms)),
            f"{figures.completed:,}",
            number_text(figures.request_throughput, form=".2f"),
        )
        for place, one, figures in chosen.rows(chosen.results.matrix.variants)
    ]
    names = ("mean TTFT ms", "median TTFT ms", "mean TPOT ms", "requests", "requests/s")
    return [
        Paragraph(
            "TTFT: from a request's start to its first token. TPOT: the time from the first token to the last, divided "
            "by the number of tokens after the first; the mean over requests."
        ),
        Table((*chosen.place_head, "lane", *names), tuple(rows), len(chosen.place_head) + 1),
    ]


def energy(chosen: Selection) -> list[Block]:
    """Energy and bandwidth where they are known, else one line each about why not."""
    every = list(chosen.rows(chosen.results.matrix.variants))
    asked = (("energy_per_token_j", "J per token", ".3f"), ("estimated_mbu", "est. MBU", ".1%"))
    known = [one for one in asked if any(getattr(figures, one[0]) is not None for *_, figures in every)]
    blocks: list[Block] = []
    if known:
        rows = [
            (
                *chosen.place_cells(place),
                chosen.title(one),
                *(number_text(getattr(figures, key), form=form).replace("%", " %") for key, _, form in known),
            )
            for place, one, figures in every
        ]
        head = (*chosen.place_head, "lane", *(name for _, name, _ in known))
        blocks.append(Table(head, tuple(rows), len(chosen.place_head) + 1))
    if any(key == "estimated_mbu" for key, *_ in known):
        blocks.append(
            Paragraph(
                "Est. MBU (memory bandwidth utilisation): the fewest bytes that the steps must have read (weights, KV "
                "cache, drafter), divided by the steps' time and the peak memory bandwidth."
            )
        )
    for key, name, _ in (one for one in asked if one not in known):
        reasons = dict.fromkeys(figures.unknown.get(key, "") for *_, figures in every)
        blocks.append(Paragraph(f"{name} is unknown ({'; '.join(filter(None, reasons))})."))
    return blocks
