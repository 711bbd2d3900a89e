"""Several engines in one process on one GPU: its memory, vLLM's scratch memory, and what drafts in each."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm.compat import device, engines, parts
from spectui.sources.vllm.footprint import _drafts_at_once
from spectui.sources.vllm.worker import TappedWorker

pytestmark = pytest.mark.unit


def test_every_engine_has_its_own_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = pytest.importorskip("vllm.v1.worker.workspace")
    monkeypatch.setattr(workspace, "_manager", "the last engine's")
    first, second = SimpleNamespace(), SimpleNamespace()
    monkeypatch.setattr(engines, "_alive", {id(first): "the first's", id(second): "the second's"})
    for engine, own in ((first, "the first's"), (second, "the second's")):
        engines.enter(engine)
        assert workspace._manager == own


@pytest.mark.parametrize("tapped", [True, False])
def test_every_engine_s_workers_can_be_called(monkeypatch: pytest.MonkeyPatch, tapped: bool) -> None:
    """By the same class: vLLM's keeps every one that was mixed into it."""
    llm_engine = pytest.importorskip("vllm.v1.engine.llm_engine")
    for patch in ("register_kernels_once", "share_no_tokenizers", "inspect_models_here", "join_expert_group"):
        monkeypatch.setattr(engines, patch, lambda: None)
    monkeypatch.setattr(engines, "without_memory_check", lambda engine_args: {})
    monkeypatch.setattr(engines, "keep_process_groups", lambda: None)
    monkeypatch.setattr(engines, "_alive", {})
    monkeypatch.setattr(engines.workers, "take_charge", lambda engine, *, tapped: None)
    monkeypatch.setattr(engines.workers, "starting", lambda engine_args: nullcontext())
    monkeypatch.setattr("vllm.EngineArgs", SimpleNamespace)
    monkeypatch.setattr(llm_engine.LLMEngine, "from_engine_args", lambda asked: asked)
    asked = engines.build_engine(tapped=tapped, model="m")
    assert asked.worker_extension_cls == f"{TappedWorker.__module__}.{TappedWorker.__qualname__}"


@pytest.mark.parametrize(
    ("cpu", "asked", "added"),
    [(False, {"kv_cache_memory_bytes": 1}, True), (True, {"kv_cache_memory_bytes": 1}, False), (False, {}, False)],
)
def test_a_given_cache_size_takes_the_place_of_a_share_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch, cpu: bool, asked: dict[str, Any], added: bool
) -> None:
    monkeypatch.setattr(device, "on_cpu", lambda: cpu)
    assert ("gpu_memory_utilization" in device.without_memory_check(asked)) is added


class DFlashSpeculator:
    parallel_drafting_token_id = 0


class SequentialProposer:
    parallel_drafting = False
    parallel_drafting_token_id = 0


class MTPSpeculator: ...


@pytest.mark.parametrize(
    ("runner", "proposer", "at_once"),
    [
        ({"drafter": SequentialProposer()}, SequentialProposer, False),
        ({"speculator": DFlashSpeculator()}, DFlashSpeculator, True),
        ({"speculator": MTPSpeculator()}, MTPSpeculator, False),
        ({"speculator": None}, type(None), False),
        ({}, type(None), False),
    ],
)
def test_what_drafts_is_found_in_either_runner(runner: dict[str, Any], proposer: type, at_once: bool) -> None:
    found = parts.proposer_of(SimpleNamespace(**runner))
    assert type(found) is proposer
    assert _drafts_at_once(found) is at_once
