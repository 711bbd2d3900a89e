"""Prompts that are typed here: sent to the server's OpenAI API one after another, on a thread of their own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from spectui.protocol.events import Event
from spectui.protocol.serving import Answered, Asked
from spectui.sources.counters.fetching import Fetcher
from spectui.sources.counters.pages import UnreachableError
from spectui.sources.counters.streamed import Stream, fault_of
from spectui.sources.counters.values import MOST_JSON_BYTES, MalformedError, read_json

MOST_TOKENS = 512
"""The most tokens of an answer; everything else of how it is sampled is left to the server."""

_NO_CHAT = (404, 405, 501)
"""Statuses of a server that has no page for chats."""

MOST_WAITING = 16
SILENCE_S = 120.0
"""A server may let a prompt wait for so long."""

MOST_S = 900.0
MOST_BYTES = 16 << 20
MOST_TEXT = 1 << 18
PART_S = 0.05
"""Parts of an answer are at least so far apart."""


class _RefusedError(Exception):
    """There is no answer; ``chat`` means that only chats are not possible."""

    def __init__(self, why: str, chat: bool = False) -> None:
        super().__init__(why)
        self.chat = chat


class Asker:
    """Sends prompts and tells the answers. ``model`` names the model, or is empty while the server is unknown."""

    def __init__(
        self,
        lane: str,
        connect: Callable[[], Fetcher],
        model: Callable[[], str],
        emit: Callable[[Event], None],
        misheard: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lane, self._connect, self._model = lane, connect, model
        self._emit, self._misheard, self._clock = emit, misheard, clock
        self._prompts: queue.Queue[tuple[int, str] | None] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._fetcher: Fetcher | None = None
        self._stopped = False

    def ask(self, number: int, prompt: str) -> None:
        """Send a prompt as soon as those before it are answered. Never waits."""
        self._emit(Asked(self._lane, number, prompt))
        with self._lock:
            if self._stopped:
                return
            try:
                self._prompts.put_nowait((number, prompt))
            except queue.Full:
                self._end(number, fault=f"{MOST_WAITING} prompts wait already: ask again when they are answered")
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prompts", daemon=True)
                self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Drop what waits, break off what is being answered, and end the thread."""
        with self._lock:
            self._stopped = True
            while True:
                try:
                    self._prompts.get_nowait()
                except queue.Empty:
                    break
            self._prompts.put(None)
            if self._fetcher is not None:
                self._fetcher.cancel()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        while (asked := self._prompts.get()) is not None:
            with self._lock:
                if self._stopped:
                    return
                self._fetcher = self._connect()
            try:
                self._answer(self._fetcher, *asked)
            finally:
                self._fetcher.close()

    def _answer(self, fetcher: Fetcher, number: int, prompt: str) -> None:
        model = self._model()
        if not model:
            self._end(number, fault="the server's models are not known yet: ask again when it is live")
            return
        chat = {"messages": [{"role": "user", "content": prompt}]}
        try:
            try:
                self._send(fetcher, number, "/v1/chat/completions", _request(model, chat))
            except _RefusedError as refused:
                if not refused.chat:
                    raise
                self._send(fetcher, number, "/v1/completions", _request(model, {"prompt": prompt}))
        except _RefusedError as refused:
            self._end(number, str(refused))
        except UnreachableError as error:
            self._end(number, f"the answer broke off: {error}")
        except MalformedError as error:
            self._misheard()
            self._end(number, f"the answer makes no sense: {error}")

    def _send(self, fetcher: Fetcher, number: int, path: str, body: object) -> None:
        """Send a prompt and tell its answer; raises one of the errors above if there is none."""
        began = self._clock()
        with fetcher.post(path, body, SILENCE_S, MOST_S) as response:
            parts = fetcher.parts(response, SILENCE_S, MOST_BYTES)
            if response.status_code != 200:
                raise _refusal(response.status_code, b"".join(parts)[:MOST_JSON_BYTES])
            stream = Stream("text/event-stream" in response.headers.get("content-type", ""))
            held, length, first_s, told = "", 0, None, began
            for part in parts:
                for piece in stream.add(part):
                    first_s = self._clock() - began if first_s is None else first_s
                    held += piece
                    length += len(piece)
                if length > MOST_TEXT:
                    raise MalformedError(f"more than {MOST_TEXT} characters")
                if held and self._clock() - told >= PART_S:
                    self._emit(Answered(self._lane, number, held))
                    held, told = "", self._clock()
                if stream.ended:
                    break
            held += "".join(stream.end())
        for _ in range(stream.malformed):
            self._misheard()
        if stream.fault:
            raise _RefusedError(f"the server broke off: {stream.fault}")
        if stream.malformed and not length and not held:
            raise MalformedError("not what the OpenAI API sends")
        figures = stream.figures
        self._emit(
            Answered(
                self._lane,
                number,
                held,
                ended=True,
                tokens=figures.tokens,
                seconds=self._clock() - began,
                first_s=first_s,
                drafts=figures.drafts,
                drafted=figures.drafted,
                accepted=figures.accepted,
                length=figures.length,
            )
        )

    def _end(self, number: int, fault: str) -> None:
        self._emit(Answered(self._lane, number, ended=True, fault=fault))


def _request(model: str, prompt: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": model,
        **prompt,
        "max_tokens": MOST_TOKENS,
        "stream": True,
        "stream_options": {"include_usage": True},
        # SGLang adds its figures when asked; the others ignore what they do not know.
        "return_spec_tokens_details": True,
    }


def _refusal(status: int, body: bytes) -> _RefusedError:
    if status in (401, 403):
        return _RefusedError(
            f"the server wants an API key ({status}): name the variable that holds it with --api-key-env"
        )
    try:
        said = fault_of(read_json(body))
    except MalformedError:
        said = ""
    # A model without a chat template: vLLM says so with status 400.
    chat = status in _NO_CHAT or "template" in said.lower()
    return _RefusedError(f"the server refused the prompt ({status}){f': {said}' if said else ''}", chat)
