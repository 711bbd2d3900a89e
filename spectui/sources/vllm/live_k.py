"""A scheduler whose K can change between steps. Written for vLLM 0.32."""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import DraftTokenIds, ModelRunnerOutput


class LiveKScheduler(Scheduler):
    """vLLM's scheduler, with a K that can change between steps.

    vLLM looks K up by the number of requests in a step (``num_speculative_tokens_per_batch_size``), and drafts
    ``num_speculative_tokens`` where it has no such table. The workers follow the K that comes with a step either way
    (``num_spec_tokens_to_schedule``).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._k = self._k_of_drafts = self.num_spec_tokens
        self._built_lookup = self.dynamic_sd_lookup

    @property
    def k(self) -> int:
        """How many tokens may be drafted, from the next step on."""
        return self._k

    @k.setter
    def k(self, k: int) -> None:
        self._k = k
        self.dynamic_sd_lookup = [k] * (self.max_num_running_reqs + 1)

    def restore_k(self) -> None:
        """Let vLLM draft as it was started to."""
        self._k, self.dynamic_sd_lookup = self.num_spec_tokens, self._built_lookup

    def update_from_output(self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput) -> Any:
        # A step without requests leaves the drafts of those in flight as they are.
        if scheduler_output.num_scheduled_tokens:
            self._k_of_drafts = scheduler_output.num_spec_tokens_to_schedule
        return super().update_from_output(scheduler_output, model_runner_output)

    def update_draft_token_ids(self, draft_token_ids: DraftTokenIds) -> None:
        super().update_draft_token_ids(draft_token_ids)
        # Not every drafter respects the live K, so drafts are cut to it here, before they are scheduled.
        for request_id in draft_token_ids.req_ids:
            request = self.requests.get(request_id)
            if request is not None and len(request.spec_token_ids) > self._k_of_drafts:
                request.spec_token_ids = request.spec_token_ids[: self._k_of_drafts]
