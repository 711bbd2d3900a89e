"""Lanes as vLLM runs them by default count and say what tapped ones do.

vLLM's CPU platform turns asynchronous scheduling off; where that is undone, its asynchronous scheduler runs here too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from spectui.errors import RunError
from spectui.protocol.events import RequestFinished, Sampling, Step
from spectui.setup.prompt_sets import builtin
from spectui.sources.vllm.compat import parts
from spectui.sources.vllm.examining import draft_totals
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.prompting import Fitting, chat_ids
from spectui.sources.vllm.tuning import Tuning
from spectui.sources.vllm.untapped import UntappedLane
from tests.conftest import ENGINE_ARGS, LaneMaker
from tests.engine.conftest import ArAnswers
from tests.engine.driving import drive

PROMPTS = [prompt.text for prompt in builtin()][:2]
LONG = Sampling(max_tokens=32, ignore_eos=True)

Maker = Callable[..., UntappedLane]
Steps = dict[str, list[Step]]


@pytest.fixture(scope="module")
def make_untapped(demo_model: Path) -> Iterator[Maker]:
    """``make_untapped("mtp:k=3")``: an untapped lane in float32, scheduled as vLLM would on a GPU."""
    from vllm.platforms.cpu import CpuPlatform

    made: dict[tuple[str, bool], UntappedLane] = {}
    check = CpuPlatform.check_and_update_config

    def check_but_for_scheduling(vllm_config: Any) -> None:
        chosen = vllm_config.scheduler_config.async_scheduling
        check(vllm_config)
        vllm_config.scheduler_config.async_scheduling = chosen

    def make(text: str, *, every_k: bool = True) -> UntappedLane:
        if (text, every_k) not in made:
            spec = parse_lane_spec(text, demo=True)
            arguments = {**ENGINE_ARGS, "dtype": "float32"}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(CpuPlatform, "check_and_update_config", staticmethod(check_but_for_scheduling))
                lane = UntappedLane(lane_infos([spec])[0], spec, str(demo_model), arguments, every_k=every_k)
            made[text, every_k] = lane
        return made[text, every_k]

    yield make
    for lane in made.values():
        lane.close()


def run(lane: UntappedLane, count: int = 2, between: Callable[[], None] = lambda: None) -> Steps:
    """Answer the first prompts at once."""
    steps: Steps = defaultdict(list)
    finished: dict[str, RequestFinished] = {}
    for slot, text in enumerate(PROMPTS[:count]):
        lane.add(f"r{slot}", slot, chat_ids(lane.tokenizer, text), LONG)
    while lane.running:
        between()
        for event in lane.step():
            if isinstance(event, Step):
                steps[event.request].append(event)
            elif isinstance(event, RequestFinished):
                finished[event.request] = event
    assert lane.abort() == []
    for request, taken in steps.items():
        assert finished[request].emitted == len(ids(taken)) == LONG.max_tokens
        assert all(len(one.emitted) + len(one.cut) == one.accepted + 1 for one in taken)
        assert [one.index for one in taken] == list(range(len(taken)))
    return steps


def ids(steps: list[Step]) -> list[int]:
    return [token for one in steps for token in one.emitted]


def counts(steps: list[Step]) -> list[tuple[int, int, int]]:
    return [(len(one.drafted), one.accepted, len(one.emitted)) for one in steps]


@pytest.mark.parametrize("spec", ["ar", "mtp:k=3", "dflash:k=5"])
def test_asynchronous_steps_say_and_count_what_synchronous_ones_do(
    make_untapped: Maker, make_lane: LaneMaker, spec: str
) -> None:
    lane = make_untapped(spec)
    assert lane.scheduling == "asynchronous"
    assert type(parts.scheduler_of(lane._engine)).__module__ == "vllm.v1.core.sched.async_scheduler"
    before = draft_totals(lane) or (0, 0, 0)
    clock_ns = lane.clock_ns
    steps = run(lane)
    after = draft_totals(lane) or (0, 0, 0)
    drafting = [one for taken in steps.values() for one in taken if one.drafted]
    mine = len(drafting), sum(len(one.drafted) for one in drafting), sum(one.accepted for one in drafting)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == mine
    assert lane.clock_ns > clock_ns
    tapped = drive(make_lane(spec, dtype="float32"), PROMPTS, LONG)
    assert {request: ids(taken) for request, taken in steps.items()} == {r: tapped.ids(r) for r in tapped.steps}
    assert {request: counts(taken) for request, taken in steps.items()} == {
        request: counts(taken) for request, taken in tapped.steps.items()
    }


def test_k_takes_effect_while_requests_are_in_flight(make_untapped: Maker, ar_answers: ArAnswers) -> None:
    lane = make_untapped("mtp:k=3")
    expected = ar_answers(PROMPTS, LONG.max_tokens)
    often = cycle((3, 3, 1, 1, 0, 2, 2))

    def change() -> None:
        lane.k = next(often)

    steps = run(lane, between=change)
    assert {len(one.drafted) for taken in steps.values() for one in taken} == {0, 1, 2, 3}
    assert [ids(steps[f"r{slot}"]) for slot in range(len(PROMPTS))] == expected
    for k in (1, 0, 3):
        lane.k = k
        assert {len(one.drafted) for one in run(lane, 1)["r0"][2:-1]} == {k}


def test_an_abort_leaves_nothing_in_flight(make_untapped: Maker) -> None:
    lane = make_untapped("mtp:k=3")
    expected = counts(run(lane, 1)["r0"])
    for slot, text in enumerate(PROMPTS):
        lane.add(f"r{slot}", slot, chat_ids(lane.tokenizer, text), LONG)
    for _ in range(5):
        lane.step()
    assert lane._in_flight
    assert [event.reason for event in lane.abort() if isinstance(event, RequestFinished)] == ["abort"] * 2
    assert not lane._in_flight
    assert not lane.running
    assert counts(run(lane, 1)["r0"]) == expected


def test_a_search_works_on_it(make_untapped: Maker) -> None:
    lane, plain = make_untapped("mtp:k=3"), make_untapped("ar")
    prompts = [Fitting(chat_ids(lane.tokenizer, text)) for text in PROMPTS]
    search = Tuning(lane, (0, 2), prompts, requests=2, sampling=LONG, budget_s=1e-9, plain=plain, piece_tokens=12)
    while search.ended is None:
        search.step()
    zero, two = search.end("budget").last.figures
    assert (zero.length, zero.draft_s, two.draft_s) == (None, None, None)
    assert two.length is not None
    assert 1 < two.length <= 3
    assert len(two.by_position) == 2
    assert min(zero.tok_s or 0, two.tok_s or 0, two.over_ar or 0) > 0
    lane.k = 3


def test_a_twin_has_the_k_that_it_was_started_with(make_untapped: Maker, ar_answers: ArAnswers) -> None:
    lane = make_untapped("ngram:k=4", every_k=False)
    # vLLM has no asynchronous scheduling for a drafter that looks tokens up.
    assert lane.scheduling == "synchronous"
    assert type(parts.scheduler_of(lane._engine)).__module__ == "vllm.v1.core.sched.scheduler"
    assert lane.k == 4
    lane.k = 1
    assert lane.k == 4
    steps = run(lane, 1)["r0"]
    assert [ids(steps)] == ar_answers(PROMPTS[:1], LONG.max_tokens)
    assert max(len(one.drafted) for one in steps) <= 4


def test_a_drafter_that_takes_no_notice_of_k_is_refused(make_untapped: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = make_untapped("mtp:k=3")
    monkeypatch.setattr(lane, "_highest_k", 2)
    with pytest.raises(RunError, match=r"MTP drafts 3 tokens at K = 2: its drafter ignores K; search without --async"):
        run(lane, 1)
    lane.abort()
