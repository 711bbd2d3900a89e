"""A trace as columns of numbers: every step of every lane, and the answers that they belong to.

`Columns.add` folds one event and is called millions of times, so a step becomes one packed record and its ids go to
the end of two lists. `Columns.lanes` gives them as arrays, without copying; folding may go on meanwhile.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spectui.protocol.events import (
    Gap,
    Inspected,
    LaneInfo,
    Prompt,
    RequestStarted,
    RoundStarted,
    RunStarted,
    Step,
    TraceEvent,
)

Ids: TypeAlias = NDArray[np.int32]

ROW = np.dtype(
    [
        ("request", "<i4"),
        ("index", "<i4"),
        ("before", "<i4"),
        ("k", "u1"),
        ("drafted", "u1"),
        ("accepted", "u1"),
        ("batch", "<u2"),
        ("emitted", "<u2"),
        ("cut", "<u2"),
        ("canvas", "<u2"),
        ("own", "i1"),
        ("disturbed", "u1"),
        ("wall_ns", "<i8"),
        ("clock_ns", "<i8"),
        ("draft_ns", "<i8"),
        ("verify_ns", "<i8"),
    ]
)
"""A step: the fields of `Step` by their names, with the number of tokens in place of the tokens. ``request`` is the
place in `LaneColumns.requests`. ``before`` is counted from the steps where the trace does not say it. -1 is unknown;
``own`` is 1 for a bonus, 0 for a recovered token and -1 for none."""

_pack = struct.Struct("<iiiBBBHHHHbBqqqq").pack
_OWN = {None: -1, "recovered": 0, "bonus": 1}


@dataclass(frozen=True, slots=True)
class Request:
    """One answer of a lane.

    Attributes:
        name: The request's name in the trace.
        round: The round; None if its start is not in the trace.
        slot: Its place in the round.
        category: The prompt's category; None if the round's start is not in the trace.
        prompt: The same number for all requests that answer the same prompt; None if that is unknown.
        prompt_tokens: Length of its prompt; None if its start is not in the trace.
        prompt_ids: Ids of its prompt; empty if the trace lacks them.
        as_ar: Whether its prompt is that of the AR lane, token by token.
    """

    name: str
    round: int | None
    slot: int
    category: str | None
    prompt: int | None
    prompt_tokens: int | None
    prompt_ids: Ids
    as_ar: bool = True


@dataclass(frozen=True, slots=True)
class Looked:
    """The target's probability of a token at one place of a step, recomputed afterwards.

    Attributes:
        request: The place in `LaneColumns.requests`.
        index: The step's number within its request.
        place: The place in the step, from 0.
        token: The token.
        probability: Its probability, before temperature and top-p.
    """

    request: int
    index: int
    place: int
    token: int
    probability: float


@dataclass(frozen=True)
class LaneColumns:
    """The steps of one lane, as far as they were folded, in the order of the trace.

    Attributes:
        name: The lane's name.
        info: What the trace's header says of it; None if nothing.
        requests: Its answers.
        rows: Its steps (`ROW`); ``rows["k"]`` is a column.
        drafted_ids: Ids that were drafted, step after step.
        verified_ids: Ids that were emitted or cut, step after step: those that the target wanted.
        looked: Probabilities that were recomputed.
    """

    name: str
    info: LaneInfo | None
    requests: tuple[Request, ...]
    rows: NDArray[np.void]
    drafted_ids: Ids
    verified_ids: Ids
    looked: tuple[Looked, ...]

    @property
    def title(self) -> str:
        """The usual spelling of its method."""
        return self.info.title if self.info else self.name

    @property
    def drafts(self) -> bool:
        """Whether it is a lane that drafts, even if it never did."""
        return bool(self.info and self.info.k_max) or len(self.drafted_ids) > 0

    @property
    def drafted(self) -> NDArray[np.int64]:
        """Tokens drafted by each step."""
        return self.rows["drafted"].astype(np.int64)

    @property
    def verified(self) -> NDArray[np.int64]:
        """Tokens emitted or cut by each step."""
        return self.rows["emitted"].astype(np.int64) + self.rows["cut"].astype(np.int64)

    @cached_property
    def drafted_start(self) -> NDArray[np.int64]:
        """Where each step's ids begin in `drafted_ids`."""
        return starts(self.drafted)

    @cached_property
    def verified_start(self) -> NDArray[np.int64]:
        """Where each step's ids begin in `verified_ids`."""
        return starts(self.verified)


def starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of consecutive stretches of these lengths begins."""
    begins: NDArray[np.int64] = np.cumsum(counts) - counts
    return begins


class _Growing:
    """Bytes that are appended to, and shown as arrays that never change."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, more: bytes | array[int]) -> None:
        try:
            self._bytes += more
        except BufferError:
            # An array shows them and must stay as it is; it keeps the old ones.
            self._bytes = self._bytes + more

    def shown(self, kind: Any) -> NDArray[Any]:
        return np.frombuffer(memoryview(self._bytes).toreadonly(), dtype=kind)


class _Lane:
    """What `Columns` keeps of a lane."""

    def __init__(self) -> None:
        self.info: LaneInfo | None = None
        self.requests: list[Request] = []
        self.numbers: dict[str, int] = {}
        self.slots: dict[int, int] = {}
        self.progress: list[tuple[int, int]] = []
        """By request, the step that is next and the tokens before it, which is -1 if unknown."""
        self.rows, self.drafted_ids, self.verified_ids = _Growing(), _Growing(), _Growing()
        self.looked: list[Looked] = []


