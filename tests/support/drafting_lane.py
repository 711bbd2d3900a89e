"""A lane whose speed and acceptance are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from spectui.protocol.events import Event, Own, RequestFinished, Sampling, Step
from tests.support.fake_lanes import FakeLane

MS = 1_000_000
ACCEPTED = 3


class DraftingLane(FakeLane):
    """Keeps ``accepts`` of its drafts at most. A step takes 8 ms, drafting 2 more, and each draft another one.

    32 tokens take AR 32 x 8 ms, and 8 x 13 ms at K = 3, which is the best K: 125.0 and 307.7 tok/s.
    """

    accepts = ACCEPTED
    waits = SimpleNamespace(begin=lambda: None)

    def disturbs(self, wall_ns: int) -> bool:
        return wall_ns > 1_000 * MS

    def step_ns(self) -> int:
        return 8 * MS + (2 * MS + self.k * MS if self.info.k_max else 0)

    def says(self, before: int, count: int) -> tuple[int, ...]:
        return (self._token,) * count

    def step(self) -> list[Event]:
        self._count("step")
        self.clock_ns += self.step_ns()
        self.engine_steps += 1
        self.own_ns += self.step_ns() // 100
        events: list[Event] = []
        for request in list(self._requests.values()):
            accepted = min(self.k, self.accepts)
            count = min(accepted + 1, self._sampling.max_tokens - len(request.ids))
            cut = accepted + 1 - count
            drafted, ids = (1,) * self.k, self.says(len(request.ids), count)
            own: Own | None = None if cut else "bonus" if accepted == self.k else "recovered"
            request.ids.extend(ids)
            events.append(
                Step(
                    self.info.name, request.request, request.slot, request.steps, self.k, drafted, accepted, ids,
                    (1,) * cut, own, "length" if cut else None, ("x",) * (accepted + 1), ("x",) * self.k,
                    len(self._requests), self.step_ns(), self.clock_ns,
                )
            )  # fmt: skip
            request.steps += 1
            if len(request.ids) >= self._sampling.max_tokens:
                del self._requests[request.request]
                events.append(
                    RequestFinished(self.info.name, request.request, request.slot, "length", len(request.ids))
                )
        self.steer(events, self.step_ns(), disturbed=False)
        return events

    @contextmanager
    def untapped(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Iterator[Callable[[], Any]]:
        """One token of each prompt a step."""
        left = iter(range(sampling.max_tokens))
        one = SimpleNamespace(outputs=[SimpleNamespace(token_ids=[1])])
        yield lambda: None if next(left, None) is None else [one] * len(prompts)


class SpeakingLane(DraftingLane):
    """The same with an answer that does not repeat itself, and that is equal in every lane."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.max_model_len = 1 << 16
        self.tokenizer.decode = lambda ids, skip_special_tokens: " ".join(map(str, ids))

    def says(self, before: int, count: int) -> tuple[int, ...]:
        return tuple(range(before, before + count))
