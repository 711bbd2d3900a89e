"""Lane time of a recorded run: when each event happens, and how far a replay has come. Pure."""

from __future__ import annotations

from collections.abc import Callable

from spectui.core.state import RunState
from spectui.protocol.events import CountedStep, CounterSample, Event, Gap, RoundStarted, RunStarted, Step
from spectui.protocol.limits import OWED_S


class LaneClock:
    """Lane time of a trace: in each round that of the lane furthest ahead, with the rounds one after the other. Where
    a server gives only counters, it is the time for which they were read."""

    def __init__(self) -> None:
        self._base_ns = 0
        self._clocks: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self.now_ns = 0

    def see(self, event: Event) -> int:
        """Advance to ``event`` and return the lane time at which it happens."""
        match event:
            case RunStarted():
                self._base_ns = self.now_ns
                self._clocks, self._starts = {}, {}
            case RoundStarted():
                self._base_ns = self.now_ns
                self._starts = dict(self._clocks)
            case Gap():
                self._clocks.update(event.clocks)
                self._starts.update(event.clocks)
                for reached in event.reached:
                    self._reach(reached.lane, reached.clock_ns)
            case Step() | CountedStep():
                self._reach(event.lane, event.clock_ns)
            case CounterSample():
                self._starts.setdefault(event.lane, event.at_ns)
                self._reach(event.lane, event.at_ns)
        return self.now_ns

    def _reach(self, lane: str, clock_ns: int) -> None:
        self._clocks[lane] = clock_ns
        self.now_ns = max(self.now_ns, self._base_ns + clock_ns - self._starts.get(lane, 0))

    @classmethod
    def of(cls, state: RunState, now_ns: int) -> LaneClock:
        """The clock for a state that playback jumped to; ``now_ns`` is the lane time there."""
        clock = cls()
        for name, lane in state.lanes.items():
            counters = None if lane.server is None else lane.server.counters
            if counters is not None and counters.last is not None and counters.start_ns is not None:
                clock._clocks[name], clock._starts[name] = counters.last.at_ns, counters.start_ns
            elif counters is None or lane.clock_ns:
                clock._clocks[name], clock._starts[name] = lane.clock_ns, lane.round.start_ns
        ahead = max((lane.elapsed_ns for lane in state.lanes.values()), default=0)
        clock._base_ns, clock.now_ns = now_ns - ahead, now_ns
        return clock


class Playing:
    """How far lane time has come: it follows the wall clock at ``speed``, but never passes the next event.

    Threads wake up late, and with events a tenth of a millisecond apart that would add up, so lost time is made up for.
    """

    def __init__(self, now: Callable[[], float], speed: float) -> None:
        self._now = now
        self._wall = now()
        self.speed = speed
        self.running = True
        self.lane_ns = 0.0
        self.limit_ns = 0.0
        self._owed_ns = 0.0

    def read(self) -> float:
        """The current lane time, in nanoseconds."""
        now = self._now()
        if self.running and now > self._wall:
            due_ns = self.lane_ns + self._owed_ns + (now - self._wall) * 1e9 * self.speed
            self.lane_ns = min(due_ns, max(self.lane_ns, self.limit_ns))
            self._owed_ns = min(due_ns - self.lane_ns, OWED_S * 1e9 * self.speed)
        self._wall = max(now, self._wall)
        return self.lane_ns

    def wait_s(self) -> float:
        """Wall time until the limit is reached; zero or less if it has been."""
        held = self._wall - self._now()
        return max(held, 0.0) + (self.limit_ns - self.read() - self._owed_ns) / 1e9 / self.speed

    @property
    def behind(self) -> bool:
        """Whether lane time is as late as it may be."""
        return self._owed_ns >= OWED_S * 1e9 * self.speed

    def reach(self) -> None:
        """Let the next event happen now, whether it is due or not."""
        self.lane_ns = max(self.read(), self.limit_ns)

    def hold(self, seconds: float) -> None:
        """Let lane time stand still for ``seconds``."""
        self.read()
        self._wall += seconds
        self._owed_ns = 0.0

    def set(self, lane_ns: float) -> None:
        """Continue from ``lane_ns``."""
        self._wall = self._now()
        self.lane_ns = lane_ns
        self._owed_ns = 0.0
