"""Throughput in wall time, step times and differences of counters: figures over the last seconds of one server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spectui.core.rates import per_second
from spectui.protocol.events import CounterSample

SPEED_NS = 5_000_000_000
"""Wall time over which throughput is taken."""

COUNTERS_NS = 10_000_000_000
"""Wall time over which counters are compared."""

MOST_POINTS = 64
"""Moments that are kept, should they come faster than expected."""

TIMED_STEPS = 200
"""Engine steps over which their times are averaged."""


@dataclass(slots=True)
class WallRate:
    """Emitted tokens per second of wall time, from what was counted at moments of the server's clock."""

    _points: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MOST_POINTS))

    def add(self, at_ns: int, emitted: int) -> None:
        """Count ``emitted`` tokens up to that moment; an earlier moment than the last means another clock."""
        if self._points and at_ns <= self._points[-1][0]:
            self._points.clear()
        self._points.append((at_ns, emitted))
        while len(self._points) > 2 and at_ns - self._points[1][0] >= SPEED_NS:
            self._points.popleft()

    def clear(self) -> None:
        """Forget everything: the server was away."""
        self._points.clear()

    def read(self) -> float | None:
        """Tokens per second; None before the second moment."""
        if len(self._points) < 2:
            return None
        (first_ns, first), (last_ns, last) = self._points[0], self._points[-1]
        return per_second(last - first, last_ns - first_ns)


@dataclass(slots=True)
class StepTimes:
    """Times of the last engine steps: whole, in the drafter, in the target's forward pass."""

    _steps: deque[tuple[int, int | None, int | None]] = field(default_factory=lambda: deque(maxlen=TIMED_STEPS))

    def add(self, wall_ns: int, draft_ns: int | None, verify_ns: int | None) -> None:
        """Count an engine step; ``draft_ns`` is None without a draft, ``verify_ns`` if parts are not measured."""
        self._steps.append((wall_ns, draft_ns, verify_ns))

    def clear(self) -> None:
        """Forget everything: it is another server."""
        self._steps.clear()

    def read(self) -> TimeSums:
        """Their sums."""
        timed = all(verify is not None for _, _, verify in self._steps)
        return TimeSums(
            len(self._steps),
            sum(wall for wall, _, _ in self._steps),
            sum(draft or 0 for _, draft, _ in self._steps) if timed else None,
            sum(verify or 0 for _, _, verify in self._steps) if timed else None,
        )


@dataclass(frozen=True, slots=True)
class TimeSums:
    """Sums over ``steps`` engine steps in nanoseconds; None for parts that are not measured."""

    steps: int = 0
    wall_ns: int = 0
    draft_ns: int | None = 0
    verify_ns: int | None = 0

    def plus(self, other: TimeSums) -> TimeSums:
        """Add ``other``; parts are known if they are known of both."""
        return TimeSums(
            self.steps + other.steps,
            self.wall_ns + other.wall_ns,
            None if self.draft_ns is None or other.draft_ns is None else self.draft_ns + other.draft_ns,
            None if self.verify_ns is None or other.verify_ns is None else self.verify_ns + other.verify_ns,
        )

    def mean_ms(self, total_ns: int | None) -> float | None:
        """A total as milliseconds per engine step; None if it is unknown, or there was no step."""
        return None if total_ns is None or not self.steps else total_ns / self.steps / 1e6


