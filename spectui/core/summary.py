"""The figures of lanes and runs, computed in one place for the panes, the headless table, its JSON and reports.

None means unknown or not applicable, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spectui.core.acceptance import Acceptance, AcceptanceCounter
from spectui.core.attached.meters import CounterMeter
from spectui.core.comparable import not_comparable
from spectui.core.disturbance import DOUBTFUL
from spectui.core.rates import per_second
from spectui.core.state import LaneState, RunState
from spectui.core.sums import Sums
from spectui.core.trouble_causes import Told, told
from spectui.protocol.events import KSource, LaneEngine, Sampling


@dataclass(frozen=True, slots=True)
class Figures:
    """A lane's figures over a round, or over the whole run.

    Attributes:
        lane_s: Lane time, in seconds.
        tok_s: Emitted tokens / lane time; None before the first step.
        naive_tok_s: What a meter would show that takes a stream chunk for a token, as some clients do: steps that
            emitted anything / lane time. It under-reports speculative decoding by up to K+1.
        speedup: ``tok_s`` divided by AR's; None without an AR lane whose figure covers as much: a whole round divided
            by an unknown part of one is not a speed-up.
        lost: Steps that were lost on the way; all figures here except ``disturbed_share`` include them. None if steps
            are missing of which nothing is known, so that every figure is partial.
        disturbed_share: Share of the seen steps' time that was disturbed.
        doubtful: Whether so much of the lane's time, or of AR's, was disturbed that ``speedup`` is not that of the
            machine alone.

    Worked example: AR emitted 40 tokens in 40 steps of 25 ms, a lane with a drafter 60 tokens in 30 steps of 40 ms.
    These are 40 and 50 tok/s, a speed-up of 1.25; the naive meter reads 40 and 25 tok/s.
    """

    steps: int
    emitted: int
    cut: int
    lane_s: float
    tok_s: float | None
    naive_tok_s: float | None
    speedup: float | None
    lost: int | None
    disturbed_share: float | None
    doubtful: bool


def round_figures(lane: LaneState, reference: LaneState | None) -> Figures:
    """Figures over the round; ``reference`` is AR's lane."""
    return _figures(lane, lane.round, reference, reference.round if reference else None)


def run_figures(lane: LaneState, reference: LaneState | None) -> Figures:
    """Figures over the whole run, as far as it is known; ``reference`` is AR's lane."""
    return _figures(lane, lane.run, reference, reference.run if reference else None)


def _figures(lane: LaneState, sums: Sums, reference: LaneState | None, plain: Sums | None) -> Figures:
    unsure = lane.waiting or sums.unsure
    tok_s, ar_tok_s = _tok_s(sums), None
    if reference is not None and plain is not None and (unsure or not (reference.waiting or plain.unsure)):
        ar_tok_s = _tok_s(plain)
    totals = sums.totals
    return Figures(
        steps=totals.steps,
        emitted=totals.emitted,
        cut=totals.cut,
        lane_s=sums.elapsed_ns / 1e9,
        tok_s=tok_s,
        naive_tok_s=per_second(totals.steps - totals.silent, sums.elapsed_ns),
        speedup=tok_s / ar_tok_s if tok_s is not None and ar_tok_s else None,
        lost=None if unsure else sums.lost,
        disturbed_share=sums.disturbed_share,
        doubtful=_doubtful(sums) or (plain is not None and _doubtful(plain)),
    )


def _tok_s(sums: Sums) -> float | None:
    return per_second(sums.totals.emitted, sums.elapsed_ns)


def _doubtful(sums: Sums) -> bool:
    return sums.disturbed_ns > DOUBTFUL * sums.stepped_ns


def counted_figures(figures: Figures, counters: CounterMeter) -> Figures:
    """The figures of a server of which only counters are known, in wall time."""
    emitted = counters.emitted or 0
    tok_s = None if counters.emitted is None else per_second(emitted, counters.elapsed_ns)
    return replace(figures, emitted=emitted, lane_s=counters.elapsed_ns / 1e9, tok_s=tok_s)


