"""The messages between a traced server and its viewers: msgpack, read into fixed types, never pickled.

The server has one ZeroMQ ROUTER socket, each viewer a DEALER. A viewer says `Watch` once a second; a server forgets a
viewer that has been silent for `SILENCE_S`. The server sends `Packet`s to every viewer, numbered per viewer, so that
each knows what it missed. Times are in nanoseconds of the server's monotonic clock.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

VERSION = 1
"""Version of these messages; a viewer and a server of different versions say so and show nothing."""

WATCH_S = 1.0
"""How often a viewer says that it is there."""

SILENCE_S = 5.0
"""A viewer that has been silent for so long is gone."""

STANDING_S = 0.5
"""How often a server says how it stands; a server that has been silent for `GONE_S` is gone."""

GONE_S = 3.0

MOST_BYTES = 1 << 20
"""The longest message that either side reads."""

PACKET_BYTES = 32_768
"""About as long as a packet becomes before the next one begins."""

MOST_PROMPT_IDS = 8_192
"""Longer prompts travel without their ids."""

MOST_RUNNING = 1_000
"""Requests that `Standing` names, the oldest first: making more of it would hold up the engine thread, and with long
names it would become longer than `MOST_BYTES`. A server that names so many may have left out newer ones."""

Redaction: TypeAlias = Literal["counts", "ids", "text"]
"""What leaves the server: numbers only; also ids of prompts, drafts and answers; also the vocabulary to read them."""


class _Message(msgspec.Struct, frozen=True, array_like=True):
    """Travels as a list, so later versions can only add fields with defaults at the end."""


class About(_Message, frozen=True, array_like=True, tag="about"):
    """What the server runs. Sent to a new viewer first, and again when it changes.

    Attributes:
        model: The target, as the server was told it.
        tokenizer: Path or id of its tokenizer.
        revision: The tokenizer's revision; empty for the default.
        served_names: Names under which the API serves the model.
        method: vLLM's name of the method; ``"ar"`` without a drafter.
        k_max: Tokens that it was built to draft.
        redaction: What leaves the server.
        share: Share of the requests whose ids and names are sent; of the others, numbers only.
        drafts: Whether drafted ids can be seen.
        why: Why not, and what to do, in a sentence; empty if they can.
        control: Whether viewers may change K.
        fixed_k: Why K cannot change at all, in a sentence; empty if it can.
        dp_rank: Rank among data-parallel engines.
        dp_size: How many there are at least: those of a dense model do not know.
        vocabulary: Tokens that the target knows.
        speculative: vLLM's ``speculative_config`` without K, as JSON; empty if unknown.
    """

    model: str
    tokenizer: str
    revision: str
    served_names: list[str]
    method: str
    k_max: int
    redaction: Redaction
    share: float
    drafts: bool
    why: str
    control: bool
    fixed_k: str
    host: str
    pid: int
    dp_rank: int
    dp_size: int
    tensor_parallel: int
    pipeline_parallel: int
    seats: int
    asynchronous: bool
    runner: Literal["V1", "V2"] | None
    device: str
    dtype: str
    vocabulary: int
    versions: dict[str, str]
    speculative: str = ""


class Running(_Message, frozen=True, array_like=True):
    """A request in flight: its place among all of this server's requests, and what it has done so far."""

    slot: int
    request: str
    prompt_tokens: int
    emitted: int
    steps: int
    started_ns: int


class Standing(_Message, frozen=True, array_like=True, tag="standing"):
    """Sums since the server began, in the order of the steps around it.

    Attributes:
        clock_ns: Sum of the wall time of its engine steps.
        totals: As `spectui.protocol.steps.Totals`.
        accepted_at: How often the drafted token at each position was accepted.
        drafted_at: How often one was drafted there.
        draft_ns: Sum of the time in the drafter; None if it is not measured.
        verify_ns: Sum of the time in the target's forward pass; None if it is not measured.
        engine_steps: Engine steps with at least one request that was sampled.
        k: Tokens that may be drafted.
        waiting: Requests that wait for a place.
        dropped: Messages that the server could not keep for its viewers.
        running: Requests in flight, at most `MOST_RUNNING`.
    """

    clock_ns: int
    totals: list[int]
    accepted_at: list[int]
    drafted_at: list[int]
    draft_ns: int | None
    verify_ns: int | None
    engine_steps: int
    k: int
    waiting: int
    dropped: int
    running: list[Running]


