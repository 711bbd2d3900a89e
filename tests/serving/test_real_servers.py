"""Real servers with the tap, asked by the ``openai`` package: a viewer is told what the server itself counts and what
its client gets."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tokenizers import Tokenizer

from spectui.protocol.commands import SetK, SetPrompt
from spectui.protocol.events import (
    Answered,
    CountedStep,
    CounterSample,
    Event,
    KChanged,
    Notice,
    RequestFinished,
    RequestStarted,
    ServerSeen,
    Serving,
    Step,
)
from spectui.trace.codec import decode
from tests.support import servers, traffic
from tests.support.real_viewer import WAIT_S, Viewer, steps, sums, whole
from tests.support.servers import Counters, Server
from tests.support.traffic import Answer

pytestmark = pytest.mark.engine

T = TypeVar("T")
K = {"mtp": 3, "ngram": 4, "split": 3}
SETTINGS = {
    "mtp": {"control": "1"},
    "ngram": {"redaction": "text", "share": "0.5"},
    "split": {"redaction": "counts"},
}


@dataclass(frozen=True)
class Watched:
    """Fifty requests, as the client, the viewer and the server saw them.

    Attributes:
        counted: What the server counted meanwhile.
        stood: How it stood in the end, as the viewer was told.
        ends: What it had counted by then since it began.
    """

    name: str
    viewer: Viewer
    answers: Sequence[Answer]
    events: Sequence[Event]
    counted: Counters
    stood: Serving
    ends: Counters

    @property
    def named(self) -> list[Answer]:
        """The answers whose requests have the names that the client knows: those whose ids are sent."""
        return [answer for answer in self.answers if self.of(answer)]

    def of(self, answer: Answer) -> list[Step | CountedStep]:
        """The steps of an answer."""
        return [step for step in steps(self.events) if answer.id in step.request]


@pytest.fixture(scope="module")
def running(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """All servers, which start at the same time: it is mostly one core's imports."""
    kinds = {
        "mtp": servers.mtp(demo_model, K["mtp"]),
        "ngram": servers.ngram(demo_model, K["ngram"]),
        "split": servers.split(tmp_path_factory.mktemp("llama"), K["split"]),
    }
    with ExitStack() as stack:
        started = {}
        for name, kind in kinds.items():
            started[name] = Server(kind, asynchronous=name == "split", **SETTINGS[name])
            stack.callback(started[name].stop)
        for server in started.values():
            server.ready()
        yield started


@pytest.fixture(scope="module", params=list(K))
def watched(request: pytest.FixtureRequest, running: dict[str, Server]) -> Iterator[Watched]:
    name: str = request.param
    server = running[name]
    with Viewer([server.endpoint]) as viewer:
        viewer.live()
        if name != "split":
            servers.wait_for(lambda: reads(viewer, server), WAIT_S, lambda: "the viewer has no vocabulary")
        before, mark = server.settled(), viewer.mark()
        answers = traffic.answers(server.url, traffic.mixed())
        after = server.settled()
        stood = viewer.quiet()
        yield Watched(name, viewer, answers, tuple(viewer.events[mark:]), after.since(before), stood, after)


@pytest.fixture(scope="module")
def tokenizer(demo_model: Path) -> Tokenizer:
    return Tokenizer.from_file(str(demo_model / "tokenizer.json"))


def reads(viewer: Viewer, server: Server) -> bool:
    """Whether the viewer can turn ids into text by now; until then it writes the ids."""
    mark = viewer.mark()
    traffic.answers(server.url, traffic.even(2, 2))
    viewer.quiet()
    seen = [step for step in steps(viewer.events[mark:]) if isinstance(step, Step)]
    return bool(seen) and not any(piece.startswith("⟨") for step in seen for piece in step.text)


def cut_by_the_api(answer: Answer) -> bool:
    """Whether the API server ended the answer: the engine hears of it later, and has gone on meanwhile."""
    return answer.ask.stop is not None or answer.ask.leave_after is not None


def test_the_steps_are_the_servers_own_counters(watched: Watched) -> None:
    assert whole(watched.events)
    seen = sums(steps(watched.events), K[watched.name])
    assert replace(watched.counted, emitted=0, prompt_tokens=0) == replace(seen, emitted=0)
    assert seen.accepted > 0
    started = [event for event in watched.events if isinstance(event, RequestStarted)]
    assert len(started) == 50
    assert sum(event.prompt_tokens for event in started) == watched.counted.prompt_tokens


def test_the_servers_sums_are_its_counters_too(watched: Watched) -> None:
    stood, ends = watched.stood.since_start, watched.ends
    assert stood is not None
    assert (stood.drafts, stood.drafted, stood.accepted) == (ends.drafts, ends.drafted, ends.accepted)
    assert watched.stood.accepted_at == ends.accepted_at
    assert sum(watched.stood.drafted_at) == ends.drafted


