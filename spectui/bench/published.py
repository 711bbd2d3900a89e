"""Published figures beside measured ones: as a section of a report, and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

from spectui.bench.reports.document import Block, Heading, Items, Paragraph, Table
from spectui.bench.reports.markdown import markdown
from spectui.bench.reports.plain_lines import plain_lines
from spectui.core.bench.beside import Beside, beside, models, same_model
from spectui.core.bench.published import PublishedError, Source, read_published
from spectui.core.bench.results import Results
from spectui.core.lossless.greedy import Losslessness
from spectui.errors import UsageError
from spectui.figures import DASH, number_text, ratio_text, share_text, three_digits
from spectui.sources.vllm.lane_spec import TITLES

SHIPPED = "published"
"""Stands for the figures that ship with SpecTUI in place of a file's name."""


def published_sources(which: str) -> tuple[Source, ...]:
    """The published figures to compare with: ``"published"`` for those that ship with SpecTUI, or a file of one's own.

    Raises:
        UsageError: The file cannot be read, or is not of that form.
    """
    try:
        if which == SHIPPED:
            return read_published(resources.files("spectui.core.bench").joinpath("published.toml").read_bytes(), which)
        return read_published(Path(which).read_bytes(), which)
    except PublishedError as error:
        raise UsageError(f"--compare: {error}") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"--compare {which}: cannot be read: {why}; use '{SHIPPED}', or a TOML file as described in docs/bench.md"
        ) from error


def compare_published(results: Results, sources: Sequence[Source]) -> tuple[str, list[str]]:
    """Lay published figures beside results: as the Markdown of a section's body, and as lines."""
    blocks = list(_blocks(results, sources))
    return markdown(blocks), plain_lines(blocks)


def _blocks(results: Results, sources: Sequence[Source]) -> Iterator[Block]:
    found = beside(results, sources)
    for model in models(results):
        if not any(same_model(one.row.model, model) for one in found):
            yield Paragraph(_nothing(model, sources))
    for source in sources:
        for model in dict.fromkeys(one.row.model for one in found if one.source is source):
            laid = [one for one in found if one.source is source and one.row.model == model]
            yield Heading(3, f"{model}: {source.title}")
            if about := _about(source):
                yield Paragraph(about)
            yield _table(laid)
            if items := list(_remarks(laid)):
                yield Items(tuple(items))
    for model in models(results):
        if others := [text for source in sources if (text := _also(source, model))]:
            yield Paragraph(f"Also published of {_short(model)}:")
            yield Items(tuple(others))
        yield from _equal(results, sources, model)


def _nothing(model: str, sources: Sequence[Source]) -> str:
    rows = [row for source in sources for row in source.row]
    own = dict.fromkeys(_title(method) for row in rows if same_model(row.model, model) for method in row.methods)
    if own:
        return (
            f"No published figures for the lanes of {_short(model)} that were measured. There are figures for "
            f"{_list(own)}."
        )
    others = _list(dict.fromkeys(row.model for row in rows))
    return f"No published figures for {_short(model)}. There are figures for {others}."


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "no model"


def _short(model: str) -> str:
    return model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def _about(source: Source) -> str:
    parts = [source.device, source.engine, source.protocol, source.date, source.note]
    return "Published: " + "; ".join(filter(None, parts)) + "." if any(parts) else ""


def _table(laid: Sequence[Beside]) -> Table:
    """Rows as they were published, each with the measured one and the ratio under it."""
    methods = list(dict.fromkeys(one.method for one in laid))
    faster = [
        method
        for method in methods
        if any(one.method == method and (one.published_speedup or one.measured_speedup) for one in laid)
    ]
    head = ["requests in flight", "tok/s", *map(_title, methods), *(f"{_title(method)} speed-up" for method in faster)]
    rows: list[tuple[str, ...]] = []
    for row in {id(one.row): one.row for one in laid}.values():
        cells = {one.method: one for one in laid if one.row is row}
        first = next(iter(cells.values()))
        here = _place(first.cell.concurrency, first.cell.context)
        ours = [cells.get(method) for method in methods]
        drafting = [cells.get(method) for method in faster]
        rows += [
            (
                _there(first),
                "published",
                *(number_text(row.tok_s.get(method), form="g") for method in methods),
                *(ratio_text(row.speedup_of(method)) for method in faster),
            ),
            (here, "measured", *map(_measured, ours), *map(_speedup, drafting)),
            (
                "",
                "measured / published",
                *(_ratio(one.ratio if one else None) for one in ours),
                *(_ratio(one.speedup_ratio if one else None) for one in drafting),
            ),
        ]
    return Table(tuple(head), tuple(rows), named=2)


def _title(method: str) -> str:
    return TITLES.get(method, method)


