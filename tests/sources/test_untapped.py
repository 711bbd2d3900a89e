"""The clock of an untapped lane, whose engine has one step in flight, without vLLM."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spectui.core.bench.matrix import Variant
from spectui.protocol.events import Sampling
from spectui.sources.vllm import bench_piece, untapped
from spectui.sources.vllm import lane as lanes
from spectui.sources.vllm.bench_piece import BenchPiece
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.untapped import UntappedLane

pytestmark = pytest.mark.unit

STEP_NS, IDLE_NS = 7_000_000, 60_000_000_000


class Clock:
    ns = 0

    def __call__(self) -> int:
        return self.ns


class Engine:
    """Schedules a step before it looks at the results of the one before, as vLLM's asynchronous one does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[str, int] = {}
        self._queue: list[tuple[list[str], Any]] = []
        config = SimpleNamespace(max_model_len=64)
        self.vllm_config = SimpleNamespace(model_config=config)
        scheduler = SimpleNamespace(num_spec_tokens=0, dynamic_sd_lookup=None, make_spec_decoding_stats=None)
        self.engine_core = SimpleNamespace(engine_core=SimpleNamespace(batch_queue=self._queue, scheduler=scheduler))
        self.model_executor = SimpleNamespace(driver_worker=object())

    def get_tokenizer(self) -> Any:
        return None

    def add_request(self, request: str, prompt: Any, params: Any) -> str:
        self._left[request] = params.max_tokens
        return request

    def abort_request(self, requests: list[str]) -> None:
        for request in requests:
            del self._left[request]

    def step(self) -> list[Any]:
        self._clock.ns += STEP_NS
        if self._left:
            self._queue.insert(0, (list(self._left), SimpleNamespace(total_num_scheduled_tokens=len(self._left))))
            if len(self._queue) < 2:
                return []
        return [self._output(request) for request in self._queue.pop()[0] if request in self._left]

    def _output(self, request: str) -> Any:
        self._left[request] -= 1
        if finished := not self._left[request]:
            del self._left[request]
        one = SimpleNamespace(token_ids=[5], finish_reason="length", stop_reason=None)
        return SimpleNamespace(request_id=request, outputs=[one], finished=finished)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (untapped, bench_piece):
        monkeypatch.setattr(module, "awake_ns", clock)
    monkeypatch.setattr(engines, "enter", lambda engine: None)
    monkeypatch.setattr(engines, "build_engine", lambda **arguments: Engine(clock))
    monkeypatch.setattr(lanes.inputs, "sampling_params", lambda sampling, slot: sampling)
    for name in ("refuse_what_aborts", "why_fixed", "TokenTable", "Prober"):
        monkeypatch.setattr(lanes, name, lambda *words: "")
    monkeypatch.setattr(lanes.PieceDecoder, "behind", lambda *words: None)
    return clock


def test_the_time_between_the_warm_up_and_the_first_request_is_not_the_lane_s(clock: Clock) -> None:
    spec = parse_lane_spec("ar")
    lane = UntappedLane(lane_infos([spec])[0], spec, "fake", {"max_num_seqs": 1})
    lane.warm_up([1, 2])
    assert not lane._in_flight
    clock.ns += IDLE_NS
    for _ in range(2):
        lane.add("r0", 0, [1, 2], Sampling(max_tokens=3))
        steps = 0
        before = lane.clock_ns
        while lane.running:
            lane.step()
            steps += 1
        assert lane.clock_ns - before == steps * STEP_NS == 4 * STEP_NS
        assert lane._in_flight
        assert lane.abort() == []
        assert not lane._in_flight
        clock.ns += IDLE_NS


def test_a_piece_leaves_nothing_in_flight_and_counts_what_the_engine_computed(clock: Clock) -> None:
    spec = parse_lane_spec("ar")
    lane = UntappedLane(lane_infos([spec])[0], spec, "fake", {"max_num_seqs": 1})
    for _ in range(2):
        piece = BenchPiece(
            lane,
            Variant("ar", "ar", "AR", 0),
            [(0, [1, 2])],
            concurrency=1,
            sampling=Sampling(max_tokens=3),
        )
        while not piece.over:
            piece.step()
        assert not lane._in_flight
        record = piece.record()
        # The first call of the engine only begins a step.
        assert record.clock_ns == record.wall_ns == 4 * STEP_NS
        assert record.engine_steps == record.tokens == 3
        assert (record.draft_ns, record.verify_ns) == (None, None)
        clock.ns += IDLE_NS
