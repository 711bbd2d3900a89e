"""Holds the conditions of a published figure against those of a measured one.

What is not known of the measurement is never called a difference. What a source does not state is listed as such, but
for two conditions that decide much: quantised weights, and that the tap needs synchronous scheduling.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spectui.core.bench.published import Conditions, Row, Source, model_parts
from spectui.core.bench.results import Cell, Results
from spectui.protocol.events import LaneEngine

NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Difference:
    """A condition in which two measurements differ: what, how it is here, and how it is there."""

    what: str
    here: str
    there: str


def compared(results: Results, cell: Cell, source: Source, row: Row) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """The conditions that differ between a measured cell and a published row, and those that the source leaves open."""
    found = list(_conditions(results, cell, source, row))
    differ = tuple(Difference(what, here, there) for what, here, there, alike in found if here and there and not alike)
    return differ, tuple(what for what, _, there, _ in found if not there)


def _conditions(results: Results, cell: Cell, source: Source, row: Row) -> Iterator[tuple[str, str, str, bool]]:
    """What, how it is here, how it is there, and whether the two are alike; empty is unknown."""
    stated, matrix, method = source.conditions, results.matrix, cell.variant.method
    note = next((one for one in results.header.lanes if one.lane == cell.variant.lane), None)
    engine = (note.engine if note else None) or LaneEngine(cell.variant.lane)
    device, gpu = results.header.device, stated.gpu or source.device
    part = "mig" in _words(device) - _words(gpu)
    yield "device", device, source.device or stated.gpu, _words(gpu) <= _words(device) and not part
    yield from _engine(results, engine, source)
    ours = model_parts(results.header.target)[1] or engine.quantization
    theirs = stated.quantization or model_parts(row.model)[1]
    if not theirs and ours not in ("", "none"):
        theirs = NOT_STATED
    yield "weight quantisation", ours, theirs, _format(ours) == _format(theirs)
    for what, here, there in (
        ("protocol", matrix.protocol, stated.protocol),
        ("completion tokens", str(matrix.sampling.max_tokens), _text(stated.max_tokens)),
        ("temperature", _text(matrix.sampling.temperature), _text(stated.temperature)),
        ("prompts", _our_prompts(results, cell), _their_prompts(stated)),
        ("requests in flight", str(cell.concurrency), _text(row.concurrency or stated.concurrency)),
        ("context", _context(cell.context), _context(row.context)),
    ):
        yield what, here, there, here == there
    if cell.variant.k:
        k = _text(stated.k.get(method))
        yield "K", cell.variant.k_text, k, cell.variant.k_text == k


def _engine(results: Results, engine: LaneEngine, source: Source) -> Iterator[tuple[str, str, str, bool]]:
    """The software: which, its version, its dtype, and how it schedules steps."""
    stated, on_vllm = source.conditions, "vllm" in source.engine.lower()
    yield "engine", "vLLM", source.engine, on_vllm
    version = engine.version or str(results.header.environment.get("versions", {}).get("vllm", ""))
    yield "vLLM's version" if on_vllm else "the engine's version", version, stated.version, version == stated.version
    yield "dtype", engine.dtype, stated.dtype, engine.dtype == stated.dtype
    if engine.scheduling == "synchronous":
        default = f"{NOT_STATED} (vLLM's default is asynchronous)" if on_vllm else ""
        there = stated.scheduling or default
        yield "scheduling", "synchronous (the tap needs it)", there, there == "synchronous"


def _words(text: str) -> set[str]:
    """What a device's name says, without its count and memory, which different drivers write differently."""
    words = re.findall(r"[\w.]+", text.lower())
    return {word for word in words if not re.fullmatch(r"\d+x|\d+gb|nvidia|spot|fp8", word)} or {""}


def _format(quantisation: str) -> str:
    """``FP8-dynamic``, ``fp8`` and ``fp8_per_tensor`` are all ``fp8``."""
    found = re.match(r"[a-z]*\d+|[a-z]+", quantisation.lower())
    return found[0] if found else ""


def _text(figure: float | None) -> str:
    return "" if figure is None else f"{figure:g}"


def _context(tokens: int | None) -> str:
    return "unpadded" if tokens is None else f"{tokens} tokens"


def _our_prompts(results: Results, cell: Cell) -> str:
    prompts = results.header.prompts
    counts = prompts.counts if cell.context is None or not prompts.padded else prompts.padded
    return f"{sum(counts.values())} prompts of the {_set_name(prompts.source)} in {_plural(len(counts))}"


def _set_name(source: str) -> str:
    return "built-in set" if source == "built-in" else f"set {source}"


def _their_prompts(stated: Conditions) -> str:
    parts = [
        f"{stated.prompts} prompts" if stated.prompts else "",
        f"of {stated.prompt_set}" if stated.prompt_set else "",
        f"in {_plural(stated.categories)}" if stated.categories else "",
    ]
    return " ".join(filter(None, parts))


def _plural(categories: int) -> str:
    return f"{categories} categor{'y' if categories == 1 else 'ies'}"
