"""The losslessness checks from prompts to verdicts on lanes without an engine: what passes, what is found."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.bench.lossless import check_greedy
from spectui.bench.lossless_sampling import check_distribution, scattered, why_undirected
from spectui.bench.matrix import checks
from spectui.core.bench.matrix import Matrix, Variant, blocks_of
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import Answer, GreedyLane, Losslessness
from spectui.core.lossless.words import greedy_lines
from spectui.errors import UsageError
from spectui.protocol.events import NOTHING, Event, LaneInfo, Prompt, RequestFinished, Sampling, Step
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane_spec import parse_lane_spec
from spectui.sources.vllm.probing import ProbeRefusedError, Reading
from spectui.sources.vllm.steering import Steered
from tests.support.synthetic_sampler import PROMPTS, VOCABULARY, target

SESSION: Any = SimpleNamespace(driving=lambda title: nullcontext())
PROMPT_SET = [Prompt(str(number), "coding", number, PROMPTS) for number in range(PROMPTS)]
RAW = Chat(raw=True)


@dataclass(eq=False)
class Request:
    request: str
    slot: int
    prompt: list[int]
    sampling: Sampling
    ids: array[int] = field(default_factory=lambda: array("l"))

    def __post_init__(self) -> None:
        seed = None if self.sampling.seed is None else self.sampling.seed + self.slot
        self.dice = random.Random(seed)


class MadeUpLane(Steered):
    """Samples from the made-up target with its drafter; ``alter`` may change an accepted draft, and ``fault`` is how
    much too often drafts are accepted."""

    def __init__(
        self, spec: str = "ar", *, fault: float = 0.0, alter: Callable[[int], int] = lambda token: token
    ) -> None:
        self.spec = parse_lane_spec(spec)
        name, k = self.spec.method, self.spec.k_max
        self.info = LaneInfo(name, name, name.upper(), k, spec)
        self.tokenizer = SimpleNamespace(encode=lambda text: [int(text)], decode=lambda ids: f"<{ids[0]}>")
        self.max_model_len = 512
        self.clock_ns = self.own_ns = 0
        self.totals = NOTHING
        self._tap, self.fixed_k = SimpleNamespace(k=k), ""
        self.asked: list[Request] = []
        self.most = 0
        self.room = 100
        self._fault, self._alter = fault, alter
        self._requests: dict[int, Request] = {}

    @property
    def running(self) -> bool:
        return bool(self._requests)

    def add(self, request: str, slot: int, prompt_ids: Sequence[int], sampling: Sampling) -> Request:
        assert slot not in self._requests
        self._requests[slot] = Request(request, slot, list(prompt_ids), sampling)
        self.asked.append(self._requests[slot])
        self.most = max(self.most, len(self._requests))
        return self._requests[slot]

    def abort(self) -> list[Event]:
        self._requests.clear()
        return []

    def step(self) -> list[Event]:
        self.clock_ns += 1
        events: list[Event] = []
        for request in list(self._requests.values()):
            before = len(request.ids)
            drafted, accepted, sampled = self._verified(request)
            request.ids.extend(sampled[: request.sampling.max_tokens - before])
            emitted = tuple(request.ids[before:])
            events.append(
                Step("x", request.request, request.slot, 0, self.k, drafted, accepted, emitted, (), "bonus", None,
                     (), (), 1, 1, 1, before=before)
            )  # fmt: skip
            if len(request.ids) >= request.sampling.max_tokens:
                del self._requests[request.slot]
                events.append(RequestFinished("x", request.request, request.slot, "length", len(request.ids)))
        return events

    def _verified(self, request: Request) -> tuple[tuple[int, ...], int, list[int]]:
        context = (*request.prompt, *request.ids)
        drafted: tuple[int, ...] = ()
        while request.ids and len(drafted) < self.k:
            drafted += (target((*context, *drafted))[1],)
        sampled: list[int] = []
        for draft in drafted:
            p = target((*context, *sampled))[0].tolist()
            if not self._accepts(request, draft, p):
                p[draft] = 0.0
                return drafted, len(sampled), [*sampled, self._own(request, p)]
            sampled.append(self._alter(draft) if request.sampling.temperature == 0 else draft)
        return drafted, len(drafted), [*sampled, self._own(request, target((*context, *sampled))[0].tolist())]

    def _accepts(self, request: Request, draft: int, p: list[float]) -> bool:
        if request.sampling.temperature == 0:
            return p[draft] == max(p)
        return request.dice.random() < p[draft] + self._fault

    def _own(self, request: Request, p: list[float]) -> int:
        if request.sampling.temperature == 0:
            return p.index(max(p))
        return request.dice.choices(range(VOCABULARY), p)[0]

    def readings(
        self, texts: Sequence[Sequence[int]], *, likeliest: int, within: bool = False, tokens: int = 1
    ) -> list[Reading]:
        if len(texts) > self.room:
            raise ProbeRefusedError("no room")
        found = []
        for text in texts:
            ids: list[int] = []
            for _ in range(tokens):
                ids.append(ranked((*text, *ids))[0][0])
            after = tuple(ranked((*text, *ids[:place]))[:likeliest] for place in range(tokens))
            inside = tuple(ranked(tuple(text[:place]))[:likeliest] if place else () for place in range(len(text)))
            found.append(Reading(inside if within else (), tuple(ids), after))
        return found


def ranked(context: tuple[int, ...]) -> tuple[tuple[int, float], ...]:
    p = target(context)[0].tolist()
    return tuple(sorted(((token, math.log(one)) for token, one in enumerate(p)), key=lambda item: -item[1]))


def greedy(*lanes: MadeUpLane, **options: Any) -> Losslessness:
    return check_greedy(SESSION, lanes, PROMPT_SET, RAW, tokens=256, concurrency=3, **options)  # type: ignore[arg-type]


def sampled(*lanes: MadeUpLane, sampling: Sampling | None = None, **options: Any) -> DistributionCheck:
    sampling = sampling or Sampling(temperature=1.0, seed=3)
    return check_distribution(SESSION, lanes, PROMPT_SET, RAW, sampling, **options)  # type: ignore[arg-type]


def test_greedy_lanes_that_say_the_same_pass() -> None:
    told: list[tuple[int, int]] = []
    finished: list[GreedyLane] = []
    lanes = MadeUpLane("ngram:k=3"), MadeUpLane()
    check = greedy(*lanes, progress=lambda done, of: told.append((done, of)), finished=finished.append)
    assert [(lane.lane, lane.control, lane.identical) for lane in check.lanes] == [
        ("ar", True, PROMPTS), ("ngram", False, PROMPTS),
    ]  # fmt: skip
    assert not check.failed
    assert check.lanes[1].tokens == 256 * PROMPTS
    assert 0 < check.lanes[1].accepted < check.lanes[1].drafted
    assert told == [(done, 3 * PROMPTS) for done in range(1, 3 * PROMPTS + 1)]
    assert tuple(finished) == check.lanes
    assert lanes[0].most == 3
    assert (lanes[0].clock_ns, lanes[0].running) == (0, False)


def test_one_accepted_token_in_two_hundred_altered_is_found_and_named() -> None:
    dice = random.Random(1)
    lane = MadeUpLane("ngram:k=3", alter=lambda token: (token + 1) % VOCABULARY if dice.random() < 1 / 200 else token)
    check = greedy(MadeUpLane(), lane)
    real = check.lanes[1].real(check.threshold)
    assert check.judged
    assert check.failed
    assert 1 <= len(real) <= PROMPTS
    assert f'coding prompt {real[0].prompt + 1} ("{real[0].prompt}"), token {real[0].position + 1}: it says' in "".join(
        greedy_lines(check)
    )


def test_a_target_that_cannot_be_asked_decides_nothing() -> None:
    ar = MadeUpLane()
    ar.room = 0
    check = greedy(ar, MadeUpLane("ngram:k=3", alter=lambda token: (token + 1) % VOCABULARY))
    assert not check.failed
    assert len(check.lanes[1].unknown(check.threshold)) == PROMPTS


def test_lanes_that_were_finished_before_are_not_asked_again() -> None:
    reference: list[Answer] = []
    first = greedy(MadeUpLane(), MadeUpLane("ngram:k=3"), answered=reference.extend)
    lanes = MadeUpLane(), MadeUpLane("ngram:k=3"), MadeUpLane("suffix:k=2")

    def wrong(answers: Sequence[Answer]) -> None:
        raise AssertionError("AR answered once more")

    told: list[tuple[int, int]] = []
    again = greedy(
        *lanes,
        reference=reference,
        answered=wrong,
        done={one.lane: one for one in first.lanes},
        progress=lambda *at: told.append(at),
    )
    assert [len(lane.asked) for lane in lanes] == [0, 0, PROMPTS]
    assert again.lanes[:2] == first.lanes
    assert again.lanes[2].identical == PROMPTS
    assert told[-1] == (4 * PROMPTS, 4 * PROMPTS)


def test_without_ars_answers_everything_is_asked_again() -> None:
    lanes = MadeUpLane(), MadeUpLane("ngram:k=3")
    greedy(*lanes, done={"ngram": GreedyLane("ngram", "NGRAM", False, PROMPTS, 1)})
    assert [len(lane.asked) for lane in lanes] == [2 * PROMPTS, PROMPTS]


def test_ars_first_answers_are_known_before_its_second() -> None:
    ar = MadeUpLane()
    kept: list[tuple[int, int]] = []
    greedy(ar, answered=lambda answers: kept.append((len(answers), len(ar.asked))))
    assert kept == [(PROMPTS, PROMPTS)]
    reference = [Answer((1,))] * PROMPTS
    again = MadeUpLane()
    assert greedy(again, reference=reference).lanes[0].identical == 0
    assert len(again.asked) == PROMPTS


def test_an_answer_that_is_cut_short_is_not_identical() -> None:
    class Failing(MadeUpLane):
        def step(self) -> list[Event]:
            return [
                replace(one, reason="abort") if isinstance(one, RequestFinished) and one.request == "answer-1" else one
                for one in super().step()
            ]

    check = greedy(MadeUpLane(), Failing("ngram:k=3"))
    assert [lane.unfinished for lane in check.lanes] == [0, 1]
    assert [lane.identical for lane in check.lanes] == [PROMPTS, PROMPTS - 1]
    assert not check.failed
    check = greedy(Failing(), MadeUpLane("ngram:k=3"))
    assert [lane.unfinished for lane in check.lanes] == [1, 1]


def test_a_prompt_and_an_answer_may_fill_the_context() -> None:
    full = MadeUpLane()
    full.max_model_len = 257
    assert greedy(full).left_out == 0
    full.max_model_len = 256
    with pytest.raises(UsageError, match="no prompt leaves room"):
        greedy(full)


def test_lanes_that_sample_from_the_targets_distribution_pass() -> None:
    finished: list[LaneDistribution] = []
    told: list[tuple[int, int]] = []
    lanes = MadeUpLane(), MadeUpLane("ngram:k=2")
    check = sampled(*lanes, samples=400, finished=finished.append, progress=lambda *at: told.append(at))
    assert [check.verdict(lane) for lane in check.lanes] == ["passes", "passes"]
    assert tuple(finished) == check.lanes
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    ngram = check.lanes[1]
    assert ngram.tokens is not None
    assert ngram.tokens.strata > 5
    assert ngram.drafts is not None
    assert ngram.drafts.drafts > 1000
    assert lanes[1].most == 16
    seeds = [(one.sampling.seed or 0) + one.slot for lane in lanes for one in lane.asked]
    assert len(set(seeds)) == 800


def test_a_small_cache_is_asked_about_fewer_texts_at_once() -> None:
    small = MadeUpLane()
    small.room = PROMPTS
    lane = MadeUpLane("ngram:k=2")
    assert sampled(small, lane, samples=80) == sampled(MadeUpLane(), MadeUpLane("ngram:k=2"), samples=80)


def test_a_sampler_that_accepts_too_often_is_found() -> None:
    check = sampled(MadeUpLane(), MadeUpLane("ngram:k=2", fault=0.15), samples=400)
    assert [check.verdict(lane) for lane in check.lanes] == ["passes", "fails"]
    assert check.lanes[1].drafts is not None
    assert check.lanes[1].drafts.z > 4


def test_a_lane_that_was_finished_before_is_not_sampled_again() -> None:
    first = sampled(MadeUpLane(), MadeUpLane("ngram:k=2"), samples=300)
    lanes = MadeUpLane(), MadeUpLane("ngram:k=2")
    again = sampled(*lanes, samples=300, done={"ar": first.lanes[0]})
    assert [len(lane.asked) for lane in lanes] == [0, 300]
    assert again == first


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("ngram:k=2", ""),
        ("draft_model:model=m,k=2,draft_sample_method=probabilistic", "its drafter draws its tokens"),
        ("draft_model:model=m,k=2,rejection_sample_method=block", "in blocks"),
    ],
)
def test_only_drafters_that_name_one_token_take_the_test_of_drafts(spec: str, why: str) -> None:
    lane = MadeUpLane(spec)
    assert why in why_undirected(lane)  # type: ignore[arg-type]
    if why:
        tested = sampled(MadeUpLane(), lane, samples=300).lanes[1]
        assert tested.drafts is None
        assert tested.tokens is not None
        assert why in tested.why


def test_what_cannot_be_checked_is_said() -> None:
    with pytest.raises(UsageError, match="add --lane ar"):
        greedy(MadeUpLane("ngram:k=2"))
    with pytest.raises(UsageError, match="temperature above 0"):
        sampled(MadeUpLane(), sampling=Sampling())
    short = MadeUpLane()
    short.max_model_len = 64
    with pytest.raises(UsageError, match="no prompt leaves room for an answer of 256 tokens"):
        greedy(short)


def test_seeds_of_neighbours_are_different_and_apart() -> None:
    seeds = [scattered(number) for number in range(10_000)]
    assert len(set(seeds)) == len(seeds)
    unlike = [(one ^ other).bit_count() for one, other in pairwise(seeds)]
    assert 15.8 < sum(unlike) / len(unlike) < 16.2, "half of 32 bits"


def test_a_lane_with_an_automatic_k_is_checked_at_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int | None] = []

    def checked(session: Any, lanes: Sequence[MadeUpLane], *rest: Any, **more: Any) -> Losslessness:
        chosen.extend(lane.choice for lane in lanes)
        return Losslessness((), 0, 0)

    monkeypatch.setattr(checks, "check_greedy", checked)
    lane = MadeUpLane("mtp:k=4")
    lane.choice = None
    assert (lane.choice, lane.k) == (None, 4)
    variant = Variant("mtp", "mtp", "MTP", 4, auto=True)
    journal: Any = SimpleNamespace(
        matrix=Matrix((variant,), blocks_of((1,), ("coding",), (None,)), "fixed", Sampling(max_tokens=8)),
        checks={},
        add_check=lambda *entry: None,
    )
    options, config = SimpleNamespace(max_tokens=8), SimpleNamespace(chat=RAW, prompts=None)
    checks.check_outputs(options, SESSION, [lane], {}, config, journal)  # type: ignore[arg-type, list-item]
    assert chosen == [4]
