"""The tap of a server, in engines in this process: what it tells is what vLLM counts and puts out.

vLLM's CPU platform turns asynchronous scheduling off; where that is undone, its asynchronous scheduler runs here too.
"""

from __future__ import annotations

import importlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from spectui.serving import scheduler
from spectui.serving.scheduler import ENDED, UNSEEN
from spectui.wire.messages import Began, Ended, EngineStep, Item, KSet, Preempted, Row
from tests.support import tiny_checkpoints
from tests.support.traced_engine import Traced, arguments, traced

pytestmark = pytest.mark.engine

PROMPTS = [[5 + number, 7, 9, 5 + number, 7] for number in range(12)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tiny_checkpoints.Tiny:
    return tiny_checkpoints.make("llama", tmp_path_factory.mktemp("llama"))


@contextmanager
def asynchronous_scheduling() -> Iterator[None]:
    """Let vLLM schedule asynchronously on a CPU as it would elsewhere."""
    platform: Any = importlib.import_module("vllm.platforms.cpu").CpuPlatform
    check = platform.check_and_update_config

    def check_but_for_scheduling(vllm_config: Any) -> None:
        chosen = vllm_config.scheduler_config.async_scheduling
        check(vllm_config)
        vllm_config.scheduler_config.async_scheduling = chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "check_and_update_config", staticmethod(check_but_for_scheduling))
        yield


@pytest.fixture(scope="module")
def mtp(tiny: tiny_checkpoints.Tiny) -> Iterator[Traced]:
    with traced(arguments(tiny, "mtp"), control=True) as one:
        yield one


@pytest.fixture(scope="module")
def asynchronous(tiny: tiny_checkpoints.Tiny) -> Iterator[Traced]:
    with asynchronous_scheduling(), traced(arguments(tiny, "mtp"), control=True) as one:
        yield one


def ask(one: Traced, count: int = 12, **sampling: Any) -> None:
    """Answer so many prompts, longer ones each."""
    for number in range(count):
        one.add(f"r{number}", PROMPTS[number], **{"max_tokens": 20 + number, **sampling})
    one.run()


def check(one: Traced, items: Sequence[Item]) -> dict[int, list[Row]]:
    """Hold what was told against itself, and against vLLM's counters; returns the rows by slot."""
    rows: dict[int, list[Row]] = defaultdict(list)
    clock = 0
    for item in items:
        if isinstance(item, EngineStep):
            clock = max(clock, item.clock_ns)
            assert item.clock_ns == clock
            assert 0 < item.wall_ns <= item.clock_ns
            for row in item.rows:
                rows[row.slot].append(row)
    for of_one in rows.values():
        assert [row.index for row in of_one] == [*range(of_one[0].index, of_one[0].index + len(of_one))]
        for row, after in pairwise(of_one):
            assert after.before == row.before + row.emitted
            assert row.cut_reason is None
        for row in of_one:
            if isinstance(row.drafted, list) and isinstance(row.sampled, list):
                assert row.sampled[: row.accepted] == row.drafted[: row.accepted]
                assert len(row.sampled) == row.accepted + 1
    standing, counters = one.standing, one.counters()
    steps, emitted, drafts, drafted, accepted, cut, silent = standing.totals
    assert (drafts, drafted, accepted, standing.accepted_at) == counters
    assert (sum(standing.drafted_at), silent) == (drafted, 0)
    assert emitted + cut == steps + accepted
    return rows


def answers(rows: dict[int, list[Row]], slots: dict[int, str]) -> dict[str, list[int]]:
    found = {}
    for slot, of_one in rows.items():
        ids = [token for row in of_one if isinstance(row.sampled, list) for token in row.sampled[: row.emitted]]
        # vLLM adds eight characters to the names of requests.
        found[slots[slot].rpartition("-")[0]] = ids
    return found


def slots_of(items: Sequence[Item]) -> dict[int, str]:
    return {item.slot: item.request for item in items if isinstance(item, Began)}


@pytest.mark.parametrize("engine", ["mtp", "asynchronous"])
def test_what_is_told_is_what_vllm_counts_and_puts_out(engine: str, request: pytest.FixtureRequest) -> None:
    one: Traced = request.getfixturevalue(engine)
    one.outputs.clear()
    before = len(one.items)
    ask(one)
    items = one.items[before:]
    rows = check(one, one.items)
    rows = {slot: of_one for slot, of_one in rows.items() if slot in slots_of(items)}
    assert answers(rows, slots_of(items)) == one.outputs
    assert [item.prompt_ids for item in items if isinstance(item, Began)] == PROMPTS
    ended = {item.slot: item for item in items if isinstance(item, Ended)}
    assert {slot: (end.reason, end.emitted) for slot, end in ended.items()} == {
        slot: ("length", 20 + at) for at, slot in enumerate(sorted(ended))
    }
    assert max(len(step.rows) for step in one.steps) == 8
    # More than one draft was cut, kept and refused, and every one was seen, also where vLLM keeps them to itself.
    seen = [row for of_one in rows.values() for row in of_one if row.index]
    assert all(isinstance(row.drafted, list) for row in seen)
    assert {row.accepted for row in seen} == {0, 1, 2, 3}
    assert any(isinstance(row.sampled, list) and row.emitted < len(row.sampled) for row in seen)
    assert one.about.asynchronous == (engine == "asynchronous")
    assert (one.about.drafts, one.about.why, one.about.fixed_k) == (True, "", "")
    assert one.standing.running == []
    timed = [step for step in one.steps if step.draft_ns is not None]
    assert len(timed) >= len(one.steps) - 1
    assert all(step.verify_ns for step in one.steps)


