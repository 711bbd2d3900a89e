"""The fair race: chooses which lane steps next, and keeps the state of the lanes in a round."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from spectui.core.losslessness import Comparison
from spectui.protocol.events import (
    Branch,
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
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.errors import explain_death, first_line
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.forking import Forked
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_request import LaneRequest
from spectui.sources.vllm.lane_spec import DIFFUSION
from spectui.sources.vllm.probing import ProbeDiedError
from spectui.sources.vllm.prompting import PromptRefusedError, prompt_ids

logger = logging.getLogger(__name__)


def furthest_behind(lanes: Iterable[tuple[Lane, int]]) -> Lane | None:
    """Return the running lane whose clock has advanced least; ``lanes`` pairs each with its clock at the round's start.

    Each step then has the device to itself, and all lanes advance together in lane time.
    """
    running = [(lane.clock_ns - start_ns, i, lane) for i, (lane, start_ns) in enumerate(lanes) if lane.running]
    return min(running)[2] if running else None


Answers = Mapping[tuple[str, int], tuple[str, ...]]
"""By lane and slot: the lane's answers to the turns of its conversation so far."""


class Race:
    """The rounds of a set of lanes: the same prompts in each, started together.

    A conversation that is raced turn by turn takes one round per turn; in later rounds every lane is given its own
    earlier answers. The race emits nothing itself: methods return the events in order. An error in one lane removes
    that lane, and the others continue.

    Attributes:
        round: The number of the round; -1 before the first.
        open: Whether a round has begun whose end has not been announced.
        lost: Whether a lane was closed whose memory has not been freed yet (`engines.reclaim`).
    """

    def __init__(self, lanes: Sequence[Lane], chat: Chat | None = None) -> None:
        self._lanes = list(lanes)
        self._chat = chat or Chat()
        self._start_ns: dict[str, int] = {}
        self._requests: dict[str, dict[int, LaneRequest]] = {}
        self._answers: Answers = {}
        self._prompts: tuple[Prompt, ...] = ()
        self._racing: tuple[int, ...] = ()
        self._sampling = Sampling()
        self.round = -1
        self.open = False
        self.lost = False

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(self._lanes)

    def lane(self, name: str) -> Lane | None:
        """Return the lane of that name; None if it is not, or no longer, running."""
        return next((lane for lane in self._lanes if lane.info.name == name), None)

    def begin(self, prompts: tuple[Prompt, ...], sampling: Sampling) -> Iterator[Event]:
        """Give every lane the same prompts. Running requests are aborted, and a prompt that is rejected is skipped.

        Raises:
            PromptRefusedError: All prompts were rejected: nothing was started, and running requests continue.
        """
        yield from self._begin(prompts, range(len(prompts)), {}, sampling)

    def fork(self, forked: Forked, sampling: Sampling) -> Iterator[Event]:
        """Let every lane go on with an answer from the middle of it; diffusion models, which have token ids of their
        own, sit the round out. Running requests are aborted.

        Raises:
            PromptRefusedError: It is too long: nothing was started, and running requests continue.
        """
        self._check_length([forked.ids])
        ids = {lane.info.name: list(forked.ids) for lane in self._lanes if lane.info.method != DIFFUSION}
        left = replace(sampling, max_tokens=forked.max_tokens)
        yield from self._open((forked.prompt,), {0: ids}, {}, {}, left, forked.branch)

    def request(self, lane: str, slot: int) -> LaneRequest | None:
        """Return a request of the round; None if the lane has none in that slot."""
        return self._requests.get(lane, {}).get(slot)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The round's prompts by slot."""
        return self._prompts

    @property
    def sampling(self) -> Sampling:
        """How the round samples."""
        return self._sampling

    @property
    def goes_on(self) -> bool:
        """Whether the round is over and one of its conversations has another turn."""
        return bool(self._lanes) and not self.open and any(self._prompts[slot].later for slot in self._racing)

    def next_turn(self) -> Iterator[Event]:
        """Continue the conversations that have another turn.

        Raises:
            PromptRefusedError: None of them can continue, which ends them.
        """
        going = [slot for slot in self._racing if self._prompts[slot].later]
        self._racing = ()
        answers = dict(self._answers)
        for lane in self._lanes:
            for slot, request in self._requests.get(lane.info.name, {}).items():
                place = (lane.info.name, slot)
                try:
                    with panics_as_errors():
                        answers[place] = (*answers.get(place, ()), lane.answer(request))
                except Exception:
                    # The lane sits out the next turn, since its answer cannot be quoted.
                    logger.exception("the answer of lane %s has no text", lane.info.name)
        prompts = tuple(_turned(prompt) if slot in going else prompt for slot, prompt in enumerate(self._prompts))
        yield from self._begin(prompts, going, answers, self._sampling)

    def _begin(
        self, prompts: tuple[Prompt, ...], slots: Iterable[int], answers: Answers, sampling: Sampling
    ) -> Iterator[Event]:
        ids: dict[int, dict[str, list[int]]] = {}
        refused: dict[int, str] = {}
        for slot in slots:
            try:
                ids[slot] = self._ids(prompts[slot], slot, answers)
            except PromptRefusedError as error:
                refused[slot] = str(error)
        if refused and not ids:
            raise PromptRefusedError(next(iter(refused.values())))
        yield from self._open(prompts, ids, refused, answers, sampling)

    def _open(
        self,
        prompts: tuple[Prompt, ...],
        ids: Mapping[int, Mapping[str, Sequence[int]]],
        refused: Mapping[int, str],
        answers: Answers,
        sampling: Sampling,
        parent: Branch | None = None,
    ) -> Iterator[Event]:
        """Start the round with these ids, by slot and lane."""
        for lane in self.lanes:
            yield from self.abort(lane)
        self.round += 1
        self.open = True
        self._prompts, self._racing, self._answers, self._sampling = prompts, tuple(ids), answers, sampling
        absent = tuple(slot for slot in range(len(prompts)) if slot not in ids)
        yield RoundStarted(self.round, prompts, sampling, absent, parent)
        for slot, why in refused.items():
            yield Notice(f"request {slot + 1} was skipped: {why}", level="warning")
        for lane in self.lanes:
            yield from self._start(lane, ids)

    def _ids(self, prompt: Prompt, slot: int, answers: Answers) -> dict[str, list[int]]:
        """Return the prompt for each lane: the same ids, unless the lanes answered an earlier turn differently."""
        made: dict[tuple[bool, tuple[str, ...]], list[int]] = {}
        by_lane: dict[str, list[int]] = {}
        for lane in self._lanes:
            own = answers.get((lane.info.name, slot), ())
            if len(own) < len(prompt.asked):
                continue  # The lane sat out an earlier turn.
            # A diffusion model has a tokenizer and a template of its own.
            key = lane.info.method == DIFFUSION, own
            if key not in made:
                made[key] = prompt_ids(lane, prompt, self._chat, own)
            by_lane[lane.info.name] = made[key]
        if self._lanes and not by_lane:
            raise PromptRefusedError("the conversation cannot continue: no lane has answered its last turn")
        self._check_length(made.values())
        return by_lane

    def _start(self, lane: Lane, prompts: Mapping[int, Mapping[str, Sequence[int]]]) -> Iterator[Event]:
        """Queue the prompts in one lane. If its engine rejects one, the lane sits out the round."""
        name = lane.info.name
        self._start_ns[name] = lane.clock_ns
        requests = self._requests[name] = {}
        reference = self._reference()
        try:
            for slot, by_lane in prompts.items():
                if (own := by_lane.get(name)) is None:
                    continue
                as_ar = reference is None or own == by_lane.get(reference.info.name)
                with panics_as_errors():
                    request = lane.add(f"{self.round}.{slot}", slot, own, self._sampling)
                requests[slot] = request
                yield RequestStarted(name, request.request, slot, len(own), as_ar, tuple(own))
        except Exception as error:
            logger.exception("lane %s did not take a prompt", name)
            requests.clear()
            yield from self.abort(lane)
            yield Notice(f"the engine rejected the prompt: {first_line(error)}", name, "warning")

    def _check_length(self, prompts: Collection[Sequence[int]]) -> None:
        room = min((lane.max_model_len for lane in self._lanes), default=0)
        longest = max(map(len, prompts), default=0)
        if longest >= room > 0:
            raise PromptRefusedError(
                f"the prompt has {longest} tokens, but the lanes take at most {room - 1}: "
                f"shorten it, or start with --engine-arg max_model_len={longest + 256}"
            )

    def next_lane(self) -> Lane | None:
        """Return the lane to step; None if the round is over."""
        return furthest_behind((lane, self._start_ns.get(lane.info.name, 0)) for lane in self._lanes)

    def abort(self, lane: Lane) -> Iterator[Event]:
        """End a lane's unfinished requests."""
        try:
            yield from lane.abort()
        except Exception as error:
            yield self.lose(lane, error)

    def lose(self, lane: Lane, error: Exception) -> LaneStage:
        """Remove a lane whose engine died, and continue without it."""
        logger.error("lane %s died", lane.info.name, exc_info=error)
        self._lanes.remove(lane)
        self._requests.pop(lane.info.name, None)
        lane.close()
        self.lost = True
        return LaneStage(lane.info.name, "failed", explain_death(error))

    def close(self) -> None:
        """Close all lanes."""
        while self._lanes:
            self._lanes.pop().close()

    def finish(self) -> Iterator[Event]:
        """Measure how clear the target's choice was at each greedy divergence, then announce the end of the round."""
        self.open = False
        yield from self._margins()
        yield RoundFinished(self.round)

    def _reference(self) -> Lane | None:
        return next((lane for lane in self._lanes if lane.info.method == "ar"), None)

    def _margins(self) -> Iterator[Event]:
        reference = self._reference()
        if reference is None or self._sampling.temperature > 0 or self._sampling.json_schema is not None:
            return
        originals = self._requests.get(reference.info.name, {})
        for lane in self.lanes:
            for slot, request in self._requests.get(lane.info.name, {}).items():
                original = originals.get(slot)
                other = lane.info.method == DIFFUSION
                if other or original is None or original.prompt_ids != request.prompt_ids:
                    continue
                position = Comparison(original.ids, request.ids).update()
                if position is None:
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


def _turned(prompt: Prompt) -> Prompt:
    """Return the next turn of a conversation."""
    return replace(prompt, text=prompt.later[0], asked=(*prompt.asked, prompt.text), later=prompt.later[1:])