def test_tokens_differ_only_behind_what_the_api_cut(watched: Watched) -> None:
    if watched.name == "split":
        pytest.skip("its numbers have no names that a client knows")
    beyond = 0
    for answer in watched.named:
        emitted = sum(step.own_totals.emitted for step in watched.of(answer))
        if cut_by_the_api(answer):
            # The client is told less than the server counts: nothing behind a stop string, nothing after it has gone.
            assert emitted >= len(answer.ids)
            beyond += emitted - len(answer.ids)
        else:
            assert emitted == answer.counted == len(answer.ids)
    more = sums(steps(watched.events), K[watched.name]).emitted - watched.counted.emitted
    assert more >= 0
    assert more <= beyond or watched.name == "ngram"


def test_without_the_api_cutting_answers_every_token_is_counted(watched: Watched, running: dict[str, Server]) -> None:
    server = running[watched.name]
    mark, before = watched.viewer.mark(), server.settled()
    traffic.answers(server.url, traffic.even(8, 12))
    counted = server.settled().since(before)
    watched.viewer.quiet()
    seen = sums(steps(watched.viewer.events[mark:]), K[watched.name])
    assert seen.emitted == counted.emitted == 96
    assert replace(counted, prompt_tokens=0) == seen


def test_every_request_ends_as_its_client_saw(watched: Watched) -> None:
    if watched.name == "split":
        pytest.skip("its numbers have no names that a client knows")
    ends = {event.request: event for event in watched.events if isinstance(event, RequestFinished)}
    assert len(ends) == 50
    for answer in watched.named:
        end = next(event for request, event in ends.items() if answer.id in request)
        assert end.emitted == sum(step.own_totals.emitted for step in watched.of(answer))
        if answer.ask.leave_after is not None:
            assert end.reason == "abort"
        elif answer.reason == "length":
            assert end.reason == "length"
        elif not cut_by_the_api(answer):
            assert end.reason == "eos"


def test_ids_and_text_are_what_the_client_got(watched: Watched, tokenizer: Tokenizer) -> None:
    if watched.name == "split":
        pytest.skip("no ids leave that server")
    for answer in watched.named:
        its = watched.of(answer)
        assert all(isinstance(step, Step) for step in its)
        ids = [token for step in its if isinstance(step, Step) for token in step.emitted]
        if cut_by_the_api(answer):
            assert ids[: len(answer.ids)] == answer.ids
        else:
            assert ids == answer.ids
        said = tokenizer.decode(ids, skip_special_tokens=True)
        assert said.startswith(answer.text) if cut_by_the_api(answer) else said.rstrip("\ufffd") == answer.text
        pieces = "".join("".join(step.text[: len(step.emitted)]) for step in its if isinstance(step, Step))
        # The API leaves special tokens out; the screen shows them.
        assert re.sub(r"<\|\w+\|>", "", pieces).startswith(answer.text)
    assert len(watched.named) == 50 if watched.name == "mtp" else 10 <= len(watched.named) <= 40


def test_numbers_alone_leave_a_server_that_counts_only(watched: Watched) -> None:
    if watched.name != "split":
        pytest.skip("that server tells more")
    told = steps(watched.events)
    assert all(isinstance(step, CountedStep) and not step.ids and not step.text for step in told)
    started = [event for event in watched.events if isinstance(event, RequestStarted)]
    assert all(not event.prompt_ids for event in started)
    assert not any(answer.id in event.request for answer in watched.answers for event in started)


def test_half_of_the_requests_are_told_with_their_ids(watched: Watched) -> None:
    if watched.name != "ngram":
        pytest.skip("that server tells all or none")
    by_request: dict[str, set[bool]] = {}
    for step in steps(watched.events):
        by_request.setdefault(step.request, set()).add(isinstance(step, Step))
    assert all(len(kinds) == 1 for kinds in by_request.values())
    assert 10 <= sum(True in kinds for kinds in by_request.values()) <= 40