def counted_acceptance(counters: CounterMeter) -> Acceptance:
    """The acceptance that counters tell: how often a draft ended early is not among them."""
    drafts, kept = counters.drafts or 0, counters.kept
    reached = (drafts,) * len(kept)
    return Acceptance(drafts, counters.drafted or 0, counters.accepted or 0, reached, kept, (0,) * len(kept), ())


def acceptance_of(lane: LaneState, counter: AcceptanceCounter) -> Acceptance:
    """The reading of one of the lane's counters; partial while steps may be missing."""
    reading = counter.read()
    return replace(reading, partial=True) if lane.waiting else reading


def unlike_of(lane: LaneState, reference: LaneState | None) -> str:
    """How the lane's engine differs from AR's, as in `not_comparable`; empty if it does not, or is not known."""
    return "" if reference is None or lane is reference else not_comparable(lane.engine, lane.k, reference.engine)


def troubles_of(lane: LaneState, unlike: str) -> tuple[Told, ...]:
    """The lane's signs of trouble in words; ``unlike`` is what `unlike_of` returned."""
    return tuple(told(one, lane.info, lane.engine, unlike) for one in lane.trouble.found)


@dataclass(frozen=True, slots=True)
class LaneSummary:
    """A lane's figures over the whole run, under the names that ``--json`` prints.

    Attributes:
        k: The K that the lane ended with; None without a drafter.
        drafted_steps: Steps that had a draft.
        warning: What the lane's self-test found wrong; None if nothing, or if it had none.
        steps_lost: As in `Figures.lost`; ``acceptance_by_position`` and ``disturbed_share`` do not include these steps.
        engine: How its engine computes; None if that is not known.
        not_comparable: How its engine differs from AR's, so that ``speedup`` is not due to drafting alone; empty if it
            does not.
        troubles: Signs of trouble, the worst first.
    """

    lane: str
    method: str
    k: int | None
    k_source: KSource | None
    tokens: int
    lane_time_s: float
    tok_s: float | None
    speedup: float | None
    acceptance_length: float | None
    draft_acceptance_rate: float | None
    acceptance_by_position: tuple[float | None, ...]
    drafted: int
    accepted: int
    drafted_steps: int
    disturbed_share: float | None
    steps_lost: int | None
    failed: str | None
    warning: str | None
    engine: LaneEngine | None
    not_comparable: str
    troubles: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The whole run, as ``--json`` prints it."""

    target: str | None
    machine: str | None
    versions: Mapping[str, str]
    sampling: Sampling
    lanes: tuple[LaneSummary, ...]


def summary_of(state: RunState) -> RunSummary:
    """Summarise what is known of the run so far."""
    started = state.started
    return RunSummary(
        target=state.target if started else None,
        machine=started.machine if started else None,
        versions=dict(started.versions) if started else {},
        sampling=state.sampling,
        lanes=tuple(lane_summary(lane, state.reference) for lane in state.lanes.values()),
    )


def lane_summary(lane: LaneState, reference: LaneState | None) -> LaneSummary:
    """A lane's figures over the whole run; ``reference`` is AR's lane."""
    figures, acceptance = run_figures(lane, reference), lane.acceptance.read()
    if lane.server is not None and lane.server.counters.last is not None:
        figures, acceptance = counted_figures(figures, lane.server.counters), counted_acceptance(lane.server.counters)
    unlike = unlike_of(lane, reference)
    return LaneSummary(
        lane=lane.info.name,
        method=lane.info.method,
        k=lane.k if lane.info.k_max else None,
        k_source=lane.k_source,
        tokens=figures.emitted,
        lane_time_s=figures.lane_s,
        tok_s=figures.tok_s,
        speedup=figures.speedup,
        acceptance_length=acceptance.length,
        draft_acceptance_rate=acceptance.rate,
        acceptance_by_position=acceptance.by_position,
        drafted=acceptance.drafted,
        accepted=acceptance.accepted,
        drafted_steps=acceptance.steps,
        disturbed_share=figures.disturbed_share,
        steps_lost=figures.lost,
        failed=lane.failed,
        warning=(lane.checked.warning if lane.checked else "") or None,
        engine=lane.engine,
        not_comparable=unlike,
        troubles=troubles_of(lane, unlike),
    )
