"""The greedy losslessness check: the answers of idle lanes beside AR's, token by token, and AR's beside its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from spectui.bench.answering import Progress, Question, answer_all, questions
from spectui.core.lossless.greedy import (
    Answer,
    GreedyLane,
    Losslessness,
    Name,
    Parting,
    distances,
    first_difference,
    first_words,
)
from spectui.core.losslessness import NEAR_TIE_MARGIN, How, whole
from spectui.errors import UsageError
from spectui.protocol.events import FinishReason, Prompt, Sampling, Step
from spectui.setup.session import EngineSession
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import DIFFUSION
from spectui.sources.vllm.probing import ProbeRefusedError

logger = logging.getLogger(__name__)

LIKELIEST = 20
"""Tokens that the target is asked for; vLLM names no more unless told to."""


def comparable(lanes: Sequence[Lane]) -> tuple[Lane, list[Lane]]:
    """The first AR lane, and all lanes that can be held against it, itself first. A diffusion model is another one.

    Raises:
        UsageError: There is no AR lane.
    """
    ar = next((lane for lane in lanes if lane.info.method == "ar"), None)
    if ar is None:
        raise UsageError("the losslessness check compares lanes with AR: add --lane ar")
    return ar, [ar, *(lane for lane in lanes if lane is not ar and lane.spec.method != DIFFUSION)]


def check_greedy(
    session: EngineSession,
    lanes: Sequence[Lane],
    prompts: Sequence[Prompt],
    chat: Chat,
    *,
    tokens: int,
    concurrency: int,
    progress: Progress = lambda done, of: None,
    name: Callable[[int, Prompt], Name] = lambda number, prompt: Name(number, first_words(prompt.text)),
    reference: Sequence[Answer] = (),
    answered: Callable[[Sequence[Answer]], None] = lambda answers: None,
    done: Mapping[str, GreedyLane] | None = None,
    finished: Callable[[GreedyLane], None] = lambda lane: None,
    threshold: float = NEAR_TIE_MARGIN,
) -> Losslessness:
    """Compare the greedy answers of idle lanes with AR's, and AR's with its own.

    Args:
        session: Theirs.
        lanes: The lanes, each at the K that it is to be checked at.
        prompts: The prompts.
        chat: How they are passed to the model.
        tokens: The most tokens of an answer.
        concurrency: Requests in flight; the shape of the batch decides how sums are rounded.
        progress: Is told how many answers are done, of how many.
        name: What the prompt at a place is called.
        reference: AR's first answers from an earlier run.
        answered: Is told AR's first answers.
        done: Lanes that were finished before, by name; they count only with a ``reference``.
        finished: Is told of each lane that is.
        threshold: The largest distance, in nats, that counts as a near tie.

    Raises:
        UsageError: There is no AR lane, or no prompt leaves room for an answer.
        RunError: An engine died.
    """
    ar, compared = comparable(lanes)
    with session.driving(lambda: ar.info.title):
        asked = questions(ar, prompts, chat, tokens)
    if not asked:
        raise UsageError(
            f"--lossless: no prompt leaves room for an answer of {tokens} tokens: lower --max-tokens, or raise "
            "--engine-arg max_model_len"
        )
    again = len(reference) == len(asked)
    # Without AR's first answers nothing can be compared with them.
    known = dict(done or {}) if again else {}
    check = _Greedy(ar, asked, tokens, concurrency, name)
    check.watch(progress, passes=len(compared) + 1, passed=len(known) + again)
    if again:
        check.reference = reference
    else:
        with session.driving(lambda: ar.info.title):
            check.reference, _, _ = check.answers(ar)
        answered(check.reference)
    found = []
    for lane in compared:
        result = known.get(lane.info.name)
        if result is None:
            with session.driving(partial(getattr, lane.info, "title")):
                result = check.lane(lane)
            finished(result)
        found.append(result)
    return Losslessness(tuple(found), tokens, concurrency, threshold, len(prompts) - len(asked))


class _Greedy:
    """The check of one set of questions.

    Attributes:
        reference: AR's first answers.
    """

    reference: Sequence[Answer]

    def __init__(
        self, ar: Lane, asked: Sequence[Question], tokens: int, concurrency: int, name: Callable[[int, Prompt], Name]
    ) -> None:
        self._ar = ar
        self._name = name
        self._asked = asked
        self._sampling = Sampling(max_tokens=tokens)
        self._concurrency = concurrency

    def watch(self, progress: Progress, *, passes: int, passed: int) -> None:
        """Report to ``progress``: all questions are answered ``passes`` times, and have been ``passed`` times."""
        self._progress, self._total = progress, passes * len(self._asked)
        self._reached = passed * len(self._asked)

    def lane(self, lane: Lane) -> GreedyLane:
        """Compare one lane. AR itself answers a second time."""
        answers, drafted, accepted = self.answers(lane)
        tokens = unfinished = 0
        partings = []
        for question, reference, answer in zip(self._asked, self.reference, answers, strict=True):
            difference = first_difference(reference, answer)
            if difference is not None:
                tokens += difference[0]
                partings.append(self._parting(question, reference, answer, *difference))
                continue
            tokens += min(len(reference.ids), len(answer.ids))
            unfinished += not (reference.whole and answer.whole)
        control = lane.info.method == "ar"
        return GreedyLane(
            lane.info.name, lane.info.title, control, len(answers), tokens, drafted, accepted, tuple(partings),
            unfinished,
        )  # fmt: skip

    def answers(self, lane: Lane) -> tuple[list[Answer], int, int]:
        """A lane's answers, and how many tokens were drafted and accepted for them."""
        answers = [Answer((), whole=False)] * len(self._asked)
        drafted = accepted = 0

        def stepped(place: int, before: Sequence[int], step: Step) -> None:
            nonlocal drafted, accepted
            drafted += len(step.drafted)
            accepted += step.accepted

        def ended(place: int, ids: Sequence[int], reason: FinishReason) -> None:
            answers[place] = Answer(tuple(ids), whole(reason))
            self._reached += 1
            self._progress(self._reached, self._total)

        texts = [question.ids for question in self._asked]
        answer_all(lane, texts, lambda place: self._sampling, self._concurrency, ended=ended, stepped=stepped)
        return answers, drafted, accepted

    def _parting(self, question: Question, reference: Answer, answer: Answer, position: int, how: How) -> Parting:
        own, theirs = (one.ids[position] if position < len(one.ids) else None for one in (answer, reference))
        margin = behind = None
        if own is not None and theirs is not None:
            try:
                (reading,) = self._ar.readings([[*question.ids, *reference.ids[:position]]], likeliest=LIKELIEST)
                margin, behind = distances(reading.after[0], own, theirs)
            except ProbeRefusedError as error:
                logger.warning("the margin at token %d of prompt %d is unknown: %s", position, question.number, error)
        prompt = question.prompt
        name = self._name(question.number, prompt)
        return Parting(
            name.place, prompt.category, name.words, position, how,
            self._text(own), self._text(theirs), margin, behind,
        )  # fmt: skip

    def _text(self, token: int | None) -> str | None:
        return None if token is None else str(self._ar.tokenizer.decode([token]))
