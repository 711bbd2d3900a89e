"""One lane: an engine, its requests, and the events that they produce in each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from spectui.protocol.events import (
    NOTHING,
    Event,
    LaneChecked,
    LaneEngine,
    LaneInfo,
    Preempted,
    RequestFinished,
    Sampling,
    TokenVerdict,
)
from spectui.protocol.samples import LaneMemory
from spectui.sources.hindrance import GPU_HINDERED
from spectui.sources.vllm.compat import device, engines, inputs, parts, workers
from spectui.sources.vllm.diffusion import diffusion_tap
from spectui.sources.vllm.engine_facts import lane_engine
from spectui.sources.vllm.fixed_k import why_fixed
from spectui.sources.vllm.footprint import lane_memory
from spectui.sources.vllm.lane_request import EngineCounts, LaneRequest
from spectui.sources.vllm.lane_spec import DIFFUSION, MOST_CANVASES, LaneSpec
from spectui.sources.vllm.pieces import PieceDecoder, TokenTable
from spectui.sources.vllm.probing import Prober, Reading
from spectui.sources.vllm.sharing import ALONE, Borrowing
from spectui.sources.vllm.steering import Steered
from spectui.sources.vllm.step_timers import LaneTimers
from spectui.sources.vllm.unsupported import refuse_what_aborts
from spectui.sources.vllm.waiting import CoreWaits, NoWaits
from spectui.standstill import awake_ns

WARM_UP_IDS = tuple(range(100, 164))
"""Any ordinary ids: the text of the warm-up is never shown."""


class Lane(Steered):
    """A decoding method on its engine. Built, stepped and closed on the engine thread only.

    Attributes:
        clock_ns: The lane clock: the sum of the wall time of the lane's own steps.
        engine_steps: Steps that its engine has computed.
        totals: Its totals since the warm-up.
        disagreements: Finished requests whose totals differ from the engine's own.
        waits: Measures whether other programs hold up the engine's threads.
        checked: The result of its self-test; None if it has had none.
        shares_target: Whether the target's weights are those of an earlier lane.
        own_copy: Why they are not, although lanes should share them, as a sentence; else empty.
        alive: Whether it has not been closed.
    """

    own_copy = ""
    alive = True

    def __init__(
        self,
        info: LaneInfo,
        spec: LaneSpec,
        target: str,
        engine_args: Mapping[str, Any],
        borrowing: Borrowing = ALONE,
    ) -> None:
        self.info = info
        self.spec = spec
        refuse_what_aborts(target, spec.method, spec.options.get("model"))
        with borrowing.engine_args() as loading:
            overrides = spec.target_arguments(engine_args.get("hf_overrides"))
            self._engine = self._build(target, {**engine_args, **overrides, **loading})
        self.shares_target = borrowing.shared
        self.waits = NoWaits() if workers.elsewhere(self._engine) else CoreWaits()
        try:
            self._look_into_engine()
        except Exception:
            self.close()
            raise
        self._by_request: dict[str, LaneRequest] = {}
        self._by_engine_id: dict[str, LaneRequest] = {}
        self._by_slot: dict[int, LaneRequest] = {}
        self.clock_ns = self.engine_steps = 0
        self.totals = NOTHING
        self.own_ns = 0
        self.disagreements: list[EngineCounts] = []
        self._disturbed = False
        self.checked: LaneChecked | None = None

    def _build(self, target: str, engine_args: Mapping[str, Any]) -> Any:
        from spectui.sources.vllm.tap import TapScheduler

        seats = int(engine_args["max_num_seqs"])
        scheduler: type = TapScheduler
        if self.spec.method == DIFFUSION:
            scheduler, seats = diffusion_tap(), min(seats, MOST_CANVASES)
        # One slot more than requests may take, for a probe beside them; and one for every K: see `LaneSpec`.
        places = max(seats + 1, self.spec.k_max + 1)
        speculative = self.spec.speculative_config(target, places)
        metered: dict[str, Any] = {"speculative_config": speculative, "per_request_spec_decode_metrics": "detailed"}
        return engines.build_engine(
            model=self.spec.model(target),
            scheduler_cls=scheduler,
            async_scheduling=False,
            **(metered if speculative else {}),
            **(device.graphs(engine_args, self.spec.graph_sizes(seats)) if speculative else {}),
            **{"max_num_active_seqs": seats, **engine_args, "max_num_seqs": places},
        )

    def _look_into_engine(self) -> None:
        self._attach()
        self.fixed_k = why_fixed(self._engine, self.info)
        self.begin_k()
        self.tokenizer = self._engine.get_tokenizer()
        self.max_model_len = int(self._engine.vllm_config.model_config.max_model_len)
        self._table = TokenTable(self.tokenizer)
        self._prober = Prober(self._engine, self._tap, self._table)

    def _attach(self) -> None:
        self._tap = parts.scheduler_of(self._engine)
        self._timers = LaneTimers(self._engine)
        self._wait = device.waiting(self._engine)

    @property
    def running(self) -> bool:
        """Whether a request is unfinished."""
        return bool(self._by_request)

    @property
    def draft_ns(self) -> int | None:
        """The part of the last step in the drafter; None if it is not known, or did not run."""
        return self._timers.draft_ns

    @property
    def verify_ns(self) -> int | None:
        """The part of the last step in the target's forward pass; None if it is not known, or did not run."""
        return self._timers.verify_ns

    @property
    def disturbed(self) -> bool:
        """Whether something held up the last step."""
        return self._disturbed

    def render(self, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]) -> Any:
        """Return a conversation as vLLM passes it to the model; None if the model has no chat template."""
        return inputs.render_chat(self._engine, messages, template, arguments)

    def unknown_arguments(self, template: str, arguments: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        """Return the arguments that the chat template does not use, each with those that it does."""
        return inputs.unknown_template_arguments(self.tokenizer, template, arguments) if arguments else {}

    def answer(self, request: LaneRequest) -> str:
        """Return the text emitted for a request, as the next turn of its conversation quotes it."""
        return str(self.tokenizer.decode(request.ids.tolist(), skip_special_tokens=True))

    def text(self, ids: Sequence[int], before: Sequence[int]) -> str:
        """Return the text of ``ids`` where they follow ``before``."""
        return "".join(PieceDecoder.behind(self._table, before).feed(ids))

    def add(self, request: str, slot: int, prompt_ids: Sequence[int], sampling: Sampling) -> LaneRequest:
        """Queue a request; it takes its first step with the lane's next one."""
        params = inputs.sampling_params(sampling, slot)
        engine_id = self._engine.add_request(request, {"prompt_token_ids": list(prompt_ids)}, params)
        lane_request = LaneRequest(request, slot, list(prompt_ids), PieceDecoder.behind(self._table, prompt_ids))
        self._by_request[request] = self._by_engine_id[engine_id] = self._by_slot[slot] = lane_request
        return lane_request

    def abort(self) -> list[Event]:
        """End the unfinished requests and return the events that say so; the engine sends no last output for them."""
        engines.enter(self._engine)
        requests = list(self._by_request.values())
        self._by_request.clear()
        self._by_engine_id.clear()
        self._engine.abort_request([r.request for r in requests])
        self._tap.take()
        return [RequestFinished(self.info.name, r.request, r.slot, "abort", len(r.ids)) for r in requests]

    def step(self) -> list[Event]:
        """Take one engine step, and return its events.

        Raises:
            TapMismatchError: The tap and the engine's output differ.
        """
        entered = awake_ns()
        engines.enter(self._engine)
        self._timers.reset()
        # Work that another lane left to the GPU must not count as this lane's time, and all of its own work must.
        self._wait()
        self.waits.begin()
        start = awake_ns()
        outputs = workers.step(self._engine)
        self._wait()
        end = awake_ns()
        self.clock_ns += end - start
        self.engine_steps += 1
        self._disturbed = self.disturbs(end - start)
        events = self._events({output.request_id: output for output in outputs}, end - start)
        self.steer(events, end - start, self._disturbed, reading=self._tap.reading)
        self.own_ns += awake_ns() - entered - (end - start)
        return events

    def disturbs(self, wall_ns: int) -> bool:
        """Whether something held up the engine step that has just ended and took ``wall_ns``."""
        return self.waits.disturbed(wall_ns) or GPU_HINDERED.is_set()

    def _events(self, outputs: dict[str, Any], wall_ns: int) -> list[Event]:
        verified, preempted = self._tap.take()
        events: list[Event] = [
            Preempted(self.info.name, self._by_engine_id[engine_id].request)
            for engine_id in preempted
            if engine_id in self._by_engine_id
        ]
        for record in verified:
            request = self._by_engine_id.get(record.request)
            if request is None:
                continue
            output = outputs.get(request.request)
            step = request.step(
                self.info,
                record,
                output,
                batch=len(verified),
                wall_ns=wall_ns,
                clock_ns=self.clock_ns,
                draft_ns=self._timers.draft_ns,
                verify_ns=self._timers.verify_ns,
                disturbed=self._disturbed,
                before=self.totals,
            )
            self.totals = self.totals.plus(step.own_totals)
            events.append(step)
            if output is not None and output.finished:
                del self._by_request[request.request], self._by_engine_id[record.request]
                events.append(request.finished(self.info, output))
                if (counts := request.disagreement(output)) is not None:
                    self.disagreements.append(counts)
        return events

    def top_two_margin(self, ids: Sequence[int]) -> float:
        """Return the target's margin after ``ids``; see `Prober.top_two_margin`."""
        return self._prober.top_two_margin(ids)

    def readings(
        self, texts: Sequence[Sequence[int]], *, likeliest: int, within: bool = False, tokens: int = 1
    ) -> list[Reading]:
        """Return what the target says about ``texts``; see `Prober.readings`."""
        return self._prober.readings(texts, likeliest=likeliest, within=within, tokens=tokens)

    def inspect(self, slot: int, before: int, tokens: Sequence[int]) -> tuple[TokenVerdict, ...]:
        """Return the target's verdicts on ``tokens`` after the first ``before`` emitted ones of the slot's request;
        see `Prober.verdicts`.

        Raises:
            KeyError: The slot has had no request.
        """
        request = self._by_slot[slot]
        return self._prober.verdicts(request.prompt_ids + request.ids[:before].tolist(), tokens)

    @contextmanager
    def untapped(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Iterator[Callable[[], Any]]:
        """Run the idle lane's engine as vLLM alone does, for measuring what the tap costs.

        Yields a function that takes one engine step and returns its outputs, or None once the prompts are done.
        """
        engines.enter(self._engine)
        self._timers.detach()
        tap_class, self._tap.__class__ = type(self._tap), self._tap.untapped
        engine = self._engine
        try:
            with workers.hidden_drafts(engine):
                for slot, ids in enumerate(prompts):
                    params = inputs.sampling_params(sampling, slot)
                    engine.add_request(f"untapped-{slot}", {"prompt_token_ids": list(ids)}, params)
                yield lambda: engine.step() if engine.has_unfinished_requests() else None
        finally:
            self._tap.__class__ = tap_class
            self._timers.attach()

    def warm_up(self, prompt_ids: Sequence[int], tokens: int = 8) -> None:
        """Generate a few tokens off the clock, so that no figure includes one-time work (JIT, allocation)."""
        self.add("warm-up", 0, prompt_ids, Sampling(max_tokens=tokens, ignore_eos=True))
        with self.waits.learning():
            while self.running:
                self.step()
        self.clock_ns = self.own_ns = 0
        self.totals = NOTHING
        self.forget_policy()

    def memory(self) -> LaneMemory:
        """Return what the engine holds in memory, and what a step has to read."""
        return lane_memory(self.info.name, self._engine, shared=self.shares_target)

    def engine(self) -> LaneEngine:
        """Return how the engine computes."""
        return lane_engine(self.info.name, self._engine, self.info.k_max)

    def close(self) -> None:
        """Shut the engine down; `engines.reclaim` frees its memory once nothing refers to the lane."""
        self.alive = False
        self.waits.close()
        engines.close_engine(self._engine)
