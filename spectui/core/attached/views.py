"""Frozen views of attached servers for the screen, the headless lines and the exporter.

None means unknown or not applicable, never 0. Lengths and rates are of the last `spectui.core.state.WINDOW_STEPS`
steps, or, for counters, of the last seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from spectui.protocol.events import FinishReason
from spectui.protocol.serving import ServerKind, ServerStage


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint, or the sum of all.

    Attributes:
        lane: Its lane; empty for the sum.
        title: The endpoint in short.
        why: What is wrong with it, or why drafts are not visible and how to make them so; empty if all is well.
        k: Tokens that may be drafted; None if endpoints differ, or it is unknown.
        control: Whether K may be changed from here, ``why_not`` why it may not, in a sentence.
        length: Acceptance length.
        rate: Draft acceptance rate.
        by_position: Unconditional acceptance at each position.
        tok_s: Completion tokens per second of wall time, over the last seconds.
        step_ms: Mean duration of an engine step, ``draft_ms`` and ``verify_ms`` its parts.
        running: Requests in flight.
        emitted: Completion tokens since the program attached.
        lost: Steps that the server did not get to this viewer, whose numbers count nevertheless.
        dropped: Messages that the server could not keep, since it began.
        malformed: Messages and answers that made no sense.
        cache_share: Share of the KV cache in use.
    """

    lane: str
    title: str
    kind: ServerKind
    stage: ServerStage
    why: str = ""
    model: str = ""
    k: int | None = None
    k_max: int | None = None
    control: bool = False
    why_not: str = ""
    length: float | None = None
    rate: float | None = None
    by_position: tuple[float | None, ...] = ()
    tok_s: float | None = None
    step_ms: float | None = None
    draft_ms: float | None = None
    verify_ms: float | None = None
    running: int | None = None
    waiting: int | None = None
    emitted: int | None = None
    lost: int | None = 0
    dropped: int = 0
    malformed: int = 0
    cache_share: float | None = None


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request: in flight, or ended not long ago.

    Attributes:
        age_s: How long the server has had it.
        emitted: Output tokens.
        k: K of its last step.
        length: Acceptance length over the whole request; ``rate`` likewise.
        tok_s: Output tokens per second of its lane time.
        finished: How it ended; None while it is in flight.
    """

    lane: str
    slot: int
    request: str
    age_s: float | None
    prompt_tokens: int | None
    emitted: int
    k: int | None
    length: float | None
    rate: float | None
    tok_s: float | None
    finished: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class AnswerView:
    """A prompt that was sent from here, and the answer so far; figures come with its end."""

    lane: str
    number: int
    prompt: str
    text: str
    ended: bool = False
    fault: str = ""
    tokens: int | None = None
    seconds: float | None = None
    first_s: float | None = None
    drafts: int | None = None
    drafted: int | None = None
    accepted: int | None = None
    length: float | None = None


@dataclass(frozen=True, slots=True)
class AttachedView:
    """Everything that the screen of an attached run shows beside its lanes.

    Attributes:
        endpoints: In the order in which they were named.
        total: Their sum; None for a single one.
        requests: In flight first, the newest first, then those that ended last.
        answers: Prompts that were sent from here, the newest last.
    """

    endpoints: tuple[EndpointRow, ...]
    total: EndpointRow | None
    requests: tuple[RequestRow, ...]
    answers: tuple[AnswerView, ...] = ()
