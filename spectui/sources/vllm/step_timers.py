"""Times the parts of an engine step: the target's forward pass and the drafter. Written for vLLM 0.32.

The timers are where the model runners are, which may be other processes; a lane reads them through `LaneTimers`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from spectui.sources.vllm.compat import workers
from spectui.standstill import awake_ns


class WallMarks:
    """Time marks on a CPU, which computes while its caller waits."""

    late = False
    """Whether a part may still be running when the step's results are there."""

    @staticmethod
    def mark() -> int:
        return awake_ns()

    @staticmethod
    def passed(mark: int) -> bool:
        return True

    @staticmethod
    def between(start: int, end: int) -> int:
        return end - start


class DeviceMarks:
    """Time marks in a GPU's queue of work; the time between two can be read once the GPU has passed both."""

    late = True

    @staticmethod
    def mark() -> Any:
        event = importlib.import_module("torch").cuda.Event(enable_timing=True)
        event.record()
        return event

    @staticmethod
    def passed(mark: Any) -> bool:
        return bool(mark.query())

    @staticmethod
    def between(start: Any, end: Any) -> int:
        return round(float(start.elapsed_time(end)) * 1e6)  # Milliseconds.


Parts = dict[str, list[tuple[Any, Any]]]
"""The marks around each run of a part of a step."""

Wrapped = tuple[Any, str, Callable[..., Any]]
"""One of vLLM's objects, the name of one of its methods, and the function that replaces it."""


class StepTimers:
    """Time that a step spends in the target's forward pass and in the drafter, in nanoseconds; None for a part that did
    not run, or that this version of vLLM runs elsewhere.

    It wraps methods of the model runner. V1's (``vllm/v1/worker/gpu_model_runner.py``) runs its model and its drafter
    in one method each; V2's (``vllm/v1/worker/gpu/model_runner.py``) announces the forward pass, whether or not it is a
    replayed graph, to its own ``step_timing``, then samples, and drafts with its ``speculator``.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        device = str(getattr(self._runner, "device", "cpu")).partition(":")[0]
        self._marks: Any = {"cpu": WallMarks, "cuda": DeviceMarks}.get(device)
        self._parts: Parts = {}
        self._forward: Any = None
        self._wrapped: list[Wrapped] = []
        self.attach()

    @property
    def draft_ns(self) -> int | None:
        return self.time_of("draft", self._parts)

    @property
    def verify_ns(self) -> int | None:
        return self.time_of("verify", self._parts)

    @property
    def parts(self) -> Parts:
        """The marks of the current step, which stay as they are when the next one begins."""
        return self._parts

    @property
    def late(self) -> bool:
        """Whether the drafter may still be running when the step's results are there."""
        return bool(getattr(self._marks, "late", False))

    def time_of(self, part: str, parts: Parts) -> int | None:
        """The time of a part of a step; None also if it is still running."""
        marks = parts.get(part)
        if marks is None or not all(self._marks.passed(end) for _, end in marks):
            return None
        return sum(int(self._marks.between(start, end)) for start, end in marks)

    def attach(self) -> None:
        """Start measuring."""
        self._wrapped = list(self._methods()) if self._marks is not None else []
        for owner, name, method in self._wrapped:
            setattr(owner, name, method)

    def detach(self) -> None:
        """Restore the runner to the state in which vLLM made it."""
        while self._wrapped:
            owner, name, _ = self._wrapped.pop()
            owner.__dict__.pop(name, None)

    def reset(self) -> None:
        """Begin a new step; vLLM's own first call of a step does so too."""
        self._parts = {}
        self._forward = None

    def _methods(self) -> Iterator[Wrapped]:
        runner = self._runner
        if hasattr(runner, "execute_model"):
            yield runner, "execute_model", self._before(runner.execute_model, self.reset)
        if hasattr(runner, "_model_forward"):
            yield self._timed(runner, "_model_forward", "verify")
            if hasattr(runner, "drafter"):
                yield self._timed(runner, "propose_draft_token_ids", "draft")
        elif hasattr(runner, "step_timing"):
            yield runner.step_timing, "forward_start", self._before(runner.step_timing.forward_start, self._begin)
            yield runner, "sample", self._before(runner.sample, self._end)
            if runner.speculator is not None:
                yield self._timed(runner.speculator, "propose", "draft")

    def _timed(self, owner: Any, name: str, part: str) -> Wrapped:
        call = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = self._marks.mark()
            result = call(*args, **kwargs)
            self._parts.setdefault(part, []).append((start, self._marks.mark()))
            return result

        return owner, name, timed

    @staticmethod
    def _before(call: Callable[..., Any], first: Callable[[], None]) -> Callable[..., Any]:
        def both(*args: Any, **kwargs: Any) -> Any:
            first()
            return call(*args, **kwargs)

        return both

    def _begin(self) -> None:
        self._forward = self._marks.mark()

    def _end(self) -> None:
        if self._forward is not None:
            self._parts.setdefault("verify", []).append((self._forward, self._marks.mark()))
            self._forward = None


class LaneTimers:
    """The timers of a lane's workers, whichever process they run in: the parts of its last step, read at most once."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._times: tuple[int | None, int | None] | None = None

    @property
    def draft_ns(self) -> int | None:
        return self._read()[0]

    @property
    def verify_ns(self) -> int | None:
        return self._read()[1]

    def _read(self) -> tuple[int | None, int | None]:
        if self._times is None:
            self._times = workers.times_of(self._engine)
        return self._times

    def reset(self) -> None:
        """Begin a new step."""
        self._times = None

    def attach(self) -> None:
        """Start measuring; a new engine's workers have."""
        self._engine.collective_rpc("time_steps")

    def detach(self) -> None:
        """Restore the model runners to the state in which vLLM made them."""
        self._engine.collective_rpc("stop_timing_steps")
