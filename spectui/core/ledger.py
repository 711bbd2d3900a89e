"""The ledger: one row for each verification step."""

from __future__ import annotations

from dataclasses import dataclass

from spectui.core.tokens import Token, step_tokens
from spectui.protocol.events import AnyStep, CutReason, Own


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One step as the ledger shows it.

    Attributes:
        number: How many steps of the round the lane had done before this one.
        slot: The request's place in its round.
        index: The step's number within its request.
        k: Drafted tokens that were allowed; ``drafted`` were proposed, ``accepted`` of them kept.
        own: The kind of the target's own token, None if it was cut.
        cut: Verified tokens beyond the end of the request.
        canvas: Positions that a diffusion model denoised, ``committed`` of them at last; 0 for other models.
        wall_ms: Wall time of the engine step in milliseconds; ``draft_ms`` and ``verify_ms`` are parts of it, None
            where they are not measured.
        tokens: The step's tokens in reading order, as far as they are known.
    """

    number: int
    slot: int
    index: int
    k: int
    drafted: int
    accepted: int
    own: Own | None
    cut: int
    cut_reason: CutReason | None
    wall_ms: float
    draft_ms: float | None
    verify_ms: float | None
    tokens: tuple[Token, ...]
    canvas: int = 0
    committed: int = 0


def ledger_row(number: int, step: AnyStep) -> LedgerRow:
    """Build the row of ``step``, before which the lane had done ``number`` steps of the round."""
    return LedgerRow(
        number=number,
        slot=step.slot,
        index=step.index,
        k=step.k,
        drafted=step.drafted_count,
        accepted=step.accepted,
        own=step.own,
        cut=step.cut_count,
        cut_reason=step.cut_reason,
        wall_ms=step.wall_ns / 1e6,
        draft_ms=None if step.draft_ns is None else step.draft_ns / 1e6,
        verify_ms=None if step.verify_ns is None else step.verify_ns / 1e6,
        tokens=tuple(step_tokens(step)),
        canvas=step.canvas,
        committed=step.emitted_count + step.cut_count,
    )
