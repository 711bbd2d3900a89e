"""The tap: a scheduler that sees what was drafted and what the target accepted of it.

vLLM's ``scheduler_cls`` is the supported hook. ``update_from_output`` receives the drafted ids of every request and the
ids that remain after verification, for every drafter, as long as scheduling is synchronous and the model runner passes
them on. V1 does; V2 only does so after `spectui.sources.vllm.worker` has changed it, and passes ``-1`` otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.request_queue import create_request_queue
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from spectui.sources.vllm.live_k import LiveKScheduler


class HiddenDraftsError(RuntimeError):
    """vLLM does not pass the ids of drafted tokens to the scheduler; the message is a sentence."""


class Verified(NamedTuple):
    """One request in one engine step: the ids that were drafted, and those that remain after verification, uncut.

    ``k`` is the number of drafted tokens that were allowed when the drafter ran. ``canvas`` is the number of positions
    that a diffusion model denoised; 0 for other models.
    """

    request: str
    k: int
    drafted: tuple[int, ...]
    sampled: tuple[int, ...]
    canvas: int = 0


class TapScheduler(LiveKScheduler):
    """vLLM's scheduler, which also remembers the last step and has a K that can change between steps."""

    reading = False
    """Whether the last engine step read a part of a prompt that brought no token yet."""

    untapped: type = Scheduler
    """The class that vLLM itself would use."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verified: list[Verified] = []
        self._preempted: list[str] = []

    def take(self) -> tuple[list[Verified], list[str]]:
        """Return what the last engine step verified, and the requests preempted in it."""
        verified, self._verified = self._verified, []
        preempted, self._preempted = self._preempted, []
        return verified, preempted

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Schedule only requests added within the block; the others keep their places, their cache and their drafts.

        The model runner keeps the state of requests that a step leaves out (``_update_states`` in
        ``vllm/v1/worker/gpu_model_runner.py``).
        """
        running, waiting, k_of_drafts = self.running, self.waiting, self._k_of_drafts
        verified, preempted = self.take()
        self.running, self.waiting = [], create_request_queue(self.policy)
        try:
            yield
        finally:
            self.running, self.waiting, self._k_of_drafts = running, waiting, k_of_drafts
            self._verified, self._preempted = verified, preempted

    def computed(self, request_id: str) -> int:
        """Return how many tokens of a request are computed; -1 if there is no such request."""
        request = self.requests.get(request_id)
        return -1 if request is None else int(request.num_computed_tokens)

    def update_from_output(self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput) -> Any:
        sampled = model_runner_output.sampled_token_ids
        index_of = model_runner_output.req_id_to_index
        drafts = scheduler_output.scheduled_spec_decode_tokens
        self.reading = False
        for request_id in scheduler_output.num_scheduled_tokens:
            request = self.requests.get(request_id)
            if request is not None and not request.is_finished():
                # The base class truncates these lists when a request ends, so read them first.
                ids = tuple(sampled[index_of[request_id]]) if sampled else ()
                self.reading = self.reading or not ids
                self._remember(request_id, drafts.get(request_id, ()), ids)
        return super().update_from_output(scheduler_output, model_runner_output)

    def _remember(self, request_id: str, drafts: Sequence[int], ids: tuple[int, ...]) -> None:
        if ids:
            self._verified.append(Verified(request_id, self._k_of_drafts, _shown(drafts), ids))

    def _preempt_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super()._preempt_request(request, *args, **kwargs)
        self._preempted.append(request.request_id)


def _shown(drafted: Iterable[int]) -> tuple[int, ...]:
    """Return the drafted ids. ``-1`` is not a token; taken for "no draft", it would make an accepted one look like AR.

    Raises:
        HiddenDraftsError: vLLM hides the ids.
    """
    ids = tuple(drafted)
    if any(i < 0 for i in ids):
        raise HiddenDraftsError(
            "vLLM hides the drafted tokens from its scheduler, so they cannot be shown: please report this with the "
            "output of `spectui doctor`"
        )
    return ids
