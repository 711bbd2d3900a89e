"""Lanes without an engine, for tests of what the engine thread does with lanes. Each of their methods can fail."""

from __future__ import annotations

import weakref
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.protocol.events import (
    NOTHING,
    Event,
    LaneEngine,
    LaneInfo,
    Prompt,
    RequestFinished,
    Sampling,
    Step,
    TokenVerdict,
)
from spectui.protocol.samples import LaneMemory
from spectui.sources.vllm import loading
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.host import EngineHost
from spectui.sources.vllm.lane_spec import LaneSpec, parse_lane_spec
from spectui.sources.vllm.sharing import ALONE, Borrowing
from spectui.sources.vllm.steering import Steered

STEP_NS = 10_000_000
EXAMPLES = (Prompt("one", "a"), Prompt("two", "a"), Prompt("three", "b"), Prompt("four", "c"))


@dataclass(eq=False)
class FakeRequest:
    request: str
    slot: int
    prompt_ids: list[int]
    ids: array[int] = field(default_factory=lambda: array("l"))
    steps: int = 0


class FakeLane(Steered):
    """Emits one token a step, its own number: greedy lanes part at once, so that margins are asked for.

    ``troubles`` counts, by (lane, method), how often the method works before it fails for good.
    """

    troubles: dict[tuple[str, str], int]
    trouble: type[BaseException] = RuntimeError
    made: weakref.WeakSet[FakeLane]
    closed: list[str]
    own_copy = ""
    alive = True
    shares_target = False
    engine_steps = 0
    draft_ns: int | None = None
    verify_ns: int | None = None
    disturbed = False

    def __init__(
        self, info: LaneInfo, spec: LaneSpec, target: str, engine_args: Mapping[str, Any], borrowing: Borrowing = ALONE
    ) -> None:
        self.info = info
        self.spec = spec
        self._calls: Counter[str] = Counter()
        self._count("build")
        self.tokenizer = SimpleNamespace(chat_template=None, encode=lambda text, **_: [ord(c) % 97 for c in text])
        self.max_model_len = 512
        self.clock_ns = self.own_ns = 0
        self.totals = NOTHING
        self.disagreements: list[Any] = []
        self._tap = SimpleNamespace(k=0)
        self.fixed_k = ""
        self.begin_k()
        self.checked: Any = None
        self.rendered: list[list[tuple[str, str]]] = []
        self._sampling = Sampling()
        self._requests: dict[str, FakeRequest] = {}
        self._token = sum(map(ord, info.name))
        self.made.add(self)

    def _count(self, method: str) -> None:
        self._calls[method] += 1
        if self._calls[method] > self.troubles.get((self.info.name, method), 1 << 30):
            raise self.trouble(f"{method} was told to fail")

    @property
    def ks(self) -> Sequence[int]:
        return (self.info.k_max,) if self.fixed_k else range(self.info.k_max + 1)

    @property
    def running(self) -> bool:
        return bool(self._requests)

    def render(self, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]) -> list[int]:
        self._count("render")
        self.rendered.append([(message["role"], message["content"]) for message in messages])
        return [ord(c) for message in messages for c in message["content"]]

    def unknown_arguments(self, template: str, arguments: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return {}

    def text(self, ids: Sequence[int], before: Sequence[int]) -> str:
        return "".join(f"<{token}>" for token in ids)

    def answer(self, request: FakeRequest) -> str:
        return f"{self.info.name} {len(request.ids)}"

    def add(self, request: str, slot: int, prompt_ids: Sequence[int], sampling: Sampling) -> FakeRequest:
        self._count("add")
        self._sampling = sampling
        self._requests[request] = FakeRequest(request, slot, list(prompt_ids))
        return self._requests[request]

    def abort(self) -> list[Event]:
        requests, self._requests = list(self._requests.values()), {}
        self._count("abort")
        return [RequestFinished(self.info.name, r.request, r.slot, "abort", len(r.ids)) for r in requests]

    def step(self) -> list[Event]:
        self._count("step")
        self.clock_ns += STEP_NS
        self.engine_steps += 1
        events: list[Event] = []
        for r in list(self._requests.values()):
            r.ids.append(self._token)
            one, text = (self._token,), ("x",)
            self.totals = self.totals.after(0, 0, 1, 0)
            events.append(
                Step(
                    self.info.name, r.request, r.slot, r.steps, self.k, (), 0, one, (), "bonus", None, text, (),
                    len(self._requests), STEP_NS, self.clock_ns, totals=self.totals, before=r.steps,
                )
            )  # fmt: skip
            r.steps += 1
            if len(r.ids) >= self._sampling.max_tokens:
                del self._requests[r.request]
                events.append(RequestFinished(self.info.name, r.request, r.slot, "length", len(r.ids)))
        self.steer(events, STEP_NS, disturbed=False)
        return events

    def top_two_margin(self, ids: Sequence[int]) -> float:
        self._count("margin")
        return 0.5

    def inspect(self, slot: int, before: int, tokens: Sequence[int]) -> tuple[TokenVerdict, ...]:
        self._count("inspect")
        return tuple(TokenVerdict(token, "x", 1.0, 1, ()) for token in tokens)

    def warm_up(self, prompt_ids: Sequence[int], tokens: int = 8) -> None:
        self._count("warm-up")

    def memory(self) -> LaneMemory:
        self._count("memory")
        return LaneMemory(self.info.name, 1, False, 1, 0, 0, 0, 0, 0, False, 1, 1, 16)

    def engine(self) -> LaneEngine:
        self._count("engine")
        return LaneEngine(self.info.name, "cpu", "V1", True, "none", scheduling="synchronous")

    def close(self) -> None:
        self.alive = False
        self.closed.append(self.info.name)


def fake_engine(monkeypatch: pytest.MonkeyPatch, troubles: Mapping[tuple[str, str], int]) -> None:
    """Every host makes lanes that are `FakeLane`."""
    monkeypatch.setattr(FakeLane, "troubles", dict(troubles), raising=False)
    monkeypatch.setattr(FakeLane, "made", weakref.WeakSet(), raising=False)
    monkeypatch.setattr(FakeLane, "closed", [], raising=False)
    monkeypatch.setattr(loading, "Lane", FakeLane)
    monkeypatch.setattr(loading, "ENGINE_ROOM", "json")
    monkeypatch.setattr(engines, "reclaim", lambda: None)


def fake_host(
    monkeypatch: pytest.MonkeyPatch,
    *specs: str,
    troubles: Mapping[tuple[str, str], int] | None = None,
    max_tokens: int = 8,
    prompts: Sequence[Prompt] = EXAMPLES,
    **config: Any,
) -> EngineHost:
    """A host whose lanes are `FakeLane`; what they are told is in the class's attributes."""
    fake_engine(monkeypatch, troubles or {})
    return EngineHost(
        HostConfig(
            target="fake",
            find_target=lambda report: "fake",
            specs=[parse_lane_spec(spec) for spec in specs],
            prompts=prompts,
            sampling=Sampling(max_tokens=max_tokens),
            **config,
        )
    )
