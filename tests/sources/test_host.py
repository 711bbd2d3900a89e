"""The engine thread with lanes that can be made to fail: no command is lost, and one lane's failure is one lane's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Inspected,
    KChanged,
    LaneStage,
    Margin,
    Notice,
    Paused,
    RoundFinished,
    RoundStarted,
    Step,
    TuneEnded,
    TuneTurn,
)
from spectui.sources.synthetic.source import Pace, SyntheticSource
from spectui.sources.vllm.director import Director
from spectui.sources.vllm.lane_spec import LaneSpec
from spectui.sources.vllm.probing import ProbeDiedError
from spectui.sources.vllm.steady import Piece
from spectui.sources.vllm.tuning import Tuning
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.fake_lanes import FakeLane, fake_host
from tests.support.fake_tokenizers import PanicException
from tests.support.loading_commands import all_followed

LANES = ("ar", "ngram:k=3", "ngram:k=5")
NAMES = ("ar", "ngram", "ngram-2")


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_commands_sent_while_lanes_load_are_followed_in_order(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(first, first + 50):
        all_followed(lambda: fake_host(monkeypatch, *LANES), "ngram", 3, len(LANES), seed)


def test_commands_sent_while_the_synthetic_source_loads_are_followed_in_order() -> None:
    for seed in range(200):
        all_followed(lambda: SyntheticSource(pace=Pace(load_s=0.001)), "mtp", 2, 3, seed)


def test_who_asks_while_lanes_load_is_told_once_that_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    for _ in range(3):
        host.send(cmd.Restart())
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    assert [event.text for event in sink.of(Notice)] == [  # type: ignore[attr-defined]
        "the lanes are still loading; your command will be followed when they are ready"
    ]
    assert len(sink.of(RoundStarted)) == 4


def test_a_shutdown_while_lanes_load_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    host.send(cmd.Restart())
    host.send(cmd.Shutdown())
    host.start(sink)
    assert host.stop(FAILSAFE_S)
    assert FakeLane.closed == ["ar"]
    assert not sink.of(RoundStarted)


@pytest.mark.parametrize(
    "command",
    [
        cmd.StepBack(),
        cmd.Seek(1.0),
        cmd.SeekTo(0.5),
        cmd.ChangeSpeed(1),
        cmd.SetSpeed(2.0),
        cmd.Record(),
        cmd.StopTuning(),
        cmd.StopBench(),
        cmd.StepOnce("nobody"),
        cmd.StepOnce("ar"),
        cmd.Abort("nobody"),
        cmd.SetK("nobody", 1),
        cmd.SetK("ar", 1),
        cmd.SetK("ngram", 9),
        cmd.Tune("ar"),
        cmd.Tune("nobody"),
        cmd.SetConcurrency(0),
        cmd.SetTemperature(float("nan")),
        cmd.SetTemperature(-1.0),
        cmd.Fork(0, "nobody", 0, 0, 0),
        cmd.Fork(0, "ar", 9, 0, 0),
        cmd.Fork(7, "ar", 0, 0, 0),
        cmd.Fork(0, "ar", 0, 0, 9),
        cmd.Fork(0, "ar", 0, 7, 7, put=5),
        cmd.ToParent(),
    ],
    ids=repr,
)
def test_what_cannot_be_followed_is_answered(command: cmd.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(command)
    sink.wait_for_kind(Notice)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    assert len(sink.of(Notice)) == 1


def test_each_single_step_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, paused=True), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundStarted)
    for _ in range(5):
        host.send(cmd.StepOnce("ngram"))
    host.send(cmd.StepOnce())
    sink.wait_for_kind(Step, 6)
    host.send(cmd.SetK("ngram", 1))
    sink.wait_for(lambda events: any(type(event).__name__ == "KChanged" for event in events))
    assert host.stop(FAILSAFE_S)
    assert [event.lane for event in sink.of(Step)] == ["ngram"] * 5 + ["ar"]  # type: ignore[attr-defined]
    assert sink.of(Paused) == [Paused(True)]


def failed(sink: Collector) -> dict[str, str]:
    return {event.lane: event.detail for event in sink.of(LaneStage) if event.stage == "failed"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "troubles",
    [
        {("ar", "build"): 0},
        {("ngram", "warm-up"): 0},
        {("ar", "step"): 4},
        {("ngram", "abort"): 0},
        {("ngram-2", "abort"): 1},
        {("ngram", "step"): 12, ("ngram", "abort"): 0},
    ],
    ids=str,
)
def test_a_lane_that_fails_is_closed_and_the_others_go_on(
    troubles: Mapping[tuple[str, str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, where), *_) = troubles
    host, sink = fake_host(monkeypatch, *LANES, troubles=troubles), Collector()
    host.start(sink)
    for rounds in range(1, 4):
        sink.wait_for_kind(RoundFinished, rounds)
        host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 4)
    living = [name for name in NAMES if name not in failed(sink)]
    assert list(failed(sink)) == [name]
    assert FakeLane.closed == ([name] if where != "build" else [])
    assert {event.lane for event in sink.events[-12:] if isinstance(event, Step)} <= set(living)
    assert host.stop(FAILSAFE_S)
    assert sorted(FakeLane.closed) == sorted(NAMES) if where != "build" else sorted(living)


def test_the_memory_of_a_lane_that_died_is_not_kept_by_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    from spectui.sources.vllm import race
    from spectui.sources.vllm.compat import engines

    host, sink = fake_host(monkeypatch, *LANES, troubles={("ngram", "step"): 4}), Collector()
    # pytest keeps what is logged, and with it the frames in which the lane was.
    monkeypatch.setattr(race.logger, "error", lambda *args, **kwargs: None)
    left: list[set[str]] = []

    def reclaim() -> None:
        gc.collect()
        left.append({lane.info.name for lane in FakeLane.made})

    monkeypatch.setattr(engines, "reclaim", reclaim)
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    assert left == [{"ar", "ngram-2"}]


def test_a_refused_prompt_costs_its_lane_the_round_only(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, troubles={("ngram", "add"): 1}, concurrency=2), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    assert {event.lane for event in sink.of(Step)} == {"ar", "ngram-2"}  # type: ignore[attr-defined]
    (notice,) = sink.of(Notice)
    assert notice == Notice("the engine rejected the prompt: add was told to fail", "ngram", "warning")
    assert not failed(sink)


@pytest.mark.parametrize("dies", [False, True])
def test_a_margin_that_cannot_be_had_is_left_out(dies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, troubles={("ar", "margin"): 0}), Collector()
    if dies:

        def top_two_margin(self: FakeLane, ids: object) -> float:
            raise ProbeDiedError("the device is gone")

        monkeypatch.setattr(FakeLane, "top_two_margin", top_two_margin)
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    assert not sink.of(Margin)
    assert failed(sink) == ({"ar": "its engine died: the device is gone; the log has the details"} if dies else {})


@pytest.mark.parametrize("dies", [False, True])
def test_an_inspection_that_fails_says_why(dies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES, troubles={("ngram", "inspect"): 0}), Collector()
    if dies:

        def inspect(self: FakeLane, slot: int, before: int, tokens: object) -> tuple[()]:
            raise ProbeDiedError("the device is gone")

        monkeypatch.setattr(FakeLane, "inspect", inspect)
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(cmd.Inspect("ngram", 0, 0, 0, (1,)))
    sink.wait_for_kind(Inspected)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    (inspected,) = sink.of(Inspected)
    assert inspected.why == ("the device is gone" if dies else "inspect was told to fail")  # type: ignore[attr-defined]
    assert list(failed(sink)) == (["ngram"] if dies else [])


def test_a_diffusion_model_has_no_verification_to_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, "ar", "diffusion:model=some/model"), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    # Its text parts from AR's, but the margin there says nothing about another model.
    assert sink.of(Margin) == []
    host.send(cmd.Inspect("diffusion", 0, 0, 0, (1,)))
    sink.wait_for_kind(Inspected)
    assert host.stop(FAILSAFE_S)
    (inspected,) = sink.of(Inspected)
    assert inspected.why == "a diffusion model verifies nothing"  # type: ignore[attr-defined]


def test_a_diffusion_model_reads_the_prompt_with_its_own_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ids(lane: Any, *_: Any) -> list[int]:
        asked.append(lane.info.name)
        return [1, 2, 3]

    monkeypatch.setattr("spectui.sources.vllm.race.prompt_ids", ids)
    host, sink = fake_host(monkeypatch, "diffusion:model=some/model", "ar", "mtp:k=2"), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    assert asked[:2] == ["diffusion", "ar"]
    assert "mtp" not in asked


def test_a_prompt_that_ends_in_an_error_ends_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    with monkeypatch.context() as patched:
        patched.setattr("spectui.sources.vllm.race.prompt_ids", _failing_template)
        host.start(sink)
        sink.wait_for_kind(Notice)
    host.send(cmd.SetPrompt("works"))
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    (notice,) = sink.of(Notice)
    assert notice == Notice("the prompt cannot be raced: there is no template for that", level="warning", refused=True)


def _failing_template(*_: object) -> list[int]:
    raise ValueError("there is no template for that")


def test_a_search_that_ends_is_remembered_and_says_where_its_k_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: list[tuple[str, object]] = []

    def remember(spec: LaneSpec, ended: TuneEnded) -> bool:
        remembered.append((spec.text, ended))
        return True

    host, sink = fake_host(monkeypatch, *LANES, remember=remember), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(cmd.Tune("ngram"))
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    (ended,) = sink.of(TuneEnded)
    assert remembered == [("ngram:k=3", ended)]
    # Every K of a fake lane is as fast as the others, and of equals the smallest is the best.
    assert (ended.why, ended.last.best, ended.last.turn) == ("same", 0, 2)  # type: ignore[attr-defined]
    assert sink.of(KChanged) == [KChanged("ngram", 0, "tuned")]


def test_a_search_that_is_stopped_in_its_first_turn_changes_no_k(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    # Both are followed when the lanes are ready, without a step between them.
    host.send(cmd.Tune("ngram"))
    host.send(cmd.StopTuning())
    host.start(sink)
    sink.wait_for_kind(TuneEnded)
    sink.wait_for_kind(Step, len(LANES))
    assert host.stop(FAILSAFE_S)
    (ended,) = sink.of(TuneEnded)
    assert (ended.why, ended.last.best, ended.last.turn, ended.serve) == ("cancelled", 3, 0, "")  # type: ignore[attr-defined]
    assert not sink.of(KChanged)
    assert {event.k for event in sink.of(Step) if event.lane == "ngram"} == {3}  # type: ignore[attr-defined]


def test_a_pause_between_two_pieces_of_a_search_leaves_the_round_that_it_aborted_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No lane runs then, as at the end of a round; but this one was aborted, and nothing is to be said of it."""
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    pieces, rests = [0], [0]
    end_piece, rest = Tuning._end_piece, Director._rest

    def ending(tuning: Tuning, k: int, piece: Piece) -> TuneTurn | None:
        pieces[0] += 1
        if pieces[0] == 2:
            host.send(cmd.Pause())
        return end_piece(tuning, k, piece)

    def resting(self: Director) -> None:
        if self._paused:
            rests[0] += 1
            assert self.busy
            assert not any(lane.running for lane in self.race.lanes)
            # What is refused here shows that the host waits; then it goes on.
            for command in (cmd.Restart(), cmd.Resume()):
                host.send(command)
        rest(self)

    monkeypatch.setattr(Tuning, "_end_piece", ending)
    monkeypatch.setattr(Director, "_rest", resting)
    # Followed when the lanes are ready: the first round is aborted on its way.
    host.send(cmd.Tune("ngram"))
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert host.stop(FAILSAFE_S)
    assert rests[0] == 1
    assert sink.of(Paused) == [Paused(True), Paused(False)]
    assert sink.of(RoundFinished) == [RoundFinished(1)]
    searching = sink.events[: sink.events.index(*sink.of(TuneEnded))]
    assert not [event for event in searching if isinstance(event, (Margin, RoundFinished))]
    assert sink.of(TuneEnded)[0].why == "same"  # type: ignore[attr-defined]


