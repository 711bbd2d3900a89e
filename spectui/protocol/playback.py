"""The state of a replay, and whether a run is being recorded. Part of the vocabulary of `spectui.protocol.events`.

Positions are shares of the trace's events, from 0 to 1, so that a bar can show them without knowing the trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from spectui.core.state import RunState


@dataclass(frozen=True, slots=True)
class Playhead:
    """The position and state of a replay.

    Attributes:
        number: Events played so far.
        total: Events in the indexed part of the trace.
        lane_ns: Lane time played so far, over all rounds in a row.
        total_ns: Lane time of the indexed part of the trace.
        known: Share of the file that has been indexed, from 0 to 1; it is not possible to seek beyond it.
        speed: Requested speed: lane time divided by wall time.
        reached: Actual speed if the machine cannot keep up; None if it can.
        paused: Whether the replay is paused; this is independent of pauses in the recorded run.
        ended: Whether the last event has been played.
    """

    number: int
    total: int
    lane_ns: int
    total_ns: int
    known: float
    speed: float
    reached: float | None = None
    paused: bool = False
    ended: bool = False

    @property
    def share(self) -> float:
        """The position on a timeline, from 0 to 1."""
        return self.number / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class PlaybackMarks:
    """The marks on the timeline.

    Attributes:
        rounds: Where rounds begin.
        ends: Where requests end.
        k_changes: Where a K changed.
        divergences: Where a greedy lane left AR's path.
        forks: Where forked rounds begin.
        rejections: Share of the drafted tokens that were rejected, for equal parts of the trace; None for a part
            without drafted tokens.
    """

    rounds: tuple[float, ...]
    ends: tuple[float, ...]
    k_changes: tuple[float, ...]
    divergences: tuple[float, ...]
    rejections: tuple[float | None, ...]
    forks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording to ``path`` has started; if ``path`` is None, it has ended."""

    path: str | None


@dataclass(frozen=True, slots=True)
class StateReplaced:
    """Replaces the state of the run by ``state``, which lets a replay jump anywhere at once. The sender gives the state
    away and must not use it afterwards."""

    state: RunState


Played: TypeAlias = Playhead | PlaybackMarks | Recording
"""What a run's state keeps about the replay and the recording; never part of a trace."""

ScreenEvent: TypeAlias = Played | StateReplaced
"""Events for the screen only."""
