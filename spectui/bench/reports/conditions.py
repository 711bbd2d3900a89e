"""What the figures of a report depend on: protocol, machine, lanes, prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from spectui.bench.reports.document import Block, Heading, Inline, Items, Mono, Paragraph, Table, Text, joined
from spectui.bench.reports.selection import Selection
from spectui.core.bench.results import LaneNote
from spectui.figures import DASH, rate_text
from spectui.protocol.events import KSource, LaneEngine, Sampling
from spectui.sources.demo_model.drafters import is_shipped


def method(chosen: Selection) -> list[Block]:
    """How it was measured, in words."""
    matrix = chosen.results.matrix
    tokens = f"{matrix.sampling.max_tokens:,}"
    if matrix.protocol == "fixed":
        protocol = (
            f": every request generates exactly {tokens} completion tokens; EOS is ignored. Every lane thus does the "
            "same work, whatever the model has to say."
        )
    else:
        protocol = (
            f": every answer runs to its own end (EOS), at most {tokens} completion tokens. Answers differ in length "
            "from lane to lane where their texts do."
        )
    names = [chosen.title(one) for one in matrix.variants]
    if len(names) > 1:
        shown = names if len(names) <= 4 else [*names[:3], "...", names[-1]]
        order = (
            f"Every combination of requests in flight, context and category is measured {matrix.repetitions} times, "
            f"all lanes in turn: {', '.join(shown)}, then {', '.join(reversed(shown))}, and so on, so that a drift of "
            "the machine's speed affects all alike."
        )
    else:
        order = f"Every combination of requests in flight, context and category is measured {matrix.repetitions} times."
    items: list[Text] = [
        ("Protocol ", Mono(matrix.protocol), protocol),
        ("Sampling: ", *_sampling(matrix.sampling)),
        "Throughput is all completion tokens divided by the wall time from the start of the first request to the last "
        "token of all; SpecTUI's own work between engine steps is not counted. Tokens are counted by id, never as "
        "stream chunks.",
        "vLLM's prefix cache is off, unless the command turns it on.",
        f"{order} The first turn at another number of requests or another context is preceded by a warm-up that does "
        "not count. A turn that other programs disturb is measured again, as long as that does not more than double "
        "the work. Where turn after turn is disturbed, nothing is measured again: all count, and are marked.",
        f"{_requests(chosen)} Each repetition takes the next prompts of its category, in a shuffled order that is "
        "always the same, whatever else is measured, and from the front again when they are used up; all lanes take "
        "the same.",
        "All lanes are loaded at once and take turns on the device; only the lane being measured runs.",
    ]
    if chosen.reference is not None:
        items.append(
            "Speed-up: the throughput of a repetition divided by AR's on the same prompts; the geometric mean over "
            "repetitions. Its 95 % interval follows from how much these ratios differ (Student's t on their "
            "logarithms), so it covers the machine's noise and the difference between prompts; three repetitions give "
            "a wide one. It can differ slightly from the ratio of two tok/s figures in a table, in which longer "
            "repetitions weigh more."
        )
    if padding := chosen.results.header.prompts.padding:
        items.append(f"Contexts: every prompt is padded to so many tokens with real text ({padding}).")
    return [Items(tuple(items))]


def _requests(chosen: Selection) -> str:
    """How many requests a repetition has, and whether they follow each other."""
    matrix = chosen.results.matrix
    if all(matrix.requests_of(block) == block.concurrency for block in matrix.blocks):
        if all(block.concurrency == 1 for block in matrix.blocks):
            return "A repetition has one request."
        return (
            "A repetition has as many requests as are in flight. All start together, and none replaces one that ends, "
            "so fewer are in flight towards the end."
        )
    counts = sorted({matrix.requests_of(block) for block in matrix.blocks})
    return (
        f"A repetition has {' or '.join(map(str, counts))} requests, never fewer than are in flight. When one ends, "
        "the next begins; once none is left, fewer are in flight."
    )


def _sampling(sampling: Sampling) -> tuple[Inline, ...]:
    """What differs from vLLM's greedy default; the length is said elsewhere."""
    first = f"temperature {sampling.temperature:g}" + (" (greedy)" if not sampling.temperature else "")
    parts: list[Inline] = [first]
    default = Sampling()
    for one in fields(Sampling):
        value = getattr(sampling, one.name)
        if one.name not in ("temperature", "max_tokens", "ignore_eos") and value != getattr(default, one.name):
            parts.append(Mono(f"{one.name}={value}"))
    return (*joined(parts), ".")


def environment(chosen: Selection) -> list[Block]:
    """The machine, software and settings."""
    header = chosen.results.header
    commit = header.environment.get("commit")
    measured = sum(cell.figures.duration for cell in chosen.results.cells)
    rows: list[tuple[Text, Text]] = [
        ("target", Mono(header.target)),
        ("device", header.device + (" (GPU)" if header.gpu else "")),
        ("peak memory bandwidth", "not known" if header.peak is None else rate_text(header.peak)),
        (Mono("max_model_len"), f"{header.max_model_len:,} tokens"),
        ("SpecTUI", f"{header.version}, commit {commit}" if commit else header.version),
        ("started", header.started),
    ]
    if measured:
        minutes = f"{measured / 60:.1f} minutes; loading, warm-ups and checks come on top"
        rows.append(("time of the repetitions that count", minutes))
    for name, value in header.environment.items():
        if name not in _SAID_ELSEWHERE and not (name == "machine" and str(value) in header.device):
            rows += _facts(name, value)
    return [Table(("what", "value"), tuple(rows), 2)]


