"""Whether a server is there, is the same, and what is told of it: the rules, on a clock of ours."""

from __future__ import annotations

from collections.abc import Iterable

from spectui.protocol.events import Event
from spectui.protocol.run import LaneInfo
from spectui.protocol.serving import CounterSample, ServerSeen, ServerState
from spectui.sources.counters.identity import COUNTERS_ONLY, NO_DRAFTER, Identity
from spectui.sources.counters.readings import Reading
from spectui.sources.counters.watching import SENSELESS, Watch

INFO = LaneInfo("e1", "mtp", "box:8000", 0, "http://box:8000")
VLLM = Identity("vllm", "demo", "0.32.0", asks=True)


def watch() -> Watch:
    return Watch(INFO, "http://box:8000")


def counted(emitted: int, started: float | None = None, k: int | None = 3) -> Reading:
    return Reading("vllm", CounterSample("", 0, emitted=emitted), started, k=k)


def states(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(event.stage, event.why) for event in events if isinstance(event, ServerState)]


def sessions(events: Iterable[Event]) -> list[str]:
    return [event.session for event in events if isinstance(event, ServerSeen)]


def samples(events: Iterable[Event]) -> list[CounterSample]:
    return [event for event in events if isinstance(event, CounterSample)]


def test_a_server_is_introduced_once_and_its_counters_follow() -> None:
    one = watch()
    state, seen, sample = one.heard(10.0, counted(7), VLLM)
    assert state == ServerState("e1", "live")
    assert isinstance(seen, ServerSeen)
    assert (seen.kind, seen.model, seen.version, seen.drafts, seen.asks) == ("vllm", "demo", "0.32.0", False, True)
    assert (seen.info.name, seen.info.method, seen.info.k_max) == ("e1", "mtp", 3)
    assert seen.why == COUNTERS_ONLY["vllm"]
    assert "--scheduler-cls spectui.serving.TracingScheduler" in seen.why
    assert not seen.control
    assert sample == CounterSample("e1", 0, emitted=7)
    assert list(one.heard(11.5, counted(9), VLLM)) == [CounterSample("e1", 1_500_000_000, emitted=9)]


def test_a_server_without_a_drafter_says_so() -> None:
    seen = next(event for event in watch().heard(0.0, counted(1, k=0), VLLM) if isinstance(event, ServerSeen))
    assert (seen.why, seen.info.method, seen.info.k_max) == (NO_DRAFTER, "ar", 0)


def test_a_drafter_of_unknown_method_is_not_called_plain() -> None:
    one = Watch(LaneInfo("e1", "ar", "box", 0, ""), "http://box")
    seen = next(event for event in one.heard(0.0, counted(1), VLLM) if isinstance(event, ServerSeen))
    assert seen.info.method == "unknown"


def test_what_becomes_known_later_is_told_again_in_the_same_session() -> None:
    one = watch()
    llama = Identity("llama.cpp", "demo")
    first = list(one.heard(0.0, Reading("llama.cpp", CounterSample("", 0, emitted=1)), llama))
    later = list(one.heard(1.0, Reading("llama.cpp", CounterSample("", 0, emitted=2, accepted_at=(4, 2))), llama))
    assert sessions(first) == sessions(later) == ["1"]
    assert [event.info.k_max for event in (*first, *later) if isinstance(event, ServerSeen)] == [0, 2]


def test_counters_that_fall_are_those_of_a_new_start() -> None:
    one = watch()
    assert sessions(one.heard(0.0, counted(100), VLLM)) == ["1"]
    assert sessions(one.heard(1.0, counted(100), VLLM)) == []
    assert sessions(one.heard(2.0, counted(3), VLLM)) == ["2"]


def test_another_time_of_start_is_a_new_start_even_if_counters_have_grown() -> None:
    one = watch()
    assert sessions(one.heard(0.0, counted(100, started=5.0), VLLM)) == ["5.00"]
    assert sessions(one.heard(1.0, counted(200, started=6.0), VLLM)) == ["6.00"]
    assert sessions(one.heard(2.0, counted(150, started=6.0), VLLM)) == []


def test_a_server_that_never_answered_is_being_connected() -> None:
    one = watch()
    said = states(one.silent(0.0, "nothing listens there"))
    assert said == [("connecting", "no answer from http://box:8000: nothing listens there")]
    assert list(one.silent(60.0, "nothing listens there")) == []


def test_three_seconds_of_silence_are_gone_and_its_return_says_how_long() -> None:
    one = watch()
    list(one.heard(10.0, counted(7), VLLM))
    assert list(one.silent(12.9, "no answer in time")) == []
    assert states(one.silent(13.0, "no answer in time")) == [
        ("gone", "no answer from http://box:8000: no answer in time")
    ]
    assert list(one.silent(14.0, "no answer in time")) == []
    back = list(one.heard(15.0, counted(8), VLLM))
    assert back == [ServerState("e1", "live", "", 5_000_000_000), CounterSample("e1", 5_000_000_000, emitted=8)]


def test_an_answer_that_makes_no_sense_changes_nothing_but_its_count() -> None:
    one = watch()
    list(one.heard(0.0, counted(7), VLLM))
    assert list(one.malformed(1.0)) == [CounterSample("e1", 0, emitted=7, malformed=1)]
    assert list(one.malformed(2.0)) == [CounterSample("e1", 0, emitted=7, malformed=2)]
    assert list(one.heard(2.5, counted(8), VLLM)) == [CounterSample("e1", 2_500_000_000, emitted=8, malformed=2)]


def test_a_server_that_goes_on_making_no_sense_is_said_to() -> None:
    one = watch()
    list(one.heard(0.0, counted(7), VLLM))
    list(one.malformed(2.0))
    assert states(one.malformed(3.0)) == [("refused", SENSELESS)]
    assert states(one.malformed(4.0)) == []
    assert states(one.heard(5.0, counted(8), VLLM)) == [("live", "")]


def test_a_stranger_that_makes_no_sense_is_said_to_at_once() -> None:
    events = list(watch().malformed(0.0))
    assert states(events) == [("refused", SENSELESS)]
    assert samples(events) == [CounterSample("e1", 0, malformed=1)]


def test_a_server_without_figures_is_introduced_nevertheless() -> None:
    one = watch()
    state, seen = one.refused(0.0, "start it with --metrics", Identity("llama.cpp", "demo", asks=True))
    assert state == ServerState("e1", "refused", "start it with --metrics")
    assert isinstance(seen, ServerSeen)
    assert (seen.kind, seen.asks) == ("llama.cpp", True)
    assert list(one.refused(1.0, "start it with --metrics", Identity("llama.cpp", "demo", asks=True))) == []


def test_messages_of_answers_to_prompts_count_too() -> None:
    one = watch()
    list(one.heard(0.0, counted(7), VLLM))
    one.misheard()
    assert samples(one.heard(1.0, counted(8), VLLM))[0].malformed == 1
