"""Extends the workers of a server: ``--worker-extension-cls spectui.serving.TracingWorker``. Written for vLLM 0.32.

A worker adds to each step's results how long its parts took, and the drafted ids where vLLM keeps them from its
scheduler. They come with the results, so nothing waits for them.

On a CPU it also repairs how vLLM judges drafts above temperature 0, without which even the greedy requests beside them
are answered wrongly (`give_drafts_their_settings` in ``spectui/sources/vllm/compat/patches.py``); on GPUs nothing needs
repair.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import count, repeat
from typing import Any, ParamSpec

from spectui.serving.about import extended
from spectui.serving.logs import speak_as_vllm
from spectui.sources.vllm.compat.patches import give_drafts_their_settings
from spectui.sources.vllm.step_timers import Parts, StepTimers

logger = logging.getLogger(__name__)

TOLD = "spectui_told"
"""Attribute of vLLM's ``ModelRunnerOutput`` with what a worker tells: nanoseconds of the drafter and of the target's
forward pass, and the ids of the drafts that were verified, by request; each None if it is not known.

vLLM pickles these results on their way from other processes, with all their attributes.
"""

P = ParamSpec("P")


class TracingWorker:
    """Mixed into vLLM's worker class. It begins by itself once a worker has made its model runner.

    vLLM refuses an extension with a method of the worker's own, and asks for none in a server. A class behind the
    worker's own bases still hears of its attributes, and methods with two underscores are not refused.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name != "model_runner" or value is None:
            return
        try:
            # The class keeps what was mixed into it, for later engines in this process too.
            if extended(value.vllm_config):
                speak_as_vllm()
                _repair()
                RunnerTrace(value, value.vllm_config)
        except Exception:
            logger.exception("steps are not timed, and drafts not shown, because of an error")


def _repair() -> None:
    try:
        give_drafts_their_settings()
    except Exception:
        logger.exception("on a CPU, drafts above temperature 0 are judged wrongly, because of an error")


class RunnerTrace:
    """What is told of a model runner's steps.

    On a GPU the drafter may still be running when a step's results are there; then the time of the drafter is that of
    the step before, in which it made the drafts that this step verifies. With pipeline parallelism no times are told,
    since each stage knows only its own.
    """

    def __init__(self, runner: Any, config: Any) -> None:
        self._runner = runner
        self._v2 = bool(config.use_v2_model_runner)
        self._timers = StepTimers(runner) if config.parallel_config.pipeline_parallel_size == 1 else None
        self._before: Parts = {}
        self._drafts: dict[str, tuple[_Copied, int]] | None = None
        self._verified: dict[str, tuple[_Copied, int]] | None = None
        self._on = True
        if config.num_speculative_tokens and (self._v2 or config.scheduler_config.async_scheduling):
            self._drafts = {}
            runner.execute_model = self._first(runner.execute_model, self._note_verified)
            if self._v2:
                handler = runner.draft_tokens_handler
                handler.set_draft_tokens = self._first(handler.set_draft_tokens, self._note_drafts_of_v2)
        sample = runner.sample_tokens

        def sample_tokens(*args: Any, **kwargs: Any) -> Any:
            result = sample(*args, **kwargs)
            self._safely(self._tell, result)
            return result

        runner.sample_tokens = sample_tokens

    def _first(self, call: Callable[P, Any], note: Callable[P, None]) -> Callable[P, Any]:
        def both(*args: P.args, **kwargs: P.kwargs) -> Any:
            self._safely(note, *args, **kwargs)
            return call(*args, **kwargs)

        return both

    def _safely(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        if not self._on:
            return
        try:
            call(*args, **kwargs)
        except Exception:
            self._on = False
            logger.exception("steps are no longer timed, and drafts not shown, because of an error")

    def _note_verified(self, scheduled: Any, *_: Any) -> None:
        """Find the drafts that a step verifies, before it makes its own."""
        if (drafts := self._drafts) is None:
            return
        for name in scheduled.finished_req_ids:
            drafts.pop(name, None)
        self._verified = {name: drafts[name] for name in scheduled.scheduled_spec_decode_tokens if name in drafts}

    def _note_drafts_of_v2(self, batch: Any, drafts: Any) -> None:
        self._note_drafts(batch.req_ids, drafts)

    def _note_drafts(self, names: Sequence[str], drafts: Any) -> None:
        if self._drafts is not None:
            self._drafts.update(zip(names, zip(repeat(_Copied(drafts)), count(), strict=False), strict=False))

    def _tell(self, result: Any) -> None:
        """Add to the results of a step what is known of it, as soon as they are there."""
        parts, before = {} if self._timers is None else self._timers.parts, self._before
        verified, self._verified, self._before = self._verified, None, parts
        runner = self._runner
        if self._drafts is not None and not self._v2 and runner._draft_token_ids is not None:
            self._note_drafts([*runner.input_batch.req_ids], runner._draft_token_ids)
        if (get_output := getattr(result, "get_output", None)) is not None:

            def told() -> Any:
                output = get_output()
                self._safely(self._add, output, parts, before, verified)
                return output

            result.get_output = told
        elif getattr(result, "req_ids", None):
            self._add(result, parts, before, verified)

    def _add(
        self, output: Any, parts: Parts, before: Parts, verified: Mapping[str, tuple[_Copied, int]] | None
    ) -> None:
        draft_ns = verify_ns = None
        if (timers := self._timers) is not None:
            draft_ns = timers.time_of("draft", before if timers.late else parts)
            verify_ns = timers.time_of("verify", parts)
        told = None if verified is None else {name: copied.row(at) for name, (copied, at) in verified.items()}
        setattr(output, TOLD, (draft_ns, verify_ns, told))


class _Copied:
    """Drafts on their way from the device; nothing waits for them until they are read, a step later."""

    def __init__(self, drafts: Any) -> None:
        self._rows: list[list[int]] | None = None
        if isinstance(drafts, list):
            self._rows = drafts
            return
        self._event: Any = None
        self._host = drafts.to("cpu", non_blocking=True, copy=True)
        if drafts.device.type != "cpu":
            torch: Any = importlib.import_module("torch")
            self._event = torch.Event(drafts.device.type)
            self._event.record()

    def row(self, at: int) -> list[int]:
        if self._rows is None:
            if self._event is not None:
                self._event.synchronize()
            self._rows = self._host.tolist()
        return self._rows[at]
