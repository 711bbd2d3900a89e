"""A server's request in flight, as far as it was seen: turns its rows into steps, with their text."""

from __future__ import annotations

from dataclasses import dataclass

from spectui.protocol.events import CountedStep, Step, Totals
from spectui.protocol.steps import id_text, own_token
from spectui.sources.attached.sense import counted
from spectui.sources.vllm.pieces import CONTEXT, PieceDecoder, TokenTable
from spectui.wire.messages import EngineStep, Row


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row's step is: its lane, its engine step, and the lane's sums after it, counted from the attachment."""

    lane: str
    engine_step: EngineStep
    clock_ns: int
    totals: Totals


@dataclass(slots=True)
class Request:
    """A request in flight.

    Attributes:
        request: Its id.
        slot: Its place among all requests of all endpoints.
        steps: Steps so far, seen or not.
        emitted: Output tokens so far, seen or not.
        listed: Whether the server has named it among its requests in flight.
        tail: The ids before the next step, as far as they are known.
    """

    request: str
    slot: int
    steps: int = 0
    emitted: int = 0
    listed: bool = False
    tail: tuple[int, ...] = ()
    table: TokenTable | None = None
    decoder: PieceDecoder | None = None

    def remember(self, ids: tuple[int, ...]) -> None:
        """Keep the last ids before the next step."""
        self.tail = (*self.tail, *ids[-CONTEXT:])[-CONTEXT:]

    def fits(self, row: Row) -> bool:
        """Whether the row can come next: nothing became fewer, and no token came without a step."""
        steps, tokens = row.index - self.steps, row.before - self.emitted
        return steps >= 0 and tokens >= 0 and (steps > 0 or tokens == 0)

    def skip_to(self, steps: int, emitted: int) -> None:
        """Steps were not seen: what the last ids were is not known."""
        if steps > self.steps or emitted > self.emitted:
            self.steps, self.emitted = max(self.steps, steps), max(self.emitted, emitted)
            self.tail, self.decoder = (), None

    def step(self, row: Row, place: Place, table: TokenTable | None) -> Step | CountedStep:
        """Count the row, and return its step; one of numbers if not all ids are known."""
        self.skip_to(row.index, row.before)
        drafted, sampled = counted(row.drafted), counted(row.sampled)
        engine_step = place.engine_step
        ids = () if isinstance(row.sampled, int) else tuple(row.sampled)
        drafted_ids = () if isinstance(row.drafted, int) else tuple(row.drafted)
        whole = not (isinstance(row.drafted, int) or isinstance(row.sampled, int))
        drafted_text, text = self._pieces(drafted_ids if whole else (), ids, table)
        step: Step | CountedStep
        if whole:
            step = Step(
                lane=place.lane,
                request=self.request,
                slot=self.slot,
                index=row.index,
                k=engine_step.k,
                drafted=drafted_ids,
                accepted=row.accepted,
                emitted=ids[: row.emitted],
                cut=ids[row.emitted :],
                own=own_token(drafted, row.accepted, sampled, row.emitted),
                cut_reason=row.cut_reason,
                text=text,
                drafted_text=drafted_text,
                batch=len(engine_step.rows),
                wall_ns=engine_step.wall_ns,
                clock_ns=place.clock_ns,
                draft_ns=engine_step.draft_ns,
                verify_ns=engine_step.verify_ns,
                totals=place.totals,
                before=row.before,
            )
        else:
            step = CountedStep(
                lane=place.lane,
                request=self.request,
                slot=self.slot,
                index=row.index,
                k=engine_step.k,
                drafted=drafted,
                accepted=row.accepted,
                emitted=row.emitted,
                cut=sampled - row.emitted,
                own=own_token(drafted, row.accepted, sampled, row.emitted),
                cut_reason=row.cut_reason,
                batch=len(engine_step.rows),
                wall_ns=engine_step.wall_ns,
                clock_ns=place.clock_ns,
                draft_ns=engine_step.draft_ns,
                verify_ns=engine_step.verify_ns,
                totals=place.totals,
                before=row.before,
                ids=ids,
                text=text,
            )
        self.steps = row.index + 1
        self.emitted = row.before + row.emitted
        self.remember(ids)
        return step

    def _pieces(
        self, drafted: tuple[int, ...], sampled: tuple[int, ...], table: TokenTable | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The text of both; the ids themselves as long as no vocabulary is known."""
        if table is None:
            return written(drafted), written(sampled)
        if self.decoder is None or self.table is not table:
            self.decoder, self.table = PieceDecoder.behind(table, self.tail), table
        return self.decoder.peek(drafted), self.decoder.feed(sampled)


def written(ids: tuple[int, ...]) -> tuple[str, ...]:
    """Ids as text, for a stream whose vocabulary is not known."""
    return tuple(id_text(token) for token in ids)
