"""How many bytes a lane's steps must read at least, and how close that comes to the memory's peak.

Speculative decoding is a bet on memory bandwidth: a forward pass of the target reads every weight once, whether for one
token or for K + 1. The estimate counts the weights and the part of the cache that attention reaches
(`spectui.core.kv_cache`), each read once per pass; it leaves out activations, and reads that the processor's own caches
serve. Model bandwidth utilisation (MBU) is that rate divided by the device's peak (Databricks, "LLM inference
performance engineering", 2023). Without hardware counters it is an estimate, and the screen says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from spectui.core.kv_cache import cache_traffic
from spectui.core.rates import per_second
from spectui.protocol.events import AnyStep
from spectui.protocol.samples import LaneMemory

RECENT_STEPS = 40
"""Engine steps that the recent rate covers: about a second on a laptop."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a lane's steps in one round have to read.

    Attributes:
        step_bytes: Bytes that an engine step reads, on average.
        per_second: Those bytes divided by the lane time of the steps.
        recent: The same over the last `RECENT_STEPS` engine steps.
        tokens_per_step: Tokens that an engine step emits, on average.
    """

    step_bytes: float
    per_second: float
    recent: float
    tokens_per_step: float

    def utilisation(self, peak: float | None) -> float | None:
        """MBU: the estimate as a share of ``peak`` (bytes per second); None without a peak."""
        return self.per_second / peak if peak else None

    def ceiling(self, peak: float | None) -> float | None:
        """Tokens per second if only ``peak`` limited the lane: peak / bytes per step x tokens per step."""
        return peak / self.step_bytes * self.tokens_per_step if peak and self.step_bytes else None


def experts_read(experts: int, active: int, tokens: int) -> float:
    """Expected share of a layer's experts that ``tokens`` tokens use, each passing through ``active`` of ``experts``.

    With independent, even routing a token skips a given expert with probability 1 - active / experts, so the share is 1
    - (1 - active / experts) ** tokens. Real routers are less even and read fewer.
    """
    return 1.0 - (1.0 - active / experts) ** tokens if experts else 0.0


def step_bytes(memory: LaneMemory, contexts: Sequence[int], rows: int, k: int) -> float | None:
    """Bytes that one engine step reads: a pass of the target, then the drafter's passes for the next step's drafts.

    If the model is split among GPUs, it is what each of them reads on average, since each has a memory of its own.

    ::

        target   weights + experts(rows) + cache of the target's layers
        drafter  passes x (weights + cache of the drafter's layers) + experts(rows) + (passes - 1) x experts(requests)

    A drafter that takes one pass per token takes ``k`` passes: the first covers what the target has just computed, the
    others one token of each request. A drafter that drafts in parallel takes a single pass over k + 1 tokens of each
    request. Even at K = 0 vLLM runs the first pass, to keep the drafter's cache up to date, and stops before the output
    matrix (``SpecDecodeBaseProposer.propose`` in ``vllm/v1/spec_decode/llm_base_proposer.py``).

    For example, take a target of 900 bytes with 2 bytes of cache per token, a drafter of 50 bytes, 30 of them its
    output matrix, and one request with 10 tokens: K = 3 reads 900 + 20 + 3 x 50 = 1,070; K = 0 reads 900 + 20 + 20 =
    940.

    Args:
        memory: What the lane's engine holds.
        contexts: Tokens that each request of the step has in the cache.
        rows: Tokens that the target's pass computes: the drafted ones and one more for each request.
        k: Tokens that may be drafted.

    Returns:
        None if the size of the lane's weights, or how its layers use the cache, is not known.
    """
    if memory.target_read is None:
        return None
    cache = cache_traffic(memory, contexts, rows, drafter=False)
    drafting = _drafting_bytes(memory, contexts, rows, k)
    if cache is None or drafting is None:
        return None
    experts = memory.expert_bytes * experts_read(memory.experts, memory.experts_active, rows)
    return (memory.target_read + experts + cache + drafting) / memory.devices


def _drafting_bytes(memory: LaneMemory, contexts: Sequence[int], rows: int, k: int) -> float | None:
    if memory.draft_read == 0:
        return 0.0
    requests = len(contexts)
    passes = 1 if memory.draft_parallel else max(k, 1)
    first_rows = requests * (k + 1) if memory.draft_parallel else rows
    unread = 0 if k else memory.draft_output
    first = cache_traffic(memory, contexts, first_rows, drafter=True)
    others = cache_traffic(memory, contexts, requests, drafter=True)
    if memory.draft_read is None or unread is None or first is None or others is None:
        return None
    experts = _draft_experts(memory, first_rows) + (passes - 1) * _draft_experts(memory, requests)
    return memory.draft_read * passes - unread + experts + first + (passes - 1) * others


def _draft_experts(memory: LaneMemory, tokens: int) -> float:
    return memory.draft_expert_bytes * experts_read(memory.draft_experts, memory.draft_experts_active, tokens)


class TrafficMeter:
    """Adds up what the engine steps of one lane in one round have read.

    The requests of an engine step arrive one by one; the step counts once the next one begins.
    """

    def __init__(self) -> None:
        self._clock_ns = -1
        self._wall_ns = 0
        self._contexts: list[int] = []
        self._rows = self._k = self._emitted = 0
        self._bytes = 0.0
        self._steps = self._time_ns = self._tokens = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_STEPS)

    def add(self, step: AnyStep, context: int, memory: LaneMemory) -> None:
        """Count one request's share of an engine step; ``context`` is the number of tokens in its cache before the
        step."""
        if step.clock_ns != self._clock_ns:
            self._close(memory)
            self._clock_ns, self._wall_ns = step.clock_ns, step.wall_ns
            self._contexts = []
            self._rows = self._k = self._emitted = 0
        self._contexts.append(context)
        self._rows += step.drafted_count + 1
        self._k = max(self._k, step.k)
        self._emitted += step.emitted_count

    def _close(self, memory: LaneMemory) -> None:
        if not self._rows:
            return
        read = step_bytes(memory, self._contexts, self._rows, self._k)
        if read is None:
            return
        self._bytes += read
        self._steps += 1
        self._time_ns += self._wall_ns
        self._tokens += self._emitted
        self._recent.append((read, self._wall_ns))

    def read(self) -> Traffic | None:
        """The traffic so far; None before the round's second engine step."""
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
