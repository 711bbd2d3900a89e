"""The self-test with real engines: what it finds, and that it leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spectui.core.losslessness import NEAR_TIE_MARGIN
from spectui.protocol.events import LaneChecked, Sampling
from spectui.sources.vllm.compat.parts import model_runner_of
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.self_test import SelfTest
from tests.conftest import SMALL_ENGINE_ARGS, LaneMaker
from tests.engine.driving import drive
from tests.support.tiny_checkpoints import make

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture(scope="module")
def lanes(make_lane: LaneMaker) -> tuple[Lane, Lane]:
    return make_lane("ar"), make_lane("mtp:k=3")


def found(lanes: tuple[Lane, Lane]) -> LaneChecked:
    self_test = SelfTest()
    ar, mtp = lanes
    assert self_test.check(ar) is None
    checked = self_test.check(mtp)
    assert checked is not None
    return checked


@contextmanager
def planted(owner: Any, name: str, wrap: Wrap) -> Iterator[None]:
    """Replace a method of one of vLLM's objects within the block."""
    own = owner.__dict__.get(name)
    setattr(owner, name, wrap(getattr(owner, name)))
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def test_the_demos_lanes_pass_and_race_as_if_there_had_been_none(lanes: tuple[Lane, Lane]) -> None:
    ar, mtp = lanes
    before = mtp.clock_ns, mtp.totals, mtp.k, drive(mtp, ["Count to ten."]).ids("r0")
    mtp.clock_ns, mtp.totals = before[:2]
    checked = found(lanes)
    assert checked.warning == ""
    assert checked.margin is None or checked.margin <= NEAR_TIE_MARGIN
    assert 0 < checked.accepted < checked.drafted, "its text must try both"
    assert (mtp.clock_ns, mtp.totals, mtp.k) == before[:3]
    assert not ar.running
    assert not mtp.running
    assert drive(mtp, ["Count to ten."]).ids("r0") == before[3]


def test_a_sampler_that_accepts_every_draft_is_found(lanes: tuple[Lane, Lane]) -> None:
    def accepting(forward: Callable[..., Any]) -> Callable[..., Any]:
        def accept(metadata: Any, *rest: Any) -> Any:
            output = forward(metadata, *rest)
            first = 0
            for row, count in zip(output.sampled_token_ids, metadata.num_draft_tokens, strict=True):
                row[:count] = metadata.draft_token_ids[first : first + count]
                row[count] = max(int(row[count]), 0)
                first += count
            return output

        return accept

    sampler = model_runner_of(lanes[1]._engine).rejection_sampler
    with planted(sampler, "forward", accepting):
        checked = found(lanes)
    assert checked.accepted == checked.drafted > 0
    assert checked.warning.startswith("do not trust its figures: its text diverged from AR's at token")
    assert checked.margin is None or checked.margin > NEAR_TIE_MARGIN


def test_an_engine_that_is_wrong_below_k_max_is_to_be_kept_at_k_max(lanes: tuple[Lane, Lane]) -> None:
    """As a layer is whose state goes wrong unless a step has exactly as many drafts as it was built for."""

    def forgetful(forward: Callable[..., Any]) -> Callable[..., Any]:
        def corrupt(*args: Any, **kwargs: Any) -> Any:
            hidden = forward(*args, **kwargs)
            return hidden.flip(-1) if len(hidden) in (2, 3) else hidden

        return corrupt

    with planted(model_runner_of(lanes[1]._engine), "_model_forward", forgetful):
        checked = found(lanes)
    assert checked.warning.startswith("K stays 3: with fewer drafts its text diverged from AR's at token")
    assert (lanes[1].fixed_k, lanes[1].ks) == (checked.warning, (3,))
    # Other tests use the lane too.
    lanes[1].fixed_k = ""


def test_a_tap_that_sees_minus_one_ends_the_lane(lanes: tuple[Lane, Lane]) -> None:
    # Imports vLLM, which those who only collect the test need not wait for.
    from spectui.sources.vllm.tap import HiddenDraftsError

    def hiding(update: Callable[..., Any]) -> Callable[..., Any]:
        def hide(drafts: Any) -> None:
            drafts.draft_token_ids = [[-1] * len(ids) for ids in drafts.draft_token_ids]
            update(drafts)

        return hide

    mtp = lanes[1]
    with (
        planted(mtp._tap, "update_draft_token_ids", hiding),
        pytest.raises(HiddenDraftsError, match="hides the drafted"),
    ):
        found(lanes)
    mtp.abort()


def test_a_tap_that_counts_otherwise_than_vllm_is_found(lanes: tuple[Lane, Lane]) -> None:
    def miscounting(take: Callable[..., Any]) -> Callable[..., Any]:
        def miscount() -> Any:
            verified, preempted = take()
            return [record._replace(drafted=record.drafted[:-1]) for record in verified], preempted

        return miscount

    with planted(lanes[1]._tap, "take", miscounting):
        checked = found(lanes)
    assert "request self-test: vLLM counts" in checked.warning


def test_a_drafter_of_other_tokens_gets_nothing_accepted(lanes: tuple[Lane, Lane]) -> None:
    """As one does that was trained with another tokenizer of the same size. It is slow, and the text is AR's."""

    def foreign(propose: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: (propose(*args, **kwargs) + 1000) % 49152

    runner = model_runner_of(lanes[1]._engine)
    with planted(runner, "propose_draft_token_ids", foreign):
        checked = found(lanes)
    assert checked.drafted > 0
    assert (checked.accepted, checked.warning) == (0, "")
    assert drive(lanes[1], ["Count to ten."], Sampling(max_tokens=8)).totals()[2] >= 0


@pytest.mark.engine
@pytest.mark.parametrize("method", ["mtp", "dflash"])
def test_a_gated_deltanet_is_to_be_kept_at_k_max_without_amx(tmp_path: Path, method: str) -> None:
    """vLLM's own fault, which ends in an error or in another text: see `spectui.sources.vllm.self_test`."""
    import torch

    tiny = make("qwen3.5", tmp_path)
    specs = [parse_lane_spec(tiny.lanes[name]) for name in ("ar", method)]
    built: list[Lane] = []
    try:
        for info, spec in zip(lane_infos(specs), specs, strict=True):
            built.append(Lane(info, spec, str(tiny.target), {**SMALL_ENGINE_ARGS, "dtype": tiny.dtype}))
        # As if nobody knew beforehand.
        built[1].fixed_k = ""
        checked = found((built[0], built[1]))
        told = checked.warning.startswith("K stays 3: with fewer drafts its ")
        assert told != torch.cpu._is_amx_tile_supported(), checked
        assert len(drive(built[1], ["Count to ten."], Sampling(max_tokens=8, ignore_eos=True)).ids("r0")) == 8
    finally:
        for lane in built:
            lane.close()
