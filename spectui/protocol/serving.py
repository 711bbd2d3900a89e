"""What is known of servers that run elsewhere: their state, their counters, steps of which only numbers are known.

Part of the vocabulary of `spectui.protocol.events`. Each endpoint is a lane. All its requests belong to one round
without prompts, and a request's slot is unique among all endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.protocol.run import LaneInfo
from spectui.protocol.steps import NOTHING, CutReason, Own, Step, Totals

ServerStage: TypeAlias = Literal["connecting", "live", "gone", "refused"]
"""Of an endpoint: nothing was heard yet; it answers; it answered once; it answers, but cannot be watched."""

ServerKind: TypeAlias = Literal["tap", "vllm", "sglang", "llama.cpp", "unknown"]
"""What is read: steps from the tap, or the counters of such a server."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of an endpoint has changed; ``why`` says what is wrong and what to do, in a sentence.

    ``downtime_ns`` is how long it was gone, once it is live again.
    """

    lane: str
    stage: ServerStage
    why: str = ""
    downtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """What an endpoint's server runs; said again after each start of the server.

    Attributes:
        info: The lane as it is now known: method, K_max.
        kind: What is read of it.
        address: The endpoint, as the user would type it.
        session: Differs for each start of the server; empty if unknown.
        model: The target.
        redaction: What leaves the server: ``"counts"``, ``"ids"`` or ``"text"``.
        share: Share of the requests whose ids are sent.
        drafts: Whether drafted ids can be seen.
        why: Why not, and how to make them visible, in a sentence.
        control: Whether K may be changed from here.
        why_not: Why not, in a sentence.
        host: Where the server runs.
        rank: Data-parallel rank, and ``ranks`` how many there are.
        version: The server's version.
        asks: Whether prompts can be sent to it.
    """

    lane: str
    info: LaneInfo
    kind: ServerKind
    address: str
    session: str = ""
    model: str = ""
    redaction: str = ""
    share: float = 1.0
    drafts: bool = True
    why: str = ""
    control: bool = False
    why_not: str = ""
    host: str = ""
    rank: int = 0
    ranks: int = 1
    version: str = ""
    asks: bool = False


@dataclass(frozen=True, slots=True)
class InFlight:
    """A request in flight, and for how long the server has had it."""

    slot: int
    age_ns: int


@dataclass(frozen=True, slots=True)
class Serving:
    """How an endpoint stands, about twice a second.

    Attributes:
        at_ns: The server's own clock.
        waiting: Requests that wait for a place.
        dropped: Messages that the server could not keep for its viewers, since it began.
        malformed: Messages from this endpoint that made no sense, since the program began.
        since_start: Totals since the server began, which steps of before count in; None if unknown.
        accepted_at: How often the drafted token at each position was accepted since the server began.
        drafted_at: How often one was drafted there.
        draft_ns: Time in the drafter since the server began; None if it is not measured.
        verify_ns: Time in the target's forward pass since the server began; None if it is not measured.
        clock_ns: Time in engine steps since the server began.
        engine_steps: Engine steps since the server began that had at least one request; None if unknown.
    """

    lane: str
    at_ns: int
    running: tuple[InFlight, ...] = ()
    waiting: int = 0
    dropped: int = 0
    malformed: int = 0
    since_start: Totals | None = None
    accepted_at: tuple[int, ...] = ()
    drafted_at: tuple[int, ...] = ()
    draft_ns: int | None = None
    verify_ns: int | None = None
    clock_ns: int = 0
    engine_steps: int | None = None


@dataclass(frozen=True, slots=True)
class CountedStep:
    """A verification step of which numbers are known but not the drafted ids, because the server keeps them.

    The fields are those of `Step`, with numbers in place of ids. ``ids`` are the ids that were verified, emitted ones
    first, and ``text`` their pieces; both are empty if they are not known.
    """

    lane: str
    request: str
    slot: int
    index: int
    k: int
    drafted: int
    accepted: int
    emitted: int
    cut: int
    own: Own | None
    cut_reason: CutReason | None
    batch: int
    wall_ns: int
    clock_ns: int
    draft_ns: int | None = None
    verify_ns: int | None = None
    disturbed: bool = False
    totals: Totals | None = None
    before: int | None = None
    ids: tuple[int, ...] = ()
    text: tuple[str, ...] = ()

    @property
    def drafted_count(self) -> int:
        """As of a `Step`, like the following."""
        return self.drafted

    @property
    def emitted_count(self) -> int:
        return self.emitted

    @property
    def cut_count(self) -> int:
        return self.cut

    @property
    def canvas(self) -> int:
        """Steps of diffusion models are not counted."""
        return 0

    @property
    def own_totals(self) -> Totals:
        """The totals of this step alone."""
        return NOTHING.after(self.drafted, self.accepted, self.emitted, self.cut)


@dataclass(frozen=True, slots=True)
class CounterSample:
    """The counters of a server at one moment. None means that it does not count that. Counters only grow; one that is
    smaller than before means that the server was started again.

    Attributes:
        at_ns: Since the program began to read them.
        drafts: Steps that had a draft.
        drafted: Drafted tokens.
        accepted: Accepted ones.
        accepted_at: How often the drafted token at each position was accepted; empty if unknown.
        emitted: Completion tokens.
        prompt_tokens: Prompt tokens.
        length: Acceptance length as the server states it, where it does not give the counters.
        rate: Draft acceptance rate as the server states it, where it does not give the counters.
        running: Requests that are being answered.
        waiting: Requests that wait.
        cache_share: Share of the KV cache in use.
        tok_s: Throughput as the server states it, where it counts no tokens, or only when a request ends.
        malformed: Answers that made no sense, since the program began.
    """

    lane: str
    at_ns: int
    drafts: int | None = None
    drafted: int | None = None
    accepted: int | None = None
    accepted_at: tuple[int, ...] = ()
    emitted: int | None = None
    prompt_tokens: int | None = None
    length: float | None = None
    rate: float | None = None
    running: int | None = None
    waiting: int | None = None
    cache_share: float | None = None
    tok_s: float | None = None
    malformed: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt typed here was sent to the server; ``number`` is unique in the run."""

    lane: str
    number: int
    prompt: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A part of the answer to a prompt that was sent from here, or its end.

    Attributes:
        number: As in `Asked`.
        text: The part of the answer that is new.
        ended: Whether it is complete; the figures come with the end.
        fault: Why there is no answer, in a sentence.
        tokens: Completion tokens, as the server counts them.
        seconds: From the request to its end, measured here.
        first_s: From the request to the first text.
        drafts: Steps that had a draft, as the server reports for this request.
        drafted: Drafted tokens.
        accepted: Accepted ones.
        length: Acceptance length, as the server reports it or by these numbers.
    """

    lane: str
    number: int
    text: str = ""
    ended: bool = False
    fault: str = ""
    tokens: int | None = None
    seconds: float | None = None
    first_s: float | None = None
    drafts: int | None = None
    drafted: int | None = None
    accepted: int | None = None
    length: float | None = None


AnyStep: TypeAlias = Step | CountedStep
"""A verification step, whether its ids are known or only their numbers."""

ServingEvent: TypeAlias = ServerState | ServerSeen | Serving | CountedStep | CounterSample | Asked | Answered