class Began(_Message, frozen=True, array_like=True, tag="began"):
    """A request was accepted by the scheduler. ``prompt_ids`` is empty if they are not sent."""

    slot: int
    request: str
    prompt_tokens: int
    prompt_ids: list[int]
    started_ns: int


class Row(_Message, frozen=True, array_like=True):
    """One request in one engine step.

    Attributes:
        slot: As in `Began`.
        index: Steps of the request before.
        before: Its output tokens before.
        drafted: Ids that were drafted, or how many if the ids are not sent or cannot be seen.
        accepted: How many of them the target kept, cut or not.
        sampled: Ids that remain after verification, uncut, or how many.
        emitted: How many of those reached the output.
        cut_reason: What ended the request in this step.
    """

    slot: int
    index: int
    before: int
    drafted: list[int] | int
    accepted: int
    sampled: list[int] | int
    emitted: int
    cut_reason: Literal["eos", "stop", "length"] | None = None


class EngineStep(_Message, frozen=True, array_like=True, tag="step"):
    """One engine step; ``totals`` and ``clock_ns`` are those of `Standing` after it."""

    k: int
    wall_ns: int
    clock_ns: int
    draft_ns: int | None
    verify_ns: int | None
    totals: list[int]
    rows: list[Row]


class Ended(_Message, frozen=True, array_like=True, tag="ended"):
    """A request has ended."""

    slot: int
    reason: Literal["eos", "stop", "length", "abort", "error"]
    emitted: int


class Preempted(_Message, frozen=True, array_like=True, tag="preempted"):
    """The engine took a running request's cache away."""

    slot: int


class KSet(_Message, frozen=True, array_like=True, tag="k"):
    """From the next step on, ``k`` tokens may be drafted."""

    k: int


class Reply(_Message, frozen=True, array_like=True, tag="reply"):
    """The answer to this viewer's message of that number; ``text`` says why not."""

    number: int
    done: bool
    text: str


class Words(_Message, frozen=True, array_like=True, tag="words"):
    """Bytes of the vocabulary's tokens from id ``first`` on; ``special`` are ids whose bytes are a written form."""

    number: int
    first: int
    size: int
    words: list[bytes]
    special: list[int]


Item: TypeAlias = About | Standing | Began | EngineStep | Ended | Preempted | KSet | Reply | Words


class Packet(_Message, frozen=True, array_like=True):
    """What the server sends to one viewer. ``session`` is a new one for each start of the server, ``number`` counts the
    packets meant for this viewer, also those that were dropped."""

    version: int
    session: str
    number: int
    at_ns: int
    items: list[Item]


class Watch(_Message, frozen=True, array_like=True, tag="watch"):
    """A viewer is there. ``again`` asks for `About` and `Standing` now."""

    version: int
    again: bool = False


class Leave(_Message, frozen=True, array_like=True, tag="leave"):
    """A viewer goes."""


class SetK(_Message, frozen=True, array_like=True, tag="set_k"):
    """Let the server draft ``k`` tokens; answered by `Reply`, and by `KSet` to all.

    With ``lease_s`` K is only lent: after so many seconds, or when this viewer goes or falls silent, it becomes again
    what it was, unless this is said again before.
    """

    number: int
    k: int
    lease_s: float | None = None


class AskWords(_Message, frozen=True, array_like=True, tag="ask_words"):
    """Ask for the vocabulary from id ``first`` on; answered by `Words`, or `Reply` with the reason why not."""

    number: int
    first: int


Ask: TypeAlias = Watch | Leave | SetK | AskWords

encode = msgspec.msgpack.Encoder().encode
"""Message to bytes."""

_read_packet = msgspec.msgpack.Decoder(Packet).decode
_read_ask = msgspec.msgpack.Decoder(Ask).decode


class MalformedError(ValueError):
    """The bytes are no message of this kind."""


def read_packet(data: bytes) -> Packet:
    """Read what a server sent.

    Raises:
        MalformedError: It is no packet.
    """
    try:
        return _read_packet(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedError(str(error)) from None


def read_ask(data: bytes) -> Ask:
    """Read what a viewer sent.

    Raises:
        MalformedError: It is none of their messages.
    """
    try:
        ask: Ask = _read_ask(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedError(str(error)) from None
    return ask
