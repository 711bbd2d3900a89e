"""What is known about a run, folded from its events. Only the reducer writes here; the screen reads views."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.attached.state import AttachedState, EndpointState, ServedRequest
from spectui.core.disturbance import DisturbanceMeter
from spectui.core.heat import Looks, PastAnswers
from spectui.core.history import History
from spectui.core.ledger import LedgerRow
from spectui.core.losslessness import Comparison
from spectui.core.machine import MachineState
from spectui.core.rates import RateSeries
from spectui.core.step_costs import StepCosts
from spectui.core.sums import Sums
from spectui.core.tokens import TokenLog
from spectui.core.traffic import TrafficMeter
from spectui.core.trouble import TroubleWatch
from spectui.protocol.events import (
    NOTHING,
    BenchEnded,
    BenchTurn,
    Branch,
    FinishReason,
    Inspected,
    KSource,
    LaneChecked,
    LaneEngine,
    LaneInfo,
    LaneStage,
    Prompt,
    RunStarted,
    Sampling,
    Totals,
    TuneEnded,
    TuneTurn,
)
from spectui.protocol.playback import PlaybackMarks, Playhead
from spectui.protocol.samples import LaneMemory

WINDOW_STEPS = 200
"""Steps in the sliding acceptance window."""

LEDGER_STEPS = 64
"""Steps that the ledger keeps of each lane."""


K_CHANGES = 8
"""Changes of K that the charts mark."""


@dataclass(slots=True)
class RequestState:
    """One request of one lane.

    Attributes:
        as_ar: Whether it began with the same context as AR's request.
        ids: Its output ids, as far as they were seen.
        emitted: Number of output tokens, seen or not.
        comparison: None if the request did not begin as AR's did, belongs to the reference lane itself, is sampled at
            random, or has lost steps.
        looks: How many looks at the model its tokens took.
        alike: What it shares with requests whose answers differ by chance alone; None if nothing is left to chance.
        served: What is known of it beside; None unless a server answers it.
    """

    request: str
    slot: int
    prompt_tokens: int
    as_ar: bool = True
    ids: array[int] = field(default_factory=lambda: array("l"))
    emitted: int = 0
    log: TokenLog = field(default_factory=TokenLog)
    history: History = field(default_factory=History)
    finished: FinishReason | None = None
    cut: int = 0
    comparison: Comparison | None = None
    margin: float | None = None
    looks: Looks = field(default_factory=Looks)
    alike: int | None = None
    served: ServedRequest | None = None

    @property
    def context(self) -> int:
        """Tokens in the cache."""
        return self.prompt_tokens + self.emitted


@dataclass(slots=True)
class LaneRound(Sums):
    """What a lane does in one round.

    Attributes:
        series: Throughput over lane time.
        traffic: Bytes that its steps had to read.
        k: K of the last step, None before the first.
        k_changes: Pairs of (lane time of the round in ns, new K).
        requests: The requests by slot; of a server, those that are kept.
        claimed: Output tokens of all its requests, seen or not.
    """

    series: RateSeries = field(default_factory=RateSeries)
    traffic: TrafficMeter = field(default_factory=TrafficMeter)
    k: int | None = None
    k_changes: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=K_CHANGES))
    requests: dict[int, RequestState] = field(default_factory=dict)
    claimed: int = 0

    def put(self, request: RequestState) -> None:
        """Begin a request, in place of one that had its slot."""
        former = self.requests.get(request.slot)
        self.claimed -= 0 if former is None else former.emitted
        self.requests[request.slot] = request

    def claim(self, request: RequestState, emitted: int) -> None:
        """Set the number of a request's output tokens."""
        self.claimed += emitted - request.emitted
        request.emitted = emitted

    @property
    def contexts(self) -> list[int] | None:
        """Tokens in the cache of each running request; None while it is not known which of them advanced."""
        if self.unsure or self.claimed != self.totals.emitted:
            return None
        return [request.context for request in self.requests.values() if request.finished is None]


