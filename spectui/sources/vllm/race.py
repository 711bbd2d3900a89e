"""The fair race: whose step is next, and where the lanes stand in a round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spectui.core.losslessness import Comparison
from spectui.events import Event, Margin, Prompt, RequestStarted, RoundFinished, RoundStarted, Sampling
from spectui.sources.vllm.lane import Lane, LaneRequest
from spectui.sources.vllm.rounds import chat_ids


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

    Emits nothing itself: methods return the events in order.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = list(lanes)
        self._start_ns: dict[str, int] = {}
        self._requests: dict[str, list[LaneRequest]] = {}
        self._sampling = Sampling()
        self.round = -1
        self.open = False
        """Whether a round has begun and its end was not announced."""

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(self._lanes)

    def begin(self, prompts: tuple[Prompt, ...], sampling: Sampling) -> Iterator[Event]:
        """Give every lane the same prompts; what was running is aborted.

        Raises:
            PromptTooLongError: Nothing was started, and what was running goes on.
        """
        ids = [chat_ids(self._lanes[0].tokenizer, prompt.text) for prompt in prompts] if self._lanes else []
        self._check_length(ids)
        for lane in self._lanes:
            yield from lane.abort()
        self.round += 1
        self.open = True
        self._sampling = sampling
        yield RoundStarted(self.round, prompts, sampling)
        self._requests = {lane.info.name: [] for lane in self._lanes}
        for lane in self._lanes:
            self._start_ns[lane.info.name] = lane.clock_ns
            for slot, prompt_ids in enumerate(ids):
                request = lane.add(f"{self.round}.{slot}", slot, prompt_ids, sampling)
                self._requests[lane.info.name].append(request)
                yield RequestStarted(lane.info.name, request.request, slot, len(prompt_ids))

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

    def drop(self, lane: Lane) -> None:
        """Go on without a lane whose engine died."""
        self._lanes.remove(lane)

    def finish(self) -> Iterator[Event]:
        """Measure how clear the target's choice was at each greedy divergence, then announce the end of the round."""
        self.open = False
        yield from self._margins()
        yield RoundFinished(self.round)

    def _margins(self) -> Iterator[Margin]:
        reference = next((lane for lane in self._lanes if lane.info.method == "ar"), None)
        if reference is None or self._sampling.temperature > 0 or self._sampling.json_schema is not None:
            return
        for lane in self._lanes:
            pairs = zip(self._requests[reference.info.name], self._requests[lane.info.name], strict=True)
            for original, request in pairs:
                position = Comparison(original.ids, request.ids).update()
                if position is not None:
                    prefix = original.prompt_ids + original.ids[:position].tolist()
                    yield Margin(lane.info.name, request.slot, position, reference.top_two_margin(prefix))
