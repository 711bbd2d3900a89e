"""The losslessness check above temperature 0: what idle lanes sample beside the target's own probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from spectui.bench.answering import Progress, Question, answer_all, questions
from spectui.bench.lossless import LIKELIEST, comparable
from spectui.core.lossless.chances import Chances, chances
from spectui.core.lossless.distribution import SAMPLES, DistributionCheck, LaneDistribution, level
from spectui.core.lossless.significance import judge_drafts, judge_tokens
from spectui.core.lossless.tally import LEAST_SAMPLES, POSITIONS, Context, Tally, beginnings, chains
from spectui.core.losslessness import NEAR_TIE_MARGIN
from spectui.errors import UsageError
from spectui.protocol.events import FinishReason, Prompt, Sampling, Step
from spectui.setup.session import EngineSession
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.probing import ProbeRefusedError, Reading

ANSWER_TOKENS = 20
"""Tokens of each answer. Reading the prompt costs more than a few steps do, and every step tests drafts."""

CONCURRENCY = 16

MOST_PROMPTS = 4
"""The shortest prompts are sampled from: more of them give more contexts, and fewer samples after each."""

MOST_QUESTIONS = 500
"""Answers of each lane that the target is asked about at most; the drafts of others do not count."""

COMPARED_TOKENS = 24
"""Tokens after each prompt at which the target's probabilities in two shapes of a batch are compared."""

LEAST_ROUNDING = 1e-4
"""The least variance of a token's log-odds that is put down to rounding: an error of 1 %."""

MOST_ROUNDING = (NEAR_TIE_MARGIN / 2) ** 2
"""The most: a lane that is further from the target's log-odds is not excused by rounding."""

LEAST_VARIANCE = 0.01
"""The variance of a token's draw below which its log-odds say little about rounding."""


def check_distribution(
    session: EngineSession,
    lanes: Sequence[Lane],
    prompts: Sequence[Prompt],
    chat: Chat,
    sampling: Sampling,
    *,
    samples: int = SAMPLES,
    concurrency: int = CONCURRENCY,
    progress: Progress = lambda done, of: None,
    done: Mapping[str, LaneDistribution] | None = None,
    finished: Callable[[LaneDistribution], None] = lambda lane: None,
) -> DistributionCheck:
    """Sample a few tokens many times from idle lanes, and test them against the target's probabilities.

    Args:
        session: Theirs.
        lanes: The lanes, each at the K that it is to be checked at.
        prompts: The prompts, of which the shortest are used.
        chat: How they are passed to the model.
        sampling: Temperature, top-p, top-k and seed.
        samples: Answers that each lane samples.
        concurrency: Requests in flight.
        progress: Is told how much is done, of how much.
        done: Lanes that were finished before, by name.
        finished: Is told of each lane that is.

    Raises:
        UsageError: The sampling is greedy, there is no AR lane, or no prompt fits.
        RunError: An engine died.
    """
    if sampling.temperature <= 0:
        raise UsageError("the distribution test needs a temperature above 0: greedy lanes are compared token by token")
    ar, compared = comparable(lanes)
    with session.driving(partial(getattr, ar.info, "title")):
        # One more: an answer is put to the target as a prompt, which is followed by a token.
        asked = sorted(questions(ar, prompts, chat, COMPARED_TOKENS + 1), key=lambda one: len(one.ids))[:MOST_PROMPTS]
    if not asked:
        raise UsageError("--lossless: no prompt leaves room for an answer: use shorter prompts")
    known = dict(done or {})
    test = _Sampling(ar, asked, sampling, samples, concurrency, level(len(compared)))
    each = samples + MOST_QUESTIONS
    found = []
    for place, lane in enumerate(compared):
        result = known.get(lane.info.name)
        if result is None:
            with session.driving(partial(getattr, lane.info, "title")):
                result = test.lane(lane, place, partial(_pass_on, progress, place * each, len(compared) * each))
            finished(result)
        progress((place + 1) * each, len(compared) * each)
        found.append(result)
    return DistributionCheck(
        tuple(found), sampling.temperature, sampling.top_p, sampling.top_k, len(asked), concurrency
    )


def _pass_on(progress: Progress, before: int, of: int, done: int) -> None:
    progress(before + done, of)


def why_undirected(lane: Lane) -> str:
    """Why the acceptance of a lane's drafts does not follow from the target's probabilities alone; empty if it does.

    By default vLLM's drafters name their most likely token (``draft_sample_method`` in ``vllm/config/speculative.py``),
    and n-gram and suffix drafters have no probabilities at all.
    """
    options = lane.spec.options
    if options.get("draft_sample_method", "greedy") != "greedy":
        return "its drafter draws its tokens, so their acceptance depends on the drafter's probabilities too"
    if options.get("rejection_sample_method") == "block":
        return "its drafts are accepted in blocks, so their acceptance does not follow from single probabilities"
    return ""