class Columns:
    """Folds the events of a trace.

    Attributes:
        texts: The text of each token that was drafted or verified, by its id. A token that only begins a character has
            none.
        ends: Tokens that ended an answer by themselves.
        lost: Events that are missing in the trace.
        unfit: Steps that were left out, because they hold a number that no engine gives.
    """

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.ends: set[int] = set()
        self.lost = 0
        self.unfit = 0
        self._lanes: dict[str, _Lane] = {}
        self._round: RoundStarted | None = None
        self._prompts: dict[Prompt, int] = {}
        self._ids: dict[int, tuple[tuple[int, ...], Ids]] = {}
        """By slot, the ids of the last prompt: all lanes have the same ones."""

    def add(self, event: TraceEvent) -> None:
        """Fold one event; kinds that say nothing about drafts are passed over."""
        if type(event) is Step:
            self._step(event)
        elif isinstance(event, RequestStarted):
            self._started(event)
        elif isinstance(event, RoundStarted):
            self._round = event
            self._ids = {}
        elif isinstance(event, Inspected):
            self._inspected(event)
        elif isinstance(event, RunStarted):
            for info in event.lanes:
                self._lane(info.name).info = info
        elif isinstance(event, Gap):
            self.lost += event.lost

    def add_all(self, events: Iterable[TraceEvent]) -> Columns:
        """Fold all these events."""
        for event in events:
            self.add(event)
        return self

    def lanes(self) -> tuple[LaneColumns, ...]:
        """What was folded so far, in the order of the trace's header; AR too."""
        return tuple(
            LaneColumns(
                name,
                lane.info,
                tuple(lane.requests),
                lane.rows.shown(ROW),
                lane.drafted_ids.shown(np.int32),
                lane.verified_ids.shown(np.int32),
                tuple(lane.looked),
            )
            for name, lane in self._lanes.items()
        )

    def _lane(self, name: str) -> _Lane:
        found = self._lanes.get(name)
        if found is None:
            found = self._lanes[name] = _Lane()
        return found

    def _step(self, step: Step) -> None:
        lane = self._lanes.get(step.lane) or self._lane(step.lane)
        number = lane.numbers.get(step.request)
        if number is None:
            # The recording began in the middle of this answer.
            number = self._open(lane, step.request, step.slot, None, _ids(()), True)
        drafted, emitted, cut, before = step.drafted, step.emitted, step.cut, step.before
        if before is None:
            following, reached = lane.progress[number]
            before = reached if step.index == following else -1
        try:
            row = _pack(
                number,
                step.index,
                before,
                step.k,
                len(drafted),
                step.accepted,
                step.batch,
                len(emitted),
                len(cut),
                step.canvas,
                _OWN[step.own],
                step.disturbed,
                step.wall_ns,
                step.clock_ns,
                -1 if step.draft_ns is None else step.draft_ns,
                -1 if step.verify_ns is None else step.verify_ns,
            )
            ids = array("i", drafted)
            verified = array("i", emitted + cut)
        except (struct.error, OverflowError):
            self.unfit += 1
            return
        lane.progress[number] = step.index + 1, before + len(emitted) if before >= 0 else -1
        lane.rows.append(row)
        if ids:
            lane.drafted_ids.append(ids)
        lane.verified_ids.append(verified)
        texts = self.texts
        for token, text in zip(verified, step.text, strict=False):
            if token not in texts and text:
                texts[token] = text
        for token, text in zip(ids[step.accepted :], step.drafted_text[step.accepted :], strict=False):
            if token not in texts and text:
                texts[token] = text
        if step.cut_reason == "eos" and emitted:
            self.ends.add(emitted[-1])

    def _started(self, event: RequestStarted) -> None:
        known = self._ids.get(event.slot)
        if known is None or known[0] != event.prompt_ids:
            known = self._ids[event.slot] = event.prompt_ids, _ids(event.prompt_ids)
        self._open(self._lane(event.lane), event.request, event.slot, event.prompt_tokens, known[1], event.as_ar)

    def _open(self, lane: _Lane, name: str, slot: int, prompt_tokens: int | None, prompt_ids: Ids, as_ar: bool) -> int:
        begun = self._round
        prompt = begun.prompts[slot] if begun is not None and 0 <= slot < len(begun.prompts) else None
        number = lane.numbers[name] = lane.slots[slot] = len(lane.requests)
        lane.progress.append((0, 0))
        lane.requests.append(
            Request(
                name,
                begun.round if begun else None,
                slot,
                prompt.category if prompt else None,
                self._prompts.setdefault(prompt, len(self._prompts)) if prompt else None,
                prompt_tokens,
                prompt_ids,
                as_ar,
            )
        )
        return number

    def _inspected(self, event: Inspected) -> None:
        lane = self._lane(event.lane)
        number = lane.slots.get(event.slot)
        if number is None:
            return
        for place, verdict in enumerate(event.places):
            found = {one.token: one.probability for one in verdict.likeliest}
            found[verdict.token] = verdict.probability
            lane.looked += [Looked(number, event.index, place, *one) for one in found.items()]


def _ids(ids: tuple[int, ...]) -> Ids:
    """These ids as an array; empty if one is no id."""
    try:
        return np.array(ids, dtype=np.int32)
    except OverflowError:
        return np.array((), dtype=np.int32)
