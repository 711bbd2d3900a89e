"""The tap in a running vLLM server: ``--scheduler-cls spectui.serving.TracingScheduler``. Written for vLLM 0.32.

It runs in the engine-core process. A request ends as vLLM's scheduler ends it: the API server finds stop strings and
clients that have gone, and then aborts the request, so the reason is ``"abort"``, and tokens behind a stop string count
as emitted.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.diffusion_scheduler import DiffusionAsyncScheduler, DiffusionScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from spectui.errors import RunError
from spectui.serving.about import about
from spectui.serving.logs import speak_as_vllm
from spectui.serving.publisher import Publisher
from spectui.serving.settings import ServingSettings
from spectui.serving.tally import Tally, Verified
from spectui.serving.words import words_of
from spectui.serving.worker import TOLD
from spectui.sources.vllm.live_k import LiveKScheduler

logger = logging.getLogger(__name__)

ENDED = "the tap has stopped because of an error, which the server's log has; the server goes on without it"
UNSEEN = "the server's drafts are not visible, since its workers have failed to show them; their log says why"
MOST_UNSEEN = 200
"""After so many rows without the drafted ids that were promised, viewers are told so."""

P = ParamSpec("P")
T = TypeVar("T")


class TracingScheduler(LiveKScheduler):
    """The scheduler that vLLM would use, which also tells viewers what each step did.

    vLLM chooses between synchronous and asynchronous scheduling without looking at the class that it is given, and one
    that does not fit drafts nothing or never overlaps steps, so making one gives what fits the configuration.

    An error of its own ends the tracing, and not the server.
    """

    def __new__(cls, vllm_config: Any, *args: Any, **kwargs: Any) -> TracingScheduler:
        base = _untraced(vllm_config)
        fitting = cls if issubclass(cls, base) else type(cls.__name__, (cls, base), {})
        made: TracingScheduler = object.__new__(fitting)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        speak_as_vllm()
        self._tracing = False
        self._tally = Tally(0)
        self._publisher: Publisher | None = None
        self._scheduled: deque[tuple[SchedulerOutput, int]] = deque()
        self._ended_ns = 0
        self._busy = False
        try:
            self._trace()
        except RunError:
            # What the operator has set is wrong, and says so before the server has any work.
            raise
        except Exception:
            logger.exception(ENDED)

    def _trace(self) -> None:
        settings = ServingSettings.from_environment(os.environ)
        self._about = about(self.vllm_config, self.kv_cache_config, settings)
        self._tally = Tally(
            self._about.k_max,
            share=settings.share,
            redaction=settings.redaction,
            waiting=lambda: self.get_request_counts()[1],
        )
        words = words_of(self.vllm_config) if settings.redaction == "text" else None
        publisher = Publisher(settings, self._about, self._tally.feed, words, rank=self._about.dp_rank)
        publisher.start()
        self._publisher, self._tracing = publisher, True
        if publisher.endpoint:
            logger.info("SpecTUI: watch this server with `spectui attach %s`", publisher.endpoint)

    def shutdown(self) -> None:
        super().shutdown()
        if self._publisher is not None:
            self._publisher.stop()

    def add_request(self, request: Request) -> None:
        # A part of a prompt that is streamed comes as a request that is known already.
        known = request.request_id in self.requests
        super().add_request(request)
        if not known:
            self._safely(self._tally.began, request.request_id, request.prompt_token_ids, request.num_prompt_tokens)

    def finish_requests(self, *args: Any, **kwargs: Any) -> list[Request]:
        finished: list[Request] = super().finish_requests(*args, **kwargs)
        for request in finished:
            self._safely(self._tally.ended, request.request_id, str(request.get_finished_reason()))
        return finished

    def _preempt_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super()._preempt_request(request, *args, **kwargs)
        self._safely(self._tally.preempted, request.request_id)

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        now = time.monotonic_ns()
        if self._tally.feed.asked_k is not None:
            self._safely(self._follow)
        scheduled: SchedulerOutput = super().schedule(*args, **kwargs)
        if self._tracing:
            self._scheduled.append((scheduled, now))
        return scheduled

    def update_from_output(self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput) -> Any:
        k = self._k_of_drafts
        sampled = self._safely(self._tally.copies, model_runner_output.sampled_token_ids)
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        if sampled is not None:
            self._safely(self._count, k, scheduler_output, model_runner_output, sampled, outputs)
        return outputs

    def _count(
        self,
        k: int,
        scheduled: SchedulerOutput,
        result: ModelRunnerOutput,
        sampled: list[list[int] | int],
        outputs: dict[int, Any],
    ) -> None:
        now = time.monotonic_ns()
        began, self._ended_ns = self._began(scheduled), now
        if not scheduled.total_num_scheduled_tokens:
            return
        draft_ns, verify_ns, told = getattr(result, TOLD, (None, None, None))
        step = Verified(
            k=k,
            wall_ns=now - began,
            draft_ns=draft_ns,
            verify_ns=verify_ns,
            place=result.req_id_to_index,
            sampled=sampled,
            drafts=scheduled.scheduled_spec_decode_tokens,
            told=told,
            ruled_out=scheduled.num_invalid_spec_tokens,
        )
        self._tally.step(step, [output for one in outputs.values() for output in one.outputs], self._goes_on)
        if self._tally.unseen >= MOST_UNSEEN and self._about.drafts:
            self._tell(drafts=False, why=UNSEEN)
        # What the tap itself takes counts as no step's time.
        self._ended_ns = time.monotonic_ns()
        self._busy = bool(self.running)

    def _began(self, scheduled: SchedulerOutput) -> int:
        """When a step began: when it was scheduled, or else when the one before ended, if it was scheduled before that
        or the server has had requests to compute all the time."""
        at = self._ended_ns
        while self._scheduled:
            one, then = self._scheduled.popleft()
            if one is scheduled:
                at = then
                break
        return self._ended_ns if self._busy else max(at, self._ended_ns)

    def _goes_on(self, name: str) -> bool:
        request = self.requests.get(name)
        return request is not None and not request.is_finished()

    def _follow(self) -> None:
        """Take the K that a viewer has asked for; the largest one is what the server was started with, even if that is
        a table of K by the number of requests."""
        with self._tally.feed.lock:
            k, self._tally.feed.asked_k = self._tally.feed.asked_k, None
        allowed = self._about.control and not self._about.fixed_k
        if allowed and k is not None and 0 <= k <= self._about.k_max and k != self._tally.k:
            if k == self._about.k_max:
                self.restore_k()
            else:
                self.k = k
            self._tally.set_k(k)

    def _safely(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Do what only the tracing needs; None once that has failed."""
        if not self._tracing:
            return None
        try:
            return call(*args, **kwargs)
        except Exception:
            self._tracing = False
            logger.exception(ENDED)
            self._scheduled.clear()
            self._tally.forget_requests()
            self.restore_k()
            self._tell(control=False, drafts=False, why=ENDED)
            return None

    def _tell(self, **changes: Any) -> None:
        self._about = msgspec.structs.replace(self._about, **changes)
        if self._publisher is not None:
            self._publisher.tell(self._about)


def _untraced(config: Any) -> type:
    """The scheduler that vLLM would use (`get_scheduler_cls` in ``vllm/config/scheduler.py``, `__post_init__` in
    ``vllm/config/vllm.py``)."""
    asynchronous = config.scheduler_config.async_scheduling
    if config.model_config.is_diffusion:
        return DiffusionAsyncScheduler if asynchronous else DiffusionScheduler
    return AsyncScheduler if asynchronous else Scheduler
