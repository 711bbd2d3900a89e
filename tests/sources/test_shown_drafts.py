"""Drafted ids on a GPU: model runner V2 keeps them from the scheduler, a tapped worker shows them."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.protocol.events import Sampling
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.step_timers import LaneTimers
from spectui.sources.vllm.worker import TappedWorker

pytestmark = pytest.mark.unit

DRAFTS = [[11, 12, 13], [21, 22, 23]]


class Untapped:
    """vLLM's scheduler."""


class Tap(Untapped):
    """And ours."""

    untapped = Untapped


class Nothing:
    """A CUDA stream or event of a machine without CUDA."""

    waits = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def wait_stream(self, stream: Any) -> None: ...

    def record(self) -> None: ...

    def synchronize(self) -> None:
        Nothing.waits += 1


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """vLLM's own, on a processor."""
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("vllm.v1.worker.gpu.spec_decode.utils")
    monkeypatch.setattr(torch.cuda, "Stream", Nothing)
    monkeypatch.setattr(torch.cuda, "Event", Nothing)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: Nothing())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    return utils.DraftTokensHandler("cpu")


def handed_over(handler: Any, drafts: list[list[int]], *, grammar: bool = False) -> list[list[int]]:
    torch = pytest.importorskip("torch")
    batch = SimpleNamespace(req_ids=["a", "b"], has_structured_output_reqs=grammar)
    handler.set_draft_tokens(batch, torch.tensor(drafts))
    assert batch.has_structured_output_reqs is grammar
    ids: list[list[int]] = handler.get_draft_tokens().draft_token_ids
    return ids


def test_model_runner_v2_keeps_its_drafts_from_the_scheduler(handler: Any) -> None:
    assert handed_over(handler, DRAFTS) == [[-1, -1, -1], [-1, -1, -1]]


@pytest.mark.parametrize("grammar", [False, True])
def test_a_tapped_worker_shows_them(handler: Any, grammar: bool) -> None:
    worker = TappedWorker()
    worker.model_runner = SimpleNamespace(draft_tokens_handler=handler)
    worker.show_drafts()
    assert handed_over(handler, DRAFTS, grammar=grammar) == DRAFTS
    assert handed_over(handler, [[], []], grammar=grammar) == [[], []]


def test_a_tapped_worker_hides_them_again(handler: Any) -> None:
    worker = TappedWorker()
    worker.model_runner = SimpleNamespace(draft_tokens_handler=handler)
    before = vars(handler).copy()
    for _ in range(2):
        worker.show_drafts()
    for _ in range(2):
        worker.hide_drafts()
        assert vars(handler) == before
    worker.show_drafts()
    assert handed_over(handler, DRAFTS) == DRAFTS


def measure_and_fail(lane: Lane) -> None:
    with lane.untapped([], Sampling()) as step:
        step()
        assert type(lane._tap) is Untapped
        raise KeyError


def test_a_lane_measured_without_its_tap_keeps_its_drafts_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tap shows them again, even if the measurement fails."""
    asked: list[str] = []
    monkeypatch.setattr(engines, "enter", lambda engine: None)
    lane = Lane.__new__(Lane)
    lane._engine = SimpleNamespace(
        collective_rpc=asked.append,
        has_unfinished_requests=lambda: "show_drafts" not in asked,
        step=lambda: asked.append("step"),
    )
    lane._timers = LaneTimers(lane._engine)
    lane._tap = Tap()
    with pytest.raises(KeyError):
        measure_and_fail(lane)
    assert asked == ["stop_timing_steps", "hide_drafts", "step", "show_drafts", "time_steps"]
    assert type(lane._tap) is Tap


def test_a_tapped_worker_leaves_the_v1_runner_alone() -> None:
    worker = TappedWorker()
    worker.model_runner = SimpleNamespace()
    worker.show_drafts()
    worker.hide_drafts()
    assert vars(worker.model_runner) == {}


@pytest.mark.parametrize("hidden", [(-1, -1), (7, -1)])
def test_a_hidden_draft_is_an_error_with_a_sentence(hidden: tuple[int, ...]) -> None:
    tap = pytest.importorskip("spectui.sources.vllm.tap")
    assert tap._shown((7, 8)) == (7, 8)
    with pytest.raises(tap.HiddenDraftsError, match="cannot be shown"):
        tap._shown(hidden)
