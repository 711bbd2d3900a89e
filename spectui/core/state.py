"""What is known about a run, folded from its events. Only the reducer writes here; the screen reads views."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.disturbance import DisturbanceMeter
from spectui.core.history import History
from spectui.core.ledger import LedgerRow
from spectui.core.losslessness import Comparison
from spectui.core.machine import MachineState
from spectui.core.rates import RateSeries, SlidingRate
from spectui.core.step_costs import StepCosts
from spectui.core.tokens import TokenLog
from spectui.core.traffic import TrafficMeter
from spectui.protocol.events import (
    NOTHING,
    FinishReason,
    Inspected,
    KSource,
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
    """One request of one lane. ``ids`` are its output as far as it was seen, ``emitted`` counts all of it; ``as_ar`` is
    whether it began where AR's did; ``comparison`` is None where it did not, for the reference lane itself, where
    sampling is random, and where steps were lost."""

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

    @property
    def context(self) -> int:
        """Tokens that the cache holds."""
        return self.prompt_tokens + self.emitted


@dataclass(slots=True)
class RoundTotals:
    """A lane's sums since the round began; ``start_ns`` is the lane clock at that moment.

    ``totals`` count every step of which is known, seen or not: ``lost`` of them were not seen, and ``unsure`` says that
    there are more of which nothing is known.
    ``k`` is that of the last step, None before the first; ``k_changes`` are (lane time of the round in ns, new K); of
    the ``stepped_ns`` of the engine steps that were seen ``disturbed_ns`` were disturbed.
    """

    start_ns: int = 0
    clock_ns: int = 0
    totals: Totals = NOTHING
    lost: int = 0
    unsure: bool = False
    recent: SlidingRate = field(default_factory=SlidingRate)
    series: RateSeries = field(default_factory=RateSeries)
    traffic: TrafficMeter = field(default_factory=TrafficMeter)
    stepped_ns: int = 0
    disturbed_ns: int = 0
    k: int | None = None
    k_changes: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=K_CHANGES))
    requests: dict[int, RequestState] = field(default_factory=dict)

    @property
    def elapsed_ns(self) -> int:
        return self.clock_ns - self.start_ns

    @property
    def contexts(self) -> list[int] | None:
        """Tokens in the cache of each request that runs, None while it is not known which of them came further."""
        requests = self.requests.values()
        if self.unsure or sum(request.emitted for request in requests) != self.totals.emitted:
            return None
        return [request.context for request in requests if request.finished is None]

    @property
    def gap(self) -> bool:
        """Whether steps of the round are missing."""
        return self.unsure or self.lost > 0


@dataclass(slots=True)
class LaneState:
    """Everything about a lane. ``revision`` moves with every change, so that unchanged views are not built again;
    ``memory`` is None until the lane's engine stands; ``unseen_ns`` is how much of the lane clock ran before what is
    known here; ``k_source`` is where ``k`` comes from, None where that is not known; of the ``stepped_ns`` of its
    engine steps that were seen ``disturbed_ns`` were disturbed.

    ``totals``, ``lost`` and ``unsure`` are those of `RoundTotals` over all rounds. ``told`` is what the lane itself has
    counted up to the last step of which is known, None where that cannot be known; ``waiting`` says that steps may be
    missing behind it, which the next totals will tell.
    """

    info: LaneInfo
    k: int
    stage: LaneStage
    k_source: KSource | None = None
    revision: int = 0
    clock_ns: int = 0
    unseen_ns: int = 0
    totals: Totals = NOTHING
    lost: int = 0
    unsure: bool = False
    told: Totals | None = NOTHING
    waiting: bool = False
    preemptions: int = 0
    stepped_ns: int = 0
    disturbed_ns: int = 0
    batch: int = 0
    failed: str | None = None
    memory: LaneMemory | None = None
    acceptance: AcceptanceCounter = field(default_factory=AcceptanceCounter)
    window: AcceptanceCounter = field(default_factory=lambda: AcceptanceCounter(WINDOW_STEPS))
    ledger: deque[LedgerRow] = field(default_factory=lambda: deque(maxlen=LEDGER_STEPS))
    costs: StepCosts = field(default_factory=StepCosts)
    round: RoundTotals = field(default_factory=RoundTotals)

    @property
    def emitted(self) -> int:
        """Tokens that reached the output."""
        return self.totals.emitted

    @property
    def missing(self) -> bool:
        """Whether steps of the round are missing, or may be."""
        return self.waiting or self.round.gap

    @property
    def seen_ns(self) -> int:
        """Lane time that belongs to what was counted."""
        return self.clock_ns - self.unseen_ns

    @property
    def running(self) -> bool:
        """Whether the lane lives and a request of the round is unfinished."""
        return self.failed is None and any(request.finished is None for request in self.round.requests.values())


@dataclass(slots=True)
class RunState:
    """The whole run. ``revision`` moves with what concerns no single lane.

    ``absent`` are the slots that sit the round out;
    ``notices`` counts them, so that the same sentence said twice is news twice; ``fault`` is why the source as a whole
    gave up, None while it lives; ``tuning`` is where the last search for a best K stands, or how it ended;
    ``inspected`` is the step that was looked at last; ``machine`` is what the telemetry says;
    ``disturbance`` is how much of the last steps other programs held up;
    ``paused`` is the run's own pause, also in a replay, whose pause is the playhead's;
    ``playhead`` and ``marks`` are a replay's, None of a live run;
    ``recording`` is the file that the run is recorded to.
    """

    started: RunStarted | None = None
    lanes: dict[str, LaneState] = field(default_factory=dict)
    round: int | None = None
    prompts: tuple[Prompt, ...] = ()
    absent: tuple[int, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    round_over: bool = False
    paused: bool = False
    notice: str = ""
    notices: int = 0
    fault: str | None = None
    tuning: TuneTurn | TuneEnded | None = None
    inspected: Inspected | None = None
    machine: MachineState = field(default_factory=MachineState)
    disturbance: DisturbanceMeter = field(default_factory=DisturbanceMeter)
    playhead: Playhead | None = None
    marks: PlaybackMarks | None = None
    recording: str | None = None
    lost: int = 0
    divergences: int = 0
    events: int = 0
    revision: int = 0

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
        """The first plain autoregressive lane: speed-ups and divergences are measured against it."""
        return next((lane for lane in self.lanes.values() if lane.info.method == "ar"), None)
