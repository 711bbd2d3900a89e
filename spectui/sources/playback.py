"""What a replay reports while it plays: where it is, how fast it goes, how much of the trace is known, and what is
wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spectui.protocol.events import Notice
from spectui.protocol.playback import PlaybackMarks, Playhead
from spectui.protocol.source import Sink
from spectui.sources.lane_time import Playing
from spectui.trace.index import Timeline

SAY_S = 0.1
"""Wall time between two reports of the replay's position."""

BUCKETS = 120
FINEST = 480
"""Number of places into which marks are sorted."""


class PlaybackReporter:
    """Reports where a replay is, ten times a second unless it must be sooner, and its marks when more of them are
    known."""

    def __init__(self, sink: Sink, timeline: Timeline, playing: Playing, now: Callable[[], float]) -> None:
        self._sink = sink
        self._timeline = timeline
        self._playing = playing
        self._now = now
        self._said_at = float("-inf")
        self._said_ns = 0.0
        self._marked = (-1, False)
        self._complained = False

    def forget_marks(self) -> None:
        """Send the marks again with the next report: the screen starts from another state."""
        self._marked = (-1, False)

    def say(self, number: int, ended: bool, *, force: bool = False) -> None:
        """Emit where the replay is after ``number`` events, unless that was just emitted; ``force`` emits it anyway."""
        now = self._now()
        if not force and now - self._said_at < SAY_S:
            return
        reached, lane_ns = None, int(self._playing.read())
        if self._playing.behind and now > self._said_at:
            reached = (lane_ns - self._said_ns) / 1e9 / (now - self._said_at)
        self._said_at, self._said_ns = now, lane_ns
        self._sink.emit(self.playhead(number, ended, reached))
        line = self._timeline
        if (marked := (line.known, line.complete)) != self._marked:
            self._marked = marked
            self._sink.emit(marks(line))
        if line.settled and not self._complained:
            self._complained = True
            if wrong := line.complaints():
                self._sink.emit(Notice("; ".join(wrong), level="warning"))

    def playhead(self, number: int, ended: bool, reached: float | None = None) -> Playhead:
        """Where the replay is after ``number`` events; ``reached`` is its actual speed if that is not the one asked
        for."""
        line, lane_ns = self._timeline, int(self._playing.read())
        return Playhead(
            number=number,
            total=max(line.known, number),
            lane_ns=lane_ns,
            total_ns=max(line.lane_ns, lane_ns),
            known=line.progress,
            speed=self._playing.speed,
            reached=reached,
            paused=not self._playing.running,
            ended=ended,
        )


def marks(line: Timeline) -> PlaybackMarks:
    """The known events of interest, as shares of the trace."""
    total = max(1, line.known)

    def shares(numbers: Iterable[int]) -> tuple[float, ...]:
        # Neighbours that fall into the same cell of any bar are merged.
        return tuple(sorted({round(number / total * FINEST) / FINEST for number in numbers}))

    found = line.marks
    return PlaybackMarks(
        shares(found.rounds),
        shares(found.ends),
        shares(found.k_changes),
        shares(found.divergences),
        line.rejections(BUCKETS),
        shares(list(found.parents)),
    )
