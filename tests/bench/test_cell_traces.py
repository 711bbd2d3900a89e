"""Traces of a benchmark's cells: their names, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spectui.bench.matrix.traces import CellTraces, trace_name
from spectui.core.bench.matrix import Block, Matrix, Variant
from spectui.protocol.events import KChanged, Prompt, RunStarted, Sampling, Step
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.trace.reader import Trace
from tests.support.drafting_lane import DraftingLane
from tests.support.fake_lanes import fake_engine

pytestmark = pytest.mark.unit

AR, MTP_0 = Variant("ar", "ar", "AR", 0), Variant("mtp", "mtp", "MTP", 0)


def test_ordinary_names_are_kept() -> None:
    assert trace_name(Variant("mtp", "mtp", "MTP", 3), Block(1, "coding")) == "traces/coding-1-mtp-K=3.jsonl"
    assert trace_name(AR, Block(4, "code_edit", 8192)) == "traces/code_edit-4-8192-ar.jsonl"


def test_no_two_cells_have_the_same_trace() -> None:
    categories = ["a/b", "a b", "a-b", "数学", "写作", "x" * 300, "x" * 301, "../../etc/passwd", "\ud800"]
    names = [trace_name(AR, Block(1, category)) for category in categories]
    assert len(set(names)) == len(names)
    for name in names:
        folder, _, file = name.partition("/")
        assert folder == "traces"
        assert "/" not in file
        assert len(file.encode()) <= 255


def test_a_trace_begins_with_its_k_and_at_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_engine(monkeypatch, {})
    spec = parse_lane_spec("mtp:k=3,model=x")
    lane: Any = DraftingLane(lane_infos([spec])[0], spec, "fake", {})
    block, sampling = Block(1, "a"), Sampling(max_tokens=4)
    traces = CellTraces(
        tmp_path,
        Matrix((MTP_0,), (block,), "fixed", sampling, requests=1),
        {"mtp": lane},
        {("a", None): [Prompt("one", "a")]},
        RunStarted("fake", (lane.info,), sampling),
    )
    lane.k, lane.clock_ns = 0, 1_000_000_000
    keep = traces.keep(MTP_0, block)
    lane.add("r", 0, [1], sampling)
    events = lane.step()
    for event in events:
        keep(event)
    assert traces.write() == ()
    read = [event for _, event in Trace.open(tmp_path / trace_name(MTP_0, block))]
    assert [event.k for event in read if isinstance(event, KChanged)] == [0]
    steps = [event for event in read if isinstance(event, Step)]
    assert [step.clock_ns for step in steps] == [lane.step_ns()]