_SAID_ELSEWHERE = frozenset({"commit", "demo_dtype", "set_by_user"})
_SPELLED = {"processor_features": "instruction sets", "load_average": "load average at the start"}


def _facts(name: str, value: Any) -> list[tuple[Text, Text]]:
    """A row for a fact, one for each of several that belong together; none for what is not set."""
    if isinstance(value, Mapping):
        return [row for key, inner in value.items() for row in _facts(str(key), inner)]
    if value is None or name == "spectui":
        return []
    said = f"{value:.2f}" if isinstance(value, float) else str(value)
    spelled = _SPELLED.get(name, name)
    return [(Mono(spelled) if spelled.isupper() else spelled, Mono(said) if spelled.isupper() else said)]


def lanes(chosen: Selection) -> list[Block]:
    """What the lanes were, and how their engines compute."""
    every = {note.lane: note for note in chosen.results.header.lanes}
    variants = chosen.results.matrix.variants
    known = any(note.k_source is not None for note in every.values())
    rows: list[tuple[Text, ...]] = []
    for note in every.values():
        own = [one for one in variants if one.lane == note.lane]
        title = own[0].title if own else ""
        ks = ", ".join(one.k_text for one in own if not one.plain) or DASH
        source = DASH if note.k_source is None else _K_SOURCES[note.k_source]
        rows.append((Mono(note.lane), title, ks, *((source,) if known else ()), Mono(note.spec), _drafter(note, title)))
    head = ("lane", "method", "K measured", *(("K is",) if known else ()), "lane spec", "drafter")
    blocks: list[Block] = [Table(head, tuple(rows), len(head))]
    if any(not one.plain for one in variants):
        built: Text = ("In a lane spec, ", Mono("k"), " is what the lane was built for; K measured is what it drafted.")
        blocks.append(Paragraph(built))
    if engines := [(note, note.engine) for note in every.values() if note.engine is not None]:
        blocks += [Heading(3, "Engines"), _engines(engines)]
    return blocks


_K_SOURCES: dict[KSource, str] = {
    "default": "the default",
    "tuned": "from a search on that machine",
    "yours": "from the command",
    "auto": "chosen by the lane, step by step",
}


def _drafter(note: LaneNote, title: str) -> Text:
    if not note.drafter:
        return DASH
    return f"the demo's {title} drafter, shipped with SpecTUI" if is_shipped(note.drafter) else Mono(note.drafter)


_ENGINE_FACTS: tuple[tuple[str, str], ...] = (
    ("device", "device"),
    ("version", "vLLM"),
    ("runner", "vLLM's model runner (V1 or V2 of its code)"),
    ("eager", "eager: not compiled"),
    ("graphs", "CUDA graphs"),
    ("whole_graphs", "K with whole CUDA graphs"),
    ("scheduling", "scheduling"),
    ("attention", "attention"),
    ("dtype", "dtype"),
    ("quantization", "weight quantisation"),
    ("cache_dtype", "KV cache dtype"),
    ("tensor_parallel", "tensor parallel"),
    ("vocabulary", "vocabulary"),
    ("draft_vocabulary", "drafter's vocabulary"),
)


def _engines(engines: list[tuple[LaneNote, LaneEngine]]) -> Table:
    """A row for each fact that is known of any lane."""
    rows: list[tuple[Text, ...]] = []
    for key, name in _ENGINE_FACTS:
        said = [_fact(getattr(engine, key)) for _, engine in engines]
        if any(said):
            rows.append((name, *(one or DASH for one in said)))
    return Table(("fact", *(Mono(note.lane) for note, _ in engines)), tuple(rows), len(engines) + 1)


def _fact(value: object) -> str:
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        ", ".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def prompts(chosen: Selection) -> list[Block]:
    """Where the prompts come from, so that they can be found again."""
    note = chosen.results.header.prompts
    built_in = note.source == "built-in"
    source: Text = "built into SpecTUI" if built_in else Mono(note.source)
    rows: list[tuple[Text, Text]] = [
        ("source", source),
        ("chat template", "not used: prompts are sent raw" if note.raw else "the model's own"),
        *((("padded prompts by category", _counted(note.padded)),) if note.padded not in ({}, note.counts) else ()),
        *((("system message", Mono(note.system)),) if note.system is not None else ()),
        ("SHA-256 of the prompts", Mono(note.digest)),
    ]
    known = any(note.digests.values())
    return [
        Table(("what", "value"), tuple(rows), 2),
        Paragraph(
            "The SHA-256 is that of the prompts of the categories below; a run with other categories has another one."
            + (f" Each category also has its own; the table has its first {_SHORT_DIGEST} digits." if known else "")
        ),
        _by_category(chosen, known),
    ]


_SHORT_DIGEST = 12


def _by_category(chosen: Selection, known: bool) -> Table:
    """How many prompts a category has, and how many of them were asked; ``known`` says whether there are digests."""
    note, matrix = chosen.results.header.prompts, chosen.results.matrix
    requests = {block.concurrency: matrix.requests_of(block) for block in matrix.blocks}
    measured = {block.category for block in matrix.blocks}
    rows: list[tuple[Text, ...]] = []
    for name, count in note.counts.items():
        used = [min(count, each * matrix.repetitions) if name in measured else 0 for each in requests.values()]
        digest = Mono(note.digests.get(name, "")[:_SHORT_DIGEST])
        rows.append((name, f"{count:,}", " / ".join(map(str, used)), *((digest,) if known else ())))
    used_with = f"used with {' / '.join(map(str, requests))} in flight"
    return Table(("category", "prompts", used_with, *(("SHA-256",) if known else ())), tuple(rows))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
