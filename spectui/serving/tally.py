"""Counts what a server's engine steps did, and tells the viewers. Called on the engine thread, between steps.

Knows of vLLM only the names of a few attributes of its outputs.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, Literal, TypeAlias

from spectui.serving.feed import Feed
from spectui.wire.messages import (
    MOST_PROMPT_IDS,
    MOST_RUNNING,
    Began,
    Ended,
    EngineStep,
    KSet,
    Preempted,
    Redaction,
    Row,
    Running,
    Standing,
)

MOST_NAME = 128
"""Longer names of requests, which a client may choose, are cut."""

Ending: TypeAlias = Literal["eos", "stop", "length", "abort", "error"]

_ENDINGS: Mapping[str, Ending] = {
    "stop": "eos",
    "length": "length",
    "abort": "abort",
    "error": "error",
    "repetition": "stop",
}
"""How vLLM's reasons to finish are told (``FinishReason`` in ``vllm/v1/engine/__init__.py``)."""

_CUTS: Mapping[Ending, Literal["eos", "stop", "length"]] = {"eos": "eos", "stop": "stop", "length": "length"}


@dataclass(slots=True)
class Request:
    """A request that the scheduler has."""

    slot: int
    name: str
    prompt_tokens: int
    shown: bool
    started_ns: int
    emitted: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Verified:
    """What an engine step verified.

    Attributes:
        k: Tokens that might be drafted when its drafts were made.
        wall_ns: Its wall time.
        draft_ns: The part of it in the drafter; None if it is not measured.
        verify_ns: The part of it in the target's forward pass; None if it is not measured.
        place: Where a request is in ``sampled``.
        sampled: What each request sampled, as `Tally.copies` has it.
        drafts: The drafts that were verified, by request; ids below 0 are unknown.
        told: The same from the worker, where it has told them.
        ruled_out: How many of a request's drafts, the last ones, a grammar has ruled out; None if there is no grammar.
    """

    k: int
    wall_ns: int
    draft_ns: int | None
    verify_ns: int | None
    place: Mapping[str, int]
    sampled: Sequence[list[int] | int]
    drafts: Mapping[str, Sequence[int]]
    told: Mapping[str, Sequence[int]] | None = None
    ruled_out: Mapping[str, int] | None = None


