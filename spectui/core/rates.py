"""Throughput from lane clocks, and the meter that gets speculative decoding wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


def per_second(count: int, clock_ns: int) -> float | None:
    """``count`` per second of ``clock_ns``; None before any time has passed."""
    return count / clock_ns * 1e9 if clock_ns > 0 else None


class SlidingRate:
    """Tokens per second over the last ``window_ns`` of a lane clock."""

    def __init__(self, window_ns: int = 2_000_000_000) -> None:
        self._window_ns = window_ns
        self._steps: deque[tuple[int, int]] = deque()
        self._tokens = 0

    def add(self, tokens: int, clock_ns: int) -> None:
        """Count ``tokens`` emitted by a step that ended at ``clock_ns``."""
        self._steps.append((clock_ns, tokens))
        self._tokens += tokens
        while self._steps[0][0] < clock_ns - self._window_ns:
            self._tokens -= self._steps.popleft()[1]

    def read(self) -> float | None:
        """None until two steps with different ends are inside the window."""
        if len(self._steps) < 2 or self._steps[-1][0] == self._steps[0][0]:
            return None
        first_clock, first_tokens = self._steps[0]
        return per_second(self._tokens - first_tokens, self._steps[-1][0] - first_clock)


class RateSeries:
    """Throughput over lane time in equal buckets, bounded: when full, neighbours merge and the bucket doubles."""

    def __init__(self, bucket_ns: int = 250_000_000, limit: int = 240) -> None:
        self._bucket_ns = bucket_ns
        self._limit = limit
        self._tokens: list[int] = []

    def add(self, tokens: int, clock_ns: int) -> None:
        """Count ``tokens`` emitted by a step that ended at ``clock_ns`` of the round."""
        # In a damaged trace a step may lie before its round.
        clock_ns = max(0, clock_ns)
        while clock_ns // self._bucket_ns >= self._limit:
            self._merge()
        bucket = clock_ns // self._bucket_ns
        self._tokens.extend([0] * (bucket + 1 - len(self._tokens)))
        self._tokens[bucket] += tokens

    def _merge(self) -> None:
        padded = self._tokens + [0] * (len(self._tokens) % 2)
        self._tokens = [a + b for a, b in zip(padded[::2], padded[1::2], strict=True)]
        self._bucket_ns *= 2

    def read(self) -> tuple[tuple[float, float], ...]:
        """(seconds of lane time at the middle of a bucket, tok/s in it), without the bucket that is still filling."""
        seconds = self._bucket_ns / 1e9
        return tuple(((i + 0.5) * seconds, tokens / seconds) for i, tokens in enumerate(self._tokens[:-1]))


class ChunkMeter:
    """The naive meter: one count a stream chunk, as clients do that take a chunk for a token.

    Speculative decoding emits several tokens a chunk, so this under-reports it by up to K+1. Shown beside the true
    figure as a lesson, never used.
    """

    def __init__(self) -> None:
        self.chunks = 0

    def add(self, tokens: int) -> None:
        self.chunks += tokens > 0


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which ``share`` of ``values`` lie (nearest rank); None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
