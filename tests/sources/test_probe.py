"""Asking an engine about the target's choices beside requests in flight, with an engine that can be made to starve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm.probing import PROBE, ProbeDiedError, Prober, ProbeRefusedError


class Engine:
    """Computes the probe's tokens as planned, one entry a step; -1 takes its cache away, None breaks."""

    def __init__(self, plan: Sequence[int | None]) -> None:
        self.plan = list(plan)
        self.done = 0
        self.aborted: list[str] = []
        self.shielded = False

    def add_request(self, request: str, prompt: Any, params: Any) -> str:
        assert self.shielded
        return f"{request}-0"

    def computed(self, request: str) -> int:
        return self.done

    def step(self) -> list[Any]:
        assert self.shielded
        made = self.plan.pop(0)
        if made is None:
            raise RuntimeError("the device is gone")
        self.done = max(0, self.done + made) if made >= 0 else 0
        return [SimpleNamespace(request_id=PROBE, finished=True)] if self.done >= 10 else []

    def abort_request(self, requests: list[str]) -> None:
        assert self.shielded
        self.aborted += requests

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.shielded = True
        try:
            yield
        finally:
            self.shielded = False


def probed(engine: Engine) -> Any:
    table: Any = None
    return Prober(engine, engine, table)._probe(range(10), None)


@pytest.mark.parametrize("plan", [[10], [4, 4, 2]])
def test_a_probe_that_gets_on_is_answered(plan: list[int | None]) -> None:
    engine = Engine(plan)
    assert probed(engine).finished
    assert engine.aborted == []


@pytest.mark.parametrize("plan", [[0], [4, 0], [4, -1], [4, 4, -1]])
def test_a_probe_that_gets_nowhere_is_taken_back(plan: list[int | None]) -> None:
    """Whatever the engine does: no step is asked of it behind the one that brought nothing."""
    engine = Engine(plan)
    with pytest.raises(ProbeRefusedError, match="no room in the KV cache to ask the target"):
        probed(engine)
    assert (engine.aborted, engine.plan, engine.shielded) == ([PROBE], [], False)


def test_an_engine_that_dies_over_a_probe_is_told_from_a_full_one() -> None:
    with pytest.raises(ProbeDiedError, match="the device is gone"):
        probed(Engine([4, None]))
