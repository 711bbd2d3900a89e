"""A trace as columns of numbers: every step of every lane, and the answers that they belong to.

`Columns.add` folds one event and is called millions of times, so a step becomes one packed record and its ids go to
the end of two lists. `Columns.lanes` gives them as arrays, without copying; folding may go on meanwhile.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.lane_columns import ROW, Ids, LaneColumns, Looked, Request
from spectui.protocol.events import (
    CountedStep,
    Gap,
    Inspected,
    KChanged,
    LaneInfo,
    Prompt,
    RequestStarted,
    RoundStarted,
    RunStarted,
    ServerSeen,
    Step,
    TraceEvent,
)
from spectui.protocol.steps import id_text

_pack = struct.Struct("<iiiBBBHHHHbBqqqq").pack
_NO_LENGTH = 1 << 31
_OWN = {None: -1, "recovered": 0, "bonus": 1}


class _Growing:
    """Bytes that are appended to, and shown as arrays that never change."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

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
        self.runs = 0
        self.attached = False
        self.turns: list[int] = []

    def choose(self, automatic: bool) -> None:
        """From the next step on, K is automatic or not."""
        if automatic != bool(len(self.turns) % 2):
            self.turns.append(len(self.rows) // ROW.itemsize)


class Columns:
    """Folds the events of a trace.

    Attributes:
        texts: The text of each token that was drafted or verified, by its id. A token that only begins a character has
            none.
        ends: Tokens that ended an answer by themselves.
        lost: Events that are missing in the trace.
        unfit: Steps that were left out, because they hold a number that no engine gives.
        models: The targets of attached servers.
    """

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.ends: set[int] = set()
        self.lost = 0
        self.unfit = 0
        self.models: set[str] = set()
        self._lanes: dict[str, _Lane] = {}
        self._round: RoundStarted | None = None
        self._prompts: dict[Prompt, int] = {}
        self._ids: dict[bytes, Ids] = {}
        """The ids of prompts by their bytes, so that all lanes and rounds with the same prompt share them."""

    def add(self, event: TraceEvent) -> None:
        """Fold one event; kinds that say nothing about drafts are passed over."""
        if type(event) is Step:
            self._step(event, event.drafted, event.emitted + event.cut)
        elif type(event) is CountedStep:
            self._step(event, (-1,) * event.drafted, event.ids or (-1,) * (event.emitted + event.cut))
        elif isinstance(event, RequestStarted):
            self._started(event)
        elif isinstance(event, RoundStarted):
            self._round = event
        elif isinstance(event, Inspected):
            self._inspected(event)
        elif isinstance(event, RunStarted):
            self._begun(event)
        elif isinstance(event, KChanged):
            self._lane(event.lane).choose(event.source == "auto")
        elif isinstance(event, ServerSeen):
            self._lane(event.lane).info = event.info
            self.models.add(event.model)
        elif isinstance(event, Gap):
            self.lost += event.lost

    def add_all(self, events: Iterable[TraceEvent]) -> Columns:
        """Fold all these events."""
        for event in events:
            self.add(event)
        return self

    def lanes(self) -> tuple[LaneColumns, ...]:
        """What was folded so far, in the order of the trace's header; AR too. Another thread may go on folding."""
        return tuple(_columns(name, lane) for name, lane in list(self._lanes.items()))

    def _begun(self, run: RunStarted) -> None:
        """Another trace may begin, whose rounds and requests have the names of those before."""
        self._round = None
        for lane in self._lanes.values():
            lane.numbers.clear()
            lane.slots.clear()
        for info in run.lanes:
            lane = self._lane(info.name)
            lane.info, lane.runs, lane.attached = info, lane.runs + 1, run.attached
            lane.choose(info.k_source == "auto")

    def _lane(self, name: str) -> _Lane:
        found = self._lanes.get(name)
        if found is None:
            found = self._lanes[name] = _Lane()
        return found

    def _step(self, step: Step | CountedStep, drafted: tuple[int, ...], verified: tuple[int, ...]) -> None:
        lane = self._lanes.get(step.lane) or self._lane(step.lane)
        number = lane.numbers.get(step.request)
        if number is None:
            # The recording began in the middle of this answer.
            number = self._open(lane, step.request, step.slot, None, self._ids_of(()), True)
        emitted, before = step.emitted_count, step.before
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
                emitted,
                step.cut_count,
                step.canvas,
                _OWN[step.own],
                step.disturbed,
                step.wall_ns,
                step.clock_ns,
                -1 if step.draft_ns is None else step.draft_ns,
                -1 if step.verify_ns is None else step.verify_ns,
            )
            drafts = array("i", drafted)
            wanted = array("i", verified)
        except (struct.error, OverflowError):
            self.unfit += 1
            return
        lane.progress[number] = step.index + 1, before + emitted if before >= 0 else -1
        if drafts:
            lane.drafted_ids.append(drafts)
        lane.verified_ids.append(wanted)
        # Last, so that arrays that are taken meanwhile have the ids of all their steps.
        lane.rows.append(row)
        self._read(wanted, step.text)
        if type(step) is Step:
            self._read(drafts[step.accepted :], step.drafted_text[step.accepted :])
        if step.cut_reason == "eos" and emitted and wanted[emitted - 1] >= 0:
            self.ends.add(wanted[emitted - 1])

    def _read(self, ids: Iterable[int], pieces: Iterable[str]) -> None:
        """Keep the texts of tokens; an id that stands for one gives way to it."""
        texts = self.texts
        for token, text in zip(ids, pieces, strict=False):
            if text and (token not in texts or texts[token] == id_text(token)):
                texts[token] = text

    def _started(self, event: RequestStarted) -> None:
        # No prompt has another length, but a trace may say so.
        length = event.prompt_tokens if 0 <= event.prompt_tokens < _NO_LENGTH else None
        ids = self._ids_of(event.prompt_ids)
        lane = self._lane(event.lane)
        # Requests of servers have nothing in common, unless the ids of their prompts say so.
        self._open(lane, event.request, event.slot, length, ids, event.as_ar and not lane.attached)

    def _ids_of(self, prompt: tuple[int, ...]) -> Ids:
        """The ids of a prompt as an array; empty if one is no id."""
        try:
            key = array("i", prompt).tobytes()
        except OverflowError:
            key = b""
        return self._ids.setdefault(key, np.frombuffer(key, dtype=np.int32))

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


def _columns(name: str, lane: _Lane) -> LaneColumns:
    rows = lane.rows.shown(ROW)
    drafted_ids, verified_ids = lane.drafted_ids.shown(np.int32), lane.verified_ids.shown(np.int32)
    return LaneColumns(
        name,
        lane.info,
        tuple(lane.requests),
        rows,
        drafted_ids,
        verified_ids,
        tuple(lane.looked),
        tuple(lane.turns),
        lane.runs,
        lane.attached,
    )
