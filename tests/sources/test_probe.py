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


class Several:
    """Computes several probes, all at once as far as there is room: ``room`` tokens in all, 4 of each a step."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.done: dict[str, int] = {}
        self.whole: dict[str, int] = {}
        self.aborted: list[str] = []

    def add_request(self, request: str, prompt: Any, params: Any) -> str:
        self.done[request], self.whole[request] = 0, len(prompt["prompt_token_ids"])
        return request

    def computed(self, request: str) -> int:
        return self.done.get(request, -1)

    def step(self) -> list[Any]:
        outputs = []
        for request in list(self.done):
            if sum(self.done.values()) + 4 <= self.room:
                self.done[request] += 4
            if self.done[request] >= self.whole[request]:
                del self.done[request]
                after = {7: SimpleNamespace(logprob=-2.0), 8: SimpleNamespace(logprob=-1.0)}
                within = [None, *[after] * (self.whole[request] - 1)]
                answer = SimpleNamespace(token_ids=[self.whole[request]], logprobs=[after])
                outputs.append(
                    SimpleNamespace(request_id=request, finished=True, outputs=[answer], prompt_logprobs=within)
                )
        return outputs

    def abort_request(self, requests: list[str]) -> None:
        self.aborted += requests

    @contextmanager
    def alone(self) -> Iterator[None]:
        yield


def test_several_texts_are_read_at_once_and_in_order() -> None:
    engine = Several(room=24)
    table: Any = None
    texts = [range(12), range(4), range(8)]
    readings = Prober(engine, engine, table).readings(texts, likeliest=1, within=True)
    assert [reading.ids for reading in readings] == [(12,), (4,), (8,)]
    assert [reading.after for reading in readings] == [(((8, -1.0),),)] * 3
    assert [len(reading.within) for reading in readings] == [12, 4, 8]
    assert readings[0].within[:2] == ((), ((8, -1.0),))


def test_texts_that_do_not_fit_together_are_all_taken_back() -> None:
    engine = Several(room=8)
    table: Any = None
    with pytest.raises(ProbeRefusedError, match="no room in the KV cache"):
        Prober(engine, engine, table).readings([range(12), range(4), range(12)], likeliest=1)
    assert engine.aborted == [PROBE, f"{PROBE}-2"]