def raising(error: BaseException) -> Any:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    return fails


REFUSALS: dict[str, tuple[Any, str]] = {
    "a lone surrogate": (
        lambda text: list(f"{text}\udc80".encode()),
        "the tokenizer cannot take the prompt: 'utf-8' codec can't encode character '\\udc80' in position 5: "
        "surrogates not allowed",
    ),
    "TypeError": (
        raising(TypeError("TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]")),
        "the tokenizer cannot take the prompt: TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, "
        "InputSequence]]",
    ),
    "OverflowError": (
        raising(OverflowError("int too big to convert")),
        "the tokenizer cannot take the prompt: int too big to convert",
    ),
    "RecursionError": (
        raising(RecursionError("maximum recursion depth exceeded")),
        "the tokenizer cannot take the prompt: maximum recursion depth exceeded",
    ),
    "a panic": (
        raising(PanicException("no entry found for key")),
        "the tokenizer cannot take the prompt: no entry found for key",
    ),
    "no ids": (lambda text: [], "the prompt has no token ids: the model has nothing to answer"),
    "ids that are none": (
        lambda text: [1, None],
        "the tokenizer cannot take the prompt: int() argument must be a string, a bytes-like object or a real number, "
        "not 'NoneType'",
    ),
    "nothing at all": (lambda text: None, "the tokenizer cannot take the prompt: 'NoneType' object is not iterable"),
}
RAISED = frozenset({"a lone surrogate", "TypeError", "OverflowError", "RecursionError", "a panic"})


