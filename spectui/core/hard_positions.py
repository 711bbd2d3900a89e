"""Hard positions: the places of a trace where the target refused a drafted token, for those who train drafters.

A refusal after the end of an answer, among tokens that were verified and cut off, is none: nobody reads on there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from spectui.protocol.events import (
    CountedStep,
    Inspected,
    RequestFinished,
    RequestStarted,
    RoundStarted,
    RunStarted,
    ServerSeen,
    Step,
    TokenVerdict,
    TraceEvent,
)


@dataclass(frozen=True, slots=True)
class HardPosition:
    """A refusal.

    Attributes:
        target: The target's name; all ids are those of its tokenizer.
        lane: The lane's name.
        category: The prompt's category.
        round: The round.
        slot: The request's place in the round.
        step: The step's number in its answer, from 0.
        prompt_tokens: Tokens of the prompt.
        position: Tokens of the prompt and the answer before the draft.
        context: The ids of these, or of the last of them.
        drafted: The whole draft.
        accepted: How many of its tokens, from the left, the target kept: ``drafted[accepted]`` is the refused one.
        wanted: The id that the target emitted in its place.
        drafted_text: The text of each drafted token.
        wanted_text: The text of the wanted one.
        drafted_probability: The target's probability of each drafted token, before temperature and top-p; null where it
            was not looked at.
        wanted_probability: The same for the wanted token.
        lost: Drafted tokens that the refusal cost, the refused one included.
        trace: The trace that it is in; None if only one was read.
    """

    target: str
    lane: str
    category: str
    round: int
    slot: int
    step: int
    prompt_tokens: int
    position: int
    context: tuple[int, ...]
    drafted: tuple[int, ...]
    accepted: int
    wanted: int
    drafted_text: tuple[str, ...]
    wanted_text: str
    drafted_probability: tuple[float | None, ...]
    wanted_probability: float | None
    lost: int
    trace: str | None = None


@dataclass(slots=True)
class _Request:
    """A request of the round that is being read: its prompt and answer so far, and the step that is next."""

    slot: int
    category: str
    ids: list[int]
    prompt_tokens: int
    known: bool
    following: int = 0


@dataclass(frozen=True, slots=True)
class _Refusal:
    request: _Request
    step: Step
    position: int


@dataclass(slots=True)
class _Round:
    started: RoundStarted
    requests: dict[tuple[str, str], _Request] = field(default_factory=dict)
    refusals: list[_Refusal] = field(default_factory=list)
    verdicts: dict[tuple[str, int, int], tuple[TokenVerdict, ...]] = field(default_factory=dict)


class HardPositions:
    """Finds hard positions: add the events of traces in their order, and call `close` at the end.

    Those of a round are given at its end, because a step may be looked at long after it was taken.

    Attributes:
        found: Hard positions so far.
        unknown: Refusals whose context the trace does not hold, because steps before them are missing.
        without_ids: Refusals whose prompt's ids the trace does not hold, because an older version recorded it.
        hidden: Refusals of which a server told only that they happened.
    """

    def __init__(self, give: Callable[[HardPosition], object], lanes: Collection[str] = (), context: int = 0) -> None:
        """Give every hard position to ``give``: of these lanes, or of all if there are none; ``context`` is the most
        tokens of the context, 0 for all of it."""
        self._give = give
        self._lanes = lanes
        self._context = context
        self._target = ""
        self._trace: str | None = None
        self._round: _Round | None = None
        self.found = self.unknown = self.without_ids = self.hidden = 0
        self._attached = False
        self._models: dict[str, str] = {}

    def open(self, trace: str) -> None:
        """The events of this trace come next."""
        self.close()
        self._trace = trace

    def add(self, event: TraceEvent) -> None:
        """Take the next event."""
        match event:
            case Step():
                self._step(event)
            case CountedStep():
                self.hidden += event.accepted < min(event.drafted, event.emitted)
            case RequestFinished() if self._attached and self._round is not None:
                # A server's round never ends, and none of its steps is looked at later.
                self._give_all(self._round)
                self._round.requests.pop((event.lane, event.request), None)
            case RequestStarted():
                self._started(event)
            case Inspected(lane, slot, index):
                if self._round is not None and event.places:
                    self._round.verdicts[lane, slot, index] = event.places
            case RoundStarted():
                self.close()
                self._round = _Round(event)
            case RunStarted():
                self.close()
                self._target, self._attached = event.target, event.attached
                self._models.clear()
            case ServerSeen(lane):
                self._models[lane] = event.model

    def close(self) -> None:
        """Give what is left: the trace is at its end."""
        if self._round is not None:
            self._give_all(self._round)
            self._round = None

    def _give_all(self, here: _Round) -> None:
        for refusal in here.refusals:
            self._give(self._position(here, refusal))
        self.found += len(here.refusals)
        here.refusals.clear()

    def _started(self, event: RequestStarted) -> None:
        here = self._round
        if here is None or (self._lanes and event.lane not in self._lanes):
            return
        prompts = here.started.prompts
        category = prompts[event.slot].category if 0 <= event.slot < len(prompts) else ""
        ids = list(event.prompt_ids)
        here.requests[event.lane, event.request] = _Request(event.slot, category, ids, len(ids), bool(ids))

    def _step(self, step: Step) -> None:
        here = self._round
        request = here.requests.get((step.lane, step.request)) if here is not None else None
        refused = step.accepted < min(len(step.drafted), len(step.emitted))
        if here is None or request is None:
            self.unknown += refused and (not self._lanes or step.lane in self._lanes)
            return
        answered = len(request.ids) - request.prompt_tokens
        # Once a step is missing, nothing after it has a known context.
        whole = step.index == request.following and step.before in (None, answered)
        request.following = step.index + 1 if whole else -1
        if refused and not request.known:
            self.without_ids += 1
        elif refused and not whole:
            self.unknown += 1
        elif refused:
            here.refusals.append(_Refusal(request, step, len(request.ids)))
        request.ids.extend(step.emitted)

    def _position(self, here: _Round, refusal: _Refusal) -> HardPosition:
        request, step, position = refusal.request, refusal.step, refusal.position
        wanted = step.emitted[step.accepted]
        verdicts = here.verdicts.get((step.lane, request.slot, step.index), ())
        first = max(0, position - self._context) if self._context else 0
        return HardPosition(
            target=self._models.get(step.lane) or self._target,
            lane=step.lane,
            category=request.category,
            round=here.started.round,
            slot=request.slot,
            step=step.index,
            prompt_tokens=request.prompt_tokens,
            position=position,
            context=tuple(request.ids[first:position]),
            drafted=step.drafted,
            accepted=step.accepted,
            wanted=wanted,
            drafted_text=step.drafted_text,
            wanted_text=step.text[step.accepted],
            drafted_probability=tuple(_drafted(verdicts, place, token) for place, token in enumerate(step.drafted)),
            wanted_probability=_wanted(verdicts, step.accepted, wanted),
            lost=len(step.drafted) - step.accepted,
            trace=self._trace,
        )


def _drafted(verdicts: tuple[TokenVerdict, ...], place: int, token: int) -> float | None:
    """The probability of a drafted token; None if nobody looked at this token in this place."""
    if place < len(verdicts) and verdicts[place].token == token:
        return verdicts[place].probability
    return None


def _wanted(verdicts: tuple[TokenVerdict, ...], place: int, token: int) -> float | None:
    """The probability of the token that the target took instead, if it is among the likeliest ones."""
    if place >= len(verdicts):
        return None
    return next((one.probability for one in verdicts[place].likeliest if one.token == token), None)