class _Sampling:
    """The test of one set of questions."""

    def __init__(
        self, ar: Lane, asked: Sequence[Question], sampling: Sampling, samples: int, concurrency: int, level: float
    ) -> None:
        self._ar = ar
        self._asked = asked
        self._sampling = replace(
            sampling, seed=sampling.seed or 0, max_tokens=ANSWER_TOKENS, ignore_eos=True, stop=(), json_schema=None
        )
        self._samples = samples
        self._concurrency = concurrency
        self._level = level
        self._known: dict[Context, Chances | None] = {}

    def lane(self, lane: Lane, place: int, progress: Callable[[int], None]) -> LaneDistribution:
        """Sample from one lane and test it; ``progress`` is told how many samples and questions are done."""
        tally = self._sampled(lane, place, progress)
        control = not lane.info.k_max
        known = self._asked_about(tally.contexts(1 if control else LEAST_SAMPLES))
        rounding = min(MOST_ROUNDING, max(LEAST_ROUNDING, self._measured(lane)))
        if control:
            tally.pretend(known)
        tokens = judge_tokens(tally, known, rounding, self._level)
        why = "" if tokens else "too few samples after any one context"
        drafts = None
        if reason := why_undirected(lane):
            why = reason
        elif (drafts := judge_drafts(tally, known, rounding, self._level)) is None:
            why = "none of its drafts is known well enough" if tally.drafts else "it drafted nothing"
        return LaneDistribution(
            lane.info.name, lane.info.title, control, self._samples, self._level, rounding, tokens, drafts, why
        )

    def _sampled(self, lane: Lane, place: int, progress: Callable[[int], None]) -> Tally:
        tally, count = Tally(), 0
        # Another range of seeds for each lane, so that their luck differs.
        first = (self._sampling.seed or 0) + place * self._samples

        def sampling(number: int) -> Sampling:
            return replace(self._sampling, seed=scattered(first + number))

        def stepped(number: int, before: Sequence[int], step: Step) -> None:
            if step.drafted:
                tally.step(number % len(self._asked), before, step.drafted, step.accepted)

        def ended(number: int, ids: Sequence[int], reason: FinishReason) -> None:
            nonlocal count
            # Without drafts every token of AR's counts for what would have been one.
            tally.answer(number % len(self._asked), ids, POSITIONS if lane.info.k_max else len(ids))
            count += 1
            progress(count)

        texts = [self._asked[number % len(self._asked)].ids for number in range(self._samples)]
        answer_all(lane, texts, sampling, self._concurrency, ended=ended, stepped=stepped)
        return tally

    def _asked_about(self, contexts: Sequence[Context]) -> dict[Context, Chances]:
        """What the target says about as many contexts as a lane may ask for. Nothing is asked twice, but what other
        lanes have asked makes no difference, so that a lane is judged alike after a resumption."""
        answering = chains(contexts, MOST_QUESTIONS)
        asked = [context for context in answering if not all(one in self._known for one in beginnings(context))]
        for begin in range(0, len(asked), self._concurrency):
            batch = asked[begin : begin + self._concurrency]
            texts = [self._text(context) for context in batch]
            for context, text, reading in zip(batch, texts, self._readings(texts), strict=True):
                places = [*reading.within, reading.after[0]]
                for length in range(1, len(context) + 1):
                    likeliest = places[len(text) - len(context) + length]
                    self._known.setdefault(context[:length], self._chances(likeliest))
        found = {one: self._known[one] for context in answering for one in beginnings(context)}
        return {context: known for context, known in found.items() if known is not None}

    def _readings(self, texts: Sequence[Sequence[int]]) -> list[Reading]:
        """What the target says at every position of the texts; as many are asked about at once as there is room for."""
        try:
            return self._ar.readings(texts, likeliest=LIKELIEST, within=True)
        except ProbeRefusedError:
            if len(texts) == 1:
                raise
            half = len(texts) // 2
            return [*self._readings(texts[:half]), *self._readings(texts[half:])]

    def _text(self, context: Context) -> list[int]:
        return [*self._asked[context[0]].ids, *context[1:]]

    def _chances(self, likeliest: Sequence[tuple[int, float]]) -> Chances | None:
        return chances(likeliest, self._sampling.temperature, self._sampling.top_p, self._sampling.top_k)

    def _measured(self, lane: Lane) -> float:
        """The mean square of the difference of a token's log-odds between the lane's own steps, which verify drafts for
        all prompts at once, and AR's pass over the same text."""
        decoded = lane.readings([one.ids for one in self._asked], likeliest=2, tokens=COMPARED_TOKENS)
        squares = []
        for question, reading in zip(self._asked, decoded, strict=True):
            (whole,) = self._readings([[*question.ids, *reading.ids]])
            for place, (token, before) in enumerate(zip(reading.ids, reading.after, strict=True)):
                one, other = dict(before).get(token), dict(whole.within[len(question.ids) + place]).get(token)
                odds = [_log_odds(value) for value in (one, other) if value is not None]
                if len(odds) == 2 and None not in odds:
                    squares.append((odds[0] - odds[1]) ** 2)  # type: ignore[operator]
        return math.fsum(squares) / len(squares) if squares else 0.0


def _log_odds(logprob: float) -> float | None:
    """None where a draw hardly varies."""
    p = math.exp(logprob)
    return math.log(p / (1 - p)) if p * (1 - p) >= LEAST_VARIANCE else None


def scattered(number: int) -> int:
    """A seed for the sample of this number: different for different numbers below 2^32, and like neither its
    neighbours' (the last mixing step of MurmurHash3)."""
    number &= 0xFFFFFFFF
    number = (number ^ number >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    number = (number ^ number >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16
