"""One repetition of one cell of a benchmark: prompts through a lane, so many in flight, timed from first to last."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spectui.core.bench.matrix import Variant
from spectui.core.bench.records import PieceRecord, RequestRecord
from spectui.core.disturbance import DOUBTFUL
from spectui.core.traffic import TrafficMeter
from spectui.protocol.events import Event, FinishReason, RequestFinished, RequestStarted, Sampling, Step
from spectui.protocol.samples import LaneMemory
from spectui.sources.vllm.lane import Lane
from spectui.standstill import awake_ns

Energy = Callable[[], float | None]
"""Returns the joules that the GPU has used since some moment; None if that is not known."""


@dataclass(slots=True)
class _Request:
    """A request so far; times are those of the piece's own clock."""

    prompt: int
    prompt_tokens: int
    started_ns: int
    tokens: int = 0
    first_ns: int | None = None
    last_ns: int = 0
    chunks: int = 0
    drafts: int = 0
    drafted: int = 0
    accepted: int = 0
    reason: FinishReason = "error"

    def record(self) -> RequestRecord:
        return RequestRecord(
            prompt=self.prompt,
            prompt_tokens=self.prompt_tokens,
            tokens=self.tokens,
            first_ns=None if self.first_ns is None else self.first_ns - self.started_ns,
            wall_ns=self.last_ns - self.started_ns,
            chunks=self.chunks,
            drafts=self.drafts,
            drafted=self.drafted,
            accepted=self.accepted,
            reason=self.reason,
        )


class BenchPiece:
    """Sends prompts through an idle lane, one engine step at a time, always so many in flight until none are left.

    Its clock runs while it hands requests to the engine and takes steps, and stands still between two calls of `step`.

    Attributes:
        over: Whether all requests have ended; the lane is idle again.
    """

    def __init__(
        self,
        lane: Lane,
        variant: Variant,
        prompts: Sequence[tuple[int, Sequence[int]]],
        *,
        concurrency: int,
        sampling: Sampling,
        memory: LaneMemory | None = None,
        energy: Energy = lambda: None,
        keep: Callable[[Event], None] | None = None,
    ) -> None:
        """Hand the first requests to the engine.

        Args:
            lane: An idle lane, whose K is set.
            variant: What is measured.
            prompts: Each prompt's number in its category, and its ids.
            concurrency: Requests in flight.
            sampling: How to sample.
            memory: What the lane holds in memory, for the bytes that its steps read; None if that is not known.
            energy: Reads the GPU's energy.
            keep: Receives the events of the lane.
        """
        self._lane = lane
        self._variant = variant
        self._sampling = sampling
        self._memory = memory
        self._energy = energy
        self._keep = keep
        self._waiting = deque(enumerate(prompts))
        self._requests: list[_Request] = []
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._traffic = TrafficMeter()
        self._clock_began = lane.clock_ns
        self._steps_began = lane.engine_steps
        self._wall_ns = self._disturbed_ns = 0
        self._draft_ns = self._verify_ns = 0
        self._timed = self._drafting_timed = True
        self.over = False
        self._energy_began = energy()
        began = awake_ns()
        for _ in range(min(concurrency, len(self._waiting))):
            self._add(0)
        self._wall_ns += awake_ns() - began

    def _add(self, now_ns: int) -> None:
        slot, (number, ids) = self._waiting.popleft()
        self._requests.append(_Request(number, len(ids), now_ns))
        name = f"bench-{slot}"
        self._lane.add(name, slot, ids, self._sampling)
        if self._keep is not None:
            self._keep(RequestStarted(self._lane.info.name, name, slot, len(ids), prompt_ids=tuple(ids)))

    def step(self) -> None:
        """Take one engine step; requests that end are followed by the next ones at once."""
        began = awake_ns()
        clock_ns = self._lane.clock_ns
        events = self._lane.step()
        step_ns = self._lane.clock_ns - clock_ns
        now_ns = self._wall_ns + awake_ns() - began
        self._count_engine_step([event for event in events if isinstance(event, Step)], step_ns)
        for event in events:
            if isinstance(event, Step):
                self._count(event, now_ns)
            elif isinstance(event, RequestFinished):
                self._requests[event.slot].reason = event.reason
            if self._keep is not None:
                self._keep(event)
            if isinstance(event, RequestFinished) and self._waiting:
                self._add(now_ns)
        self._wall_ns += awake_ns() - began
        self.over = not self._lane.running
        if self.over:
            # An asynchronous engine may have begun one step more; its idle time until the next piece is nobody's.
            self._lane.abort()

    def _count_engine_step(self, steps: Sequence[Step], step_ns: int) -> None:
        """Count an engine step; it has no ``steps`` of requests while it only reads a part of a long prompt."""
        draft_ns, verify_ns = self._lane.draft_ns, self._lane.verify_ns
        self._disturbed_ns += step_ns if self._lane.disturbed else 0
        self._timed &= verify_ns is not None or not steps
        self._verify_ns += verify_ns or 0
        self._drafting_timed &= draft_ns is not None or not any(step.drafted for step in steps)
        self._draft_ns += draft_ns or 0

    def _count(self, step: Step, now_ns: int) -> None:
        request = self._requests[step.slot]
        if self._memory is not None:
            self._traffic.add(step, request.prompt_tokens + request.tokens, self._memory)
        if step.emitted:
            request.chunks += 1
            request.first_ns = now_ns if request.first_ns is None else request.first_ns
            request.last_ns = now_ns
        request.tokens += len(step.emitted)
        if step.drafted:
            request.drafts += 1
            request.drafted += len(step.drafted)
            request.accepted += step.accepted
            self._pairs[len(step.drafted), step.accepted] += 1

    def run(self) -> PieceRecord:
        """Take every step, for a caller that has nothing to do in between; returns what was measured."""
        while not self.over:
            self.step()
        return self.record()

    def record(self) -> PieceRecord:
        """What was measured; the lane's disagreements with vLLM's counts are taken from it."""
        clock_ns = self._lane.clock_ns - self._clock_began
        traffic = self._traffic.read()
        energy, began = self._energy(), self._energy_began
        disagreements = tuple(counts.sentence for counts in self._lane.disagreements)
        self._lane.disagreements.clear()
        drafting = bool(self._pairs or self._draft_ns)
        return PieceRecord(
            variant=self._variant.name,
            requests=tuple(request.record() for request in self._requests),
            wall_ns=self._wall_ns,
            clock_ns=clock_ns,
            engine_steps=self._lane.engine_steps - self._steps_began,
            draft_ns=self._draft_ns if drafting and self._drafting_timed else None,
            verify_ns=self._verify_ns if self._timed else None,
            pairs=tuple((*pair, steps) for pair, steps in sorted(self._pairs.items())),
            disturbed=self._disturbed_ns > DOUBTFUL * clock_ns,
            read_bytes=None if traffic is None else traffic.per_second * clock_ns / 1e9,
            energy_j=None if energy is None or began is None else energy - began,
            disagreements=disagreements,
        )
