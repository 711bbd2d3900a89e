"""What a replay says of itself, and whether a run is recorded. A part of the vocabulary of `spectui.protocol.events`.

Places are shares of the trace's events, from 0 to 1, so that a bar can show them without knowing the trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from spectui.core.state import RunState


@dataclass(frozen=True, slots=True)
class Playhead:
    """Where a replay is.

    Attributes:
        number: Events that have been played.
        total: Events of the trace as far as they are known.
        lane_ns: Lane time played, all rounds in a row.
        total_ns: Lane time of the trace as far as it is known.
        known: How much of the file has been looked through, from 0 to 1; beyond that nothing can be sought.
        speed: Lane time over wall time, as asked for.
        reached: The same as it is, where the machine cannot keep up; None where it can.
        paused: Whether the replay stands still; pauses of the recorded run are no matter of its own.
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
        """The place on a timeline."""
        return self.number / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class PlaybackMarks:
    """What stands on the timeline.

    Attributes:
        rounds: Where rounds begin.
        ends: Where requests end.
        k_changes: Where a K changed.
        divergences: Where a greedy lane left AR's path.
        rejections: Share of the drafted tokens that were refused, in equal parts of the trace; None where none were.
    """

    rounds: tuple[float, ...]
    ends: tuple[float, ...]
    k_changes: tuple[float, ...]
    divergences: tuple[float, ...]
    rejections: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """The run is recorded to ``path`` from now on; None ends it."""

    path: str | None


@dataclass(frozen=True, slots=True)
class StateReplaced:
    """From here on ``state`` is the run's: how a replay goes anywhere in one step. Whoever sends it gives the state
    away and keeps no hold of it."""

    state: RunState


Played: TypeAlias = Playhead | PlaybackMarks | Recording
"""What a state remembers of its player and its recorder; never part of a trace."""

ScreenEvent: TypeAlias = Played | StateReplaced
"""What only the screen hears."""
