"""A model split among worker processes, without any: what is refused, what they are asked, what their end is called."""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm import splitting, worker
from spectui.sources.vllm.compat import workers
from spectui.sources.vllm.errors import explain
from spectui.sources.vllm.lane_spec import parse_lane_spec
from spectui.sources.vllm.splitting import refusal
from spectui.sources.vllm.step_timers import LaneTimers
from spectui.sources.vllm.worker import TappedWorker
from spectui.sources.workers import WORKERS

pytestmark = pytest.mark.unit

FAILSAFE_S = 30.0
NO_SIZES = (None, "auto", "", 0, -3, 1.5, float("inf"), [2], True)
AR, NGRAM = parse_lane_spec("ar"), parse_lane_spec("ngram:k=3")


@pytest.mark.parametrize(
    ("arguments", "world"),
    [
        ({}, 1),
        ({"tensor_parallel_size": 2}, 2),
        ({"tensor_parallel_size": "2", "pipeline_parallel_size": 3}, 6),
        *(({"tensor_parallel_size": value, "pipeline_parallel_size": 2}, 2) for value in NO_SIZES),
    ],
)
def test_every_part_of_the_model_is_a_worker(arguments: Mapping[str, Any], world: int) -> None:
    assert workers.world_size(arguments) == world


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"distributed_executor_backend": "ray"}, "distributed_executor_backend=ray needs Ray, which is not installed"),
        ({"distributed_executor_backend": "external_launcher"}, "distributed_executor_backend=external_launcher"),
        ({"data_parallel_size": 2}, "a lane has one scheduler, and data_parallel_size=2 would need 2"),
        ({"nnodes": 2}, "nnodes=2 cannot be used here, because vLLM's own executor must be started by hand"),
        ({"pipeline_parallel_size": 2}, "vLLM's model runner V1 cannot draft if the model is split into a pipeline"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, arguments: Mapping[str, Any], start: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(splitting, "on_cpu", lambda: True)
    assert (refusal(arguments, NGRAM) or "").startswith(start)


@pytest.mark.parametrize(
    ("arguments", "lane", "cpu"),
    [
        ({}, NGRAM, True),
        ({"tensor_parallel_size": 2}, NGRAM, True),
        ({"pipeline_parallel_size": 2}, AR, True),
        ({"pipeline_parallel_size": 2}, NGRAM, False),
        ({"distributed_executor_backend": "ray", "tensor_parallel_size": 2}, NGRAM, False),
        *(({"pipeline_parallel_size": value, "data_parallel_size": value}, NGRAM, True) for value in NO_SIZES),
    ],
)
def test_what_may_work_is_tried(
    monkeypatch: pytest.MonkeyPatch, arguments: Mapping[str, Any], lane: Any, cpu: bool
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace())
    monkeypatch.setattr(splitting, "on_cpu", lambda: cpu)
    assert refusal(arguments, lane) is None


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("Total number of attention heads (9) must be divisible by tensor parallel size (2).", "the model has 9 atten"),
        ("World size (4) is larger than the number of available GPUs (2) in this node.", "it needs 4 GPUs, and there"),
        ("Worker failed with error ''GPUModelRunner' object has no attribute 'drafter''", "vLLM's model runner V1"),
        ("WorkerProc initialization failed due to an exception in a background process.", "a worker process could not"),
    ],
)
def test_what_vllm_says_of_a_split_model_is_explained(said: str, start: str) -> None:
    assert explain(RuntimeError(said), AR, "x").startswith(start)


class Process:
    """A worker process, as its owner sees it: ``code`` is None while it lives."""

    def __init__(self, pid: int, code: int | None, sentinel: int) -> None:
        self.pid, self.exitcode, self.sentinel = pid, code, sentinel


@pytest.fixture
def processes() -> Any:
    """Makes an engine with processes of these exit codes, whose step fails."""
    ends: list[int] = []

    def engine(*codes: int | None) -> Any:
        made = []
        for pid, code in enumerate(codes, start=100):
            sentinel, other_end = os.pipe()
            ends.extend((sentinel, other_end))
            if code is not None:
                os.write(other_end, b"x")
            made.append(SimpleNamespace(proc=Process(pid, code, sentinel)))

        def step() -> None:
            raise RuntimeError("cancelled")

        return SimpleNamespace(step=step, model_executor=SimpleNamespace(workers=made))

    yield engine
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ((0, -9), r"worker process 2 of 2 died \(it was killed, by somebody or for lack of memory\)"),
        ((-11, -15), r"worker process 1 of 2 died \(signal 11\)"),
        ((None, 1, None), r"worker process 2 of 3 died \(exit code 1\)"),
    ],
)
def test_the_worker_that_died_first_is_told_from_those_that_vllm_then_ends(
    processes: Callable[..., Any], codes: tuple[int | None, ...], said: str
) -> None:
    with pytest.raises(workers.WorkerDiedError, match=said):
        workers.step(processes(*codes))


