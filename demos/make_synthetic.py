"""Makes the synthetic demo trace: a race modelled on figures that were published for an H100. Nothing is measured.

``python -m demos.make_synthetic [FILE]`` writes `TRACE`, with identical bytes each time. The figures are from "Gemma 4:
MTP vs DFlash on H100" (May 2026, SPEED-Bench qualitative, vLLM, temperature 0, one request): throughput, acceptance at
the first position, and below .20 by the eighth. What lies in between, the texts, and how a step's time is divided are
made up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from spectui import __version__
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import summary_of
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticLane, SyntheticRace
from spectui.sources.synthetic.text import prompt_set
from spectui.trace.codec import Header, encode, encode_header

TRACE = Path(__file__).parent / "traces" / "h100-synthetic.jsonl"
TARGET = "synthetic: as published for gemma-4-31B-it"
MACHINE = "none: made up after figures published for an H100 80GB"
SEEDS = 40
"""Seeds that are tried to find the one whose draws come nearest to the wanted acceptance."""

DRAFT_SHARE = 0.25
"""The drafter's share of a drafting step's time."""


@dataclass(frozen=True)
class Published:
    """The figures that a lane should reach.

    Attributes:
        info: The lane.
        tok_s: Published tokens per second.
        acceptance: Unconditional acceptance by position; the first is published, the others are made up.
    """

    info: ev.LaneInfo
    tok_s: float
    acceptance: tuple[float, ...] = ()


AR = Published(ev.LaneInfo("ar", "ar", "AR", 0, "ar"), 40.3)
MTP = Published(ev.LaneInfo("mtp", "mtp", "MTP", 8, "mtp:k=8"), 125.3, (0.80, 0.65, 0.53, 0.43, 0.35, 0.28, 0.22, 0.18))
DFLASH = Published(
    ev.LaneInfo("dflash", "dflash", "DFlash", 15, "dflash:k=15"),
    122.1,
    (0.75, 0.59, 0.47, 0.38, 0.31, 0.25, 0.21, 0.17, 0.14, 0.11, 0.09, 0.07, 0.06, 0.05, 0.04),
)
LANES = (AR, MTP, DFLASH)


def made() -> list[tuple[int, ev.TraceEvent]]:
    """The whole run, each event with its time in nanoseconds."""
    first = tuple(map(_lane, LANES))
    seed = min(range(SEEDS), key=lambda seed: _distance(run(first, seed)))
    # Neither the drafts nor their fate depend on the times, so a second run at other speeds is the same race.
    return _timed(run(_paced(first, run(first, seed)), seed))


def _lane(wanted: Published) -> SyntheticLane:
    conditional = tuple(now / before for before, now in pairwise((1.0, *wanted.acceptance)))
    step_ms = 1000 * (1 + sum(wanted.acceptance)) / wanted.tok_s
    draft_ms = DRAFT_SHARE * step_ms if wanted.acceptance else 0.0
    return SyntheticLane(
        wanted.info,
        accept=conditional,
        verify_ms=step_ms - draft_ms,
        verify_token_ms=0.0,
        draft_ms=draft_ms,
        engine=_engine(wanted.info),
    )


def _engine(info: ev.LaneInfo) -> ev.LaneEngine:
    """Made up too: what such a lane's engine would be on an H100."""
    every = tuple(range(info.k_max + 1))
    return ev.LaneEngine(
        info.name, "cuda", "V2", False, "piecewise", every, "synchronous", ("FLASH_ATTN",), "bfloat16", "none", "auto"
    )


def _paced(lanes: tuple[SyntheticLane, ...], events: list[ev.TraceEvent]) -> tuple[SyntheticLane, ...]:
    """The lanes with step times at which each reaches its throughput exactly."""
    reached = {lane.lane: lane.tok_s for lane in summary_of(_state(events)).lanes if lane.tok_s}
    factors = [reached[wanted.info.name] / wanted.tok_s for wanted in LANES]
    return tuple(
        replace(lane, verify_ms=lane.verify_ms * factor, draft_ms=lane.draft_ms * factor)
        for lane, factor in zip(lanes, factors, strict=True)
    )


def run(lanes: tuple[SyntheticLane, ...], seed: int) -> list[ev.TraceEvent]:
    """A race over all prompts."""
    return list(_run(lanes, seed))


def _run(lanes: tuple[SyntheticLane, ...], seed: int) -> Iterator[ev.TraceEvent]:
    race = SyntheticRace(lanes, seed)
    sampling = ev.Sampling(max_tokens=240, ignore_eos=True)
    yield ev.RunStarted(TARGET, tuple(lane.info for lane in lanes), sampling, 1, synthetic=True, machine=MACHINE)
    for lane in lanes:
        race.ready(lane.info.name)
        if lane.engine is not None:
            yield lane.engine
        yield ev.LaneStage(lane.info.name, "ready")
    for prompt in prompt_set():
        yield from race.begin((prompt,), sampling)
        while (turn := race.furthest_behind()) is not None:
            yield from race.step(turn)


def acceptance(events: list[ev.TraceEvent], lane: str, position: int) -> float:
    """Share of the lane's steps with a draft whose first ``position`` tokens were all accepted."""
    steps = [event for event in events if isinstance(event, ev.Step) and event.lane == lane and event.drafted]
    return sum(step.accepted >= position for step in steps) / len(steps)


def _distance(events: list[ev.TraceEvent]) -> float:
    """How far the acceptance is from the wanted one: the greatest difference at any position of any lane."""
    return max(
        abs(acceptance(events, wanted.info.name, place) - share)
        for wanted in LANES
        for place, share in enumerate(wanted.acceptance, start=1)
    )


def _state(events: list[ev.TraceEvent]) -> RunState:
    state = RunState()
    for event in events:
        reduce(state, event)
    return state


def _timed(events: list[ev.TraceEvent]) -> list[tuple[int, ev.TraceEvent]]:
    """Time the events as if one engine after the other had stepped, which is how a race runs."""
    now_ns, timed = 0, []
    for event in events:
        now_ns += event.wall_ns if isinstance(event, ev.Step) else 0
        timed.append((now_ns, event))
    return timed


def write(path: Path) -> None:
    """Write the trace."""
    timed = made()
    run_started = timed[0][1]
    assert isinstance(run_started, ev.RunStarted)
    lines = [encode_header(Header(ev.SCHEMA_VERSION, __version__, run_started))]
    lines += [encode(at_ns, event) for at_ns, event in timed]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else TRACE)
