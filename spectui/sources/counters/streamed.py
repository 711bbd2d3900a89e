"""An answer to a prompt as it is streamed: its text, and the figures that each server adds in its own way.

- vLLM: ``metrics.speculative_decoding`` beside the usage at the end, if it was started with
  ``--per-request-spec-decode-metrics summary`` (``vllm/entrypoints/openai/chat_completion/serving.py``).
- SGLang: ``sglext.spec_tokens_details`` near the end, if the request asks for it
  (``sglang/srt/entrypoints/openai/serving_chat.py``); in ``meta_info`` of answers that are not streamed.
- llama.cpp: ``timings.draft_n`` and ``draft_n_accepted`` (``tools/server/server-task.cpp``); steps are not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from spectui.sources.counters.values import MalformedError, read_json, real, text, under, whole, words

MOST_LINE = 1 << 20
"""The longest line of a stream that is kept while its end is awaited, in bytes."""

_VLLM = ("num_spec_steps", "num_draft_tokens", "num_accepted_draft_tokens", "mean_acceptance_length")
_SGLANG = ("spec_verify_ct", "spec_num_proposed_drafts", "spec_num_correct_drafts", "spec_accept_length")
_OLD_SGLANG = ("spec_verify_ct", "spec_draft_token_num", "spec_accept_token_num", "spec_accept_length")
_LLAMA = ("", "draft_n", "draft_n_accepted", "")
_DETAILS = (
    (("metrics", "speculative_decoding"), _VLLM),
    (("sglext", "spec_tokens_details"), _SGLANG),
    (("choices", 0, "meta_info"), _SGLANG),
    (("choices", 0, "meta_info"), _OLD_SGLANG),
    (("timings",), _LLAMA),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the server says of one request. None: it does not say."""

    tokens: int | None = None
    drafts: int | None = None
    drafted: int | None = None
    accepted: int | None = None
    length: float | None = None


def figures_of(message: Any, before: Figures = Figures()) -> Figures:
    """The figures in one message, over those of earlier ones."""
    tokens = whole(under(message, "usage", "completion_tokens"))
    if tokens is not None:
        before = replace(before, tokens=tokens)
    for path, names in _DETAILS:
        details = under(message, *path)
        drafts, drafted, accepted = (whole(under(details, name)) for name in names[:3])
        if drafted is None or accepted is None or accepted > drafted:
            continue
        stated = real(under(details, names[3]))
        length = stated if not drafts else 1 + accepted / drafts
        return replace(before, drafts=drafts, drafted=drafted, accepted=accepted, length=length)
    return before


class Stream:
    """Server-sent events, or one JSON document where the server does not stream, in parts of any size."""

    def __init__(self, streamed: bool) -> None:
        self._streamed = streamed
        self._rest = b""
        self.figures = Figures()
        self.fault = ""
        self.ended = False
        self.malformed = 0

    def add(self, part: bytes) -> Iterator[str]:
        """The pieces of text in the next part.

        Raises:
            MalformedError: A line does not end.
        """
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > MOST_LINE:
            raise MalformedError("a line without an end")
        if not self._streamed:
            self._rest = b"\n".join((*lines, self._rest))
            return
        for line in lines:
            if line.startswith(b"data:"):
                yield from self._read(line[5:].strip())

    def end(self) -> Iterator[str]:
        """The pieces of text that were held back until the stream ended."""
        rest, self._rest = self._rest, b""
        if not self._streamed:
            yield from self._read(rest)
            self.ended = True
        elif rest.startswith(b"data:"):
            yield from self._read(rest[5:].strip())

    def _read(self, data: bytes) -> Iterator[str]:
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            message = read_json(data)
        except MalformedError:
            self.malformed += 1
            return
        self.figures = figures_of(message, self.figures)
        if fault := fault_of(message):
            self.fault = fault
        choice = under(message, "choices", 0)
        for path in (("delta", "reasoning_content"), ("delta", "reasoning"), ("delta", "content"), ("text",)):
            if piece := text(under(choice, *path)):
                yield piece
        if not self._streamed and (piece := text(under(choice, "message", "content"))):
            yield piece


def fault_of(message: Any) -> str:
    """What a server complains about, in its own words; empty if it does not."""
    error = under(message, "error")
    if error is None:
        return words(under(message, "message")) if under(message, "object") == "error" else ""
    return words(error) or words(under(error, "message")) or "it gives no reason"
