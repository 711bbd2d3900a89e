"""What somebody else needs to measure the same: protocol, machine, lanes, prompts, command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from spectui.bench.reports.document import Block, Code, Heading, Inline, Items, Mono, Paragraph, Table, Text, joined
from spectui.bench.reports.selection import Selection
from spectui.core.bench.results import LaneNote, Results
from spectui.core.trouble_causes import FINDS_REPEATS
from spectui.figures import DASH, rate_text
from spectui.protocol.events import LaneEngine, Sampling


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
        "the work; on a machine that is always busy, none is.",
        f"{_requests(chosen)} Each repetition takes the next prompts of its category, from the front again when they "
        "are used up; all lanes take the same.",
        "All lanes are loaded at once and take turns on the device; only the lane being measured runs.",
    ]
    if chosen.reference is not None:
        items.append(
            "Speed-up: the throughput of a repetition divided by AR's on the same prompts; the geometric mean over "
            "repetitions. Its 95 % interval is Student's t on the logarithms, so it covers the machine's noise and the "
            "difference between prompts; three repetitions give a wide one. It can differ slightly from the ratio of "
            "two tok/s figures in a table, in which longer repetitions weigh more."
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
    rows: list[tuple[Text, Text]] = [
        ("target", Mono(header.target)),
        ("device", header.device + (" (GPU)" if header.gpu else "")),
        ("peak memory bandwidth", "not known" if header.peak is None else rate_text(header.peak)),
        (Mono("max_model_len"), f"{header.max_model_len:,} tokens"),
        ("SpecTUI", header.version),
        ("started", header.started),
    ]
    for name, value in header.environment.items():
        rows += _facts(name, value)
    return [Table(("what", "value"), tuple(rows), 2)]


_SPELLED = {"demo_dtype": "demo model dtype", "load_average": "load average at the start"}


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
    rows = []
    for note in every.values():
        own = [one for one in variants if one.lane == note.lane]
        ks = ", ".join(str(one.k) for one in own if not one.plain) or DASH
        drafter: Text = Mono(note.drafter) if note.drafter else DASH
        rows.append((Mono(note.lane), own[0].title if own else "", ks, Mono(note.spec), drafter))
    blocks: list[Block] = [Table(("lane", "method", "K measured", "lane spec", "drafter"), tuple(rows), 5)]
    if engines := [(note, note.engine) for note in every.values() if note.engine is not None]:
        blocks += [Heading(3, "Engines"), _engines(engines, {one.lane: one.method for one in variants})]
    return blocks


_ENGINE_FACTS: tuple[tuple[str, str], ...] = (
    ("device", "device"),
    ("version", "vLLM"),
    ("runner", "model runner"),
    ("eager", "eager"),
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
_NO_DRAFTER = frozenset({"ar", *FINDS_REPEATS})
"""Methods without a drafter, and so without a vocabulary of its own."""


def _engines(engines: list[tuple[LaneNote, LaneEngine]], methods: Mapping[str, str]) -> Table:
    """A row for each fact that is known of any lane; ``methods`` are theirs."""
    rows: list[tuple[Text, ...]] = []
    for key, name in _ENGINE_FACTS:
        said = [_fact(getattr(engine, key)) for _, engine in engines]
        if any(said):
            unknown = [_unknown(key, methods.get(note.lane, "")) for note, _ in engines]
            rows.append((name, *(one or other for one, other in zip(said, unknown, strict=True))))
    return Table(("fact", *(Mono(note.lane) for note, _ in engines)), tuple(rows), len(engines) + 1)


def _unknown(key: str, method: str) -> str:
    if key != "draft_vocabulary":
        return "not known"
    return DASH if method in _NO_DRAFTER else "not known, or translated"


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
        ("SHA-256 of the prompts", Mono(note.digest)),
        ("prompts by category", _counted(note.counts)),
        *((("padded prompts by category", _counted(note.padded)),) if note.padded not in ({}, note.counts) else ()),
        ("chat template", "not used: prompts are sent raw" if note.raw else "the model's own"),
    ]
    if note.system is not None:
        rows.append(("system message", Mono(note.system)))
    return [Table(("what", "value"), tuple(rows), 2)]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def repeat(chosen: Selection) -> list[Block]:
    """The command, and what has to be the same for it to mean the same."""
    header = chosen.results.header
    built_in = header.prompts.source == "built-in"
    engines = [
        f"{name} {version}" for name, version in _versions(header.environment).items() if name.startswith("vllm")
    ]
    vllm = engines[0].replace("vllm ", "vLLM ") if engines else "the same vLLM"
    same = "their SHA-256, which the new report shows too, must be the one above"
    texts = "the prompts are built in" if built_in else f"the prompts must be the same: {same}"
    if header.prompts.source == "standard input":
        texts += "; they come in on standard input"
    blocks: list[Block] = [
        Paragraph(
            (
                f"Use SpecTUI {header.version} and {vllm}; {texts}.",
                *((" Give ", Mono("--out"), " a new folder.") if "--out" in header.command else ()),
                " Relative paths in the command start from the folder where it was run.",
            )
        ),
        Code(header.command),
        *_pinned(chosen.results),
    ]
    settings = header.environment.get("settings")
    if isinstance(settings, Mapping) and (set_here := {key: value for key, value in settings.items() if value}):
        named = joined([Mono(f"{key}={value}") for key, value in set_here.items()])
        blocks.append(
            Paragraph(("Environment variables that were set: ", *named, ". SpecTUI sets most of them itself."))
        )
    if traces := [name for cell in chosen.results.cells for name in cell.traces]:
        shown: tuple[Inline, ...] = ("; ", Mono("spectui replay"), " shows it step by step.")
        blocks.append(
            Paragraph(("The first repetition of every cell was recorded, for example ", Mono(traces[0]), *shown))
        )
    blocks.append(
        Paragraph(
            (
                "Figures depend on the machine: compare speed-ups and acceptance before tok/s. On the same machine the "
                "intervals of two runs should usually overlap. To compare two runs: ",
                Mono("spectui bench --diff A B"),
                ".",
            )
        )
    )
    return blocks


def _pinned(results: Results) -> list[Block]:
    """The lanes with their K, where the command leaves K to what a search found on the machine, or to a default."""
    measured: dict[str, list[str]] = {}
    for variant in results.matrix.variants:
        measured.setdefault(variant.lane, []).append(f"auto:{variant.k}" if variant.auto else str(variant.k or ""))
    pinned = [pinned_spec(note.spec, measured[note.lane]) for note in results.header.lanes if note.lane in measured]
    if pinned == [note.spec for note in results.header.lanes]:
        return []
    words = [f"--lane {shlex.quote(spec)}" for spec in pinned]
    return [
        Paragraph(
            "The lanes took K from a search on that machine, or from a default. To have the same K elsewhere, add "
            "this to the command:"
        ),
        Code(" ".join(words)),
    ]


def pinned_spec(spec: str, ks: Sequence[str]) -> str:
    """A lane spec with the K that was measured; unchanged if several were, since ``--k`` names them, or none."""
    if len(ks) != 1 or not ks[0]:
        return spec
    method, colon, rest = spec.partition(":")
    rest = re.sub(r"(^|,)start=\d+", "", rest)
    with_k, found = re.subn(r"(^|,)k=(?:\d+|auto(?::\d+)?)", rf"\g<1>k={ks[0]}", rest)
    if found:
        return f"{method}{colon}{with_k}"
    return f"{method}:{rest}{',' if rest else ''}k={ks[0]}"


def _versions(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    found = environment.get("versions")
    return found if isinstance(found, Mapping) else {}
