"""A lane as vLLM runs it by default: with its own scheduler, asynchronous where vLLM chooses so, and without the tap.

An asynchronous engine schedules a step before it knows the result of the one before, so that the device never waits for
the scheduler (``vllm/v1/engine/core.py``, `step_with_batch_queue`). The ids of drafted tokens never reach the scheduler
then, but vLLM still counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spectui.errors import RunError
from spectui.protocol.events import Event, LaneInfo, Step
from spectui.sources.vllm.compat import device, engines, parts
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_request import LaneRequest
from spectui.sources.vllm.lane_spec import LaneSpec
from spectui.sources.vllm.sharing import ALONE, Borrowing
from spectui.standstill import awake_ns

UNSEEN = -1
"""Stands for a drafted token whose id vLLM tells nobody."""


class UntappedLane(Lane):
    """A lane for measurements only: it cannot race, and its steps tell how many tokens were drafted, but not which.

    Its lane clock also runs between two steps while the device has a step to compute.
    """

    _steerable = False

    def __init__(
        self,
        info: LaneInfo,
        spec: LaneSpec,
        target: str,
        engine_args: Mapping[str, Any],
        borrowing: Borrowing = ALONE,
        *,
        every_k: bool = False,
    ) -> None:
        """Build it.

        Args:
            info: The lane.
            spec: What it drafts with; without ``every_k`` its K is the one that a server is started with.
            target: Path or id of the target.
            engine_args: vLLM engine arguments.
            borrowing: How it gets its target.
            every_k: Whether its K can be set.
        """
        self._every_k = every_k
        super().__init__(info, spec, target, engine_args, borrowing)
        self._in_flight_since: int | None = None
        self._highest_k = self.k

    def _build(self, target: str, engine_args: Mapping[str, Any]) -> Any:
        spec = self.spec
        arguments = {"model": target, **engine_args}
        if spec.k_max and self._every_k:
            seats = int(engine_args["max_num_seqs"])
            places = max(seats, spec.k_max + 1)
            arguments |= {"max_num_active_seqs": seats, "max_num_seqs": places}
            arguments |= device.graphs(engine_args, spec.graph_sizes(seats))
            arguments["speculative_config"] = spec.speculative_config(target, places)
        elif spec.k_max:
            arguments["speculative_config"] = spec.drafting(target)
        return engines.build_engine(tapped=False, **arguments)

    def _attach(self) -> None:
        self._tap = VllmCounts(parts.scheduler_of(self._engine))

    @property
    def scheduling(self) -> str:
        """How vLLM schedules this engine: ``"asynchronous"`` or ``"synchronous"``."""
        return "asynchronous" if self._engine.vllm_config.scheduler_config.async_scheduling else "synchronous"

    @property
    def draft_ns(self) -> None:
        """Nothing is timed."""

    @property
    def verify_ns(self) -> None:
        """Nothing is timed."""

    @property
    def k(self) -> int:
        return int(self._tap.k) if self.info.k_max else 0

    @k.setter
    def k(self, k: int) -> None:
        self._tap.k = k
        # Until the requests in flight have ended, some of their drafts may still be as long as before.
        self._highest_k = max(self.k, self._highest_k) if self.running else self.k

    def step(self) -> list[Event]:
        """Take one engine step, and return the events of the one whose results it brings, if any.

        Raises:
            RunError: The drafter takes no notice of K.
        """
        engines.enter(self._engine)
        self.waits.begin()
        waiting = parts.in_flight(self._engine)
        start = awake_ns()
        outputs = self._engine.step()
        end = awake_ns()
        self.engine_steps += self._ended(waiting)
        wall_ns = end - (start if self._in_flight_since is None else self._in_flight_since)
        self._in_flight_since = end if self._in_flight else None
        self.clock_ns += wall_ns
        self._disturbed = self.disturbs(wall_ns)
        return self._events({output.request_id: output for output in outputs}, wall_ns)

    def _ended(self, waiting: Sequence[int]) -> bool:
        """Whether a step of the engine has ended, of which ``waiting`` were in flight: it may only have begun one."""
        left = parts.in_flight(self._engine)
        if waiting and len(left) <= len(waiting):
            # vLLM also queues steps in which it has nothing to compute.
            return waiting[0] > 0
        return not left

    def _events(self, outputs: dict[str, Any], wall_ns: int) -> list[Event]:
        counts = self._tap.take()
        events: list[Event] = []
        for engine_id, request in list(self._by_engine_id.items()):
            if (output := outputs.get(request.request)) is None:
                continue
            step = self._step(
                request, output.outputs[0].token_ids, counts.get(engine_id, (0, 0)), len(outputs), wall_ns
            )
            self.totals = self.totals.plus(step.own_totals)
            request.ids.extend(step.emitted)
            request.steps += 1
            events.append(step)
            if output.finished:
                del self._by_request[request.request], self._by_engine_id[engine_id]
                events.append(request.finished(self.info, output))
        return events

    def _step(
        self, request: LaneRequest, ids: Sequence[int], counts: tuple[int, int], batch: int, wall_ns: int
    ) -> Step:
        drafted, accepted = counts
        if drafted > self._highest_k:
            raise RunError(
                f"{self.info.title} drafts {drafted} tokens at K = {self._highest_k}: its drafter ignores K; "
                "search without --async"
            )
        cut = accepted + 1 - len(ids)
        return Step(
            lane=self.info.name,
            request=request.request,
            slot=request.slot,
            index=request.steps,
            k=self.k,
            drafted=(UNSEEN,) * drafted,
            accepted=accepted,
            emitted=tuple(ids),
            cut=(UNSEEN,) * cut,
            own=None if cut else "bonus" if accepted == drafted else "recovered",
            cut_reason=None,
            text=(),
            drafted_text=(),
            batch=batch,
            wall_ns=wall_ns,
            clock_ns=self.clock_ns,
            disturbed=self._disturbed,
            before=len(request.ids),
        )

    @property
    def _in_flight(self) -> bool:
        """Whether the engine has a step whose results it has not looked at."""
        return bool(parts.in_flight(self._engine))

    def warm_up(self, prompt_ids: Sequence[int], tokens: int = 8) -> None:
        super().warm_up(prompt_ids, tokens)
        # vLLM may have scheduled one step more than was needed: its idle time until the next request is not the lane's.
        self._drain()

    def abort(self) -> list[Event]:
        events = super().abort()
        self._drain()
        return events

    def _drain(self) -> None:
        """Let an engine without requests end the steps that it has in flight, off the clock."""
        while self._in_flight:
            self._engine.step()
        self._tap.take()
        self._in_flight_since = None


class VllmCounts:
    """vLLM's own counts of the last step, and its K. The scheduler's class is vLLM's."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._counts: dict[str, tuple[int, int]] = {}
        count = scheduler.make_spec_decoding_stats

        def counted(stats: Any, **found: Any) -> Any:
            self._counts[found["request_id"]] = (found["num_draft_tokens"], found["num_accepted_tokens"])
            return count(stats, **found)

        scheduler.make_spec_decoding_stats = counted

    @property
    def k(self) -> int:
        """How many tokens may be drafted from the next step on, whatever the number of requests."""
        lookup = self._scheduler.dynamic_sd_lookup
        return int(self._scheduler.num_spec_tokens if lookup is None else lookup[-1])

    @k.setter
    def k(self, k: int) -> None:
        lookup = self._scheduler.dynamic_sd_lookup
        if lookup is not None:
            self._scheduler.dynamic_sd_lookup = [k] * len(lookup)

    def take(self) -> Mapping[str, tuple[int, int]]:
        """Return drafted and accepted tokens of each request that had a draft in the last step."""
        counts, self._counts = self._counts, {}
        return counts