@dataclass(slots=True)
class LaneState:
    """Everything about a lane.

    Attributes:
        k_source: Where ``k`` comes from, None if that is not known.
        revision: Grows with every change, so that unchanged views need not be rebuilt.
        run: Sums over all rounds; they start at the lane clock from which something is known here.
        told: What the lane itself has counted up to the last known step, None if that cannot be known.
        waiting: Whether steps may be missing after it; the next totals will tell.
        memory: None until the lane's engine is up.
        checked: The result of its self-test; None if it has had none.
        engine: How the engine computes; None until it is up, and in older traces.
        trouble: Signs of trouble in its steps.
        answers: Its answers to prompts that may be raced again.
        server: What is known of it as a server that runs elsewhere; None if it is none.
    """

    info: LaneInfo
    k: int
    stage: LaneStage
    k_source: KSource | None = None
    revision: int = 0
    run: Sums = field(default_factory=Sums)
    round: LaneRound = field(default_factory=LaneRound)
    told: Totals | None = NOTHING
    waiting: bool = False
    preemptions: int = 0
    failed: str | None = None
    memory: LaneMemory | None = None
    checked: LaneChecked | None = None
    engine: LaneEngine | None = None
    trouble: TroubleWatch = field(default_factory=TroubleWatch)
    acceptance: AcceptanceCounter = field(default_factory=AcceptanceCounter)
    window: AcceptanceCounter = field(default_factory=lambda: AcceptanceCounter(WINDOW_STEPS))
    ledger: deque[LedgerRow] = field(default_factory=lambda: deque(maxlen=LEDGER_STEPS))
    costs: StepCosts = field(default_factory=StepCosts)
    answers: PastAnswers = field(default_factory=PastAnswers)
    server: EndpointState | None = None

    @property
    def clock_ns(self) -> int:
        """The lane clock."""
        return self.run.clock_ns

    @property
    def elapsed_ns(self) -> int:
        """Lane time of the round; where there are only counters, the time for which they were read."""
        counted_ns = 0 if self.server is None else self.server.counters.elapsed_ns
        return max(self.round.elapsed_ns, counted_ns)

    @property
    def missing(self) -> bool:
        """Whether steps of the round are missing, or may be."""
        return self.waiting or self.round.gap

    @property
    def running(self) -> bool:
        """Whether the lane is alive and a request of the round is unfinished."""
        return self.failed is None and any(request.finished is None for request in self.round.requests.values())


@dataclass(slots=True)
class RunState:
    """The whole run.

    Attributes:
        absent: The slots that sit the round out.
        parent: Where the round branches off; None if it was not forked.
        paused: The run's own pause, also in a replay, where the playhead has a pause of its own.
        notices: Number of notices so far, so that the same sentence said twice is news twice.
        fault: Why the source as a whole gave up, None while it is alive.
        tuning: Progress of the last search for the best K, or how it ended.
        bench: Progress of the last benchmark, or how it ended.
        inspected: The step that was looked at last.
        machine: What the telemetry reports.
        disturbance: How much of the last steps was disturbed by other programs.
        playhead: Where a replay is; None in a live run.
        marks: A replay's timeline; None in a live run.
        recording: The file that the run is recorded to.
        servers: What concerns all servers; None unless the run is attached to some.
        revision: Grows with every change that does not belong to a single lane.
    """

    started: RunStarted | None = None
    lanes: dict[str, LaneState] = field(default_factory=dict)
    round: int | None = None
    prompts: tuple[Prompt, ...] = ()
    absent: tuple[int, ...] = ()
    parent: Branch | None = None
    sampling: Sampling = field(default_factory=Sampling)
    round_over: bool = False
    paused: bool = False
    notice: str = ""
    notices: int = 0
    fault: str | None = None
    tuning: TuneTurn | TuneEnded | None = None
    bench: BenchTurn | BenchEnded | None = None
    inspected: Inspected | None = None
    machine: MachineState = field(default_factory=MachineState)
    disturbance: DisturbanceMeter = field(default_factory=DisturbanceMeter)
    playhead: Playhead | None = None
    marks: PlaybackMarks | None = None
    recording: str | None = None
    lost: int = 0
    divergences: int = 0
    servers: AttachedState | None = None
    revision: int = 0

    @property
    def target(self) -> str:
        """The target's name, or that of all servers; empty if it is not known, or they differ."""
        name = self.started.target if self.started else ""
        seen = [lane.server.seen for lane in self.lanes.values() if lane.server is not None]
        models = {one.model for one in seen if one is not None and one.model}
        return name or (models.pop() if len(models) == 1 else "")

    @property
    def goes_on(self) -> bool:
        """Whether a conversation of the round has another turn, which begins by itself when this one is over."""
        return any(prompt.later for slot, prompt in enumerate(self.prompts) if slot not in self.absent)

    @property
    def dead(self) -> bool:
        """Whether nothing more can come: the source gave up, or every lane failed."""
        failed = bool(self.lanes) and all(lane.failed is not None for lane in self.lanes.values())
        return failed or self.fault is not None

    @property
    def reference(self) -> LaneState | None:
        """The first plain autoregressive lane, the baseline for speed-ups and divergences. A server is no baseline for
        another: it has other requests."""
        if self.servers is not None:
            return None
        return next((lane for lane in self.lanes.values() if lane.info.method == "ar"), None)
