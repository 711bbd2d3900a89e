"""A request in flight in a lane: turns its steps into events, and compares our counts with vLLM's."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spectui.protocol.events import CutReason, FinishReason, LaneInfo, RequestFinished, Step, Totals
from spectui.protocol.steps import own_token
from spectui.sources.vllm.pieces import PieceDecoder

if TYPE_CHECKING:
    from spectui.sources.vllm.tap import Verified


class TapMismatchError(RuntimeError):
    """The tap and the engine's output disagree about the emitted tokens; the message says where."""


@dataclass(frozen=True, slots=True)
class EngineCounts:
    """vLLM's own counts for a finished request (``per_request_spec_decode_metrics``), which are steps with a draft,
    drafted and accepted tokens, and the tap's counts of the same."""

    request: str
    engine: tuple[int, int, int]
    tap: tuple[int, int, int]

    @property
    def sentence(self) -> str:
        """What differs."""
        return (
            f"request {self.request}: vLLM counts {self.engine[1]} drafted and {self.engine[2]} accepted tokens, "
            f"the tap {self.tap[1]} and {self.tap[2]}"
        )


@dataclass(slots=True)
class LaneRequest:
    """A request in flight. ``ids`` are its emitted tokens, ``accepted`` and ``drafted`` our own totals."""

    request: str
    slot: int
    prompt_ids: list[int]
    pieces: PieceDecoder
    ids: array[int] = field(default_factory=lambda: array("l"))
    steps: int = 0
    drafted: int = 0
    accepted: int = 0

    def step(
        self,
        info: LaneInfo,
        record: Verified,
        output: Any,
        *,
        batch: int,
        wall_ns: int,
        clock_ns: int,
        draft_ns: int | None,
        verify_ns: int | None,
        disturbed: bool,
        before: Totals,
    ) -> Step:
        """Count the request's part of an engine step, and return its event.

        Args:
            info: The lane.
            record: What the tap saw.
            output: The engine's output for the request; None if there is none.
            batch: Requests that share the engine step.
            wall_ns: Wall time of the engine step.
            clock_ns: The lane clock after it.
            draft_ns: Time spent drafting in it; None if unknown.
            verify_ns: Time spent verifying in it; None if unknown.
            disturbed: Whether something held it up.
            before: The lane's totals before this request's part.

        Raises:
            TapMismatchError: The tap and the engine's output differ.
        """
        _, k, drafted, sampled, canvas = record
        emitted = tuple(output.outputs[0].token_ids) if output is not None else ()
        if emitted != sampled[: len(emitted)]:
            raise TapMismatchError(
                f"{info.title}, request {self.request}, step {self.steps}: the tap saw {sampled}, "
                f"the engine emitted {emitted}"
            )
        accepted = len(sampled) - 1 if drafted else 0
        drafted_text = self.pieces.peek(drafted)
        step = Step(
            lane=info.name,
            request=self.request,
            slot=self.slot,
            index=self.steps,
            k=k if info.k_max else 0,
            drafted=drafted,
            accepted=accepted,
            emitted=emitted,
            cut=sampled[len(emitted) :],
            own=own_token(len(drafted), accepted, len(sampled), len(emitted)),
            cut_reason=_cut_reason(output) if output is not None and output.finished else None,
            text=self.pieces.feed(sampled),
            drafted_text=drafted_text,
            batch=batch,
            wall_ns=wall_ns,
            clock_ns=clock_ns,
            draft_ns=draft_ns,
            verify_ns=verify_ns,
            disturbed=disturbed,
            totals=before.after(len(drafted), accepted, len(emitted), len(sampled) - len(emitted)),
            before=len(self.ids),
            canvas=canvas,
        )
        self.ids.extend(emitted)
        self.steps += 1
        self.drafted += len(drafted)
        self.accepted += accepted
        return step

    def finished(self, info: LaneInfo, output: Any) -> RequestFinished:
        """Return the event for the request's last output."""
        return RequestFinished(info.name, self.request, self.slot, _finish_reason(output), len(self.ids))

    def disagreement(self, output: Any) -> EngineCounts | None:
        """Compare the totals of a finished request with the engine's; None if they agree, or the engine has none."""
        metrics = getattr(output.outputs[0], "spec_decode_metrics", None)
        if metrics is None:
            return None
        accepted = sum(metrics.per_step_accepted)
        if (self.drafted, self.accepted) == (metrics.num_draft_tokens, accepted):
            return None
        drafts = len(metrics.per_step_drafted)
        return EngineCounts(
            self.request, (drafts, metrics.num_draft_tokens, accepted), (self.steps, self.drafted, self.accepted)
        )


def _cut_reason(output: Any) -> CutReason:
    if output.outputs[0].finish_reason == "length":
        return "length"
    return "stop" if isinstance(output.outputs[0].stop_reason, str) else "eos"


def _finish_reason(output: Any) -> FinishReason:
    reason = output.outputs[0].finish_reason
    return _cut_reason(output) if reason in ("stop", "length") else "abort" if reason == "abort" else "error"
