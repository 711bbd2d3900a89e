"""Frozen views of a `RunState` for the screen, the headless report and snapshots.

A view is built only when its revision has changed. Token logs are shared by reference, with their length at the time,
so a view costs the same however much was generated.
"""

from __future__ import annotations

from dataclasses import dataclass

from spectui.core.acceptance import Acceptance
from spectui.core.attached.rows import AttachedReader, newest_slot
from spectui.core.attached.views import AttachedView
from spectui.core.disturbance import Disturbance
from spectui.core.heat import HeatView, heat_view
from spectui.core.history import History
from spectui.core.ledger import LedgerRow
from spectui.core.losslessness import Divergence
from spectui.core.machine import NOTHING_HELD, MachineView, MemoryView
from spectui.core.machine_views import before_last_step, machine_view, memory_view
from spectui.core.state import LaneState, RequestState, RunState
from spectui.core.step_costs import StepCosts
from spectui.core.summary import acceptance_of, round_figures, troubles_of, unlike_of
from spectui.core.tokens import TokenLog
from spectui.core.traffic import Traffic
from spectui.core.trouble_causes import Told
from spectui.protocol.events import (
    BenchEnded,
    BenchTurn,
    Branch,
    FinishReason,
    Inspected,
    KSource,
    LaneEngine,
    LaneInfo,
    LaneStage,
    Prompt,
    Sampling,
    TuneEnded,
    TuneTurn,
)
from spectui.protocol.playback import PlaybackMarks, Playhead


