"""When a step ends on a GPU, and where its time went, by stand-ins for a device and for vLLM's two model runners."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm import lane, step_timers
from spectui.sources.vllm.compat import device
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.step_timers import StepTimers

pytestmark = pytest.mark.unit

MS = 1_000_000


class Device:
    """A GPU's work by the clock of the GPU: what is given to it is done when somebody waits for it."""

    def __init__(self) -> None:
        self.given = 0
        self.log: list[str] = []

    def mark(self) -> int:
        return self.given

    @staticmethod
    def passed(mark: int) -> bool:
        return True

    @staticmethod
    def between(start: int, end: int) -> int:
        return end - start


def work(gpu: Device, ns: int, name: str) -> Callable[..., str]:
    def call(*args: Any, **kwargs: Any) -> str:
        gpu.given += ns
        gpu.log.append(name)
        return name

    return call


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Device:
    gpu = Device()
    monkeypatch.setattr(step_timers, "DeviceMarks", gpu)
    return gpu


def engine_of(runner: Any) -> Any:
    worker = SimpleNamespace(worker=SimpleNamespace(model_runner=runner))
    return SimpleNamespace(model_executor=SimpleNamespace(driver_worker=worker))


def v2_runner(gpu: Device, *, drafts: bool) -> Any:
    class Timing:
        forward_start = staticmethod(work(gpu, 0, "forward"))

    class Speculator:
        propose = staticmethod(work(gpu, 300, "propose"))

    class Runner:
        def __init__(self) -> None:
            self.device = "cuda:0"
            self.step_timing = Timing()
            self.speculator = Speculator() if drafts else None

        def sample(self) -> None:
            gpu.given += 50

        def step(self) -> None:
            gpu.given += 7  # Inputs.
            self.step_timing.forward_start()
            gpu.given += 2000
            self.sample()
            if self.speculator is not None:
                self.speculator.propose()

    return Runner()


@pytest.mark.parametrize(("drafts", "draft_ns"), [(True, 300), (False, None)])
def test_the_parts_of_a_step_of_model_runner_v2(gpu: Device, drafts: bool, draft_ns: int | None) -> None:
    runner = v2_runner(gpu, drafts=drafts)
    timers = StepTimers(runner)
    for _ in range(2):
        timers.reset()
        assert (timers.verify_ns, timers.draft_ns) == (None, None)
        runner.step()
        assert (timers.verify_ns, timers.draft_ns) == (2000, draft_ns)
    timers.detach()
    timers.reset()
    runner.step()
    assert (timers.verify_ns, timers.draft_ns) == (None, None)
    timers.attach()
    runner.step()
    assert timers.verify_ns == 2000


def test_the_parts_of_a_step_of_model_runner_v1(gpu: Device) -> None:
    class Runner:
        device = "cuda:0"
        drafter = object()
        _model_forward = staticmethod(work(gpu, 1000, "forward"))
        propose_draft_token_ids = staticmethod(work(gpu, 200, "propose"))

    runner = Runner()
    timers = StepTimers(runner)
    assert runner._model_forward() == "forward"
    runner.propose_draft_token_ids()
    assert (timers.verify_ns, timers.draft_ns) == (1000, 200)


class Stream:
    """A CUDA stream with work in it."""

    def __init__(self, busy: bool) -> None:
        self.busy = busy
        self.waited = 0

    def query(self) -> bool:
        return not self.busy

    def synchronize(self) -> None:
        self.waited += 1
        self.busy = False


@pytest.mark.parametrize(("kind", "busy", "waited"), [("cpu", True, 0), ("cuda:1", True, 1), ("cuda:1", False, 0)])
def test_a_gpu_is_waited_for_and_a_processor_is_not(
    monkeypatch: pytest.MonkeyPatch, kind: str, busy: bool, waited: int
) -> None:
    torch = pytest.importorskip("torch")
    streams = {torch.device("cuda:1"): Stream(busy)}
    monkeypatch.setattr(torch.cuda, "current_stream", streams.__getitem__)
    wait = device.waiting(engine_of(SimpleNamespace(device=torch.device(kind))))
    for _ in range(2):
        wait()
    assert [stream.waited for stream in streams.values()] == [waited]


class Backlog:
    """A clock, and a GPU that has so much left to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 0
        self.left_ns = 0
        monkeypatch.setattr(lane, "awake_ns", lambda: self.now_ns)

    def step(self) -> list[Any]:
        """vLLM's step: the host's part, and a drafter that the GPU is still at when it returns."""
        self.wait()
        self.now_ns += 2 * MS
        self.left_ns = 8 * MS
        return []

    def wait(self) -> None:
        self.now_ns += self.left_ns
        self.left_ns = 0


def test_a_step_pays_for_its_own_drafter_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Backlog(monkeypatch)
    monkeypatch.setattr(Lane, "_events", lambda lane, outputs, wall_ns: [])
    one = Lane.__new__(Lane)
    one.clock_ns = one.own_ns = one.engine_steps = 0
    one._engine = SimpleNamespace(step=gpu.step)
    one._wait = gpu.wait
    one._tap = SimpleNamespace(reading=False)
    one._timers = SimpleNamespace(reset=lambda: None)  # type: ignore[assignment]
    one.waits = SimpleNamespace(begin=lambda: None, disturbed=lambda wall_ns: False)  # type: ignore[assignment]
    gpu.left_ns = 5 * MS
    one.step()
    assert one.clock_ns == 10 * MS
    assert gpu.left_ns == 0
