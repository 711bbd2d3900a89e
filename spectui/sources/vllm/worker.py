"""Extends an engine's workers, in whichever process they run. Written for vLLM 0.32."""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import signal
from typing import Any

from spectui.sources.vllm.compat.device import waiting_for
from spectui.sources.vllm.compat.patches import give_drafts_their_settings
from spectui.sources.vllm.step_timers import StepTimers

PR_SET_PDEATHSIG = 1
"""Sends a process a signal when its parent ends (``linux/prctl.h``)."""


class TappedWorker:
    """Mixed into vLLM's worker class (``worker_extension_cls``); the engine calls it with ``collective_rpc``.

    It changes nothing until it is called. There is one for engines with and without the tap, since vLLM's class keeps
    what was mixed into it, and refuses a second one with a method of the same name.
    """

    model_runner: Any
    _step_timers: StepTimers

    def give_drafts_their_settings(self) -> None:
        """See `spectui.sources.vllm.compat.patches.give_drafts_their_settings`."""
        give_drafts_their_settings()

    def show_drafts(self) -> None:
        """Make the model runner pass the drafted ids to the scheduler.

        Model runner V2 passes them on only if a grammar needs them, and otherwise ``-1`` for each
        (``vllm/v1/worker/gpu/spec_decode/utils.py``, ``DraftTokensHandler``). The price is a copy that has to complete
        before a step ends. The V1 runner always passes them on.
        """
        handler = getattr(self.model_runner, "draft_tokens_handler", None)
        if handler is None or "set_draft_tokens" in vars(handler):
            return
        hand_over = handler.set_draft_tokens

        def set_draft_tokens(input_batch: Any, draft_tokens: Any) -> None:
            grammar = input_batch.has_structured_output_reqs
            input_batch.has_structured_output_reqs = True
            try:
                hand_over(input_batch, draft_tokens)
            finally:
                input_batch.has_structured_output_reqs = grammar

        handler.set_draft_tokens = set_draft_tokens

    def hide_drafts(self) -> None:
        """Undo `show_drafts`."""
        if (handler := getattr(self.model_runner, "draft_tokens_handler", None)) is not None:
            vars(handler).pop("set_draft_tokens", None)

    def time_steps(self) -> None:
        """Start timing the parts of each step."""
        self._step_timers = StepTimers(self.model_runner)

    def stop_timing_steps(self) -> None:
        """Restore the model runner to the state in which vLLM made it."""
        self._step_timers.detach()

    def step_times(self) -> tuple[int | None, int | None]:
        """Time of the drafter and of the target's forward pass in the last step, in nanoseconds; None if unknown."""
        return self._step_timers.draft_ns, self._step_timers.verify_ns

    def serve_another_process(self) -> None:
        """Make this process a part of another one's program.

        Ctrl-C goes to every process of a terminal, but ends this one only through its owner, which vLLM's executor does
        by closing a pipe. If the owner is killed, this process is too: vLLM's worker would notice the closed pipe, but
        take its time, and a core.
        """
        if (owner := multiprocessing.parent_process()) is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # It is the end of the thread that started this process that counts: the one that owns the engine.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != owner.pid:
                os.kill(os.getpid(), signal.SIGKILL)

    def finish_steps(self) -> None:
        """Say that a step is done once this process's GPU has finished it, drafter included."""
        wait, sample = waiting_for(getattr(self.model_runner, "device", None)), self.model_runner.sample_tokens

        def sample_tokens(*args: Any, **kwargs: Any) -> Any:
            output = sample(*args, **kwargs)
            wait()
            return output

        self.model_runner.sample_tokens = sample_tokens

    def expect_earlier_stage(self) -> None:
        """Make room for what an earlier stage of a pipeline sends.

        V1 does so in its profiling run (``_dummy_run`` in ``vllm/v1/worker/gpu_model_runner.py``), which a CPU engine
        skips if it is told the size of its cache.
        """
        group: Any = importlib.import_module("vllm.distributed.parallel_state").get_pp_group()
        runner = self.model_runner
        if not group.is_first_rank and getattr(runner, "intermediate_tensors", ()) is None:
            runner.intermediate_tensors = runner.model.make_empty_intermediate_tensors(
                batch_size=runner.max_num_tokens, dtype=runner.model_config.dtype, device=runner.device
            )
