"""A model split between two worker processes: the tap sees what it sees in one process, and they end with the lane."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spectui.protocol.events import LaneStage, Notice, Prompt, Sampling, Step
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.race import Race
from spectui.sources.workers import WORKERS
from spectui.telemetry.host import Host, count
from tests.conftest import SMALL_ENGINE_ARGS
from tests.engine.driving import Outcome, check, listen, step
from tests.support import tiny_checkpoints

pytestmark = pytest.mark.engine

ARGS = {**SMALL_ENGINE_ARGS, "max_num_seqs": 20}
SAMPLING = Sampling(max_tokens=16, ignore_eos=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tiny_checkpoints.Tiny:
    return tiny_checkpoints.make("llama", tmp_path_factory.mktemp("llama"))


def built(tiny: tiny_checkpoints.Tiny, method: str, name: str, **arguments: Any) -> Lane:
    spec = parse_lane_spec(tiny.lanes[method])
    info = replace(lane_infos([spec])[0], name=name)
    return Lane(info, spec, str(tiny.target), {**ARGS, "dtype": tiny.dtype, **arguments})


@pytest.fixture(scope="module")
def lanes(tiny: tiny_checkpoints.Tiny) -> Iterator[tuple[Lane, Lane]]:
    """An MTP lane in this process, and the same one in two worker processes."""
    lanes = []
    try:
        lanes.append(built(tiny, "mtp", "whole"))
        lanes.append(built(tiny, "mtp", "split", tensor_parallel_size=2))
        yield lanes[0], lanes[1]
    finally:
        for lane in lanes:
            lane.close()


def alive(pids: frozenset[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in status(pid)}


def status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def driven(lane: Lane) -> Outcome:
    """Twenty prompts at once, every step checked."""
    draw, outcome = random.Random(6), Outcome()
    for slot in range(20):
        ids = [draw.randrange(10, 200) for _ in range(draw.randrange(5, 30))]
        lane.add(f"r{slot}", slot, ids, SAMPLING)
    listen(lane, outcome)
    while lane.running:
        step(lane, outcome)
    check(outcome)
    return outcome


def test_a_split_lane_drafts_and_says_what_a_whole_one_does(lanes: tuple[Lane, Lane]) -> None:
    whole, split = map(driven, lanes)
    assert whole.totals() == split.totals()
    assert split.totals()[2] > 0
    assert len(split.metrics) == 20
    assert all(whole.ids(request) == split.ids(request) for request in whole.steps)
    assert lanes[1].disagreements == []
    drafting = [one for one in split.steps["r0"] if one.drafted]
    assert all(one.draft_ns and one.verify_ns and one.draft_ns + one.verify_ns < one.wall_ns for one in drafting)


def test_the_memory_of_both_halves_is_counted(lanes: tuple[Lane, Lane]) -> None:
    whole, split = (lane.memory() for lane in lanes)
    assert whole.kv_token_bytes == split.kv_token_bytes
    assert split.kv_reserved is not None
    assert split.block_bytes is not None
    assert split.kv_reserved == pytest.approx(2 * (whole.kv_reserved or 0), abs=2 * split.block_bytes)
    # Norms are in both halves, and of the MTP head the projection of its input too.
    for halves, one, more in (
        (split.target_bytes, whole.target_bytes, 0.02),
        (split.drafter_bytes, whole.drafter_bytes, 0.5),
    ):
        assert halves is not None
        assert one is not None
        assert one < halves < (1 + more) * one


def test_the_workers_are_a_part_of_this_program(lanes: tuple[Lane, Lane]) -> None:
    assert len(WORKERS.pids) == 2
    counted = count()
    assert counted.workers_ns.keys() == WORKERS.pids
    assert all(ns > 0 for ns in counted.workers_ns.values())
    resident = Host().read().resident
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WORKERS, "_pids", frozenset())
        alone = Host().read().resident
    assert resident is not None
    assert alone is not None
    assert resident > alone + (100 << 20)


def test_ctrl_c_in_the_terminal_leaves_the_workers_to_their_owner(lanes: tuple[Lane, Lane]) -> None:
    for pid in WORKERS.pids:
        ignored = int(status(pid).partition("\nSigIgn:")[2].split()[0], 16)
        assert ignored & 1 << (signal.SIGINT - 1)


def test_a_killed_worker_is_named_in_its_pane_and_the_other_lane_goes_on(lanes: tuple[Lane, Lane]) -> None:
    whole, split = lanes
    workers = WORKERS.pids
    race = Race(lanes, Chat(raw=True))
    list(race.begin((Prompt("1 2 3 4"),), SAMPLING))
    os.kill(min(workers), signal.SIGKILL)
    told: list[LaneStage | Notice] = []
    steps = 0
    while (lane := race.next_lane()) is not None:
        try:
            steps += sum(isinstance(event, Step) for event in lane.step())
        except Exception as error:
            assert lane is split
            told.append(race.lose(lane, error))
    assert steps > 1
    assert race.lanes == (whole,)
    (stage,) = told
    assert isinstance(stage, LaneStage)
    assert (stage.lane, stage.stage) == ("split", "failed")
    assert stage.detail.startswith("its engine died: worker process ")
    assert "of 2 died (it was killed, by somebody or for lack of memory)" in stage.detail
    assert alive(workers) == set()
    assert WORKERS.pids == set()


@pytest.mark.slow
def test_a_closed_lane_leaves_no_process_and_a_pipeline_says_the_same(
    tiny: tiny_checkpoints.Tiny, lanes: tuple[Lane, Lane]
) -> None:
    before = WORKERS.pids
    piped = built(tiny, "ar", "piped", pipeline_parallel_size=2)
    workers = WORKERS.pids - before
    assert len(alive(workers)) == 2
    try:
        said = driven(piped)
    finally:
        piped.close()
    whole = driven(lanes[0])
    assert all(whole.ids(request) == said.ids(request) for request in whole.steps)
    assert alive(workers) == set()
    assert WORKERS.pids == before
