"""What a worker tells of its steps, and that its results never depend on it."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.serving import worker
from spectui.serving.worker import TOLD, RunnerTrace, TracingWorker
from spectui.sources.vllm import step_timers


class Results:
    """Like vLLM's ``ModelRunnerOutput``."""

    def __init__(self, *names: str) -> None:
        self.req_ids = [*names]


class Late:
    """Like vLLM's ``AsyncModelRunnerOutput``."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def get_output(self) -> Results:
        return self._results


class Device:
    """A GPU that has passed the marks up to ``passed_to``, a nanosecond apart."""

    late = True

    def __init__(self) -> None:
        self.now = self.passed_to = 0

    def mark(self) -> int:
        self.now += 1
        return self.now

    def passed(self, mark: int) -> bool:
        return mark <= self.passed_to

    @staticmethod
    def between(start: int, end: int) -> int:
        return end - start


def config(*, v2: bool = False, asynchronous: bool = True, stages: int = 1, extension: str = "") -> Any:
    return SimpleNamespace(
        use_v2_model_runner=v2,
        num_speculative_tokens=2,
        parallel_config=SimpleNamespace(pipeline_parallel_size=stages, worker_extension_cls=extension),
        scheduler_config=SimpleNamespace(async_scheduling=asynchronous),
    )


class Runner:
    """Like vLLM's model runner V1: drafts ``next_drafts`` at the end of a step."""

    device = "cuda:0"
    drafter = object()

    def __init__(self, *, late: bool = True) -> None:
        self.late = late
        self._draft_token_ids: Any = None
        self.input_batch = SimpleNamespace(req_ids=["a", "b"])
        self.next_drafts: Any = [[1, 2], [3, 4]]

    def execute_model(self, scheduled: Any) -> None:
        self._model_forward()

    def _model_forward(self) -> None: ...

    def propose_draft_token_ids(self) -> None: ...

    def sample_tokens(self, grammar: Any = None) -> Any:
        self.propose_draft_token_ids()
        self._draft_token_ids = self.next_drafts
        results = Results(*self.input_batch.req_ids)
        return Late(results) if self.late else results


