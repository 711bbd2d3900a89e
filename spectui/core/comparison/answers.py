"""A trace as its answers, each with the counts that two traces are compared by.

An answer counts if it is whole: it ended by itself or at its limit, and its steps add up to the tokens that it emitted.
Where a recorder lost steps they do not.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeAlias

from spectui.core.analysis.kind_names import kind_names
from spectui.protocol.events import (
    KChanged,
    LaneEngine,
    Prompt,
    RequestFinished,
    RequestStarted,
    RoundStarted,
    RunStarted,
    Sampling,
    Step,
    TraceEvent,
)

PromptKey: TypeAlias = tuple[object, ...]

_LARGEST = 2**31 - 1
"""The largest id that a token can have."""

_WHOLE = frozenset({"eos", "stop", "length"})


@dataclass(slots=True, eq=False)
class Answer:
    """One answer of a lane.

    Attributes:
        lane: The lane's name.
        request: Its request, unique within the lane.
        prompt: What was asked.
        sampling: How it was sampled, but for the seed.
        place: Its round in the trace, counted from 1, and its slot; the lanes' answers in one place are to one prompt.
        begun: What a fork gave it as the beginning of its answer; None for a whole answer.
        automatic: Whether the lane chose its K by itself.
        prompt_ids: The ids of its prompt; empty if unknown.
        ids: What it emitted.
        shapes: Steps with a draft, by how many tokens they drafted and how many of those were accepted.
        kinds: Accepted and judged tokens, by the kind of the token that the target wanted.
        ks: Every K that a step after the first one was allowed.
        time_ns: Its share of the wall time of its engine steps: those that it shared count in equal parts.
        steps: Its share of the engine steps after the first one, which also reads the prompt.
        steps_ns: The wall time of those.
        draft_ns: The part of ``steps_ns`` spent in the drafter; None if it was not measured.
        verify_ns: The part spent in the target's forward pass; None if it was not measured.
        disturbed_ns: The part of ``time_ns`` that something else disturbed.
        whole: Whether it ended and nothing of it is missing.
    """

    lane: str
    request: str
    prompt: Prompt
    sampling: Sampling
    place: tuple[int, int]
    begun: tuple[str, tuple[int, ...]] | None = None
    automatic: bool = False
    prompt_ids: tuple[int, ...] = ()
    ids: array[int] = field(default_factory=lambda: array("q"))
    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: dict[str, list[int]] = field(default_factory=dict)
    ks: set[int] = field(default_factory=set)
    time_ns: float = 0.0
    steps: float = 0.0
    steps_ns: float = 0.0
    draft_ns: float | None = 0.0
    verify_ns: float | None = 0.0
    disturbed_ns: float = 0.0
    whole: bool = False

    @property
    def key(self) -> PromptKey:
        """What makes two answers those to the same prompt."""
        return (self.prompt.text, self.prompt.category, self.prompt.before, self.prompt.asked, self.begun)

    @property
    def tokens(self) -> int:
        """Tokens that it emitted."""
        return len(self.ids)

    @property
    def conversation(self) -> PromptKey:
        """What it has in common with answers that are like it: the conversation that it belongs to."""
        return (self.prompt.before, (*self.prompt.asked, self.prompt.text)[0])

    @property
    def drafts(self) -> int:
        """Steps that had a draft."""
        return sum(self.shapes.values())


class Recorded:
    """One of the two traces: add its events in their order, then read what it holds.

    Attributes:
        run: What raced; None if the trace does not say.
        engines: How each lane computed, where that is known.
    """

    def __init__(self) -> None:
        self.run: RunStarted | None = None
        self.engines: dict[str, LaneEngine] = {}
        self._answers: list[Answer] = []
        self._round: RoundStarted | None = None
        self._sampling: Sampling | None = None
        self._rounds = 0
        self._automatic: dict[str, bool] = {}
        self._open: dict[tuple[str, str], Answer] = {}
        self._judged = _Judged()

    @property
    def answers(self) -> Sequence[Answer]:
        """Every answer that began."""
        self._judged.count_kinds()
        return self._answers

    def add(self, event: TraceEvent) -> None:
        """Take the next event."""
        match event:
            case Step():
                if (answer := self._open.get((event.lane, event.request))) is not None:
                    self._judged.add(answer, event)
                    _count(answer, event)
            case RequestStarted(lane, request, slot):
                if self._round is not None and self._sampling is not None and 0 <= slot < len(self._round.prompts):
                    prompt, place = self._round.prompts[slot], (self._rounds, slot)
                    parent = self._round.parent
                    begun = None if parent is None else (parent.text, parent.put)
                    automatic = self._automatic.get(lane, False)
                    answer = Answer(lane, request, prompt, self._sampling, place, begun, automatic, event.prompt_ids)
                    self._open[lane, request] = answer
                    self._answers.append(answer)
            case RequestFinished(lane, request):
                if (done := self._open.pop((lane, request), None)) is not None:
                    done.whole = event.reason in _WHOLE and done.tokens == event.emitted > 0
            case RoundStarted():
                self._round, self._sampling = event, replace(event.sampling, seed=None)
                self._rounds += 1
                self._open.clear()
            case RunStarted():
                self.run = event
                self._automatic = {lane.name: lane.k_source == "auto" for lane in event.lanes}
            case KChanged(lane):
                self._automatic[lane] = event.source == "auto"
            case LaneEngine(lane):
                self.engines[lane] = event


def _count(answer: Answer, step: Step) -> None:
    share = 1 / max(1, step.batch)
    answer.ids.extend(step.emitted)
    answer.time_ns += step.wall_ns * share
    if step.disturbed:
        answer.disturbed_ns += step.wall_ns * share
    if step.index:
        answer.ks.add(step.k)
        answer.steps += share
        answer.steps_ns += step.wall_ns * share
        answer.draft_ns = _more(answer.draft_ns, step.draft_ns, share)
        answer.verify_ns = _more(answer.verify_ns, step.verify_ns, share)
    if step.drafted:
        answer.shapes[len(step.drafted), step.accepted] += 1


def _more(sum_ns: float | None, part_ns: int | None, share: float) -> float | None:
    return None if sum_ns is None or part_ns is None else sum_ns + part_ns * share


class _Judged:
    """The judged tokens whose kinds were not looked up yet: that takes the texts of all tokens."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._ends: set[int] = set()
        self._ids, self._before = array("i"), array("i")
        self._steps: list[tuple[Answer, int, int]] = []
        """An answer, how many of its tokens follow in ``_ids``, and how many of these were accepted."""

    def add(self, answer: Answer, step: Step) -> None:
        """Keep the judged tokens of a step that is not yet part of the answer."""
        wanted = (*step.emitted, *step.cut)
        for token, text in zip(wanted, step.text, strict=False):
            if text:
                self._texts.setdefault(token, text)
        if step.cut_reason == "eos" and step.emitted:
            self._ends.add(step.emitted[-1])
        count = min(step.accepted + (step.accepted < len(step.drafted)), len(wanted))
        if not count or not step.drafted or max(wanted) > _LARGEST or min(wanted) < 0:
            return
        self._ids.extend(wanted[:count])
        last = answer.ids[-1] if answer.ids else -1
        self._before.append(last if 0 <= last <= _LARGEST else -1)
        self._before.extend(wanted[: count - 1])
        self._steps.append((answer, count, step.accepted))

    def count_kinds(self) -> None:
        """Count the kept tokens in their answers, by kind."""
        kinds = iter(kind_names(self._ids, self._before, self._texts, self._ends) if self._ids else ())
        for answer, count, accepted in self._steps:
            for place, kind in enumerate(islice(kinds, count)):
                counts = answer.kinds.setdefault(kind, [0, 0])
                counts[0] += place < accepted
                counts[1] += 1
        self._steps.clear()
        self._ids, self._before = array("i"), array("i")
