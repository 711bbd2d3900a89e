"""The vocabulary of sources: small frozen events.

Everything that crosses a thread, enters a trace or comes back in a replay is one of these. The package knows neither
vLLM nor Textual. Each of its event modules covers one subject and lists at its end which of its records are events;
this module combines them and re-exports the names that are used most.
"""

from __future__ import annotations

from typing import TypeAlias

from spectui.protocol.benching import BenchEnded, BenchEvent, BenchTurn
from spectui.protocol.inspection import Inspected, InspectionEvent, Likely, TokenVerdict
from spectui.protocol.playback import ScreenEvent
from spectui.protocol.rounds import (
    Branch,
    FinishReason,
    Margin,
    Preempted,
    RequestFinished,
    RequestStarted,
    RoundEvent,
    RoundFinished,
    RoundStarted,
)
from spectui.protocol.run import (
    KChanged,
    KSource,
    LaneChecked,
    LaneEngine,
    LaneInfo,
    LaneStage,
    Message,
    Notice,
    Paused,
    Prompt,
    Role,
    RunEvent,
    RunStarted,
    Sampling,
    StageName,
)
from spectui.protocol.samples import Sampled
from spectui.protocol.serving import (
    Answered,
    AnyStep,
    Asked,
    CountedStep,
    CounterSample,
    InFlight,
    ServerSeen,
    ServerState,
    Serving,
    ServingEvent,
)
from spectui.protocol.steps import NOTHING, CutReason, Gap, Own, Reached, Step, StepEvent, Totals
from spectui.protocol.tuning import KFigure, TuneEnded, TuneEvent, TuneTurn, TuneWhy

SCHEMA_VERSION = 1

TraceEvent: TypeAlias = (
    RunEvent | RoundEvent | StepEvent | InspectionEvent | TuneEvent | BenchEvent | Sampled | ServingEvent
)
"""Events of a run, which may be written to a trace."""

Event: TypeAlias = TraceEvent | ScreenEvent
"""Everything that a source may emit."""

__all__ = [
    "NOTHING",
    "SCHEMA_VERSION",
    "Answered",
    "AnyStep",
    "Asked",
    "BenchEnded",
    "BenchTurn",
    "Branch",
    "CountedStep",
    "CounterSample",
    "CutReason",
    "Event",
    "FinishReason",
    "Gap",
    "InFlight",
    "Inspected",
    "KChanged",
    "KFigure",
    "KSource",
    "LaneChecked",
    "LaneEngine",
    "LaneInfo",
    "LaneStage",
    "Likely",
    "Margin",
    "Message",
    "Notice",
    "Own",
    "Paused",
    "Preempted",
    "Prompt",
    "Reached",
    "RequestFinished",
    "RequestStarted",
    "Role",
    "RoundFinished",
    "RoundStarted",
    "RunStarted",
    "Sampling",
    "ScreenEvent",
    "ServerSeen",
    "ServerState",
    "Serving",
    "StageName",
    "Step",
    "TokenVerdict",
    "Totals",
    "TraceEvent",
    "TuneEnded",
    "TuneTurn",
    "TuneWhy",
]