@dataclass(slots=True)
class CounterMeter:
    """What the counters of one server say.

    Attributes:
        last: The newest sample.
        drafts: Steps that had a draft since the first sample, over all starts of the server; None if it does not count
            them, like the following.
        drafted: Drafted tokens since then.
        accepted: Accepted ones.
        kept: How often each position was accepted since then; empty if it does not count that.
        emitted: Completion tokens since then.
        start_ns: When the first sample of the round was taken.
    """

    last: CounterSample | None = None
    drafts: int | None = None
    drafted: int | None = None
    accepted: int | None = None
    kept: tuple[int, ...] = ()
    emitted: int | None = None
    start_ns: int | None = None
    _known: CounterSample = field(default_factory=lambda: CounterSample("", 0))
    _samples: deque[CounterSample] = field(default_factory=lambda: deque(maxlen=MOST_POINTS))

    def add(self, sample: CounterSample) -> None:
        """Take in a sample."""
        before, self.last = self.last, sample
        if self.start_ns is None:
            self.start_ns = sample.at_ns
        first = sample if before is None else self._known
        self._known = _known(first, sample)
        self.drafts = _more(self.drafts, first.drafts, sample.drafts)
        self.drafted = _more(self.drafted, first.drafted, sample.drafted)
        self.accepted = _more(self.accepted, first.accepted, sample.accepted)
        self.emitted = _more(self.emitted, first.emitted, sample.emitted)
        if len(sample.accepted_at) == len(first.accepted_at):
            kept = self.kept or (0,) * len(sample.accepted_at)
            grown = zip(kept, first.accepted_at, sample.accepted_at, strict=False)
            self.kept = tuple(_more(*one) or 0 for one in grown)
        if before is not None and sample.at_ns == before.at_ns:
            return  # Its figures are those of before; only the count of answers that made no sense is new.
        if before is not None and (_began_again(before, sample) or sample.at_ns < before.at_ns):
            self._samples.clear()
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.at_ns - self._samples[1].at_ns >= COUNTERS_NS:
            self._samples.popleft()

    def clear(self) -> None:
        """Compare with no earlier sample: the server was away."""
        self._samples.clear()

    def restart(self) -> None:
        """Begin a round."""
        self.start_ns = None if self.last is None else self.last.at_ns

    @property
    def elapsed_ns(self) -> int:
        """Time since the first sample of the round."""
        return 0 if self.last is None or self.start_ns is None else max(0, self.last.at_ns - self.start_ns)

    def grown(self, read: Callable[[CounterSample], int | None]) -> int | None:
        """How much a counter grew over the last seconds; None if it is unknown."""
        if len(self._samples) < 2:
            return None
        first, last = read(self._samples[0]), read(self._samples[-1])
        return None if first is None or last is None else last - first

    def accepted_at(self) -> tuple[int, ...]:
        """How often each position was accepted over the last seconds; empty if unknown."""
        if len(self._samples) < 2:
            return ()
        first, last = self._samples[0].accepted_at, self._samples[-1].accepted_at
        return tuple(b - a for a, b in zip(first, last, strict=True)) if len(first) == len(last) else ()

    def tok_s(self) -> float | None:
        """Completion tokens per second: as the server states it, or else as it counted over the last seconds."""
        if self.last is None or self.last.tok_s is not None:
            return None if self.last is None else self.last.tok_s
        tokens = self.grown(lambda sample: sample.emitted)
        return None if tokens is None else per_second(tokens, self._samples[-1].at_ns - self._samples[0].at_ns)


def _known(before: CounterSample, now: CounterSample) -> CounterSample:
    """``now``, with what it leaves out as it was ``before``: a server may not give a counter every time."""
    left_out = {
        name: getattr(before, name)
        for name in ("drafts", "drafted", "accepted", "emitted")
        if getattr(now, name) is None
    }
    return replace(now, accepted_at=now.accepted_at or before.accepted_at, **left_out)


def _more(total: int | None, before: int | None, now: int | None) -> int | None:
    """A total with what a counter grew by since it was ``before``. If it is smaller, the server began again, and all of
    it is new."""
    if now is None:
        return total
    return (total or 0) + (now - before if before is not None and now >= before else now)


def _began_again(before: CounterSample, sample: CounterSample) -> bool:
    """Whether a counter is smaller than it was, or is another one."""
    counters = zip(_counters(before), _counters(sample), strict=True)
    shrunk = any(a is not None and (b is None or b < a) for a, b in counters)
    positions = zip(before.accepted_at, sample.accepted_at, strict=False)
    return shrunk or len(before.accepted_at) != len(sample.accepted_at) or any(b < a for a, b in positions)


def _counters(sample: CounterSample) -> tuple[int | None, ...]:
    return sample.drafts, sample.drafted, sample.accepted, sample.emitted, sample.prompt_tokens
