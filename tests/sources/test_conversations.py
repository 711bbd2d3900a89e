"""Conversations that are raced turn by turn, on the engine thread with lanes that need no engine."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Sequence

import pytest

from spectui.cli.headless import run_headless
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Event,
    Margin,
    Message,
    Notice,
    Paused,
    Prompt,
    RequestStarted,
    RoundFinished,
    RoundStarted,
    Step,
)
from spectui.sources.vllm.config import Chat
from spectui.ui.talk.slow_motion import SlowMotion
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.fake_lanes import FakeLane, fake_host
from tests.support.fake_tokenizers import PanicException

LANES = ("ar", "ngram:k=3")
TALK = Prompt("one", "stem", 0, 2, (Message("system", "Be short."),), later=("two", "three"))
SHORT = Prompt("four", "math", 1, 2)
LONG = "word " * 120


def rendered(name: str) -> list[list[tuple[str, str]]]:
    """The conversations that were put to a lane."""
    return next(lane for lane in FakeLane.made if lane.info.name == name).rendered


def rounds(sink: Collector) -> list[tuple[str, ...]]:
    return [tuple(prompt.text for prompt in event.prompts) for event in sink.of(RoundStarted)]  # type: ignore[attr-defined]


def raced(monkeypatch: pytest.MonkeyPatch, prompts: Sequence[Prompt], finished: int, **options: object) -> Collector:
    """What a host says until so many rounds are over."""
    host, sink = fake_host(monkeypatch, *LANES, prompts=prompts, **options), Collector()  # type: ignore[arg-type]
    host.start(sink)
    sink.wait_for_kind(RoundFinished, finished)
    assert host.stop(FAILSAFE_S)
    return sink


def test_every_lane_goes_on_from_its_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, prompts=[TALK]), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished, 3)
    system = ("system", "Be short.")
    asked, ngram = rendered("ar"), rendered("ngram")
    assert asked[0] == [system, ("user", "one")]
    assert ngram[-1] == [
        system,
        ("user", "one"),
        ("assistant", "ngram 8"),
        ("user", "two"),
        ("assistant", "ngram 8"),
        ("user", "three"),
    ]
    assert asked[-1] == [(role, text.replace("ngram", "ar")) for role, text in ngram[-1]]
    assert host.stop(FAILSAFE_S)
    assert rounds(sink) == [("one",), ("two",), ("three",)]
    (last,) = sink.of(RoundStarted)[-1].prompts  # type: ignore[attr-defined]
    assert (last.turn, last.turns, last.asked, last.index) == (2, 3, ("one", "two"), 0)


def test_where_contexts_differ_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = raced(monkeypatch, [TALK], 3)
    began = [(event.request, event.lane, event.as_ar) for event in sink.of(RequestStarted)]  # type: ignore[attr-defined]
    assert began == [
        ("0.0", "ar", True),
        ("0.0", "ngram", True),
        ("1.0", "ar", True),
        ("1.0", "ngram", False),
        ("2.0", "ar", True),
        ("2.0", "ngram", False),
    ]
    assert [(event.lane, event.position) for event in sink.of(Margin)] == [("ngram", 0)]  # type: ignore[attr-defined]
    state = RunState()
    compared = []
    for event in sink.events:
        reduce(state, event)
        if isinstance(event, RoundFinished):
            compared.append(state.lanes["ngram"].round.requests[0].comparison is not None)
    assert compared == [True, False, False]
    assert state.divergences == 1


def test_where_contexts_are_equal_they_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLane, "answer", lambda lane, request: "the same")
    sink = raced(monkeypatch, [TALK], 3)
    assert len(sink.of(Margin)) == 3


def test_the_next_prompt_is_the_next_conversation_and_again_its_first_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, prompts=[TALK, SHORT], max_tokens=10**9), Collector()
    host.start(sink)
    sink.wait_for_kind(Step)
    host.send(cmd.Abort())
    sink.wait_for_kind(RoundStarted, 2)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundStarted, 3)
    host.send(cmd.Abort())
    sink.wait_for_kind(RoundStarted, 4)
    host.send(cmd.NextPrompt())
    sink.wait_for_kind(RoundStarted, 5)
    host.send(cmd.NextPrompt())
    sink.wait_for_kind(RoundStarted, 6)
    assert host.stop(FAILSAFE_S)
    assert rounds(sink) == [("one",), ("two",), ("one",), ("two",), ("four",), ("one",)]


def test_in_a_pause_the_next_turn_waits_for_a_step_or_the_end_of_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, "ar", prompts=[TALK], max_tokens=1, paused=True), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundStarted)
    host.send(cmd.StepOnce())
    sink.wait_for_kind(RoundFinished)
    assert rounds(sink) == [("one",)]
    # Asked for at once: the one that ends a turn does not swallow the next.
    for _ in range(2):
        host.send(cmd.StepOnce())
    sink.wait_for_kind(RoundFinished, 3)
    assert rounds(sink) == [("one",), ("two",), ("three",)]
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 6)
    assert host.stop(FAILSAFE_S)
    assert [notice.text for notice in sink.of(Notice)] == []  # type: ignore[attr-defined]
    assert sink.of(Paused) == [Paused(True), Paused(False)]


def test_who_has_fewer_turns_sits_the_later_ones_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = raced(monkeypatch, [SHORT, TALK], 3, concurrency=2)
    assert rounds(sink) == [("four", "one"), ("four", "two"), ("four", "three")]
    assert [event.absent for event in sink.of(RoundStarted)] == [(), (0,), (0,)]  # type: ignore[attr-defined]
    assert {event.request for event in sink.of(RequestStarted)} == {"0.0", "0.1", "1.1", "2.1"}  # type: ignore[attr-defined]
    assert {(event.request, event.slot) for event in sink.of(Step)} == {  # type: ignore[attr-defined]
        ("0.0", 0),
        ("0.1", 1),
        ("1.1", 1),
        ("2.1", 1),
    }


def test_a_prompt_that_is_refused_is_left_out_and_the_others_race(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = raced(monkeypatch, [SHORT, Prompt(LONG)], 1, concurrency=2)
    (began,), (notice,) = sink.of(RoundStarted), sink.of(Notice)
    assert began.absent == (1,)  # type: ignore[attr-defined]
    assert notice == Notice(
        "request 2 was skipped: the prompt has 600 tokens, but the lanes take at most 511: shorten it, or start with "
        "--engine-arg max_model_len=856",
        level="warning",
    )


def test_a_conversation_ends_where_its_next_turn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, prompts=[Prompt("one", later=(LONG, "three"))]), Collector()
    state = RunState()
    host.start(sink)
    sink.wait_for_kind(Notice)
    for event in sink.events:
        reduce(state, event)
    assert state.round_over
    host.send(cmd.SetPrompt("works"))
    sink.wait_for(lambda events: ("works",) in rounds(sink))
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    assert rounds(sink) == [("one",), ("works",)]
    assert [notice.refused for notice in sink.of(Notice)] == [True]  # type: ignore[attr-defined]


def test_what_a_template_raises_is_a_sentence_and_the_race_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    original = FakeLane.render

    def picky(lane: FakeLane, messages: list[dict[str, str]], template: object, arguments: object) -> list[int]:
        if len(messages) % 2 == 0:
            raise ValueError("Conversation roles must alternate user/assistant/user/assistant/...")
        return original(lane, messages, None, {})

    monkeypatch.setattr(FakeLane, "render", picky)
    host, sink = fake_host(monkeypatch, *LANES, prompts=[TALK]), Collector()
    host.start(sink)
    sink.wait_for_kind(Notice)
    host.send(cmd.SetPrompt("works"))
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    assert sink.of(Notice) == [
        Notice(
            "the model's chat template refuses the prompt: Conversation roles must alternate user/assistant/user/"
            "assistant/",
            level="warning",
            refused=True,
        )
    ]


def test_a_typed_prompt_gets_the_system_message_too(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, "ar", prompts=[SHORT], chat=Chat(system="Be kind.")), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(cmd.SetPrompt("typed"))
    sink.wait_for_kind(RoundFinished, 2)
    assert rendered("ar")[-1] == [("system", "Be kind."), ("user", "typed")]
    assert host.stop(FAILSAFE_S)
    (prompt,) = sink.of(RoundStarted)[-1].prompts  # type: ignore[attr-defined]
    assert prompt.before == (Message("system", "Be kind."),)


def test_slow_motion_acts_out_every_step_of_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, "ar", prompts=[TALK], max_tokens=2), Collector()
    state, later, seen = RunState(), deque[Callable[[], None]](), list[Event]()
    slow = SlowMotion(host.send, lambda _, call: later.append(call), lambda: None)
    slow.in_sight = range(1)
    # The pause is followed behind the first step.
    slow.begin(going=True)
    viewer = Viewer(state)
    acted: list[tuple[str, int]] = []
    host.start(sink)
    while len(acted) < 5:
        sink.wait_for(lambda events: len(events) > len(seen))
        for event in sink.events[len(seen) :]:
            seen.append(event)
            reduce(state, event)
            slow.see(event, state, 0)
        slow.turn(viewer.read())
        if slow.acted is not None:
            acted.append((slow.acted.step.request, slow.acted.step.index))
        while slow.acted is not None:
            later.popleft()()
        slow.turn(viewer.read())
    assert host.stop(FAILSAFE_S)
    assert acted == [("0.0", 1), ("1.0", 0), ("1.0", 1), ("2.0", 0), ("2.0", 1)]


def test_headless_counts_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    host, out = fake_host(monkeypatch, *LANES, prompts=[TALK, SHORT]), io.StringIO()
    state = run_headless(host, 2, out, as_json=False)
    said = [line for line in out.getvalue().splitlines() if line.startswith("round ")]
    assert said == [
        "round 0: (turn 1 of 3) one",
        "round 1: (turn 2 of 3) two",
        "round 2: (turn 3 of 3) three",
        "round 3: four",
    ]
    assert state.round_over


def test_headless_goes_on_behind_a_conversation_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    host, out = fake_host(monkeypatch, *LANES, prompts=[Prompt("one", later=(LONG,)), SHORT]), io.StringIO()
    run_headless(host, 2, out, as_json=False)
    said = [line.partition(":")[2] for line in out.getvalue().splitlines() if line.startswith("round ")]
    assert said == [" (turn 1 of 2) one", " four"]


@pytest.mark.parametrize("error", [RuntimeError, PanicException])
def test_a_lane_whose_answer_has_no_text_sits_the_next_turn_out(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(lane: FakeLane, request: object) -> str:
        if lane.info.name == "ngram":
            raise error("no entry found for key")
        return "fine"

    monkeypatch.setattr(FakeLane, "answer", answer)
    sink = raced(monkeypatch, [TALK], 3)
    assert [(event.request, event.lane) for event in sink.of(RequestStarted)] == [  # type: ignore[attr-defined]
        ("0.0", "ar"),
        ("0.0", "ngram"),
        ("1.0", "ar"),
        ("2.0", "ar"),
    ]
    assert not sink.of(Notice)


def test_a_conversation_ends_where_no_answer_has_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(lane: FakeLane, request: object) -> str:
        raise PanicException("no entry found for key")

    monkeypatch.setattr(FakeLane, "answer", answer)
    host, sink = fake_host(monkeypatch, *LANES, prompts=[TALK]), Collector()
    host.start(sink)
    sink.wait_for_kind(Notice)
    host.send(cmd.SetPrompt("works"))
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    assert rounds(sink) == [("one",), ("works",)]
    assert sink.of(Notice) == [
        Notice("the conversation cannot continue: no lane has answered its last turn", level="warning", refused=True)
    ]