@pytest.mark.parametrize("engine", ["mtp", "asynchronous"])
def test_k_changes_between_steps_and_is_what_vllm_was_started_with_at_its_largest(
    engine: str, request: pytest.FixtureRequest
) -> None:
    one: Traced = request.getfixturevalue(engine)
    one.outputs.clear()
    before = len(one.items)
    ask(one, 2, max_tokens=48)
    as_started = one.outputs.copy()
    assert one.scheduler.dynamic_sd_lookup is None
    for number in range(2):
        one.add(f"r{number}", PROMPTS[number], max_tokens=48)
    asked: list[tuple[int, int]] = []
    for k in (1, 0, 2, 99, 3):
        one.feed.asked_k = k
        for _ in range(4):
            one.step()
        asked.append((k, one.standing.k))
        assert one.feed.asked_k is None
    assert asked == [(1, 1), (0, 0), (2, 2), (99, 2), (3, 3)]
    assert one.scheduler.dynamic_sd_lookup is None
    one.run()
    items = one.items[before:]
    assert [item.k for item in items if isinstance(item, KSet)] == [1, 0, 2, 3]
    assert {step.k for step in items if isinstance(step, EngineStep)} == {0, 1, 2, 3}
    for step in items:
        if isinstance(step, EngineStep):
            for row in step.rows:
                assert isinstance(row.drafted, list)
                # The drafter runs for every request that has been answered, so it makes as many as it may.
                assert len(row.drafted) == (step.k if row.index else 0) or row.cut_reason is not None
    check(one, one.items)
    # K changes the speed, and not the text.
    assert one.outputs == as_started


def test_an_aborted_request_ends(mtp: Traced) -> None:
    mtp.add("gone", PROMPTS[0], max_tokens=48)
    mtp.add("stays", PROMPTS[1], max_tokens=20)
    for _ in range(3):
        mtp.step()
    mtp.engine.abort_request(["gone"])
    items = mtp.run()
    (gone,) = (item for item in items if isinstance(item, Ended) and item.reason == "abort")
    rows = check(mtp, mtp.items)
    assert gone.emitted == sum(row.emitted for row in rows[gone.slot]) > 0
    assert mtp.standing.running == []


def test_a_request_ends_at_a_token(mtp: Traced) -> None:
    ask(mtp, 1, max_tokens=24)
    answer = mtp.outputs["r0"]
    before = len(mtp.items)
    ask(mtp, 1, max_tokens=24, stop_token_ids=[answer[9]])
    (ended,) = (item for item in mtp.items[before:] if isinstance(item, Ended))
    assert (ended.reason, ended.emitted) == ("eos", answer.index(answer[9]) + 1)
    check(mtp, mtp.items)


def test_workers_that_fail_to_show_their_drafts_are_noticed(
    asynchronous: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, about = asynchronous, asynchronous.about
    assert about.drafts
    monkeypatch.setattr(scheduler, "MOST_UNSEEN", 10)
    monkeypatch.setattr(scheduler, "TOLD", "nothing")
    ask(one, 4, max_tokens=24)
    assert (one.about.drafts, one.about.why, one.about.control) == (False, UNSEEN, True)
    one.scheduler._tell(drafts=True, why="")
    assert one.about == about


def test_numbers_only_from_a_server_that_runs_short_of_memory_and_then_fails(
    tiny: tiny_checkpoints.Tiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small = arguments(tiny, "ngram", kv_cache_memory_bytes=1 << 20, max_model_len=128, block_size=32)
    with traced(small, worker="", redaction="counts", control=True) as one:
        ask(one, 8, max_tokens=90)
        rows = check(one, one.items)
        preempted = [item.slot for item in one.items if isinstance(item, Preempted)]
        assert preempted
        assert all(sum(row.emitted for row in of_one) == 90 for of_one in rows.values())
        assert all(isinstance(row.drafted, int) and isinstance(row.sampled, int) for of in rows.values() for row in of)
        assert [item.prompt_ids for item in one.items if isinstance(item, Began)] == [[]] * 8
        assert slots_of(one.items) == {slot: str(slot) for slot in range(8)}
        assert {(step.draft_ns, step.verify_ns) for step in one.steps} == {(None, None)}
        assert (one.standing.draft_ns, one.about.drafts, one.publisher.words) == (None, True, None)
        answers = one.outputs.copy()

        one.feed.asked_k = 1
        one.add("r0", PROMPTS[0], max_tokens=90)
        one.step()
        told = len(one.items)
        with monkeypatch.context() as patch:
            patch.setattr(one.scheduler._tally, "step", lambda *_: math.log(0))
            one.step()
        one.run()
        assert (one.about.why, one.about.drafts, one.about.control) == (ENDED, False, False)
        assert [record.message for record in caplog.records if record.name == "spectui.serving.scheduler"] == [ENDED]
        assert one.scheduler.dynamic_sd_lookup is None
        assert one.items[told:] == []
        assert one.standing.running == []
        ask(one, 8, max_tokens=90)
        assert one.outputs == answers
