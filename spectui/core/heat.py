"""How an answer came: how many looks at the model each of its tokens took.

A *look* is one verification step. A step that emits n tokens gives each of them 1/n of a look, so that the looks of an
answer's tokens add up to its steps. A diffusion model looks several times before it commits anything: those looks
belong to the tokens that it commits at last.

Sampled at random, the same prompt gets another answer each time. Answers that agree up to a token came the same way
there, so a token's looks are the mean over all of them. Greedy answers do not differ, and are not remembered.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spectui.protocol.events import AnyStep, Prompt, RequestStarted, Sampling

if TYPE_CHECKING:
    from spectui.core.state import RequestState

LEVELS = 5
"""Steps of the scale: 1 to 4 tokens per look, and more."""

MOST_ANSWERS = 16
"""Earlier answers that are remembered for one prompt of a lane."""

MOST_TOKENS = 100_000
"""Tokens of earlier answers that are remembered for one lane, of all prompts together: 1.2 MB."""

_MOST_REMEMBERED = 1_000
"""Answers that are remembered for one lane, however short."""

_UNKNOWN = 0.0


def level(looks: float) -> int:
    """The place on the scale, from 1 (each token took a look, or more) to `LEVELS`: the tokens per look, rounded."""
    return max(1, min(LEVELS, int(1 / looks + 0.5)))


@dataclass(slots=True)
class Looks:
    """Looks of one request, as its steps come.

    Attributes:
        per_token: Looks of each emitted token that was seen; 0 if not known.
        whole: How many tokens from the beginning were seen without any missing between them.
    """

    per_token: array[float] = field(default_factory=lambda: array("f"))
    whole: int = 0
    _next: int = 0
    _torn: bool = False
    _silent: int | None = 0

    def add(self, step: AnyStep) -> None:
        """Count a step."""
        if step.index != self._next:
            self._torn = True
            # Only a diffusion model looks without emitting anything: how often it did is lost with the steps.
            self._silent = None if step.canvas else 0
        self._next = step.index + 1
        emitted = step.emitted_count
        if not emitted:
            self._silent = None if self._silent is None else self._silent + 1
            return
        looks = _UNKNOWN if self._silent is None else (self._silent + 1) / emitted
        self.per_token.extend([looks] * emitted)
        self._silent = 0
        if not self._torn:
            self.whole += emitted


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """The first ``length`` tokens of an answer: their ids and their looks. It never changes."""

    request: str
    ids: array[int]
    looks: array[float]
    length: int


class PastAnswers:
    """A lane's earlier answers to prompts that may be raced again; the oldest are forgotten."""

    def __init__(self) -> None:
        self._by_prompt: dict[int, tuple[PastAnswer, ...]] = {}
        self._order: deque[int] = deque()
        self._tokens = 0

    def add(self, request: RequestState) -> None:
        """Remember the answer of a request that goes on no longer."""
        answer = PastAnswer(request.request, request.ids, request.looks.per_token, request.looks.whole)
        if request.alike is None or not 0 < answer.length <= MOST_TOKENS:
            return
        self._by_prompt[request.alike] = (*self.to(request.alike), answer)
        self._order.append(request.alike)
        self._tokens += answer.length
        if len(self._by_prompt[request.alike]) > MOST_ANSWERS:
            self._order.remove(request.alike)
            self._forget(request.alike)
        while self._tokens > MOST_TOKENS or len(self._order) > _MOST_REMEMBERED:
            self._forget(self._order.popleft())

    def to(self, alike: int | None) -> tuple[PastAnswer, ...]:
        """The answers to a prompt, see `alike`; the same object as long as there are no others."""
        return () if alike is None else self._by_prompt.get(alike, ())

    def _forget(self, alike: int) -> None:
        """Forget the oldest answer to a prompt."""
        oldest, *others = self._by_prompt.pop(alike)
        self._tokens -= oldest.length
        if others:
            self._by_prompt[alike] = tuple(others)


def alike(prompts: tuple[Prompt, ...], sampling: Sampling, event: RequestStarted) -> int | None:
    """A number that requests share if their answers differ by chance alone; None if there is no chance in it."""
    if sampling.temperature <= 0 or not 0 <= event.slot < len(prompts):
        return None
    prompt = prompts[event.slot]
    context = event.prompt_ids or event.prompt_tokens
    return hash((prompt.before, prompt.asked, prompt.text, context, sampling.temperature))


@dataclass(frozen=True, slots=True)
class HeatView:
    """The heat of an answer at one moment, which a `HeatMap` follows.

    Attributes:
        ids: Ids of its emitted tokens, ``looks`` their looks; both grow.
        length: Number of tokens at this moment, ``whole`` of them from the beginning with none missing.
        past: All answers that are remembered of the prompt; this one may be among them.
    """

    request: str
    ids: array[int]
    looks: array[float]
    length: int
    whole: int
    past: tuple[PastAnswer, ...]

    @property
    def answers(self) -> int:
        """How many answers the heat is the mean of, at most: those that begin with the same token."""
        return 1 + sum(other.ids[0] == self.ids[0] for other in self.others() if self.whole)

    def others(self) -> Iterator[PastAnswer]:
        """The other answers to the prompt."""
        return (other for other in self.past if other.request != self.request)


def heat_view(request: RequestState, past: PastAnswers) -> HeatView:
    """The heat of a request as it is now."""
    looks = request.looks
    return HeatView(
        request.request, request.ids, looks.per_token, len(looks.per_token), looks.whole, past.to(request.alike)
    )


class HeatMap:
    """Looks of the tokens of one answer, the mean over the answers that agree with it. Each id is compared once."""

    def __init__(self) -> None:
        self._view: HeatView | None = None
        self._others: list[PastAnswer] = []
        self._agree: list[int] = []
        self._going: list[int] = []

    def follow(self, view: HeatView) -> bool:
        """Take in what has come; returns whether tokens that were there before may have got other looks."""
        other = self._view is None or view.past is not self._view.past
        if other:
            self._others = list(view.others())
            self._agree = [0] * len(self._others)
            self._going = list(range(len(self._others)))
        self._view = view
        self._going = [place for place in self._going if self._goes_on(view, place)]
        return other

    def _goes_on(self, view: HeatView, place: int) -> bool:
        """Compare one more answer with this one; False if it can agree no further."""
        answer, at = self._others[place], self._agree[place]
        end = min(view.whole, answer.length)
        while at < end and answer.ids[at] == view.ids[at]:
            at += 1
        self._agree[place] = at
        return at == view.whole

    def looks(self, position: int) -> float | None:
        """Looks of the emitted token at ``position``; None if they are not known."""
        view = self._view
        own = _UNKNOWN if view is None or position >= view.length else view.looks[position]
        if own == _UNKNOWN:
            return None
        agree = zip(self._others, self._agree, strict=True)
        same = [other.looks[position] for other, until in agree if position < until]
        return (own + sum(same)) / (1 + len(same))
