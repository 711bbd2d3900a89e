"""The fair race: whose step is next, and where the lanes stand in a round."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from spectui.core.losslessness import Comparison
from spectui.events import (
    Event,
    LaneStage,
    Margin,
    Notice,
    Prompt,
    RequestStarted,
    RoundFinished,
    RoundStarted,
    Sampling,
)
from spectui.sources.vllm.errors import explain_death, first_line
from spectui.sources.vllm.lane import Lane, LaneRequest, ProbeDiedError
from spectui.sources.vllm.rounds import chat_ids

logger = logging.getLogger(__name__)


def furthest_behind(lanes: Iterable[tuple[Lane, int]]) -> Lane | None:
    """Of lanes with their clocks at the start of the round: the running one whose clock has advanced least.

    Each step then has the device to itself, and all lanes advance together in lane time.
    """
    running = [(lane.clock_ns - start_ns, i, lane) for i, (lane, start_ns) in enumerate(lanes) if lane.running]
    return min(running)[2] if running else None


class PromptTooLongError(ValueError):
    """A prompt leaves no room for an answer; the message says how long it is and how long it may be."""


class Race:
    """The rounds of a set of lanes: the same prompts in each, started together.

    Emits nothing itself: methods return the events in order. What goes wrong with one lane costs that lane, and the
    others go on.

    Attributes:
        round: The number of the round, -1 before the first.
        open: Whether a round has begun and its end was not announced.
        lost: Whether a lane was closed whose memory was not given back (`compat.reclaim`).
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = list(lanes)
        self._start_ns: dict[str, int] = {}
        self._requests: dict[str, dict[int, LaneRequest]] = {}
        self._sampling = Sampling()
        self.round = -1
        self.open = False
        self.lost = False

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(self._lanes)

    def lane(self, name: str) -> Lane | None:
        """The lane of that name, None where it does not run (any more)."""
        return next((lane for lane in self._lanes if lane.info.name == name), None)

    def begin(self, prompts: tuple[Prompt, ...], sampling: Sampling) -> Iterator[Event]:
        """Give every lane the same prompts; what was running is aborted.

        Raises:
            PromptTooLongError: Nothing was started, and what was running goes on.
        """
        ids = [chat_ids(self._lanes[0].tokenizer, prompt.text) for prompt in prompts] if self._lanes else []
        self._check_length(ids)
        for lane in self.lanes:
            yield from self.abort(lane)
        self.round += 1
        self.open = True
        self._sampling = sampling
        yield RoundStarted(self.round, prompts, sampling)
        for lane in self.lanes:
            yield from self._start(lane, ids)

    def _start(self, lane: Lane, prompts: Sequence[Sequence[int]]) -> Iterator[Event]:
        """Queue the prompts in one lane. An engine that refuses one sits the round out."""
        name = lane.info.name
        self._start_ns[name] = lane.clock_ns
        requests = self._requests[name] = {}
        try:
            for slot, prompt_ids in enumerate(prompts):
                request = lane.add(f"{self.round}.{slot}", slot, prompt_ids, self._sampling)
                requests[slot] = request
                yield RequestStarted(name, request.request, slot, len(prompt_ids))
        except Exception as error:
            logger.exception("lane %s did not take a prompt", name)
            requests.clear()
            yield from self.abort(lane)
            yield Notice(f"the engine refused the prompt: {first_line(error)}", name, "warning")

    def _check_length(self, prompts: Sequence[Sequence[int]]) -> None:
        room = min((lane.max_model_len for lane in self._lanes), default=0)
        longest = max(map(len, prompts), default=0)
        if longest >= room > 0:
            raise PromptTooLongError(
                f"the prompt has {longest} tokens, the lanes take at most {room - 1}: "
                f"shorten it, or start with --engine-arg max_model_len={longest + 256}"
            )

    def next_lane(self) -> Lane | None:
        """The lane to step, None when the round is over."""
        return furthest_behind((lane, self._start_ns.get(lane.info.name, 0)) for lane in self._lanes)

    def abort(self, lane: Lane) -> Iterator[Event]:
        """End a lane's unfinished requests."""
        try:
            yield from lane.abort()
        except Exception as error:
            yield self.lose(lane, error)

    def lose(self, lane: Lane, error: Exception) -> LaneStage:
        """Go on without a lane whose engine died."""
        logger.error("lane %s died", lane.info.name, exc_info=error)
        self._lanes.remove(lane)
        self._requests.pop(lane.info.name, None)
        lane.close()
        self.lost = True
        return LaneStage(lane.info.name, "failed", explain_death(error))

    def close(self) -> None:
        """End all lanes."""
        while self._lanes:
            self._lanes.pop().close()

    def finish(self) -> Iterator[Event]:
        """Measure how clear the target's choice was at each greedy divergence, then announce the end of the round."""
        self.open = False
        yield from self._margins()
        yield RoundFinished(self.round)

    def _margins(self) -> Iterator[Event]:
        reference = next((lane for lane in self._lanes if lane.info.method == "ar"), None)
        if reference is None or self._sampling.temperature > 0 or self._sampling.json_schema is not None:
            return
        originals = self._requests.get(reference.info.name, {})
        for lane in self.lanes:
            for slot, request in self._requests.get(lane.info.name, {}).items():
                original = originals.get(slot)
                position = None if original is None else Comparison(original.ids, request.ids).update()
                if original is None or position is None:
                    continue
                try:
                    margin = reference.top_two_margin(original.prompt_ids + original.ids[:position].tolist())
                except ProbeDiedError as error:
                    yield self.lose(reference, error)
                    return
                except Exception:
                    logger.exception("the margin of %s at token %d is unknown", lane.info.name, position)
                    continue
                yield Margin(lane.info.name, slot, position, margin)
