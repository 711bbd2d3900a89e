"""The frame timer on a clock that the test moves."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count, pairwise

import pytest

from spectui.core.rates import percentile
from spectui.protocol import events as ev
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.mailbox import Mailbox
from spectui.ui.paint.frames import BUDGET_S, CHARTS_S, FRAME_S, PATIENCE_S, SLOW_BUDGET_S, FrameTimer


class FakeScheduler:
    """Runs what was scheduled when the test lets time pass."""

    def __init__(self) -> None:
        self.time = 0.0
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        return self.time

    def cpu(self) -> float:
        return self.time

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.time + delay_s, next(self._order), callback))

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        self.call_later(0.0, callback)

    def run_for(self, seconds: float) -> None:
        end = self.time + seconds
        while self._queue and self._queue[0][0] <= end:
            due, _, callback = heapq.heappop(self._queue)
            self.time = max(self.time, due)
            callback()
        self.time = max(self.time, end)


class FakePresenter:
    def __init__(self, scheduler: FakeScheduler, cost_s: float = 0.0) -> None:
        self._scheduler = scheduler
        self._cost_s = cost_s
        self.reduced: list[ev.Event] = []
        self.frames: list[tuple[float, bool]] = []
        self.clocked = False
        self.broken = False

    def reduce(self, event: ev.Event) -> None:
        self._scheduler.time += self._cost_s
        self.reduced.append(event)

    def present(self, slow: bool) -> None:
        if self.broken:
            raise ValueError("a widget failed")
        self.frames.append((self._scheduler.time, slow))


class Bench:
    def __init__(self, cost_s: float = 0.0) -> None:
        self.scheduler = FakeScheduler()
        self.presenter = FakePresenter(self.scheduler, cost_s)
        self.mailbox = Mailbox()
        self.slot = FrameSlot(bound_s=0.0)
        self.errors: list[Exception] = []
        self.timer = FrameTimer(self.mailbox, self.slot, self.presenter, self.scheduler, self.errors.append)
        self.timer.start()

    def emit(self, events: int = 1) -> None:
        for _ in range(events):
            self.mailbox.emit(ev.Notice("something"))

    @property
    def frames(self) -> int:
        return len(self.presenter.frames)

    def quiet(self) -> None:
        """Let everything that is left over be drawn."""
        self.scheduler.run_for(2 * CHARTS_S)


def test_frames_without_news_are_skipped() -> None:
    bench = Bench()
    bench.quiet()
    drawn, skipped = bench.frames, bench.timer.figures.skipped
    bench.scheduler.run_for(1.0)
    assert bench.frames == drawn
    assert bench.timer.figures.skipped == pytest.approx(skipped + 24, abs=1)


def test_news_are_drawn_at_most_24_times_a_second() -> None:
    bench = Bench()
    for _ in range(1000):
        bench.emit()
        bench.scheduler.run_for(0.001)
    assert 22 <= bench.frames <= 25
    assert len(bench.presenter.reduced) + len(bench.mailbox) == 1000


def test_while_the_engine_steps_a_frame_waits_for_its_slot() -> None:
    bench = Bench()
    bench.quiet()
    bench.slot.stepping(True)
    bench.emit()
    drawn = bench.frames
    bench.scheduler.run_for(5 * FRAME_S)
    assert bench.frames == drawn
    bench.slot.offer()
    bench.scheduler.run_for(0.0)
    assert bench.frames == drawn + 1


def test_a_frame_tells_the_engine_that_it_is_drawn_even_when_it_fails() -> None:
    bench = Bench()
    bench.slot.stepping(True)
    told: list[bool] = []
    bench.slot.drawn = lambda: told.append(True)  # type: ignore[method-assign]
    bench.presenter.broken = True
    bench.emit()
    bench.scheduler.run_for(2 * FRAME_S)
    bench.slot.offer()
    bench.scheduler.run_for(0.0)
    assert told == [True]
    assert [str(error) for error in bench.errors] == ["a widget failed"]


def test_nothing_is_drawn_after_a_failure_or_a_stop() -> None:
    bench = Bench()
    bench.quiet()
    drawn = bench.frames
    bench.timer.stop()
    bench.emit()
    bench.timer.poke()
    bench.scheduler.run_for(1.0)
    assert bench.frames == drawn


def test_a_step_longer_than_the_patience_does_not_freeze_the_screen() -> None:
    bench = Bench()
    bench.quiet()
    bench.slot.stepping(True)
    bench.emit()
    drawn = bench.frames
    bench.scheduler.run_for(PATIENCE_S + 3 * FRAME_S)
    assert bench.frames == drawn + 1
    bench.slot.offer()
    bench.scheduler.run_for(0.0)
    assert bench.timer.idle or bench.frames == drawn + 2


def test_a_key_asks_for_its_frame_at_once() -> None:
    bench = Bench()
    bench.quiet()
    drawn = bench.frames
    bench.timer.poke()
    assert bench.frames == drawn + 1
    bench.slot.stepping(True)
    bench.timer.poke()
    bench.timer.poke()
    bench.slot.offer()
    bench.scheduler.run_for(0.0)
    assert bench.frames == drawn + 2


def test_charts_are_drawn_twice_a_second_and_catch_up_at_the_end() -> None:
    bench = Bench()
    bench.quiet()
    bench.presenter.frames.clear()
    for _ in range(300):
        bench.emit()
        bench.scheduler.run_for(0.01)
    bench.quiet()
    slow = [time for time, slow in bench.presenter.frames if slow]
    assert all(later - earlier >= CHARTS_S for earlier, later in pairwise(slow))
    assert 5 <= len(slow) <= 8
    assert bench.presenter.frames[-1][1]
    assert bench.timer.idle


def test_a_frame_stops_reducing_when_its_budget_is_spent_and_the_next_goes_on() -> None:
    bench = Bench(cost_s=0.0001)
    bench.quiet()
    bench.emit(1000)
    before = len(bench.presenter.reduced)
    bench.scheduler.run_for(FRAME_S)
    first = len(bench.presenter.reduced) - before
    assert bench.presenter.frames[-1][1], "it drew what changes slowly too"
    assert SLOW_BUDGET_S / 0.0001 <= first < BUDGET_S / 0.0001
    bench.scheduler.run_for(FRAME_S)
    second = len(bench.presenter.reduced) - before - first
    assert not bench.presenter.frames[-1][1]
    assert BUDGET_S / 0.0001 <= second < 200
    bench.scheduler.run_for(1.0)
    assert len(bench.presenter.reduced) - before == 1000
    assert max(bench.timer.figures.frame_s) < 0.020


def test_what_runs_on_the_clock_is_drawn_without_news() -> None:
    bench = Bench()
    bench.quiet()
    drawn = bench.frames
    bench.presenter.clocked = True
    bench.scheduler.run_for(3.0)
    assert 5 <= bench.frames - drawn <= 7


def test_lag_is_how_late_the_loop_comes() -> None:
    bench = Bench()
    bench.quiet()
    bench.timer.figures.lag_s.clear()
    bench.scheduler.time += 0.5
    bench.scheduler.run_for(1.0)
    figures = bench.timer.figures
    assert figures.lag_p99 == pytest.approx(0.5, abs=FRAME_S)
    assert figures.lag_p50 == pytest.approx(0.0, abs=1e-6)


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
    assert percentile(map(float, range(100)), 0.99) == 99.0
    assert percentile(map(float, range(100)), 0.5) == 50.0