def test_the_command_says_what_the_server_counts(running: dict[str, Server], tmp_path: Path) -> None:
    server, trace = running["mtp"], tmp_path / "seen.jsonl"
    options = ["--headless", "--json", "--for", "120", "--record", str(trace)]
    command = [sys.executable, "-m", "spectui", "attach", server.endpoint, *options]
    with subprocess.Popen(command, cwd=servers.ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            servers.wait_for(lambda: recorded(trace, Serving), WAIT_S, lambda: "the command did not attach")
            before = server.settled()
            traffic.answers(server.url, traffic.even(8, 12))
            after = server.settled()
            servers.wait_for(
                lambda: recorded(trace, Serving, lambda event: event.since_start.drafts == after.drafts),
                WAIT_S,
                lambda: "the command did not see the end",
            )
        finally:
            child.send_signal(signal.SIGINT)
        said = json.loads(child.communicate(timeout=WAIT_S)[0])
    assert child.returncode == 128 + signal.SIGINT
    counted = after.since(before)
    [lane], [endpoint] = said["lanes"], said["endpoints"]
    assert (lane["drafted_steps"], lane["drafted"], lane["accepted"]) == (
        counted.drafts,
        counted.drafted,
        counted.accepted,
    )
    assert lane["tokens"] == endpoint["tokens"] == counted.emitted == 96
    assert tuple(endpoint["accepted_at"]) == counted.accepted_at
    assert (endpoint["state"], endpoint["steps_lost"], endpoint["malformed"]) == ("live", 0, 0)
    since = endpoint["since_start"]
    assert (since["totals"]["drafts"], since["totals"]["drafted"]) == (after.drafts, after.drafted)
    assert tuple(since["accepted_at"]) == after.accepted_at
    steps_of_trace = [event for event in read_events(trace) if isinstance(event, Step)]
    assert sums(steps_of_trace, K["mtp"]) == replace(counted, prompt_tokens=0)


def recorded(trace: Path, kind: type[T], fits: Callable[[T], bool] = lambda event: True) -> bool:
    """Whether a trace that is being written has such an event."""
    return any(isinstance(event, kind) and fits(event) for event in read_events(trace))


def read_events(trace: Path) -> Iterator[Event]:
    """The events of a trace, as far as its lines are whole."""
    if trace.exists():
        for line in trace.read_text(encoding="utf-8").split("\n")[1:-1]:
            event = decode(line)[1]
            if event is not None:
                yield event


def test_k_changes_over_the_wire(running: dict[str, Server]) -> None:
    server = running["mtp"]
    with Viewer([server.endpoint]) as viewer:
        viewer.live()
        for k in (1, 0, 2):
            mark = viewer.mark()
            viewer.send(SetK("e1", k))
            traffic.answers(server.url, traffic.even(2, 4))
            viewer.wait(KChanged, lambda event, k=k: event.k == k, after=mark)
            before, mark = server.settled(), viewer.mark()
            traffic.answers(server.url, traffic.even(8, 12))
            counted = server.settled().since(before)
            assert (counted.drafted > 0) == (k > 0)
            assert counted.drafted <= k * counted.drafts
            assert counted.drafted > (k - 1) * counted.drafts or k == 0
            assert all(count == 0 for count in counted.accepted_at[k:])
            viewer.quiet()
            assert replace(counted, prompt_tokens=0) == sums(steps(viewer.events[mark:]), K["mtp"])
        mark = viewer.mark()
        viewer.send(SetK("e1", K["mtp"]))
        traffic.answers(server.url, traffic.even(1, 4))
        viewer.wait(KChanged, lambda event: event.k == K["mtp"], after=mark)


def test_k_stays_where_the_operator_has_not_allowed_it(running: dict[str, Server]) -> None:
    server = running["ngram"]
    with Viewer([server.endpoint]) as viewer:
        viewer.live()
        seen = viewer.wait(ServerSeen)
        assert not seen.control
        mark = viewer.mark()
        viewer.send(SetK("e1", 1))
        told = viewer.wait(Notice, after=mark)
        assert "SPECTUI_CONTROL=1" in told.text
        before = server.settled()
        traffic.answers(server.url, traffic.even(8, 12))
        assert server.settled().since(before).drafted > 0
        assert not any(isinstance(event, KChanged) for event in viewer.events[mark:])


def test_without_the_tap_the_counters_are_read_and_prompts_answered(running: dict[str, Server]) -> None:
    server = running["mtp"]
    with Viewer([server.url]) as viewer:
        first = viewer.wait(CounterSample)
        before = server.settled()
        mark = viewer.mark()
        viewer.send(SetPrompt("Count from 1 to 5."))
        answered = viewer.wait(Answered, lambda event: event.ended, after=mark)
        counted = server.settled().since(before)
        assert (answered.drafts, answered.drafted, answered.accepted) == (
            counted.drafts,
            counted.drafted,
            counted.accepted,
        )
        assert answered.tokens == counted.emitted
        ends = server.counters()
        last = viewer.wait(CounterSample, lambda event: event.emitted == ends.emitted, after=mark)
    for sample, counters in ((first, None), (last, ends)):
        if counters is not None:
            assert figures(sample) == counters
    assert not steps(viewer.events)
    seen = viewer.wait(ServerSeen)
    assert not seen.drafts
    assert "spectui.serving.TracingScheduler" in seen.why


def figures(sample: Any) -> Counters:
    """A sample as the counters that it was read from."""
    return Counters(
        sample.drafts, sample.drafted, sample.accepted, sample.accepted_at, sample.emitted, sample.prompt_tokens
    )
