"""Several engines in one process on one GPU: its memory, vLLM's scratch memory, and what drafts in each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm.compat import device, engines, parts
from spectui.sources.vllm.footprint import _drafts_at_once

pytestmark = pytest.mark.unit


def test_every_engine_has_its_own_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = pytest.importorskip("vllm.v1.worker.workspace")
    monkeypatch.setattr(workspace, "_manager", "the last engine's")
    first, second = SimpleNamespace(), SimpleNamespace()
    monkeypatch.setattr(engines, "_alive", {id(first): "the first's", id(second): "the second's"})
    for engine, own in ((first, "the first's"), (second, "the second's")):
        engines.enter(engine)
        assert workspace._manager == own


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
