"""Diffusion lanes: what the tap on vLLM's scheduler for them sees of scripted steps, and why a CPU has no such lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.core.tokens import Role, step_tokens
from spectui.protocol.events import NOTHING, Step
from spectui.sources.vllm.diffusion import diffusion_tap
from spectui.sources.vllm.lane_request import LaneRequest
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.loading import Loader, NotLoadedError
from spectui.sources.vllm.pieces import PieceDecoder
from tests.conftest import SMALL_ENGINE_ARGS

CANVAS = 8
PROMPT = list(range(100, 120))
SPEC = parse_lane_spec("diffusion:model=some/diffusion-model")
(INFO,) = lane_infos([SPEC])


@pytest.fixture(scope="module")
def vllm_config(demo_model: Path) -> Any:
    """vLLM's configuration of a model that has the demo target's shape and a canvas."""
    from vllm import EngineArgs

    model = {**SMALL_ENGINE_ARGS, "model": str(demo_model), "hf_overrides": {"canvas_length": CANVAS}}
    with pytest.MonkeyPatch.context() as patch:
        # The model runner that a GPU has; here none is made.
        patch.setattr("vllm.config.vllm.HAS_TRITON", True)
        return EngineArgs(**model, diffusion_config={"canvas_length": CANVAS}).create_engine_config()


@pytest.fixture
def scheduler(vllm_config: Any) -> Any:
    import torch
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    layer = FullAttentionSpec(block_size=16, num_kv_heads=1, head_size=8, dtype=torch.float32)
    cache = KVCacheConfig(num_blocks=64, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], layer)])
    vllm_config.cache_config.num_gpu_blocks = cache.num_blocks
    return diffusion_tap()(
        vllm_config=vllm_config,
        kv_cache_config=cache,
        structured_output_manager=StructuredOutputManager(vllm_config),
        block_size=16,
        log_stats=True,
    )


def add(scheduler: Any, *names: str, max_tokens: int) -> None:
    from vllm import SamplingParams
    from vllm.v1.request import Request

    for name in names:
        params = SamplingParams(max_tokens=max_tokens, ignore_eos=True)
        scheduler.add_request(Request(name, PROMPT, params, pooling_params=None))


def step(scheduler: Any, committed: Mapping[str, Sequence[int]]) -> tuple[dict[str, list[int]], Any]:
    """Take an engine step whose model commits these ids; returns what reaches the output, and vLLM's own counts."""
    from vllm.v1.outputs import DraftTokenIds, ModelRunnerOutput

    scheduled = scheduler.schedule()
    names = list(scheduled.num_scheduled_tokens)
    outputs = scheduler.update_from_output(
        scheduled,
        ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: index for index, name in enumerate(names)},
            sampled_token_ids=[list(committed.get(name, ())) for name in names],
        ),
    )
    scheduler.update_draft_token_ids(DraftTokenIds(names, [[7] * CANVAS for _ in names]))
    (core,) = outputs.values()
    emitted = {one.request_id: list(one.new_token_ids) for one in core.outputs}
    return emitted, core.scheduler_stats.spec_decoding_stats


def test_a_lane_that_diffuses_uses_vllms_own_scheduler_for_it(scheduler: Any, vllm_config: Any) -> None:
    from vllm.v1.core.sched.diffusion_scheduler import DiffusionScheduler

    assert vllm_config.scheduler_config.get_scheduler_cls() is DiffusionScheduler
    assert isinstance(scheduler, DiffusionScheduler)
    assert scheduler.untapped is DiffusionScheduler
    assert scheduler.num_spec_tokens == CANVAS


def test_each_denoising_step_is_seen_with_what_it_commits(scheduler: Any) -> None:
    add(scheduler, "a", "b", max_tokens=100)
    emitted, counts = step(scheduler, {})
    # Nothing is denoised while the prompt is read.
    assert (scheduler.take(), emitted, counts) == (([], []), {}, None)
    steps = canvases = committed = 0
    script: list[dict[str, list[int]]] = [{}, {"a": [*range(8)]}, {}, {"a": [*range(8, 16)], "b": [*range(8)]}]
    for wanted in script:
        emitted, counts = step(scheduler, wanted)
        verified, _ = scheduler.take()
        assert [(one.request, one.canvas, one.drafted, one.sampled) for one in verified] == [
            (name, CANVAS, (), tuple(wanted.get(name, ()))) for name in ("a", "b")
        ]
        assert emitted == wanted
        steps += counts.num_drafts
        canvases += counts.num_draft_tokens
        committed += counts.num_accepted_tokens
    assert (steps, canvases, committed) == (8, 8 * CANVAS, 3 * CANVAS)


def test_steps_are_events_with_many_tokens_or_none(scheduler: Any) -> None:
    add(scheduler, "a", max_tokens=12)
    table = SimpleNamespace(
        knows_bytes=True, text_of=lambda token: f"<{token}>", bytes_of=lambda token: b"", is_special=lambda token: False
    )
    request = LaneRequest("a", 0, PROMPT, PieceDecoder(table))  # type: ignore[arg-type]
    totals = NOTHING
    step(scheduler, {})
    scheduler.take()
    events: list[Step] = []
    for ids in ([], list(range(8)), [], list(range(8, 16))):
        emitted, _ = step(scheduler, {"a": ids})
        ((record,), _) = scheduler.take()
        reached = emitted.get("a")
        output = SimpleNamespace(
            finished=len(ids) != len(reached or ()),
            outputs=[SimpleNamespace(token_ids=reached, finish_reason="length", stop_reason=None)],
        )
        events.append(
            request.step(
                INFO, record, output if reached else None, batch=1, wall_ns=1, clock_ns=1, draft_ns=None,
                verify_ns=None, disturbed=False, before=totals,
            )
        )  # fmt: skip
        totals = totals.plus(events[-1].own_totals)
    assert [(one.canvas, len(one.emitted), len(one.cut), one.own) for one in events] == [
        (8, 0, 0, None), (8, 8, 0, "bonus"), (8, 0, 0, None), (8, 4, 4, None),
    ]  # fmt: skip
    assert (totals.steps, totals.emitted, totals.cut, totals.silent, totals.drafts) == (4, 12, 4, 2, 0)
    assert [*step_tokens(events[1])] == [(f"<{token}>", Role.PLAIN) for token in range(8)]
    assert [role for _, role in step_tokens(events[3])] == [Role.PLAIN] * 4 + [Role.CUT] * 4
    assert not scheduler.has_unfinished_requests()


def test_a_cpu_says_why_it_has_no_such_lane(demo_model: Path) -> None:
    spec = parse_lane_spec(f"diffusion:model={demo_model}")
    loader = Loader(lambda report: "/nowhere", {**SMALL_ENGINE_ARGS, "hf_overrides": {"canvas_length": CANVAS}})
    loader.find_target()
    loader.import_engine()
    with pytest.raises(NotLoadedError, match=r"^this build of vLLM cannot run diffusion .*; leave this lane out$"):
        loader.lane(INFO, spec)
