"""What was measured, as it is kept in a journal: small frozen records, from which every figure is computed.

Times are nanoseconds of the measurement's own clock: the wall time that the program spent on the lane, from handing
the first request to the engine to reading its last token. What the program does between two steps, such as drawing a
screen, is not on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from spectui.core.bench.matrix import Block, Variant
from spectui.protocol.events import FinishReason


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request of a repetition.

    Attributes:
        prompt: The number of its prompt in the block's category, from 0.
        prompt_tokens: Tokens of the prompt, padding included.
        tokens: Completion tokens that reached the output.
        first_ns: From the request's start to its first token; None if it has none.
        wall_ns: From its start to its last token.
        chunks: Steps that emitted anything: what a meter counts that takes a stream chunk for a token.
        drafts: Steps that had a draft.
        drafted: Tokens that these steps proposed.
        accepted: Proposed tokens that the target kept, cut or not.
        reason: What ended it.
    """

    prompt: int
    prompt_tokens: int
    tokens: int
    first_ns: int | None
    wall_ns: int
    chunks: int
    drafts: int
    drafted: int
    accepted: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class PieceRecord:
    """One repetition of one cell.

    Attributes:
        variant: The name of the variant.
        requests: Its requests in the order in which they started.
        wall_ns: From the first request's start to the last token of all.
        clock_ns: The lane clock: the part of it in which the engine took steps.
        engine_steps: Steps of the engine, each for all requests in flight.
        draft_ns: The part of the lane clock in the drafter, whose first pass runs at K = 0 too; None if it was not
            measured, or no drafter ran.
        verify_ns: The part of it in the target's forward pass; None if it was not measured.
        pairs: How many steps of a request drafted and accepted so many tokens: (drafted, accepted, steps).
        disturbed: Whether other programs held it up.
        read_bytes: Bytes that its steps had to read at least (`spectui.core.traffic`); None if that is not known.
        energy_j: Energy that the GPU used meanwhile, in joules; None if it was not measured.
        disagreements: A sentence for each request whose counts differ from vLLM's own.
    """

    variant: str
    requests: tuple[RequestRecord, ...]
    wall_ns: int
    clock_ns: int
    engine_steps: int
    draft_ns: int | None
    verify_ns: int | None
    pairs: tuple[tuple[int, int, int], ...]
    disturbed: bool = False
    read_bytes: float | None = None
    energy_j: float | None = None
    disagreements: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Completion tokens of all requests."""
        return sum(request.tokens for request in self.requests)

    @property
    def rate(self) -> float:
        """Tokens per second: all completion tokens divided by the wall time."""
        return self.tokens / self.wall_ns * 1e9


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One repetition of every cell of a block, taken in turn.

    Attributes:
        block: The block.
        turn: The number of the repetition, from 0.
        pieces: One piece for each variant, in the order of the matrix; none for those of a lane that had died.
        repeated: How often the turn was disturbed and measured again before this.
    """

    block: Block
    turn: int
    pieces: tuple[PieceRecord, ...]
    repeated: int = 0

    def piece(self, variant: Variant) -> PieceRecord | None:
        """The piece of a variant; None if its lane had died."""
        return next((piece for piece in self.pieces if piece.variant == variant.name), None)

    @property
    def disturbed(self) -> bool:
        """Whether other programs held up any piece of it."""
        return any(piece.disturbed for piece in self.pieces)