@pytest.mark.parametrize("where", ["tokenizer", "template"])
@pytest.mark.parametrize("case", REFUSALS)
def test_a_prompt_that_a_tokenizer_or_a_template_refuses_costs_nothing_else(
    case: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed in mid-race: the race goes on, and so does the deck, as if it had not been typed."""
    encode, said = REFUSALS[case]
    host, sink = fake_host(monkeypatch, *LANES, max_tokens=10**9), Collector()

    def render(lane: FakeLane, messages: Any, template: Any, arguments: Any) -> Any:
        text = messages[-1]["content"]
        if text != "typed":
            return [ord(char) for char in text]
        return encode(text) if where == "template" else text

    monkeypatch.setattr(FakeLane, "render", render)
    host.start(sink)
    sink.wait_for_kind(Step)
    for lane in FakeLane.made:
        lane.tokenizer.encode = lambda text, **_: encode(text)
    host.send(cmd.SetPrompt("typed"))
    sink.wait_for_kind(Notice)
    sink.wait_for_kind(Step, len(sink.of(Step)) + 3)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundStarted, 2)
    assert host.stop(FAILSAFE_S)
    if where == "template" and case in RAISED:
        said = said.replace("the tokenizer cannot take", "the model's chat template refuses")
    assert sink.of(Notice) == [Notice(said, level="warning", refused=True)]
    assert [event.prompts[0].text for event in sink.of(RoundStarted)] == ["one", "one"]  # type: ignore[attr-defined]
    assert not failed(sink)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\udc80", "your text: the prompt has half a surrogate pair (\\udc80), which is not a character"),
        (" \n", "your text: the prompt is empty"),
    ],
)
def test_a_text_that_is_none_is_refused_wherever_it_comes_from(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, sink = fake_host(monkeypatch, *LANES, max_tokens=10**9), Collector()
    host.start(sink)
    sink.wait_for_kind(Step)
    host.send(cmd.SetPrompt(text))
    sink.wait_for_kind(Notice)
    sink.wait_for_kind(Step, len(sink.of(Step)) + 3)
    assert host.stop(FAILSAFE_S)
    assert sink.of(Notice) == [Notice(said, level="warning", refused=True)]
    assert len(sink.of(RoundStarted)) == 1


@pytest.mark.parametrize("method", ["build", "warm-up", "step", "inspect"])
def test_a_panic_is_an_error_like_others(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, *LANES), Collector()
    monkeypatch.setattr(FakeLane, "troubles", {("ngram", method): 0})
    monkeypatch.setattr(FakeLane, "trouble", PanicException)
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    host.send(cmd.Inspect("ngram", 0, 0, 0, (1,)))
    sink.wait_for_kind(Inspected)
    host.send(cmd.Restart())
    sink.wait_for_kind(RoundFinished, 2)
    assert host.stop(FAILSAFE_S)
    assert list(failed(sink)) == (["ngram"] if method != "inspect" else [])
    (inspected,) = sink.of(Inspected)
    assert inspected.why == (  # type: ignore[attr-defined]
        "inspect was told to fail" if method == "inspect" else "the lane is not running"
    )