class Tally:
    """The sums of a server since it began, its requests, and the feed of what its viewers are told.

    Drafted and accepted tokens are those of vLLM's counters ``vllm:spec_decode_num_draft_tokens`` and
    ``vllm:spec_decode_num_accepted_tokens`` (``make_spec_decoding_stats`` in ``vllm/v1/core/sched/scheduler.py``):
    accepted ones count even if the end of the request cuts them off, drafts that a grammar has ruled out do not. Where
    a grammar has ruled out all drafts of a step, ``vllm:spec_decode_num_drafts`` counts a draft, and this does not.

    Attributes:
        feed: What waits for the publisher's thread.
        k: Tokens that may be drafted.
        unseen: Rows with drafts since the last one of which the workers told the drafted ids; of requests whose ids are
            sent, and while somebody watches.
    """

    def __init__(
        self, k_max: int, *, share: float = 1.0, redaction: Redaction = "ids", waiting: Callable[[], int] = int
    ) -> None:
        """Begin.

        Args:
            k_max: Tokens that the server was built to draft.
            share: Share of the requests whose ids and names are sent.
            redaction: What leaves the server.
            waiting: Says how many requests wait for a place; called on any thread.
        """
        self.feed = Feed(self.standing)
        self.k = k_max
        self.unseen = 0
        self._numbers_only = redaction == "counts"
        self._share = share
        self._waiting = waiting
        self._requests: dict[str, Request] = {}
        self._slots = 0
        self._clock_ns = 0
        self._draft_ns: int | None = None
        self._verify_ns: int | None = None
        self._engine_steps = 0
        self._steps = self._emitted = self._drafts = self._drafted = self._accepted = self._cut = 0
        # How many steps with a draft had so many drafted, and so many accepted tokens.
        self._with_drafted = [0] * (k_max + 1)
        self._with_accepted = [0] * (k_max + 1)

    def began(self, name: str, prompt_ids: Sequence[int] | None, prompt_tokens: int) -> None:
        """Count a request that the scheduler has accepted."""
        now, feed = time.monotonic_ns(), self.feed
        with feed.lock:
            slot, self._slots = self._slots, self._slots + 1
            shown = not self._numbers_only and in_share(name, self._share)
            # A client may choose the name, so it is none of the numbers.
            said = name[:MOST_NAME] if shown else str(slot)
            self._requests[name] = Request(slot, said, prompt_tokens, shown, now)
            if feed.watched:
                told = list(prompt_ids) if shown and prompt_ids and prompt_tokens <= MOST_PROMPT_IDS else []
                feed.put(Began(slot, said, prompt_tokens, told, now))

    def copies(self, sampled: Iterable[list[int]] | None) -> list[list[int] | int]:
        """Return what a step sampled, before vLLM cuts it where a request ends: the ids where they may be told, else
        how many there are."""
        if self.feed.watched and not self._numbers_only:
            return [*map(list, sampled or ())]
        return [*map(len, sampled or ())]

    def step(self, step: Verified, outputs: Iterable[Any], goes_on: Callable[[str], bool]) -> None:
        """Count an engine step.

        Its time counts even if it only read parts of prompts and sampled nothing, as it does on a lane's clock, but
        viewers are told of steps with a sampled token only.

        Args:
            step: What it verified.
            outputs: vLLM's outputs, with what of it was emitted.
            goes_on: Says whether a request that has finished goes on after all, as one whose prompt is streamed does.
        """
        feed, requests, ruled_out = self.feed, self._requests, step.ruled_out
        # Where nothing can be drafted, what vLLM calls drafts is the canvas of a diffusion model.
        drafts: Mapping[str, Sequence[int]] = step.drafts if len(self._with_drafted) > 1 else {}
        sampled, place, told = step.sampled, step.place, step.told
        ended: list[tuple[str, Ending]] = []
        with feed.lock:
            self._clock_ns += step.wall_ns
            if step.draft_ns is not None:
                self._draft_ns = (self._draft_ns or 0) + step.draft_ns
            if step.verify_ns is not None:
                self._verify_ns = (self._verify_ns or 0) + step.verify_ns
            watched = feed.watched
            rows: list[Row] = []
            steps = 0
            for output in outputs:
                name, emitted = output.request_id, len(output.new_token_ids)
                request = requests.get(name)
                if request is None:
                    continue
                if not emitted:
                    # As requests of models that embed do, which emit nothing.
                    if output.finish_reason is not None:
                        ended.append((name, _ending(output)))
                    continue
                ids = sampled[place[name]]
                size = ids if isinstance(ids, int) else len(ids)
                drafted = accepted = 0
                if draft := drafts.get(name):
                    drafted = len(draft) - (ruled_out.get(name, 0) if ruled_out else 0)
                    if drafted:
                        accepted = size - 1
                        self._drafts += 1
                        self._drafted += drafted
                        self._accepted += accepted
                        self._with_drafted[drafted] += 1
                        self._with_accepted[accepted] += 1
                steps += 1
                self._emitted += emitted
                self._cut += size - emitted
                ending: Ending | None = None
                if output.finish_reason is not None:
                    ending = _ending(output)
                    ended.append((name, ending))
                if watched:
                    known: list[int] | int = drafted
                    if not request.shown:
                        ids = size
                    else:
                        seen = [*((draft if told is None else told.get(name)) or ())[:drafted]]
                        if len(seen) == drafted and min(seen, default=0) >= 0:
                            known = seen
                        if drafted:
                            # A worker may say that it drafted nothing there, as n-gram on a GPU does.
                            shown = known is seen or (told is not None and name in told)
                            self.unseen = 0 if shown else self.unseen + 1
                    cut_reason = None if ending is None else _CUTS.get(ending)
                    rows.append(
                        Row(request.slot, request.steps, request.emitted, known, accepted, ids, emitted, cut_reason)
                    )
                request.steps += 1
                request.emitted += emitted
            if steps:
                self._steps += steps
                self._engine_steps += 1
            if rows:
                feed.put(
                    EngineStep(
                        step.k, step.wall_ns, self._clock_ns, step.draft_ns, step.verify_ns, self._totals(), rows
                    )
                )
            for name, ending in ended:
                if not goes_on(name):
                    self._end(name, ending)

    def ended(self, name: str, reason: str) -> None:
        """Count a request that did not end in a step; ``reason`` is vLLM's."""
        with self.feed.lock:
            self._end(name, _ENDINGS.get(reason, "error"))

    def _end(self, name: str, ending: Ending) -> None:
        request = self._requests.pop(name, None)
        if request is not None and self.feed.watched:
            self.feed.put(Ended(request.slot, ending, request.emitted))

    def preempted(self, name: str) -> None:
        """Tell that the engine took a request's cache away."""
        with self.feed.lock:
            if self.feed.watched and (request := self._requests.get(name)) is not None:
                self.feed.put(Preempted(request.slot))

    def set_k(self, k: int) -> None:
        """Tell that from the next step on ``k`` tokens may be drafted."""
        with self.feed.lock:
            self.k = k
            if self.feed.watched:
                self.feed.put(KSet(k))

    def forget_requests(self) -> None:
        """Count no request as running any more."""
        with self.feed.lock:
            self._requests.clear()

    def standing(self, dropped: int) -> Standing:
        """Say how the server stands; the caller holds the feed's lock."""
        return Standing(
            clock_ns=self._clock_ns,
            totals=self._totals(),
            accepted_at=_at_positions(self._with_accepted),
            drafted_at=_at_positions(self._with_drafted),
            draft_ns=self._draft_ns,
            verify_ns=self._verify_ns,
            engine_steps=self._engine_steps,
            k=self.k,
            waiting=self._waiting(),
            dropped=dropped,
            running=[
                Running(one.slot, one.name, one.prompt_tokens, one.emitted, one.steps, one.started_ns)
                for one in islice(self._requests.values(), MOST_RUNNING)
            ],
        )

    def _totals(self) -> list[int]:
        # In the order of `spectui.protocol.steps.Totals`; no step here is silent.
        return [self._steps, self._emitted, self._drafts, self._drafted, self._accepted, self._cut, 0]


def in_share(name: str, share: float) -> bool:
    """Whether a request is one of those whose ids are sent: always the same answer for the same name."""
    return zlib.crc32(name.encode(errors="replace")) < share * 2**32


def _ending(output: Any) -> Ending:
    ending = _ENDINGS.get(str(output.finish_reason), "error")
    return "stop" if ending == "eos" and isinstance(output.stop_reason, str) else ending


def _at_positions(steps: Sequence[int]) -> list[int]:
    """How many steps had a token at each position, counted from 1, given how many had so many tokens."""
    return [*accumulate(reversed(steps[1:]))][::-1]