def scheduled(*names: str, finished: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(
        scheduled_spec_decode_tokens={name: [-1, -1] for name in names}, finished_req_ids={*finished}
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Device:
    gpu = Device()
    monkeypatch.setattr(step_timers, "DeviceMarks", gpu)
    return gpu


def told(result: Any) -> Any:
    return getattr(result.get_output() if hasattr(result, "get_output") else result, TOLD)


def test_drafts_come_with_the_results_of_the_step_that_verifies_them(gpu: Device) -> None:
    runner = Runner()
    RunnerTrace(runner, config())
    runner.execute_model(scheduled())
    first = runner.sample_tokens()
    runner.next_drafts = [[5, 6], [7, 8]]
    runner.execute_model(scheduled("b", "new"))
    second = runner.sample_tokens()
    runner.input_batch.req_ids = ["b", "a"]
    runner.next_drafts = [[10, 11], [12, 13]]
    runner.execute_model(scheduled("a", finished=("b",)))
    third = runner.sample_tokens()
    runner.execute_model(scheduled("a", "b"))
    fourth = runner.sample_tokens()
    # Results are looked at when later steps have begun.
    gpu.passed_to = gpu.now
    assert [told(one)[2] for one in (first, second, third, fourth)] == [
        {}, {"b": [3, 4]}, {"a": [5, 6]}, {"a": [12, 13], "b": [10, 11]},
    ]  # fmt: skip


def test_the_drafters_time_is_that_of_the_drafts_that_the_step_verifies(gpu: Device) -> None:
    runner = Runner()
    RunnerTrace(runner, config())
    times = []
    for _ in range(3):
        runner.execute_model(scheduled())
        result = runner.sample_tokens()
        # The results are there, and the GPU has not yet passed the end of the drafter.
        gpu.passed_to = gpu.now - 1
        times.append(told(result)[:2])
    assert times == [(None, 1), (1, 1), (1, 1)]


def test_a_cpu_has_done_a_step_when_its_results_are_there() -> None:
    runner = Runner(late=False)
    runner.device = "cpu"
    RunnerTrace(runner, config(asynchronous=False))
    runner.execute_model(scheduled("a"))
    draft_ns, verify_ns, drafts = told(runner.sample_tokens())
    assert draft_ns > 0
    assert verify_ns > 0
    assert drafts is None


def test_v2_hands_its_drafts_to_a_handler(gpu: Device) -> None:
    kept: list[Any] = []

    class V2:
        device = "cuda:0"
        _draft_token_ids = None

        def __init__(self) -> None:
            self.draft_tokens_handler = SimpleNamespace(set_draft_tokens=lambda batch, drafts: kept.append(drafts))
            self.speculator = None
            self.step_timing = SimpleNamespace(forward_start=lambda: None)

        def execute_model(self, scheduled: Any) -> None:
            self.step_timing.forward_start()

        def sample(self) -> None: ...

        def sample_tokens(self, drafts: Any) -> Any:
            self.sample()
            self.draft_tokens_handler.set_draft_tokens(SimpleNamespace(req_ids=["a"]), drafts)
            return Late(Results("a"))

    runner = V2()
    RunnerTrace(runner, config(v2=True, asynchronous=False))
    runner.execute_model(scheduled())
    runner.sample_tokens([[1, 2]])
    runner.execute_model(scheduled("a"))
    result = runner.sample_tokens([[3, 4]])
    gpu.passed_to = gpu.now
    assert kept == [[[1, 2]], [[3, 4]]]
    assert told(result) == (None, 1, {"a": [1, 2]})


def test_stages_tell_no_times() -> None:
    runner = Runner(late=False)
    RunnerTrace(runner, config(stages=2, asynchronous=False))
    runner.execute_model(scheduled("a"))
    assert told(runner.sample_tokens()) == (None, None, None)


@pytest.mark.parametrize("broken", ["finished_req_ids", "scheduled_spec_decode_tokens"])
def test_an_error_ends_the_telling_and_nothing_else(broken: str, gpu: Device, caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner()
    RunnerTrace(runner, config())
    for _ in range(2):
        without = scheduled()
        delattr(without, broken)
        runner.execute_model(without)
        assert runner.sample_tokens().get_output().req_ids == ["a", "b"]
    assert [record.message for record in caplog.records] == [
        "steps are no longer timed, and drafts not shown, because of an error"
    ]


def test_vllms_empty_results_are_left_alone() -> None:
    empty = Results()
    runner = SimpleNamespace(device="cpu", sample_tokens=lambda: empty)
    RunnerTrace(runner, config(asynchronous=False))
    assert not hasattr(runner.sample_tokens(), TOLD)


@pytest.mark.parametrize("extension", ["", "spectui.serving.TracingWorker"])
@pytest.mark.parametrize("broken", [False, True])
def test_a_worker_begins_by_itself_when_it_has_its_runner(
    extension: str, broken: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    repairs: list[bool] = []

    def repair() -> None:
        repairs.append(True)
        if broken:
            raise AttributeError("expand_batch_to_tokens")

    monkeypatch.setattr(worker, "give_drafts_their_settings", repair)

    class Base:
        def __init__(self) -> None:
            self.model_runner: Any = None

    class Worker(Base):
        pass

    # As `WorkerWrapperBase.init_worker` in vllm/v1/worker/worker_base.py does.
    assert [name for name in dir(TracingWorker) if not name.startswith("__")] == []
    Worker.__bases__ = (*Worker.__bases__, TracingWorker)
    one = Worker()
    runner: Any = Runner()
    runner.vllm_config = config(extension=extension)
    one.model_runner = runner
    assert one.model_runner is runner
    assert ("sample_tokens" in vars(runner)) == bool(extension)
    assert repairs == [True] * bool(extension)
    assert len(caplog.records) == (broken and bool(extension))


@pytest.mark.engine
def test_what_is_told_survives_the_way_from_another_process() -> None:
    from vllm.v1.outputs import ModelRunnerOutput

    output = ModelRunnerOutput(req_ids=["a"], req_id_to_index={"a": 0}, sampled_token_ids=[[5]])
    setattr(output, TOLD, (1, 2, {"a": [3]}))
    arrived = pickle.loads(pickle.dumps(output, protocol=pickle.HIGHEST_PROTOCOL))
    assert (getattr(arrived, TOLD), arrived.sampled_token_ids) == ((1, 2, {"a": [3]}), [[5]])
