"""An engine's workers: one in this process, or several in processes of their own (``tensor_parallel_size``,
``pipeline_parallel_size``), which vLLM's executor starts and ends.

The scheduler, and with it the tap, is in this process either way. Whatever concerns a model runner is asked of the
workers with vLLM's ``collective_rpc``, which calls methods of `spectui.sources.vllm.worker.TappedWorker`.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import Any, TypeVar

from spectui.sources.vllm.compat.device import on_cpu
from spectui.sources.workers import WORKERS

T = TypeVar("T")

SHUTDOWN_S = "2"
"""How long a closing engine waits for its workers before it ends them; vLLM's own default is 5 s, per lane."""

LEAVING_S = 8.0
"""How long a closed engine's workers may take to end: vLLM kills them 4 s after it has told them to."""

NOTICE_S = 1.0
"""How long after an error the end of the process that caused it may become visible."""


class WorkerDiedError(RuntimeError):
    """A worker process ended, so its engine is dead; the message is a sentence."""


def world_size(engine_args: Mapping[str, Any]) -> int:
    """How many workers an engine of these arguments has; 1 means that it runs in this process."""
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "prefill_context_parallel_size")
    return math.prod(parallel_size(engine_args, name) for name in sizes)


def parallel_size(engine_args: Mapping[str, Any], name: str) -> int:
    """An engine argument that says among how many workers something is split; 1 for what is no number, which vLLM
    refuses better."""
    try:
        return max(1, int(str(engine_args.get(name))))
    except ValueError:
        return 1


def apart(engine_args: Mapping[str, Any]) -> bool:
    """Whether the workers of an engine of these arguments will run in processes of their own; see `elsewhere`."""
    return world_size(engine_args) > 1 or engine_args.get("distributed_executor_backend") not in (None, "uni")


@contextmanager
def starting(engine_args: Mapping[str, Any]) -> Iterator[None]:
    """Prepare the environment that worker processes inherit while an engine is built."""
    world = world_size(engine_args)
    # This process has threads, and a GPU's state in it, which a forked child must not inherit. Set for every engine,
    # since the first one makes vLLM remember its variables.
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    os.environ.setdefault("VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS", SHUTDOWN_S)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    shares = world > 1 and threads.isdecimal() and on_cpu()
    if shares:
        os.environ["OMP_NUM_THREADS"] = str(max(1, int(threads) // world))
    try:
        yield
    finally:
        if shares:
            os.environ["OMP_NUM_THREADS"] = threads


def take_charge(engine: Any, *, tapped: bool) -> None:
    """Tell the telemetry about a new engine's workers, and make those in other processes end with this one; repair how
    they sample; if it is ``tapped``, make them show their drafts and time their steps."""
    WORKERS.add(_pids(engine))
    if elsewhere(engine):
        engine.collective_rpc("serve_another_process")
    engine.collective_rpc("give_drafts_their_settings")
    if not tapped:
        return
    engine.collective_rpc("show_drafts")
    engine.collective_rpc("time_steps")
    if not elsewhere(engine):
        return
    engine.collective_rpc("finish_steps")
    engine.collective_rpc("expect_earlier_stage")
    # With several batches in flight a step would return the results of an earlier one, and its time would be theirs.
    core = engine.engine_core.engine_core
    core.batch_queue, core.step_fn = None, core.step


def let_go(engine: Any) -> None:
    """Wait until a closed engine's workers have ended, and forget them.

    If one has died, another thread of vLLM's is ending the others when the engine is closed.
    """
    left = {process.sentinel for process in _processes(engine)}
    until = time.monotonic() + LEAVING_S
    while left and (remaining := until - time.monotonic()) > 0:
        left.difference_update(wait(list(left), remaining))
    WORKERS.remove(_pids(engine))


def elsewhere(engine: Any) -> bool:
    """Whether the workers run in processes of their own."""
    return getattr(engine.model_executor, "driver_worker", None) is None


def ask(engine: Any, question: Callable[[Any], T]) -> list[T]:
    """Return what a function says about the model runner of each worker, in the order of their ranks.

    Args:
        question: A function of a module; it and its answer may go to and come from another process.
    """
    answers: list[T] = engine.collective_rpc(partial(_answer, question))
    return answers


def _answer(question: Callable[[Any], T], worker: Any) -> T:
    return question(worker.model_runner)


@contextmanager
def hidden_drafts(engine: Any) -> Iterator[None]:
    """Let an engine's workers keep their drafts to themselves within the block, as vLLM's do."""
    engine.collective_rpc("hide_drafts")
    try:
        yield
    finally:
        engine.collective_rpc("show_drafts")


def times_of(engine: Any) -> tuple[int | None, int | None]:
    """Time that the last step took for drafting and for the target's forward pass, in nanoseconds; None if unknown.

    The workers of a pipeline's stage do the same at the same time, so the first speaks for all of them; stages come one
    after the other, and only the last drafts.
    """
    by_rank = engine.collective_rpc("step_times")
    leaders = by_rank[:: len(by_rank) // engine.vllm_config.parallel_config.pipeline_parallel_size]
    draft, verify = ([one for one in times if one is not None] for times in zip(*leaders, strict=True))
    return sum(draft) if draft else None, sum(verify) if verify else None


def step(engine: Any) -> Any:
    """Let an engine take a step, and return its outputs.

    Raises:
        WorkerDiedError: A worker process has ended.
    """
    try:
        return engine.step()
    except Exception as error:
        if said := _death(engine):
            raise WorkerDiedError(said) from error
        raise


def _death(engine: Any) -> str:
    processes = _processes(engine)
    if not processes or not wait([process.sentinel for process in processes], NOTICE_S):
        return ""
    ended = [(rank, code) for rank, one in enumerate(processes) if (code := one.exitcode) is not None]
    # The others end because vLLM then ends them, in an orderly way or with SIGTERM.
    rank, code = max(ended, key=lambda one: one[1] not in (0, -signal.SIGTERM), default=(0, 0))
    return f"worker process {rank + 1} of {len(processes)} died ({_cause(code)})"


def _cause(code: int) -> str:
    if code == -signal.SIGKILL:
        return "it was killed, by somebody or for lack of memory"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _processes(engine: Any) -> list[Any]:
    """The worker processes that this process has started; empty with Ray, whose daemon starts them."""
    workers = getattr(getattr(engine, "model_executor", None), "workers", None) or ()
    return [worker.proc for worker in workers if getattr(worker, "proc", None) is not None]


def _pids(engine: Any) -> list[int]:
    return [process.pid for process in _processes(engine)]
