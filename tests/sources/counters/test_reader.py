"""The reader on its threads: counters go on while prompts are answered, and all of it can be stopped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from spectui.protocol.events import Event
from spectui.protocol.run import LaneInfo, Notice
from spectui.protocol.serving import Answered, Asked, CounterSample, ServerSeen, ServerState
from spectui.sources.counters import asking
from spectui.sources.counters.reader import CounterReader
from tests.sources.counters import answers
from tests.support import http_servers
from tests.support.http_servers import Respond, reply, reply_json, serving, stream

Kind = TypeVar("Kind")
PATIENCE_S = 60.0


class Watched:
    """A server that is read, and what was emitted."""

    def __init__(self, url: str) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.reader = CounterReader(
            LaneInfo("e1", "mtp", "box", 0, url), url, self.events.put, every_s=0.05, api_key="key"
        )

    def next(self, kind: type[Kind], fits: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """The next event of a kind."""
        while True:
            event = self.events.get(timeout=PATIENCE_S)
            if isinstance(event, kind) and fits(event):
                return event

    def answer(self, number: int) -> list[Answered]:
        """All parts of an answer."""
        parts = [self.next(Answered)]
        while not parts[-1].ended:
            parts.append(self.next(Answered))
        assert {part.number for part in parts} == {number}
        return parts


@contextmanager
def watched(chat: Respond, completions: Respond | None = None) -> Iterator[Watched]:
    def respond(asked: http_servers.Asked) -> Iterable[bytes]:
        if asked.path == "/metrics":
            return reply(answers.VLLM + answers.VLLM_DRAFTS)
        if asked.path == "/v1/models":
            return reply_json(answers.models("demo", "vllm"))
        if asked.path == "/v1/chat/completions":
            return chat(asked)
        if asked.path == "/v1/completions" and completions is not None:
            return completions(asked)
        return reply("", 404)

    with serving(respond) as url:
        one = Watched(url)
        one.reader.start()
        try:
            one.next(ServerSeen)
            yield one
        finally:
            one.reader.stop()


def piece(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


END = {
    "choices": [],
    "usage": {"completion_tokens": 5},
    "metrics": {
        "speculative_decoding": {"num_spec_steps": 2, "num_draft_tokens": 6, "num_accepted_draft_tokens": 3},
    },
}


def test_a_prompt_is_answered_with_the_servers_own_figures() -> None:
    got: list[http_servers.Asked] = []

    def chat(asked: http_servers.Asked) -> Iterable[bytes]:
        got.append(asked)
        return stream(piece("all "), piece("of it"), END, "[DONE]")

    with watched(chat) as one:
        one.reader.ask(7, "say it all")
        assert one.next(Asked) == Asked("e1", 7, "say it all")
        parts = one.answer(7)
    assert "".join(part.text for part in parts) == "all of it"
    end = parts[-1]
    assert (end.tokens, end.drafts, end.drafted, end.accepted, end.length) == (5, 2, 6, 3, 2.5)
    assert end.fault == ""
    assert end.seconds is not None
    assert end.first_s is not None
    assert 0 <= end.first_s <= end.seconds
    (asked,) = got
    assert asked.json["model"] == "demo"
    assert asked.json["messages"] == [{"role": "user", "content": "say it all"}]
    assert asked.json["stream_options"] == {"include_usage": True}
    assert asked.headers["authorization"] == "Bearer key"


def test_counters_go_on_while_a_prompt_is_answered() -> None:
    more = threading.Event()

    def chat(asked: http_servers.Asked) -> Iterator[bytes]:
        start, first, *rest = stream(piece("a"), piece("b"), END, "[DONE]")
        yield start
        yield first
        assert more.wait(PATIENCE_S)
        yield from rest

    with watched(chat) as one:
        one.reader.ask(1, "slowly")
        one.next(Asked)
        for _ in range(3):
            one.next(CounterSample)
        more.set()
        assert "".join(part.text for part in one.answer(1)) == "ab"


def test_parts_of_a_fast_answer_are_put_together() -> None:
    with watched(lambda _: stream(*[piece("x")] * 2000, END, "[DONE]")) as one:
        one.reader.ask(1, "fast")
        parts = one.answer(1)
    assert sum(len(part.text) for part in parts) == 2000
    assert parts[-1].seconds is not None
    assert len(parts) <= parts[-1].seconds / asking.PART_S + 1


@pytest.mark.parametrize(
    "refusal",
    [
        reply_json({"error": {"message": "default chat template is no longer allowed"}}, 400),
        reply_json({"object": "error", "message": "no chat template", "code": 400}, 400),
        reply("", 404),
    ],
)
def test_a_model_without_a_chat_template_is_asked_to_go_on_with_the_text(refusal: Iterable[bytes]) -> None:
    def completions(asked: http_servers.Asked) -> Iterable[bytes]:
        assert asked.json["prompt"] == "once upon"
        return stream({"choices": [{"text": " a time"}]}, END, "[DONE]")

    with watched(lambda _: refusal, completions) as one:
        one.reader.ask(1, "once upon")
        parts = one.answer(1)
    assert ("".join(part.text for part in parts), parts[-1].tokens) == (" a time", 5)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (reply("", 401), "the server wants an API key (401): name the variable that holds it with --api-key-env"),
        (reply_json({"error": {"message": "too\nlong"}}, 400), "the server refused the prompt (400): too long"),
        (reply("<html>", 500, kind="text/html"), "the server refused the prompt (500)"),
        (stream(piece("a"), {"error": "out of memory"}), "the server broke off: out of memory"),
        (reply("nonsense"), "the answer makes no sense: not what the OpenAI API sends"),
        ([b"gibberish\r\n\r\n", b""], "the answer makes no sense: illegal status line"),
        ([b""], "the answer broke off: it closed the connection"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b""], "the answer broke off: it closed the connection"),
        (stream(*[piece("x" * 100_000)] * 3), "the answer makes no sense: more than 262144 characters"),
    ],
)
def test_why_there_is_no_answer_is_said(answer: Iterable[bytes], fault: str) -> None:
    with watched(lambda _: answer) as one:
        one.reader.ask(1, "prompt")
        assert one.answer(1)[-1].fault.startswith(fault)
        # And the next prompt is sent all the same.
        one.reader.ask(2, "prompt")
        assert one.answer(2)[-1].fault.startswith(fault)


def test_an_answer_without_figures_has_none_rather_than_zero() -> None:
    with watched(lambda _: stream(piece("a"), "[DONE]")) as one:
        one.reader.ask(1, "prompt")
        end = one.answer(1)[-1]
    assert (end.tokens, end.drafts, end.drafted, end.accepted, end.length) == (None,) * 5


def test_how_to_get_the_figures_of_answers_is_said_once() -> None:
    with watched(lambda _: stream(piece("a"), "[DONE]")) as one:
        one.reader.ask(1, "prompt")
        notice = one.next(Notice)
        assert "--per-request-spec-decode-metrics summary" in notice.text
        one.reader.ask(2, "prompt")
        one.reader.ask(3, "prompt")
        told: list[Event] = [one.next(Asked), one.next(Asked)]
        while not (isinstance(told[-1], Answered) and told[-1].number == 3 and told[-1].ended):
            told.append(one.events.get(timeout=PATIENCE_S))
        assert not any(isinstance(event, Notice) for event in told)


def test_messages_that_make_no_sense_are_counted() -> None:
    with watched(lambda _: stream("{nonsense", piece("a"), END, "[DONE]")) as one:
        one.reader.ask(1, "prompt")
        assert one.answer(1)[-1].fault == ""
        assert one.next(CounterSample, lambda sample: sample.malformed > 0).malformed == 1


def test_too_many_prompts_are_refused_and_stopping_breaks_off_the_one_that_is_answered() -> None:
    begun = threading.Event()

    def chat(asked: http_servers.Asked) -> Iterator[bytes]:
        yield stream()[0]
        begun.set()
        assert stopped.wait(PATIENCE_S)

    stopped = threading.Event()
    with watched(chat) as one:
        one.reader.ask(0, "endless")
        assert begun.wait(PATIENCE_S)
        for number in range(1, asking.MOST_WAITING + 2):
            one.reader.ask(number, "and this")
        last = one.next(Answered)
        assert (last.number, last.ended) == (asking.MOST_WAITING + 1, True)
        assert "prompts wait already" in last.fault
        one.reader.stop()
        names = {thread.name for thread in threading.enumerate()}
        assert not names & {"counters e1", "prompts"}
        stopped.set()


def test_a_prompt_before_the_server_is_known_is_refused() -> None:
    one = Watched(f"http://127.0.0.1:{http_servers.free_port()}")
    one.reader.start()
    assert one.next(ServerState).stage == "connecting"
    one.reader.ask(3, "anyone?")
    assert "not known yet" in one.answer(3)[-1].fault
    one.reader.stop()
    one.reader.stop()


def test_nothing_is_emitted_once_it_is_stopped() -> None:
    with watched(lambda _: stream(piece("a"), END, "[DONE]")) as one:
        one.reader.stop()
        while not one.events.empty():
            one.events.get()
        one.reader.ask(1, "prompt")
        assert one.events.empty()