def _place(concurrency: int | None, context: int | None) -> str:
    return ", ".join([DASH if concurrency is None else str(concurrency)] + ([f"context {context}"] if context else []))


def _there(one: Beside) -> str:
    return _place(one.row.concurrency or one.source.conditions.concurrency, one.row.context)


def _measured(one: Beside | None) -> str:
    """Throughput, with the K of a lane that drafts."""
    if one is None or one.measured is None:
        return DASH
    return three_digits(one.measured) + (f" (K={one.cell.variant.k_text})" if one.cell.variant.k else "")


def _speedup(one: Beside | None) -> str:
    if one is None or one.measured_speedup is None:
        return DASH
    low, high = one.cell.figures.speedup_ci_low, one.cell.figures.speedup_ci_high
    interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return ratio_text(one.measured_speedup) + interval


def _ratio(ratio: float | None) -> str:
    return DASH if ratio is None else f"{ratio:.2f}"


def _remarks(laid: Sequence[Beside]) -> Iterator[str]:
    """What differs, what the source leaves open, and its acceptance."""
    whose: dict[tuple[str, str, str], list[Beside]] = {}
    for one in laid:
        for differs in one.differences:
            whose.setdefault((differs.what, differs.here, differs.there), []).append(one)
    for (what, here, there), some in whose.items():
        of = "" if len(some) == len(laid) else f" ({_whose(some, laid)})"
        yield f"{what}{of}: {here} here; published: {there}."
    unknown = dict.fromkeys(what for one in laid for what in one.not_stated)
    if unknown:
        yield f"Not stated by the source: {', '.join(unknown)}."
    if any(one.published_speedup and one.method not in one.row.speedup for one in laid):
        yield "Speed-ups that the source does not name are the ratios of its throughputs."
    source = laid[0].source
    first = {one.method: one.cell.figures.spec_decode_per_position_acceptance_rates for one in reversed(laid)}
    parts = [
        f"{_title(method)} {share_text(there)} published, {share_text(first[method][0])} measured"
        for method, there in source.acceptance_position_1.items()
        if first.get(method)
    ]
    if parts:
        note = f" (published {source.acceptance_note})" if source.acceptance_note else ""
        yield f"Acceptance of the first drafted token: {'; '.join(parts)}{note}."
    for note in dict.fromkeys(one.row.note for one in laid if one.row.note):
        yield f"The source adds: {note}."


def _whose(some: Sequence[Beside], laid: Sequence[Beside]) -> str:
    """The methods that a difference concerns, with their place where not all of their rows have it."""
    names = []
    for method in dict.fromkeys(one.method for one in some):
        own, every = ([one for one in group if one.method == method] for group in (some, laid))
        at = dict.fromkeys(map(_there, own))
        names.append(_title(method) + ("" if len(own) == len(every) else f" at {', '.join(at)}"))
    return ", ".join(names)


def _also(source: Source, model: str) -> str:
    """What a source says of a model beside rows of figures."""
    k = next((text for name, text in source.recommended_k.items() if same_model(name, model)), "")
    if not k and not any(same_model(name, model) for name in source.models):
        return ""
    rate = source.draft_acceptance_rate
    parts = [
        f"speed-up of up to {ratio_text(source.speedup_max)}" if source.speedup_max else "",
        f"acceptance rate {rate}" if rate else "",
        f"recommended K for MTP: {k}" if k else "",
        source.note,
    ]
    where = ", ".join(filter(None, (source.device, source.engine)))
    return f"{source.title}{f' ({where})' if where else ''}: {'; '.join(filter(None, parts))}."


def _equal(results: Results, sources: Sequence[Source], model: str) -> Iterator[Block]:
    """Greedy answers that equal AR's, published and measured."""
    items: list[str] = []
    for source in sources:
        for row in source.losslessness.row:
            if same_model(row.model, model) and row.equal:
                of = source.losslessness.greedy_prompts
                counts = [
                    f"{_again(method)} {count}" + (f" of {of}" if of else "") for method, count in row.equal.items()
                ]
                where = row.first_divergence_tokens
                differ = f"; the others differ first at tokens {where}" if where else ""
                items.append(f"Published ({source.title}): {', '.join(counts)}{differ}.")
    if items and results.lossless is not None:
        counts = [
            f"{lane.title}{' again' if lane.control else ''} {lane.identical} of {lane.prompts}"
            for lane in Losslessness.from_dict(results.lossless).lanes
        ]
        items.append(f"Measured: {', '.join(counts)}.")
    if items:
        yield Paragraph(f"Greedy answers of {_short(model)} that equal AR's, token by token:")
        yield Items(tuple(items))


def _again(method: str) -> str:
    return "AR again" if method == "ar" else _title(method)