def test_an_error_while_all_workers_live_stays_what_it_is(
    processes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "NOTICE_S", 0.0)
    for engine in (processes(None, None), processes()):
        with pytest.raises(RuntimeError, match=r"^cancelled$"):
            workers.step(engine)


def test_workers_are_forgotten_once_they_have_ended(
    processes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WORKERS, "_pids", frozenset({100, 101, 7}))
    workers.let_go(processes(0, -9))
    assert WORKERS.pids == {7}


class Engine:
    """Four workers: two stages of a pipeline, two halves each; counts how often it is asked."""

    vllm_config = SimpleNamespace(parallel_config=SimpleNamespace(pipeline_parallel_size=2))
    times: tuple[tuple[int | None, int | None], ...] = ((None, 30), (None, 31), (7, 40), (8, 41))

    def __init__(self) -> None:
        self.asked: list[str] = []

    def collective_rpc(self, method: str) -> Any:
        self.asked.append(method)
        return self.times


def test_stages_of_a_pipeline_add_up_and_halves_do_not() -> None:
    engine = Engine()
    timers = LaneTimers(engine)
    assert (timers.draft_ns, timers.verify_ns) == (7, 70)
    assert engine.asked == ["step_times"]
    timers.reset()
    engine.times = ((None, None),) * 4
    assert (timers.draft_ns, timers.verify_ns) == (None, None)
    assert engine.asked == ["step_times"] * 2


REPAIRED = "give_drafts_their_settings"


@pytest.mark.parametrize(
    ("tapped", "apart", "asked"),
    [
        (False, False, [REPAIRED]),
        (False, True, ["serve_another_process", REPAIRED]),
        (True, False, [REPAIRED, "show_drafts", "time_steps"]),
        (
            True,
            True,
            ["serve_another_process", REPAIRED, "show_drafts", "time_steps", "finish_steps", "expect_earlier_stage"],
        ),
    ],
)
def test_other_processes_end_with_this_one_whether_or_not_they_are_tapped(
    monkeypatch: pytest.MonkeyPatch, tapped: bool, apart: bool, asked: list[str]
) -> None:
    monkeypatch.setattr(WORKERS, "_pids", frozenset())
    calls: list[str] = []
    queue: list[str] = []
    core = SimpleNamespace(batch_queue=queue, step_fn=None, step=None)
    workers.take_charge(
        SimpleNamespace(
            collective_rpc=calls.append,
            engine_core=SimpleNamespace(engine_core=core),
            model_executor=SimpleNamespace() if apart else SimpleNamespace(driver_worker=object()),
        ),
        tapped=tapped,
    )
    assert calls == asked
    assert (core.batch_queue is None) is (tapped and apart)


def test_a_process_of_an_untapped_engine_leaves_its_model_runner_as_it_is() -> None:
    untapped = TappedWorker()
    untapped.model_runner = SimpleNamespace(device="cpu", sample_tokens=None)
    untapped.serve_another_process()
    assert vars(untapped.model_runner) == {"device": "cpu", "sample_tokens": None}


def test_a_worker_answers_once_its_gpu_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(worker, "waiting_for", lambda device: lambda: done.append(f"{device} is done"))
    tapped = TappedWorker()
    tapped.model_runner = SimpleNamespace(
        device="cuda:1", sample_tokens=lambda grammar: done.append("sampled") or "ids"
    )
    tapped.finish_steps()
    assert tapped.model_runner.sample_tokens(None) == "ids"
    assert done == ["sampled", "cuda:1 is done"]


OWNER = """
import multiprocessing, os, signal
from spectui.sources.vllm.worker import TappedWorker

def work(ready):
    tapped = TappedWorker()
    tapped.serve_another_process()
    os.kill(os.getpid(), signal.SIGINT)
    ready.send(os.getpid())
    signal.pause()

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    told, ready = context.Pipe(duplex=False)
    context.Process(target=work, args=(ready,), daemon=True).start()
    print(told.recv(), flush=True)
    signal.pause()
"""


def test_a_worker_outlives_ctrl_c_and_not_its_owner(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            # The worker has sent itself the signal of Ctrl-C before it tells its number.
            worker_process = os.pidfd_open(int(owner.stdout.readline()))
        finally:
            owner.kill()
    ended, _, _ = select.select([worker_process], [], [], FAILSAFE_S)
    os.close(worker_process)
    assert ended


def test_the_model_runner_times_each_step_from_its_beginning() -> None:
    class Runner:
        device = "cpu"

        def execute_model(self) -> None:
            """Begin a step, as vLLM does."""

        def _model_forward(self) -> None:
            """The target's pass."""

    tapped = TappedWorker()
    tapped.model_runner = Runner()
    tapped.time_steps()
    for _ in range(2):
        tapped.model_runner.execute_model()
        tapped.model_runner._model_forward()
    draft, verify = tapped.step_times()
    assert draft is None
    assert verify is not None
    assert len(tapped._step_timers._parts["verify"]) == 1
    tapped.stop_timing_steps()
    assert vars(tapped.model_runner) == {}
