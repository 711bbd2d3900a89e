"""Finds events that make no sense although every field has its type; the reducer and the screen rely on this check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spectui.protocol import benching, samples
from spectui.protocol import events as ev
from spectui.protocol.limits import (
    MAX_CANVAS,
    MAX_CATEGORIES,
    MAX_CELLS,
    MAX_CONCURRENCY,
    MAX_K,
    MAX_LANES,
    MAX_TEMPERATURE,
)
from spectui.trace.serving_sense import SERVING_NONSENSE, contradicting


def _step(step: ev.Step) -> str | None:
    drafted, verified = len(step.drafted), len(step.text)
    if not 0 <= step.accepted <= drafted:
        return f"{step.accepted} of {drafted} drafted tokens were accepted"
    if verified != len(step.emitted) + len(step.cut) or len(step.drafted_text) != drafted:
        return "not every token has its text"
    if step.wall_ns <= 0 or step.clock_ns < 0:
        return "it took no time"
    if drafted > MAX_K:
        return f"{drafted} tokens were drafted"
    if not 0 <= step.canvas <= MAX_CANVAS:
        return f"a canvas has {step.canvas} positions"
    if verified > max(MAX_K + 1, step.canvas):
        return f"{verified} tokens came out of one step"
    if step.totals is not None and (why := contradicting(step.totals)):
        return why
    if step.before is not None and step.before < 0:
        return f"{step.before} tokens came before it"
    return None if 0 <= step.k <= MAX_K else f"K is {step.k}"


def _reached(reached: ev.Reached) -> str | None:
    return f"a lane clock is {reached.clock_ns}" if reached.clock_ns < 0 else contradicting(reached.totals)


def _lane(info: ev.LaneInfo) -> str | None:
    if not 0 <= info.k_max <= MAX_K:
        return f"a lane's K is {info.k_max}"
    return None if 0 <= info.k_first <= info.k_max else f"a lane with K up to {info.k_max} begins with {info.k_first}"


def _engine(engine: ev.LaneEngine) -> str | None:
    if len(engine.whole_graphs) > MAX_K + 1:
        return f"{len(engine.whole_graphs)} values of K have a graph"
    sizes = (engine.tensor_parallel, engine.vocabulary, engine.draft_vocabulary)
    return "a lane's engine has no size" if any(size is not None and size < 1 for size in sizes) else None


def _k(of: ev.KChanged | ev.KFigure | benching.BenchLane) -> str | None:
    return None if 0 <= of.k <= MAX_K else f"K is {of.k}"


def _figure(figure: ev.KFigure) -> str | None:
    if len(figure.by_position) > MAX_K:
        return f"{len(figure.by_position)} positions have an acceptance rate"
    return _k(figure)


def _turn(turn: ev.TuneTurn) -> str | None:
    most = max(len(turn.figures), len(turn.running))
    return None if most <= MAX_K + 1 else f"{most} values of K are searched"


def _bench(turn: ev.BenchTurn) -> str | None:
    lanes, categories, concurrencies = len(turn.lanes), len(turn.categories), len(turn.concurrencies)
    if lanes > MAX_LANES:
        return f"{lanes} lanes are measured"
    if categories > MAX_CATEGORIES:
        return f"{categories} categories are measured"
    if concurrencies > MAX_CONCURRENCY:
        return f"{concurrencies} numbers of requests are measured"
    return None if len(turn.cells) <= MAX_CELLS else f"{len(turn.cells)} cells are measured"


def _inspected(inspected: ev.Inspected) -> str | None:
    places = len(inspected.places)
    return None if places <= MAX_K + 1 else f"{places} tokens of one step were inspected"


def _sampling(sampling: ev.Sampling) -> str | None:
    if not 0 <= sampling.temperature <= MAX_TEMPERATURE:
        return f"the temperature is {sampling.temperature:g}"
    if not 0 < sampling.top_p <= 1:
        return f"top-p is {sampling.top_p:g}"
    if sampling.top_k < 0:
        return f"top-k is {sampling.top_k}"
    return None if sampling.max_tokens >= 1 else f"an answer has at most {sampling.max_tokens} tokens"


def _run(run: ev.RunStarted) -> str | None:
    if len(run.lanes) > MAX_LANES:
        return f"{len(run.lanes)} lanes race"
    return None if 1 <= run.concurrency <= MAX_CONCURRENCY else f"{run.concurrency} requests are in flight"


def _round(begun: ev.RoundStarted) -> str | None:
    return None if len(begun.prompts) <= MAX_CONCURRENCY else f"{len(begun.prompts)} prompts race at once"


def _memory(memory: samples.LaneMemory) -> str | None:
    if memory.block_tokens < 1:
        return f"a block of the cache has {memory.block_tokens} tokens"
    if memory.devices < 1:
        return f"a model is split among {memory.devices} GPUs"
    for active, experts in (
        (memory.experts_active, memory.experts),
        (memory.draft_experts_active, memory.draft_experts),
    ):
        if experts and not 0 <= active <= experts:
            return f"a token uses {active} of {experts} experts"
    return None


def _cache(cache: samples.CacheLayers | samples.CacheGroup) -> str | None:
    if isinstance(cache, samples.CacheGroup) and cache.block_tokens < 1:
        return f"a block of the cache has {cache.block_tokens} tokens"
    return None if cache.window is None or cache.window >= 1 else f"attention reaches {cache.window} tokens"


NONSENSE: dict[type, Callable[[Any], str | None]] = {
    ev.Step: _step,
    ev.Reached: _reached,
    ev.LaneInfo: _lane,
    ev.LaneEngine: _engine,
    ev.KChanged: _k,
    ev.KFigure: _figure,
    ev.TuneTurn: _turn,
    ev.BenchTurn: _bench,
    benching.BenchLane: _k,
    ev.Inspected: _inspected,
    ev.Sampling: _sampling,
    ev.RunStarted: _run,
    ev.RoundStarted: _round,
    samples.LaneMemory: _memory,
    samples.CacheLayers: _cache,
    samples.CacheGroup: _cache,
    **SERVING_NONSENSE,
}
"""By type of record: a function that says in a few words why a record makes no sense, or None if it does."""
