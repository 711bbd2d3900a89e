"""Throughput from lane clocks, and the naive meter that misjudges speculative decoding."""

from __future__ import annotations

from collections.abc import Iterable


def per_second(count: int, clock_ns: int) -> float | None:
    """``count`` per second of ``clock_ns``; None before any time has passed."""
    return count / clock_ns * 1e9 if clock_ns > 0 else None


class RateSeries:
    """Throughput over lane time in equal buckets. The number of buckets is limited: when it is reached, neighbours are
    merged and the bucket length doubles.

    A bucket's value is its tokens divided by its length: requests that share an engine step add tokens, but no time.
    """

    def __init__(self, bucket_ns: int = 250_000_000, limit: int = 240) -> None:
        self._bucket_ns = bucket_ns
        self._limit = limit
        self._tokens: list[float] = []

    def add(self, tokens: float, clock_ns: int) -> None:
        """Count ``tokens`` emitted by a step that ended at ``clock_ns`` of the round."""
        # In a damaged trace a step may come before its round.
        clock_ns = max(0, clock_ns)
        while clock_ns // self._bucket_ns >= self._limit:
            self._merge()
        bucket = clock_ns // self._bucket_ns
        self._tokens.extend([0] * (bucket + 1 - len(self._tokens)))
        self._tokens[bucket] += tokens

    def spread(self, tokens: int, first_ns: int, last_ns: int) -> None:
        """Spread ``tokens`` evenly over the stretch of lane time in which they are known to have come."""
        first_ns, stretch_ns = max(0, first_ns), last_ns - max(0, first_ns)
        self.add(0, last_ns)
        # A bucket that has ended does not change any more.
        bucket_ns, left = self._bucket_ns, float(tokens)
        if stretch_ns > 0:
            for bucket in range(first_ns // bucket_ns, last_ns // bucket_ns):
                share = tokens * ((bucket + 1) * bucket_ns - max(first_ns, bucket * bucket_ns)) / stretch_ns
                self._tokens[bucket] += share
                left -= share
        self.add(left, last_ns)

    def _merge(self) -> None:
        padded = self._tokens + [0] * (len(self._tokens) % 2)
        self._tokens = [a + b for a, b in zip(padded[::2], padded[1::2], strict=True)]
        self._bucket_ns *= 2

    def read(self) -> tuple[tuple[float, float], ...]:
        """Pairs of (lane time at the middle of a bucket in seconds, tok/s in it), without the bucket that is still
        filling."""
        seconds = self._bucket_ns / 1e9
        return tuple(((i + 0.5) * seconds, tokens / seconds) for i, tokens in enumerate(self._tokens[:-1]))


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which ``share`` of ``values`` lie (nearest rank); None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
