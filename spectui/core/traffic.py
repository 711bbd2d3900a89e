"""How many bytes a lane's steps must read at least, and how near that comes to what the memory can give.

Speculative decoding is a bet on memory bandwidth: a forward pass of the target reads every weight once, for one token
or for K + 1. The estimate counts weights and the key and value cache, each read once a pass; activations, and caches
that the processor keeps, are left out. Model bandwidth utilisation (MBU) is that rate over the device's peak
(Databricks, "LLM inference performance engineering", 2023). Without counters it is an estimate, and the screen says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from spectui.core.rates import per_second
from spectui.events import Step
from spectui.samples import LaneMemory

RECENT_STEPS = 40
"""Engine steps that the recent rate is taken over: about a second on a laptop."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a lane's steps of a round have to read.

    Attributes:
        step_bytes: Bytes that an engine step reads, on average.
        per_second: Those bytes over the lane time of the steps.
        recent: The same over the last `RECENT_STEPS` engine steps.
        tokens_per_step: Emitted tokens of an engine step, on average.
    """

    step_bytes: float
    per_second: float
    recent: float
    tokens_per_step: float

    def utilisation(self, peak: float | None) -> float | None:
        """MBU: the share of ``peak`` (bytes per second) that the estimate comes to; None without a peak."""
        return self.per_second / peak if peak else None

    def ceiling(self, peak: float | None) -> float | None:
        """Tokens per second if nothing but ``peak`` held the lane back: peak / bytes per step x tokens per step."""
        return peak / self.step_bytes * self.tokens_per_step if peak and self.step_bytes else None


def experts_read(experts: int, active: int, tokens: int) -> float:
    """Expected share of a layer's experts that ``tokens`` tokens go through, each through ``active`` of ``experts``.

    With independent and even routing a given expert is left out by a token with probability 1 - active / experts, so
    that 1 - (1 - active / experts) ** tokens of them are read; real routers are less even and read fewer.
    """
    return 1.0 - (1.0 - active / experts) ** tokens if experts else 0.0


def pass_bytes(memory: LaneMemory, rows: int, drafted: int, context: int) -> float | None:
    """Bytes that one engine step reads; None where the lane's weights are not known.

    Args:
        memory: What the lane's engine holds.
        rows: Tokens that the target's forward pass computes: drafted ones and one more for each request.
        drafted: Tokens that the drafter proposed for a request.
        context: Tokens in the cache, of all requests together.
    """
    if memory.target_read is None or memory.kv_token_bytes is None or memory.draft_read is None:
        return None
    passes = min(drafted, 1) if memory.draft_parallel else drafted
    experts = memory.expert_bytes * experts_read(memory.experts, memory.experts_active, rows)
    return memory.target_read + experts + memory.kv_token_bytes * context + memory.draft_read * passes


class TrafficMeter:
    """Adds up what the engine steps of one lane and one round have read.

    The requests of an engine step come one by one; it counts once the next engine step begins.
    """

    def __init__(self) -> None:
        self._clock_ns = -1
        self._wall_ns = 0
        self._rows = self._drafted = self._context = self._emitted = 0
        self._bytes = 0.0
        self._steps = self._time_ns = self._tokens = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_STEPS)

    def add(self, step: Step, context: int, memory: LaneMemory) -> None:
        """Count one request's share of an engine step; ``context`` is what its cache held before the step."""
        if step.clock_ns != self._clock_ns:
            self._close(memory)
            self._clock_ns, self._wall_ns = step.clock_ns, step.wall_ns
            self._rows = self._drafted = self._context = self._emitted = 0
        self._rows += len(step.drafted) + 1
        self._drafted = max(self._drafted, len(step.drafted))
        self._context += context
        self._emitted += len(step.emitted)

    def _close(self, memory: LaneMemory) -> None:
        if not self._rows:
            return
        read = pass_bytes(memory, self._rows, self._drafted, self._context)
        if read is None:
            return
        self._bytes += read
        self._steps += 1
        self._time_ns += self._wall_ns
        self._tokens += self._emitted
        self._recent.append((read, self._wall_ns))

    def read(self) -> Traffic | None:
        """None before the second engine step of the round."""
        overall = per_second(1, self._time_ns)
        recent_ns = sum(ns for _, ns in self._recent)
        if overall is None or not recent_ns:
            return None
        return Traffic(
            step_bytes=self._bytes / self._steps,
            per_second=self._bytes * overall,
            recent=sum(read for read, _ in self._recent) / recent_ns * 1e9,
            tokens_per_step=self._tokens / self._steps,
        )
