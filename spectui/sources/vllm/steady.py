"""One measurement: runs prompts through a lane with a constant number of requests in flight.

If requests begin together and the batch drains at the end, much of the measurement has a smaller batch, and speculation
looks better or worse than with a steady number in flight. So the measured requests have others before, beside and after
them: the first ones get staggered lengths, each request that ends is followed by another, and the measurement ends with
the last measured request. A step's time is shared among the requests in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spectui.core.disturbance import DOUBTFUL
from spectui.core.tuner import Generation
from spectui.protocol.events import RequestFinished, Sampling, Step
from spectui.sources.vllm.lane import Lane

Numbered = tuple[int, Sequence[int]]
"""A prompt's number and its ids."""


@dataclass(slots=True)
class _Share:
    """A request's totals so far."""

    tokens: int = 0
    time_ns: float = 0.0
    steps: int = 0


class Piece:
    """One measurement of an idle lane, one engine step at a time.

    Attributes:
        over: Whether the measurement has ended; the lane is idle again.
        time_ns: Time of all its engine steps so far.
    """

    def __init__(self, lane: Lane, prompts: Sequence[Numbered], *, sampling: Sampling, tokens: int) -> None:
        """Queue the first requests.

        Args:
            lane: An idle lane, whose K is set.
            prompts: The prompts to generate from, as many as there are to be requests in flight.
            sampling: How to sample; its length is replaced.
            tokens: Tokens that each request generates.
        """
        self._lane = lane
        self._prompts = prompts
        self._sampling = replace(sampling, max_tokens=tokens, ignore_eos=True, stop=())
        # A request that is alone needs no others around it.
        self._first = 0 if len(prompts) == 1 else len(prompts)
        self._left = len(prompts)
        self._shares: list[_Share] = []
        self._unshared_ns = 0
        self.time_ns = self._disturbed_ns = 0
        self.over = False
        for place in range(len(prompts)):
            self._add(-(-tokens * (place + 1) // len(prompts)))

    def _add(self, tokens: int) -> None:
        slot = len(self._shares)
        _, ids = self._prompts[slot % len(self._prompts)]
        self._shares.append(_Share())
        self._lane.add(f"piece-{slot}", slot, ids, replace(self._sampling, max_tokens=tokens))

    def _measures(self, slot: int) -> bool:
        return self._first <= slot < self._first + len(self._prompts)

    def step(self) -> tuple[list[Step], int]:
        """Take one engine step; returns the measured requests' shares in it, and its time in nanoseconds."""
        before = self._lane.clock_ns
        events = self._lane.step()
        steps = [event for event in events if isinstance(event, Step)]
        # A step that only read part of a long prompt is counted with the next one.
        wall_ns = self._lane.clock_ns - before
        self.time_ns += wall_ns
        self._disturbed_ns += wall_ns if any(step.disturbed for step in steps) else 0
        self._unshared_ns += wall_ns
        time_ns = 0
        if steps:
            time_ns, self._unshared_ns = self._unshared_ns, 0
        for step in steps:
            share = self._shares[step.slot]
            # What the measurement's length cuts off was verified, and a longer answer would have included it.
            share.tokens += len(step.emitted) + len(step.cut)
            share.steps += 1
            share.time_ns += time_ns / len(steps)
        self._follow([event.slot for event in events if isinstance(event, RequestFinished)])
        measured = [step for step in steps if self._measures(step.slot)]
        return measured, time_ns if measured else 0

    @property
    def disturbed(self) -> bool:
        """Whether other programs disturbed the measurement."""
        return self._disturbed_ns > DOUBTFUL * self.time_ns

    def _follow(self, ended: Sequence[int]) -> None:
        self._left -= sum(map(self._measures, ended))
        if not self._left:
            self._lane.abort()
            self.over = True
            return
        for _ in ended:
            self._add(self._sampling.max_tokens)

    def generations(self) -> list[tuple[int, Generation]]:
        """For each measured request the prompt's number, and its tokens, seconds and steps."""
        shares = self._shares[self._first : self._first + len(self._prompts)]
        return [
            (number, (share.tokens, share.time_ns / 1e9, share.steps))
            for (number, _), share in zip(self._prompts, shares, strict=True)
        ]
