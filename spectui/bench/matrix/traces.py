"""Keeps a trace of each cell's first repetition, so that a figure can be looked into with ``spectui replay``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spectui.core.bench.matrix import Block, Matrix, Variant
from spectui.protocol.events import (
    NOTHING,
    Event,
    KChanged,
    LaneStage,
    Prompt,
    RoundFinished,
    RoundStarted,
    RunStarted,
    Step,
    Totals,
    TraceEvent,
)
from spectui.sources.vllm.lane import Lane
from spectui.standstill import awake_ns
from spectui.trace.writer import Recorder

FOLDER = "traces"
CLOSE_S = 60.0

LONGEST = 120
"""Characters of a cell's name in that of a file; what is left out of a longer or unusual one becomes a digest."""


def trace_name(variant: Variant, block: Block) -> str:
    """The path of a cell's trace in the folder of results: no two cells have the same."""
    context = "" if block.context is None else f"-{block.context}"
    words = f"{block.category}-{block.concurrency}{context}-{variant.name.replace(' K=', '-K=')}"
    stem = re.sub("[^A-Za-z0-9._=-]+", "-", words)
    if stem != words or len(stem) > LONGEST:
        digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        stem = f"{stem[:LONGEST]}-{digest}"
    return f"{FOLDER}/{stem}.jsonl"


@dataclass(frozen=True, slots=True)
class _Kept:
    """The events of a cell, each with its time; and the lane's clock and totals before them."""

    events: list[tuple[int, TraceEvent]]
    clock_ns: int
    totals: Totals


class CellTraces:
    """Collects the events of one cell at a time, and writes them when the cell's turn is over.

    Nothing is written or worked out while a cell is measured, so that its trace does not cost it time.
    """

    def __init__(
        self,
        folder: Path,
        matrix: Matrix,
        lanes: Mapping[str, Lane],
        prompts: Mapping[tuple[str, int | None], Sequence[Prompt]],
        start: RunStarted,
    ) -> None:
        """``start`` describes the whole benchmark; every trace has only its own lane of it."""
        self._folder = folder
        self._matrix = matrix
        self._lanes = lanes
        self._prompts = prompts
        self._start = start
        self._open: dict[tuple[str, Block], _Kept] = {}

    def keep(self, variant: Variant, block: Block) -> Callable[[Event], None]:
        """Begin a cell's trace; returns what receives its events. An unfinished trace of the same cell is dropped."""
        lane = self._lanes[variant.lane]
        now = awake_ns()
        prompts = self._prompts[block.category, block.context]
        asked = tuple(prompts[number] for number in self._matrix.prompts_of(block, 0, len(prompts)))
        before: list[TraceEvent] = [
            replace(self._start, lanes=(lane.info,), concurrency=block.concurrency),
            LaneStage(variant.lane, "ready"),
            lane.engine(),
            lane.memory(),
            *(
                (KChanged(variant.lane, lane.k, "auto") if variant.auto else KChanged(variant.lane, variant.k),)
                if lane.info.k_max
                else ()
            ),
            RoundStarted(0, asked, self._matrix.sampling),
        ]
        kept: list[tuple[int, TraceEvent]] = [(now, event) for event in before]
        self._open[variant.name, block] = _Kept(kept, lane.clock_ns, lane.totals)

        def add(event: Event) -> None:
            kept.append((awake_ns(), event))  # type: ignore[arg-type]

        return add

    def write(self) -> tuple[str, ...]:
        """Write the traces that are open; returns a sentence for each that could not be written."""
        faults: list[str] = []
        (self._folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for (name, block), one in self._open.items():
            variant = next(one for one in self._matrix.variants if one.name == name)
            path = self._folder / trace_name(variant, block)
            kept = [(at, _rebased(event, one.clock_ns, one.totals)) for at, event in one.events]
            ended = [*kept, (kept[-1][0], RoundFinished(0))]
            recorder = Recorder(path, faults.append, earlier=ended, now_ns=awake_ns, capacity=len(ended) + 1)
            recorder.start()
            recorder.close(CLOSE_S)
        self._open.clear()
        return tuple(faults)


def _rebased(event: TraceEvent, clock_ns: int, totals: Totals) -> TraceEvent:
    """A step whose lane clock and totals begin with the trace."""
    if not isinstance(event, Step):
        return event
    own = None if event.totals is None else event.totals.minus(totals or NOTHING)
    return replace(event, clock_ns=event.clock_ns - clock_ns, totals=own)
