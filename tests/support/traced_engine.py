"""An engine of vLLM in this process whose scheduler and worker are those of a traced server, without a publisher."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from spectui.serving.feed import Feed
from spectui.serving.settings import ServingSettings
from spectui.wire.messages import About, EngineStep, Item, Standing
from tests.support.tiny_checkpoints import Tiny

SCHEDULER, WORKER = "spectui.serving.TracingScheduler", "spectui.serving.TracingWorker"


class FakePublisher:
    """Keeps what it is given, and watches from the start."""

    endpoint = ""

    def __init__(self, settings: Any, about: About, feed: Feed, words: Any = None, *, rank: int = 0) -> None:
        self.settings, self.about, self.feed, self.words, self.rank = settings, about, feed, words, rank
        self.started = self.stopped = False
        feed.watched = True

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True

    def tell(self, about: About) -> None:
        self.about = about


@dataclass
class Traced:
    """The engine, its scheduler, and every item that it has put into the feed."""

    engine: Any
    items: list[Item] = field(default_factory=list)
    outputs: dict[str, list[int]] = field(default_factory=dict)
    stats: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        core = self.engine.engine_core
        get_output = core.get_output

        def noted() -> Any:
            outputs = get_output()
            if (stats := getattr(outputs.scheduler_stats, "spec_decoding_stats", None)) is not None:
                self.stats.append(stats)
            return outputs

        core.get_output = noted

    @property
    def scheduler(self) -> Any:
        return self.engine.engine_core.engine_core.scheduler

    @property
    def publisher(self) -> FakePublisher:
        publisher: FakePublisher = self.scheduler._publisher
        return publisher

    @property
    def about(self) -> About:
        return self.publisher.about

    @property
    def feed(self) -> Feed:
        return self.publisher.feed

    @property
    def standing(self) -> Standing:
        with self.feed.lock:
            standing: Standing = self.scheduler._tally.standing(0)
        return standing

    @property
    def steps(self) -> list[EngineStep]:
        return [item for item in self.items if isinstance(item, EngineStep)]

    def add(self, name: str, prompt_ids: Sequence[int], **sampling: Any) -> None:
        vllm: Any = importlib.import_module("vllm")
        params = vllm.SamplingParams(**{"temperature": 0.0, "max_tokens": 24, "ignore_eos": True, **sampling})
        self.engine.add_request(name, {"prompt_token_ids": [*prompt_ids]}, params)

    def step(self) -> list[Item]:
        """Take an engine step, and return what it put into the feed."""
        for output in self.engine.step():
            self.outputs[output.request_id] = [*output.outputs[0].token_ids]
        new = self.feed.take()[0]
        self.items += new
        return new

    def run(self) -> list[Item]:
        """Step until nothing is left, and return what that put into the feed."""
        before = len(self.items)
        while self.engine.has_unfinished_requests():
            self.step()
        return self.items[before:]

    def counters(self) -> tuple[int, int, int, list[int]]:
        """vLLM's own sums, which a server has under ``/metrics``: drafts, drafted tokens, accepted ones, and those by
        position. Taken from what its counters are fed with, since only the newest engine of a process has counters."""
        drafts, drafted, accepted, at = 0, 0, 0, [0] * self.about.k_max
        for one in self.stats:
            drafts, drafted = drafts + one.num_drafts, drafted + one.num_draft_tokens
            accepted += one.num_accepted_tokens
            at = [ours + theirs for ours, theirs in zip(at, one.num_accepted_tokens_per_pos, strict=True)]
        return drafts, drafted, accepted, at


def arguments(tiny: Tiny, method: str, **others: Any) -> dict[str, Any]:
    """vLLM's arguments for a server of a tiny checkpoint, without the table of `LaneSpec.speculative_config`."""
    from spectui.sources.vllm.lane_spec import parse_lane_spec

    spec = parse_lane_spec(tiny.lanes[method])
    drafting = {"speculative_config": spec.drafting(str(tiny.target))} if spec.k_max else {}
    return {
        "model": str(tiny.target),
        "dtype": tiny.dtype,
        "enforce_eager": True,
        "max_model_len": 256,
        "max_num_seqs": 8,
        "kv_cache_memory_bytes": 16 << 20,
        "enable_prefix_caching": False,
        "disable_log_stats": False,
        "scheduler_cls": SCHEDULER,
        "seed": 0,
        **drafting,
        **spec.target_arguments(),
        **others,
    }


@contextmanager
def traced(arguments: dict[str, Any], *, worker: str = WORKER, **settings: Any) -> Iterator[Traced]:
    """Build an engine whose operator has set ``settings``, and close it.

    Args:
        arguments: vLLM's.
        worker: The extension of its workers.
    """
    from spectui.sources.vllm.compat import engines, workers

    scheduler: Any = importlib.import_module("spectui.serving.scheduler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "Publisher", FakePublisher)
        chosen = ServingSettings(**settings)
        patch.setattr(ServingSettings, "from_environment", lambda environ: chosen)
        patch.setattr(engines, "WORKER_EXTENSION", worker)
        patch.setattr(workers, "take_charge", lambda engine, *, tapped: None)
        engine = engines.build_engine(tapped=False, **arguments)
    one = Traced(engine)
    try:
        yield one
    finally:
        engines.close_engine(engine)
        assert one.publisher.started
        assert one.publisher.stopped