@dataclass(frozen=True, slots=True)
class StreamView:
    """The first ``length`` tokens of ``log``; a different ``log`` object means a different request."""

    log: TokenLog
    length: int
    heat: HeatView | None = None


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane as its pane shows it.

    Attributes:
        k_source: Where ``k`` comes from, None if that is not known.
        tok_s: As in the round's `Figures`, like ``naive_tok_s`` and ``speedup``.
        lost: Steps of the round that were lost on the way. Clocks, counts of steps and tokens, ``tok_s``,
            ``naive_tok_s``, ``speedup`` and the length and rate of ``acceptance`` include them; everything else of the
            round is partial. None if steps are missing of which nothing is known: then all of it is partial.
        lost_before: Whether steps of any round were lost, which makes ``costs`` partial.
        disturbed: Whether the lane, or AR beside it, was disturbed in this round, so that ``speedup`` is not that of
            the machine alone.
        acceptance: Acceptance over everything the lane has done; ``window`` covers its last steps.
        costs: What its steps took at each K; grows.
        stream: Tokens of the shown request, None before it starts; ``history`` has its steps, and grows.
        divergence: First difference from AR in the shown request; None if equal so far, or not compared.
        equal: Output tokens of the shown request that were found equal to AR's; None if not compared.
        series: Pairs of (seconds of lane time, tok/s); ``k_changes`` are (seconds of lane time, K from then on).
        traffic: Bytes that the round's steps had to read, an estimate; None before its second step, and if the size of
            the engine's weights is not known.
        active: Unfinished requests of the round; ``requests`` counts all of them.
        warning: What the lane's self-test found wrong; empty if nothing.
        engine: How the lane's engine computes; None if that is not known.
        unlike: How it differs from AR's, so that ``speedup`` is not due to drafting alone; empty if it does not.
        troubles: Signs of trouble, the worst first.
    """

    info: LaneInfo
    revision: int
    k: int
    k_source: KSource | None
    stage: LaneStage
    failed: str | None
    round_s: float
    steps: int
    emitted: int
    cut: int
    tok_s: float | None
    naive_tok_s: float | None
    speedup: float | None
    lost: int | None
    lost_before: bool
    disturbed: bool
    acceptance: Acceptance
    window: Acceptance
    costs: StepCosts
    ledger: tuple[LedgerRow, ...]
    stream: StreamView | None
    history: History | None
    slot: int
    finished: FinishReason | None
    divergence: Divergence | None
    equal: int | None
    series: tuple[tuple[float, float], ...]
    k_changes: tuple[tuple[float, int], ...]
    traffic: Traffic | None
    active: int
    requests: int
    preemptions: int
    warning: str
    engine: LaneEngine | None = None
    unlike: str = ""
    troubles: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class RunView:
    """The whole screen.

    Attributes:
        parent: Where the round branches off; None if it was not forked.
        lane_time_s: The furthest lane clock of the round.
        notices: Number of notices so far; ``notice`` is the last one.
        fault: Why the source as a whole gave up, None while it is alive.
        tuning: Progress of the last search for the best K, or how it ended.
        bench: Progress of the last benchmark, or how it ended.
        inspected: The step that was looked at last.
        telemetry: What the machine reports, None before the first sample.
        memory: Who holds which part of the memory.
        playhead: Where a replay is; None in a live run.
        marks: A replay's timeline; None in a live run.
        recording: The file that the run is recorded to.
        goes_on: Whether a conversation of the round has another turn, which begins by itself; the round is over only
            after the last turn.
        disturbance: None if all is well.
        attached: The servers of an attached run; None for all other runs.
    """

    target: str
    machine: str
    synthetic: bool
    lanes: tuple[LaneView, ...]
    round: int | None
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    round_over: bool
    paused: bool
    notice: str
    lost: int
    lane_time_s: float
    parent: Branch | None = None
    notices: int = 0
    fault: str | None = None
    tuning: TuneTurn | TuneEnded | None = None
    bench: BenchTurn | BenchEnded | None = None
    inspected: Inspected | None = None
    telemetry: MachineView | None = None
    memory: MemoryView = NOTHING_HELD
    playhead: Playhead | None = None
    marks: PlaybackMarks | None = None
    recording: str | None = None
    goes_on: bool = False
    disturbance: Disturbance | None = None
    attached: AttachedView | None = None

    @property
    def partial(self) -> bool:
        """Whether steps of the round were lost in any lane."""
        return any(lane.lost != 0 for lane in self.lanes)


class Viewer:
    """Publishes views of one state; ``slot`` chooses which of several concurrent requests the panes show. A server's
    pane shows its newest request if it has none in that slot."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._lanes: dict[str, LaneView] = {}
        self._run: RunView | None = None
        self._key: tuple[int, ...] = ()
        self._attached = AttachedReader()
        self.slot = 0

    def read(self) -> RunView:
        """The current view: the same object as long as nothing has changed."""
        state = self._state
        reference = state.reference
        baseline = reference.revision if reference else 0
        key = (self.slot, state.revision, baseline, *(lane.revision for lane in state.lanes.values()))
        if self._run is None or key != self._key:
            self._key = key
            self._run = self._build(reference)
        return self._run

    def _build(self, reference: LaneState | None) -> RunView:
        state = self._state
        lanes = tuple(self._lane(name, lane, reference) for name, lane in state.lanes.items())
        return RunView(
            target=state.target,
            machine=state.started.machine if state.started else "",
            synthetic=state.started.synthetic if state.started else False,
            lanes=lanes,
            round=state.round,
            prompts=state.prompts,
            parent=state.parent,
            sampling=state.sampling,
            round_over=state.round_over,
            goes_on=state.goes_on,
            paused=state.paused if state.playhead is None else state.playhead.paused,
            notice=state.notice,
            lost=state.lost,
            lane_time_s=max((lane.elapsed_ns / 1e9 for lane in state.lanes.values()), default=0.0),
            notices=state.notices,
            fault=state.fault,
            tuning=state.tuning,
            bench=state.bench,
            inspected=state.inspected,
            telemetry=machine_view(state),
            memory=memory_view(state),
            playhead=state.playhead,
            marks=state.marks,
            recording=state.recording,
            disturbance=state.disturbance.read(before_last_step(state)),
            attached=self._attached.read(state),
        )

    def _lane(self, name: str, lane: LaneState, reference: LaneState | None) -> LaneView:
        figures = round_figures(lane, reference)
        unlike = unlike_of(lane, reference)
        slot = self._slot_of(lane)
        cached, now = self._lanes.get(name), (lane.revision, figures.speedup, figures.doubtful, slot, unlike)
        if cached and now == (cached.revision, cached.speedup, cached.disturbed, cached.slot, cached.unlike):
            return cached
        current = lane.round
        request = current.requests.get(slot)
        comparison = request.comparison if request else None
        view = LaneView(
            info=lane.info,
            revision=lane.revision,
            k=lane.k,
            k_source=lane.k_source,
            stage=lane.stage,
            failed=lane.failed,
            round_s=figures.lane_s,
            steps=figures.steps,
            emitted=figures.emitted,
            cut=figures.cut,
            tok_s=figures.tok_s,
            naive_tok_s=figures.naive_tok_s,
            speedup=figures.speedup,
            lost=figures.lost,
            lost_before=lane.waiting or lane.run.gap,
            disturbed=figures.doubtful,
            acceptance=acceptance_of(lane, lane.acceptance),
            window=acceptance_of(lane, lane.window),
            costs=lane.costs,
            ledger=tuple(lane.ledger),
            stream=StreamView(request.log, len(request.log), heat_view(request, lane.answers)) if request else None,
            history=request.history if request else None,
            slot=slot,
            finished=request.finished if request else None,
            divergence=_divergence(request),
            equal=comparison.equal if comparison else None,
            series=current.series.read(),
            k_changes=tuple((ns / 1e9, k) for ns, k in current.k_changes),
            traffic=current.traffic.read(),
            active=sum(r.finished is None for r in current.requests.values()),
            requests=len(current.requests),
            preemptions=lane.preemptions,
            warning=lane.checked.warning if lane.checked else "",
            engine=lane.engine,
            unlike=unlike,
            troubles=troubles_of(lane, unlike),
        )
        self._lanes[name] = view
        return view

    def _slot_of(self, lane: LaneState) -> int:
        """The slot of the request that the lane's pane shows."""
        if lane.server is None or self.slot in lane.round.requests:
            return self.slot
        newest = newest_slot(lane)
        return self.slot if newest is None else newest


def _divergence(request: RequestState | None) -> Divergence | None:
    comparison = request.comparison if request else None
    if request is None or comparison is None or comparison.position is None:
        return None
    return Divergence(comparison.position, request.margin, comparison.how)
