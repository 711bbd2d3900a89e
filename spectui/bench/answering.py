"""Runs requests through an idle lane for what they say, a constant number of them at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from spectui.protocol.events import FinishReason, Prompt, RequestFinished, Sampling, Step
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_request import LaneRequest
from spectui.sources.vllm.prompting import PromptRefusedError, prompt_ids
from spectui.sources.vllm.self_test import off_the_record

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Is told how much is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as the lanes get it. ``number`` is its place among the prompts that were asked for."""

    number: int
    prompt: Prompt
    ids: tuple[int, ...]


def questions(lane: Lane, prompts: Sequence[Prompt], chat: Chat, room: int) -> list[Question]:
    """The prompts that the model can take and that leave ``room`` tokens for an answer; together they may fill the
    context."""
    found = []
    for number, prompt in enumerate(prompts):
        try:
            ids = tuple(prompt_ids(lane, prompt, chat))
        except PromptRefusedError as error:
            logger.warning("prompt %d is left out: %s", number, error)
            continue
        if len(ids) + room <= lane.max_model_len:
            found.append(Question(number, prompt, ids))
    return found


def answer_all(
    lane: Lane,
    texts: Sequence[Sequence[int]],
    sampling: Callable[[int], Sampling],
    concurrency: int,
    *,
    ended: Callable[[int, Sequence[int], FinishReason], None],
    stepped: Callable[[int, Sequence[int], Step], None] = lambda place, before, step: None,
) -> None:
    """Answer every text. The lane's clock, totals and K stay as they are.

    Raises whatever the engine dies of.

    Args:
        lane: An idle lane.
        texts: Their ids.
        sampling: How to sample the answer to the text at a place; its seed is exact, whatever the slot.
        concurrency: Requests in flight.
        ended: Is told the place of an answer that has ended, its ids, and how it ended.
        stepped: Is told the place of an answer, its ids before a step, and the step.
    """
    free = list(range(concurrency))
    places: dict[int, tuple[int, LaneRequest]] = {}
    waiting = iter(range(len(texts)))
    with off_the_record(lane):
        try:
            while True:
                while free and (place := next(waiting, None)) is not None:
                    slot = free.pop()
                    places[slot] = place, lane.add(f"answer-{place}", slot, texts[place], _for(slot, sampling(place)))
                if not places:
                    return
                for event in lane.step():
                    if isinstance(event, Step):
                        place, request = places[event.slot]
                        stepped(place, request.ids[: event.before], event)
                    elif isinstance(event, RequestFinished):
                        place, request = places.pop(event.slot)
                        free.append(event.slot)
                        ended(place, request.ids, event.reason)
        finally:
            if places:
                # Ctrl-C, or an engine that died and cannot be told anything.
                with suppress(Exception):
                    lane.abort()


def _for(slot: int, sampling: Sampling) -> Sampling:
    """The lane adds the slot to the seed, so that the requests of a race differ."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed - slot)
