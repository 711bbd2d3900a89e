"""Forks on the engine thread, with lanes that need no engine, and in a replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.cli.headless import describe
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Event,
    Notice,
    Paused,
    Prompt,
    RequestFinished,
    RequestStarted,
    RoundFinished,
    RoundStarted,
    Sampling,
    Step,
)
from spectui.sources.cursor import NO_PARENT
from spectui.sources.synthetic.race import SyntheticRace, demo_lanes
from spectui.sources.vllm.director import Director
from tests.sources.test_replay import playing
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.fake_lanes import FakeLane, fake_host
from tests.trace.making import file_of, made_run

LANES = ("ar", "ngram:k=3")
AR, NGRAM = sum(map(ord, "ar")), sum(map(ord, "ngram"))
"""The tokens that the fake lanes emit."""

ONE = [ord(char) for char in "one"]


def given(sink: Collector, lane: str) -> list[list[int]]:
    """What a lane was given in each round."""
    return [list(e.prompt_ids) for e in sink.of(RequestStarted) if e.lane == lane]  # type: ignore[attr-defined]


def forked(monkeypatch: pytest.MonkeyPatch, *commands: cmd.Command, rounds: int, **options: object) -> Collector:
    """What a host says that follows the commands one round after the other."""
    host, sink = fake_host(monkeypatch, *LANES, **options), Collector()  # type: ignore[arg-type]
    host.start(sink)
    for number, command in enumerate(commands, 1):
        sink.wait_for_kind(RoundFinished, number)
        host.send(command)
    sink.wait_for_kind(RoundFinished, rounds)
    assert host.stop(FAILSAFE_S)
    return sink


def test_forks_of_forks_and_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = forked(
        monkeypatch,
        cmd.Fork(0, "ngram", 0, 2, 2),
        cmd.Fork(1, "ar", 0, 1, 1, put=7),
        cmd.Restart(),
        cmd.ToParent(),
        cmd.ToParent(),
        rounds=6,
    )
    first = [*ONE, NGRAM, NGRAM]
    second = [*first, AR, 7]
    assert given(sink, "ar") == given(sink, "ngram") == [ONE, first, second, second, first, ONE]
    begun = sink.of(RoundStarted)
    assert [e.sampling.max_tokens for e in begun] == [8, 6, 4, 4, 6, 8]  # type: ignore[attr-defined]
    branch = begun[2].parent  # type: ignore[attr-defined]
    assert (branch.round, branch.lane, branch.slot, branch.step, branch.kept, branch.put) == (1, "ar", 0, 1, 1, (7,))
    assert (branch.text, branch.put_text, branch.instead) == (f"<{NGRAM}><{NGRAM}><{AR}>", "<7>", f"<{AR}>")
    assert [e.emitted for e in sink.of(RequestFinished)] == [8, 8, 6, 6, 4, 4, 4, 4, 6, 6, 8, 8]  # type: ignore[attr-defined]
    assert not sink.of(Notice)


def test_a_typed_text_goes_through_the_tokenizer_and_other_prompts_leave_the_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = forked(
        monkeypatch,
        cmd.Fork(0, "ar", 0, 0, 0, text=" b"),
        cmd.SetTemperature(0.5),
        cmd.NextPrompt(),
        cmd.Restart(),
        rounds=5,
    )
    typed = [*ONE, ord(" ") % 97, ord("b") % 97]
    two = [ord(char) for char in "two"]
    assert given(sink, "ngram") == [ONE, typed, typed, two, two]
    begun = sink.of(RoundStarted)
    assert [(e.sampling.temperature, e.parent is None) for e in begun] == [  # type: ignore[attr-defined]
        (0.0, True),
        (0.0, False),
        (0.5, False),
        (0.5, True),
        (0.5, True),
    ]


def test_forking_a_running_round_costs_it_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, paused=True), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundStarted)
    for _ in range(6):
        host.send(cmd.StepOnce())
    sink.wait_for_kind(Step, 6)
    host.send(cmd.Fork(0, "ar", 0, 1, 1))
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    begins = next(place for place, e in enumerate(sink.events) if isinstance(e, RoundStarted) and e.parent)
    before: list[Event] = sink.events[:begins]
    assert len([event for event in before if isinstance(event, Step)]) == 6
    ended = [event for event in before if isinstance(event, RequestFinished)]
    assert [(event.lane, event.reason, event.emitted) for event in ended] == [("ar", "abort", 3), ("ngram", "abort", 3)]
    assert sink.of(Paused) == [Paused(True), Paused(False)]
    assert sink.of(RoundFinished) == [RoundFinished(1)]


@pytest.mark.parametrize(
    ("options", "asked", "said"),
    [
        ({}, cmd.Fork(0, "ar", 0, 8, 8), "the answer's --max-tokens are used up there: fork an earlier step"),
        ({}, cmd.Fork(0, "ar", 0, 8, 9), "the answer has 8 tokens, so 9 cannot be kept"),
        ({}, cmd.Fork(3, "ar", 0, 0, 0), "that round is over: look at a step of this one (i), and fork it there"),
        ({}, cmd.Fork(0, "x", 0, 0, 0), "the lane is not running, so its answer cannot be forked"),
        (
            {"prompts": [Prompt("one", later=("two",))]},
            cmd.Fork(1, "ar", 0, 0, 0),
            "a conversation that is raced turn by turn cannot be forked",
        ),
    ],
)
def test_what_cannot_be_forked_is_said_in_a_sentence(
    options: dict[str, object], asked: cmd.Fork, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, sink = fake_host(monkeypatch, *LANES, **options), Collector()  # type: ignore[arg-type]
    host.start(sink)
    sink.wait_for_kind(RoundFinished, 1 + ("prompts" in options))
    host.send(asked)
    sink.wait_for_kind(Notice)
    assert host.stop(FAILSAFE_S)
    assert sink.of(Notice) == [Notice(said, asked.lane, "warning", refused=True)]
    assert all(event.parent is None for event in sink.of(RoundStarted))  # type: ignore[attr-defined]


def test_schemas_and_diffusion_models_are_refused_and_a_text_may_be_too(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, "ar", "diffusion"), Collector()
    made: list[Director] = []
    monkeypatch.setattr("spectui.sources.vllm.host.Director", lambda *args: made.append(Director(*args)) or made[0])
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    for asked in (cmd.Fork(0, "diffusion", 0, 0, 0), cmd.Fork(0, "ar", 0, 0, 1)):
        host.send(asked)
    sink.wait_for_kind(RoundFinished, 2)
    for lane in FakeLane.made:
        lane.tokenizer.encode = lambda text, **_: [1, None]
    host.send(cmd.Fork(1, "ar", 0, 0, 1, text="a"))
    sink.wait_for_kind(Notice, 2)
    made[0].race._sampling = Sampling(json_schema="{}")
    host.send(cmd.Fork(1, "ar", 0, 0, 1))
    sink.wait_for_kind(Notice, 3)
    assert host.stop(FAILSAFE_S)
    assert [event.text.split(",")[0].split(":")[0] for event in sink.of(Notice)] == [  # type: ignore[attr-defined]
        "a diffusion model writes many tokens at once",
        "the tokenizer cannot take the text",
        "an answer that must follow a JSON schema cannot be forked",
    ]
    # It has token ids of its own, so it cannot go on with another model's answer.
    raced = [(event.lane, event.request) for event in sink.of(RequestStarted)]  # type: ignore[attr-defined]
    assert raced == [("ar", "0.0"), ("diffusion", "0.0"), ("ar", "1.0")]


def test_an_answer_that_no_longer_fits_is_refused_and_the_fork_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(cmd.Fork(0, "ar", 0, 1, 1))
    sink.wait_for_kind(RoundFinished, 2)
    for lane in FakeLane.made:
        lane.max_model_len = 5
    host.send(cmd.Fork(1, "ar", 0, 1, 1))
    sink.wait_for_kind(Notice)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 3)
    assert host.stop(FAILSAFE_S)
    (refused,) = sink.of(Notice)
    assert refused.refused  # type: ignore[attr-defined]
    assert given(sink, "ar")[1:] == [[*ONE, AR]] * 2


def forks() -> list[Event]:
    """A run of three rounds: a prompt, a fork of it, and a fork of that."""
    race = SyntheticRace(demo_lanes(), 0)
    events: list[Event] = [made_run(0)[0]]
    for lane in race.lanes:
        race.ready(lane)
    sampling = Sampling(max_tokens=20)

    def run() -> None:
        while (turn := race.furthest_behind()) is not None:
            events.extend(race.step(turn))

    events += race.begin((Prompt("p"),), sampling)
    run()
    first = race.forked(cmd.Fork(0, "mtp", 0, 2, 4), None)
    assert not isinstance(first, str)
    events += race.fork(first, sampling)
    run()
    second = race.forked(cmd.Fork(1, "ar", 0, 1, 1, text=" x"), first)
    assert not isinstance(second, str)
    events += race.fork(second, sampling)
    run()
    return events


def test_a_replay_goes_from_fork_to_parent_and_marks_the_forks(tmp_path: Path) -> None:
    events = forks()
    begins = [place for place, event in enumerate(events) if isinstance(event, RoundStarted)]
    with playing(file_of(tmp_path / "forks.jsonl", events)) as (source, sink):
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.ended)
        marks = sink.state.marks
        assert marks is not None
        assert marks.forks == tuple(sorted(marks.rounds))[1:]
        for place in (1, 0):
            source.send(cmd.Pause())
            source.send(cmd.ToParent())
            number = begins[place] + 1
            sink.wait_until(lambda state, number=number: state.playhead.number == number)  # type: ignore[misc]
        assert sink.state.parent is None
        source.send(cmd.ToParent())
        sink.wait_for_kind(Notice)
        assert [event.text for event in sink.of(Notice)] == [NO_PARENT]  # type: ignore[attr-defined]


def test_a_log_says_what_was_forked() -> None:
    begun = [event for event in forks() if isinstance(event, RoundStarted)]
    said = [str(describe(event, 0.0)).partition(":")[0] for event in begun]
    assert said[0] == "round 0"
    assert said[1] == "round 1, forked at step 3 of mtp, nothing changed"
    assert str(describe(begun[2], 0.0)).startswith('round 2, forked at step 2 of ar: " x" instead of ')


def test_a_trace_that_begins_after_the_parent_has_no_way_back(tmp_path: Path) -> None:
    events = forks()
    begins = [place for place, event in enumerate(events) if isinstance(event, RoundStarted)]
    with playing(file_of(tmp_path / "late.jsonl", [events[0], *events[begins[1] :]])) as (source, sink):
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.ended)
        source.send(cmd.ToParent())
        sink.wait_until(lambda state: state.round == 1 and state.playhead is not None and not state.playhead.ended)
        source.send(cmd.Pause())
        source.send(cmd.ToParent())
        sink.wait_for_kind(Notice)
        assert [event.text for event in sink.of(Notice)] == [NO_PARENT]  # type: ignore[attr-defined]
