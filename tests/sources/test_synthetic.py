"""The synthetic source: deterministic, honest with its counts, and obedient."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticLane, SyntheticRace, demo_lanes
from spectui.sources.synthetic.source import Pace, SyntheticSource
from spectui.sources.synthetic.text import PASSAGES, Vocabulary, split

FAILSAFE_S = 20.0
FAST = Pace()
SLOW = Pace(real_time=0.05)
"""No round ends while a test sends its commands."""


class Collector:
    """A sink that lets a test wait for an event."""

    def __init__(self, patience_s: float = FAILSAFE_S) -> None:
        self.events: list[ev.Event] = []
        self._patience_s = patience_s
        self._more = threading.Condition()

    def emit(self, event: ev.Event) -> None:
        with self._more:
            self.events.append(event)
            self._more.notify_all()

    def wait_for(self, found: Callable[[list[ev.Event]], bool]) -> None:
        with self._more:
            assert self._more.wait_for(lambda: found(self.events), self._patience_s), self.events[-3:]

    def wait_for_kind(self, kind: type[ev.Event], count: int = 1) -> None:
        self.wait_for(lambda events: sum(isinstance(event, kind) for event in events) >= count)

    def of(self, kind: type[ev.Event]) -> list[ev.Event]:
        return [event for event in self.events if isinstance(event, kind)]


def run(**options: object) -> list[ev.Event]:
    """All events of one round at full speed."""
    sink = Collector()
    source = SyntheticSource(pace=FAST, **options)  # type: ignore[arg-type]
    source.start(sink)
    sink.wait_for_kind(ev.RoundFinished)
    assert source.stop(FAILSAFE_S)
    return sink.events


def race(
    max_tokens: int = 64, ignore_eos: bool = True, slots: int = 1, seed: int = 0, **lane: object
) -> list[ev.Event]:
    """All steps of a race of AR and one drafting lane, without a thread."""
    drafting = SyntheticLane(ev.LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3"), **lane)  # type: ignore[arg-type]
    made = SyntheticRace((demo_lanes()[0], drafting), seed)
    for name in ("ar", "mtp"):
        made.ready(name)
    prompts = tuple(ev.Prompt(PASSAGES[slot % len(PASSAGES)].prompt) for slot in range(slots))
    events = list(made.begin(prompts, ev.Sampling(max_tokens=max_tokens, ignore_eos=ignore_eos)))
    while (turn := made.furthest_behind()) is not None:
        events += made.step(turn)
    return events


def test_the_same_seed_gives_the_same_events() -> None:
    assert run(seed=7) == run(seed=7)
    assert run(seed=7) != run(seed=8)


def test_a_run_begins_with_its_header_and_every_lane_s_way_to_ready() -> None:
    events = run()
    assert isinstance(events[0], ev.RunStarted)
    assert events[0].synthetic
    stages = [event.stage for event in events if isinstance(event, ev.LaneStage) and event.lane == "mtp"]
    assert stages == ["importing", "loading", "warming up", "ready"]
    assert isinstance(events[-1], ev.RoundFinished)


@settings(max_examples=40, deadline=None)
@given(
    max_tokens=st.integers(1, 90),
    slots=st.integers(1, 4),
    probability=st.floats(0, 1),
    proposes=st.floats(0, 1),
    ignore_eos=st.booleans(),
)
def test_every_step_adds_up(max_tokens: int, slots: int, probability: float, proposes: float, ignore_eos: bool) -> None:
    events = race(max_tokens, ignore_eos, slots, accept=(probability,), proposes=proposes)
    emitted: dict[tuple[str, int], list[int]] = {}
    clocks = {"ar": 0, "mtp": 0}
    for event in events:
        if not isinstance(event, ev.Step):
            continue
        verified = event.emitted + event.cut
        assert len(verified) == event.accepted + 1
        assert event.drafted[: event.accepted] == verified[: event.accepted]
        assert (event.own == "recovered") == (event.accepted < len(event.drafted) and not event.cut)
        assert (event.own is None) == bool(event.cut)
        assert len(event.text) == len(verified)
        assert len(event.drafted_text) == len(event.drafted) <= event.k
        assert event.clock_ns in (clocks[event.lane], clocks[event.lane] + event.wall_ns)
        clocks[event.lane] = event.clock_ns
        emitted.setdefault((event.lane, event.slot), []).extend(event.emitted)
    finished = [event for event in events if isinstance(event, ev.RequestFinished)]
    assert len(finished) == 2 * slots
    for event in finished:
        assert event.emitted == len(emitted[event.lane, event.slot]) <= max_tokens
        assert emitted[event.lane, event.slot] == emitted["ar", event.slot], "speculation changed the text"


def test_acceptance_follows_the_given_probabilities() -> None:
    events = race(max_tokens=4_000, accept=(0.8, 0.5, 0.25))
    drafted = [event for event in events if isinstance(event, ev.Step) and event.drafted]
    first = sum(event.accepted >= 1 for event in drafted) / len(drafted)
    second = sum(event.accepted >= 2 for event in drafted) / sum(event.accepted >= 1 for event in drafted)
    assert first == pytest.approx(0.8, abs=0.05)
    assert second == pytest.approx(0.5, abs=0.06)


def test_a_lane_told_to_diverge_differs_from_there_on() -> None:
    state = RunState()
    started = ev.RunStarted("t", (demo_lanes()[0].info, ev.LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")), ev.Sampling())
    for event in [started, *race(accept=(0.7,), diverges_at=20)]:
        reduce(state, event)
    lane = Viewer(state).read().lanes[1]
    assert lane.divergence is not None
    assert lane.divergence.position == 20


def test_the_lane_that_is_furthest_behind_steps_next() -> None:
    clocks = {"ar": 0, "mtp": 0}
    for event in race(max_tokens=50, accept=(0.6,)):
        if isinstance(event, ev.Step):
            assert clocks[event.lane] == min(clocks.values()), "a lane overtook another that still ran"
            clocks[event.lane] = event.clock_ns
        elif isinstance(event, ev.RequestFinished):
            del clocks[event.lane]


def test_pieces_join_to_the_text_and_hold_back_half_characters() -> None:
    vocabulary = Vocabulary()
    for passage in PASSAGES:
        assert "".join(split(passage.answer)) == passage.answer
        assert "".join(map(vocabulary.piece, vocabulary.encode(passage.answer))) == passage.answer
    assert split("é東") == ["é", "", "東"]


def started(pace: Pace = FAST, **options: object) -> tuple[SyntheticSource, Collector]:
    sink = Collector()
    source = SyntheticSource(pace=pace, **options)  # type: ignore[arg-type]
    source.start(sink)
    sink.wait_for_kind(ev.RoundStarted)
    return source, sink


def test_pause_holds_the_race_and_step_once_takes_one_step() -> None:
    source, sink = started(paused=True)
    source.send(cmd.StepOnce())
    source.send(cmd.StepOnce("dflash"))
    source.send(cmd.SetConcurrency(0))
    sink.wait_for_kind(ev.Notice)
    assert [event.lane for event in sink.of(ev.Step)] == ["ar", "dflash"]  # type: ignore[union-attr]
    source.send(cmd.Resume())
    sink.wait_for_kind(ev.RoundFinished)
    assert source.stop(FAILSAFE_S)
    assert sink.of(ev.Paused) == [ev.Paused(True), ev.Paused(False)]


def test_next_and_own_prompts_begin_new_rounds_and_abort_the_old_one() -> None:
    source, sink = started(SLOW, paused=True)
    source.send(cmd.NextPrompt())
    source.send(cmd.NextPrompt(-1))
    source.send(cmd.SetPrompt("mine"))
    source.send(cmd.Restart())
    sink.wait_for_kind(ev.RoundStarted, 5)
    assert source.stop(FAILSAFE_S)
    assert sink.of(ev.Paused) == [ev.Paused(True), ev.Paused(False)], "a new prompt lets the race go on"
    rounds = [event for event in sink.events if isinstance(event, ev.RoundStarted)]
    assert [r.prompts[0].index for r in rounds[:3]] == [0, 1, 0]
    assert [r.prompts[0].text for r in rounds[3:]] == ["mine", "mine"]
    assert [r.round for r in rounds] == [0, 1, 2, 3, 4]
    assert {event.reason for event in sink.events if isinstance(event, ev.RequestFinished)} == {"abort"}
    assert len(sink.of(ev.RoundFinished)) == 4


def test_a_fork_goes_on_with_the_answer_and_the_parent_comes_back() -> None:
    source, sink = started(sampling=ev.Sampling(max_tokens=40))
    sink.wait_for_kind(ev.RoundFinished)

    def said(lane: str) -> list[list[int]]:
        """What a lane emitted in each round."""
        rounds: list[list[int]] = []
        for event in sink.events:
            if isinstance(event, ev.RoundStarted):
                rounds.append([])
            if isinstance(event, ev.Step) and event.lane == lane:
                rounds[-1] += event.emitted
        return rounds

    whole = said("ar")[0]
    commands = (
        cmd.Fork(0, "mtp", 0, 3, 9),
        cmd.Fork(1, "ar", 0, 2, 5, text=" seven"),
        cmd.Restart(),
        cmd.ToParent(),
        cmd.ToParent(),
    )
    for finished, command in enumerate(commands, 2):
        source.send(command)
        sink.wait_for_kind(ev.RoundFinished, finished)
    source.send(cmd.ToParent())
    source.send(cmd.Fork(9, "ar", 0, 0, 0))
    sink.wait_for_kind(ev.Notice, 2)
    assert source.stop(FAILSAFE_S)
    for lane in ("ar", "mtp", "dflash"):
        first, fork, changed, again, parent, root = said(lane)
        assert first == root == whole
        assert fork == parent == whole[9:]
        assert changed == again == whole[15:]
    rounds = [event for event in sink.events if isinstance(event, ev.RoundStarted)]
    branch = rounds[2].parent
    assert branch is not None
    assert (branch.round, branch.kept, branch.put_text) == (1, 5, " seven")
    assert [event.parent.round if event.parent else None for event in rounds] == [None, 0, 1, 1, 0, None]
    given = [event.prompt_ids for event in sink.events if isinstance(event, ev.RequestStarted) and event.lane == "mtp"]
    assert given[2] == (*given[0], *whole[:14], *branch.put)
    assert [event.text for event in sink.of(ev.Notice)] == [  # type: ignore[union-attr]
        "this round was not forked, so it has no parent",
        "that round is over: look at a step of this one (i), and fork it there",
    ]


def test_a_restart_repeats_the_round_exactly() -> None:
    source, sink = started()
    sink.wait_for_kind(ev.RoundFinished)
    source.send(cmd.Restart())
    sink.wait_for_kind(ev.RoundFinished, 2)
    assert source.stop(FAILSAFE_S)
    steps = [event for event in sink.events if isinstance(event, ev.Step)]
    half = len(steps) // 2
    assert [s.drafted for s in steps[:half]] == [s.drafted for s in steps[half:]]
    assert [s.wall_ns for s in steps[:half]] == [s.wall_ns for s in steps[half:]]


def test_k_changes_from_the_next_step_on_within_what_the_lane_was_built_for() -> None:
    source, sink = started(paused=True)
    source.send(cmd.SetK("mtp", 0))
    source.send(cmd.SetK("mtp", 3))
    source.send(cmd.SetK("nobody", 1))
    source.send(cmd.StepOnce("mtp"))
    source.send(cmd.StepOnce("mtp"))
    sink.wait_for_kind(ev.Step, 2)
    assert source.stop(FAILSAFE_S)
    assert sink.of(ev.KChanged) == [ev.KChanged("mtp", 0)]
    assert len(sink.of(ev.Notice)) == 2
    assert [event.k for event in sink.events if isinstance(event, ev.Step)] == [0, 0]


def test_concurrency_and_temperature_begin_a_new_round() -> None:
    source, sink = started(SLOW, paused=True)
    source.send(cmd.SetConcurrency(4))
    source.send(cmd.SetTemperature(0.8))
    sink.wait_for_kind(ev.Step, 4)
    assert source.stop(FAILSAFE_S)
    last = sink.of(ev.RoundStarted)[-1]
    assert isinstance(last, ev.RoundStarted)
    assert len(last.prompts) == 4
    assert last.sampling.temperature == 0.8
    assert {event.batch for event in sink.events if isinstance(event, ev.Step)} == {4}


def test_abort_ends_one_lane_s_requests_or_all() -> None:
    source, sink = started(paused=True)
    source.send(cmd.Abort("ar"))
    sink.wait_for_kind(ev.RequestFinished)
    source.send(cmd.Abort())
    sink.wait_for_kind(ev.RequestFinished, 3)
    assert source.stop(FAILSAFE_S)


def test_a_lane_may_fail_while_loading_or_racing_and_the_others_go_on() -> None:
    ar, mtp, dflash = demo_lanes()
    bad = SyntheticLane(mtp.info, fails_at="loading")
    dying = SyntheticLane(dflash.info, accept=(0.5,), fails_after=3)
    events = run(lanes=(ar, bad, dying))
    failed = [event.lane for event in events if isinstance(event, ev.LaneStage) and event.stage == "failed"]
    assert failed == ["mtp", "dflash"]
    reasons = {event.lane: event.reason for event in events if isinstance(event, ev.RequestFinished)}
    assert reasons == {"ar": "eos", "dflash": "error"}


def test_a_round_without_a_ready_lane_is_over_at_once() -> None:
    bad = SyntheticLane(demo_lanes()[0].info, fails_at="loading")
    assert isinstance(run(lanes=(bad,))[-1], ev.RoundFinished)


def test_a_source_that_dies_says_so_and_lets_go_of_the_frame_slot() -> None:
    sink = Collector()
    source = SyntheticSource(pace=FAST, dies_after=5)
    source.start(sink)
    sink.wait_for_kind(ev.Notice)
    assert source.stop(FAILSAFE_S)
    notice = sink.of(ev.Notice)[0]
    assert isinstance(notice, ev.Notice)
    assert notice.level == "error"
    assert notice.lane is None
    assert source.slot.request(lambda: None) is False


def test_rounds_follow_each_other_when_told() -> None:
    sink = Collector()
    source = SyntheticSource(pace=FAST, rounds=3, sampling=ev.Sampling(max_tokens=8))
    source.start(sink)
    sink.wait_for_kind(ev.RoundFinished, 3)
    assert source.stop(FAILSAFE_S)
    assert len(sink.of(ev.RoundStarted)) == 3


def test_shutdown_ends_even_a_source_that_loads() -> None:
    sink = Collector()
    source = SyntheticSource(pace=Pace(load_s=1000.0))
    source.start(sink)
    sink.wait_for_kind(ev.LaneStage)
    assert source.stop(FAILSAFE_S)
