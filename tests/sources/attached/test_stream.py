"""What a server sends, as events: counted from the attachment on, with every gap told."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.protocol import events as ev
from spectui.sources.attached import sense
from spectui.sources.attached.seen import COUNTS_ONLY, seen
from spectui.sources.attached.stream import SECOND, Stream
from spectui.wire import messages as wire
from tests.support.made_server import MadeServer, Sender, about

pytestmark = pytest.mark.unit

GONE_NS = 3 * SECOND


class Viewer:
    """A stream, what it has told, and a made-up server that sends to it."""

    def __init__(self, server: MadeServer | None = None, **said: object) -> None:
        self.server = server or MadeServer()
        self.sender = Sender()
        self.said = said
        self.stream = Stream(ev.LaneInfo("e1", "unknown", "there", 0, "tcp://there:1"), "tcp://there:1", count())
        self.events: list[ev.Event] = []
        self.now_ns = 100 * SECOND

    def send(self, *items: wire.Item, lost: bool = False) -> list[ev.Event]:
        packet = self.sender.packet(*items, lost=lost)
        if lost:
            return []
        told = self.stream.read(wire.encode(packet), self.now_ns)
        self.events += told
        return told

    def attach(self) -> list[ev.Event]:
        return self.send(about(**self.said), self.server.standing())

    def steps(self, number: int, *, lost: bool = False) -> list[ev.Event]:
        told = []
        for _ in range(number):
            if len(self.server.running) < 3:
                told += self.send(self.server.begin(), lost=lost)
            told += self.send(*self.server.step(), lost=lost)
        return told

    def stand(self) -> list[ev.Event]:
        return self.send(self.server.standing())

    @property
    def reached(self) -> ev.Totals:
        return self.stream.session.sums.totals

    def of(self, *kinds: type) -> list:  # type: ignore[type-arg]
        return [event for event in self.events if isinstance(event, kinds)]

    def told_totals(self) -> ev.Totals:
        """What the events add up to: the steps, and the gaps between."""
        known = ev.NOTHING
        for event in self.events:
            if isinstance(event, ev.Step | ev.CountedStep):
                assert event.totals == known.plus(event.own_totals)
                known = event.totals
            elif isinstance(event, ev.Gap):
                (reached,) = event.reached
                assert event.lost >= reached.totals.steps - known.steps
                known = reached.totals
        return known


def folded(events: list[ev.Event]) -> RunState:
    """The state after a run that begins with these events."""
    state = RunState()
    info = ev.LaneInfo("e1", "unknown", "there", 0, "tcp://there:1")
    for event in (ev.RunStarted("", (info,), ev.Sampling(), attached=True), ev.RoundStarted(0, (), ev.Sampling())):
        reduce(state, event)
    for event in events:
        reduce(state, event)  # type: ignore[arg-type]
    return state


def test_a_server_that_is_attached_to_is_described_and_live() -> None:
    viewer = Viewer()
    seen, engine, live, ready, k, serving = viewer.attach()
    assert isinstance(seen, ev.ServerSeen)
    assert (seen.info.method, seen.info.k_max, seen.session, seen.model) == ("mtp", 4, "first", "made-up")
    assert seen.control
    assert isinstance(engine, ev.LaneEngine)
    assert (engine.device, engine.scheduling, engine.vocabulary) == ("cpu", "synchronous", 1_000)
    assert (live, ready) == (ev.ServerState("e1", "live"), ev.LaneStage("e1", "ready"))
    assert k == ev.KChanged("e1", 4, "default")
    assert isinstance(serving, ev.Serving)
    # Said again, nothing of it is news.
    viewer.now_ns += SECOND
    assert [type(event) for event in viewer.attach()] == [ev.Serving]


def test_every_step_is_told_and_adds_up() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(200)
    assert viewer.told_totals() == viewer.server.totals == viewer.reached
    assert not viewer.of(ev.Gap)
    assert viewer.stream.malformed == 0
    assert len(viewer.of(ev.Step)) == viewer.server.totals.steps
    finished = {event.slot: event.emitted for event in viewer.of(ev.RequestFinished)}
    emitted = dict.fromkeys(finished, 0)
    for step in viewer.of(ev.Step):
        if step.slot in emitted:
            emitted[step.slot] += len(step.emitted)
    assert finished == emitted
    assert {event.reason for event in viewer.of(ev.RequestFinished)} == {"length"}
    state = folded(viewer.events)
    assert state.lanes["e1"].run.totals == viewer.server.totals
    assert state.lanes["e1"].clock_ns == viewer.server.clock_ns
    assert state.lost == 0


def test_the_last_token_of_a_step_is_named() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(200)
    for step in viewer.of(ev.Step):
        if step.cut:
            assert step.own is None
        else:
            assert step.own == ("recovered" if step.accepted < len(step.drafted) else "bonus")
        assert len(step.emitted) + len(step.cut) == step.accepted + 1
    assert any(step.cut for step in viewer.of(ev.Step))


def test_what_was_before_the_attachment_does_not_count() -> None:
    server = MadeServer()
    for _ in range(3):
        server.begin()
        server.step()
    before, clock_ns = server.totals, server.clock_ns
    viewer = Viewer(server)
    viewer.attach()
    started = viewer.of(ev.RequestStarted)
    assert [event.request for event in started] == ["request-0", "request-1", "request-2"]
    assert all(event.prompt_ids == () for event in started)
    viewer.steps(50)
    assert viewer.told_totals() == server.totals.minus(before)
    assert viewer.of(ev.Step)[0].before == 3 or viewer.of(ev.Step)[0].before > 0
    assert viewer.of(ev.Step)[-1].clock_ns == server.clock_ns - clock_ns
    (serving,) = viewer.of(ev.Serving)
    assert serving.since_start == before


def test_slots_are_those_of_no_other_endpoint() -> None:
    slots = count()
    streams = [Stream(ev.LaneInfo(name, "unknown", name, 0, ""), name, slots) for name in ("e1", "e2")]
    started = []
    for _ in range(3):
        for stream in streams:
            server, sender = MadeServer(), Sender()
            sender.session = f"{len(started)}"
            for packet in (sender.packet(about(), server.standing()), sender.packet(server.begin())):
                started += [event for event in stream.take(packet, 0) if isinstance(event, ev.RequestStarted)]
    assert [event.slot for event in started] == list(range(6))


def test_lost_steps_are_a_gap_that_says_where_the_lane_stands() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(10)
    before = viewer.reached
    viewer.steps(5, lost=True)
    assert not viewer.stream.wants_again
    viewer.steps(10)
    assert viewer.stream.wants_again
    gap = viewer.of(ev.Gap)[0]
    assert gap.lost == gap.reached[0].totals.steps - before.steps > 0
    viewer.stand()
    assert not viewer.stream.wants_again
    viewer.steps(10)
    assert viewer.told_totals() == viewer.server.totals
    assert folded(viewer.events).lanes["e1"].run.totals == viewer.server.totals
    assert viewer.stream.malformed == 0


def test_requests_of_which_the_beginning_was_missed_appear_with_the_next_standing() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.send(viewer.server.begin(), lost=True)
    viewer.send(*viewer.server.step())
    assert not viewer.of(ev.RequestStarted, ev.Step)
    assert [gap.lost for gap in viewer.of(ev.Gap)] == [1]
    viewer.stand()
    assert len(viewer.of(ev.RequestStarted)) == 1
    viewer.send(*viewer.server.step())
    (step,) = viewer.of(ev.Step)
    assert (step.index, step.before) == (1, 1)
    assert viewer.stream.malformed == 0


def test_requests_of_which_the_end_was_missed_end_unseen() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(5)
    running = {event.slot for event in viewer.of(ev.RequestStarted)}
    while viewer.server.running:
        viewer.send(*viewer.server.step(), lost=True)
    viewer.stand()
    assert {event.slot for event in viewer.of(ev.RequestFinished)} == running
    assert {event.reason for event in viewer.of(ev.RequestFinished)} == {"unseen"}
    assert viewer.told_totals() == viewer.server.totals


def test_a_server_with_very_many_requests_names_the_oldest_only() -> None:
    viewer = Viewer()
    viewer.attach()
    for _ in range(wire.MOST_RUNNING + 5):
        viewer.send(viewer.server.begin())
    viewer.send(viewer.server.begin(), lost=True)
    standing = viewer.server.standing()
    viewer.send(wire.Standing(**{**_fields(standing), "running": standing.running[: wire.MOST_RUNNING]}))
    assert not viewer.of(ev.RequestFinished)
    assert viewer.stream.malformed == 0


def _fields(struct: object) -> dict[str, object]:
    return msgspec.structs.asdict(struct)  # type: ignore[arg-type]


def test_a_server_that_is_started_again_goes_on_with_the_lane() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(20)
    reached, clock_ns = viewer.reached, viewer.stream.session.sums.clock_ns
    viewer.now_ns += 4 * SECOND
    assert [event.stage for event in viewer.stream.tick(viewer.now_ns, GONE_NS)] == ["gone"]  # type: ignore[union-attr]
    assert not viewer.stream.tick(viewer.now_ns, GONE_NS)
    viewer.now_ns += 2 * SECOND
    running = len(viewer.server.running)
    viewer.server, viewer.sender = MadeServer(seed=1), Sender("second")
    viewer.server.begin()
    missed = viewer.server.step() and viewer.server.totals
    viewer.events.clear()
    viewer.attach()
    assert [event.reason for event in viewer.of(ev.RequestFinished)] == ["unseen"] * running
    assert viewer.of(ev.ServerState) == [ev.ServerState("e1", "live", "", 6 * SECOND)]
    assert not viewer.of(ev.LaneStage)
    # What the new server has done already is known; how the old one ended is not.
    (gap,) = viewer.of(ev.Gap)
    assert gap == ev.Gap(2, reached=(ev.Reached("e1", clock_ns + viewer.server.clock_ns, reached.plus(missed)),))
    viewer.steps(20)
    assert viewer.reached == reached.plus(viewer.server.totals)
    assert viewer.stream.malformed == 0


def test_an_older_server_behind_the_same_endpoint_does_not_bring_its_past() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(20)
    reached = viewer.reached
    viewer.now_ns += 4 * SECOND
    viewer.server, viewer.sender = MadeServer(seed=1), Sender("second")
    for _ in range(2_000):
        if not viewer.server.running:
            viewer.server.begin()
        viewer.server.step()
    viewer.events.clear()
    viewer.attach()
    (gap,) = viewer.of(ev.Gap)
    assert gap.lost == 1
    assert gap.reached[0].totals == reached


def test_numbers_without_ids_are_counted_steps() -> None:
    viewer = Viewer(MadeServer(ids=False), redaction="counts")
    viewer.attach()
    viewer.steps(50)
    assert not viewer.of(ev.Step)
    assert viewer.told_totals() == viewer.server.totals
    assert all(step.ids == step.text == () for step in viewer.of(ev.CountedStep))
    assert all(event.prompt_ids == () for event in viewer.of(ev.RequestStarted))


def test_answers_without_drafts_are_counted_steps_with_ids() -> None:
    viewer = Viewer(MadeServer(drafts=False), drafts=False, why="drafts stay on the device")
    viewer.attach()
    viewer.steps(50)
    steps = viewer.of(ev.CountedStep)
    assert viewer.told_totals() == viewer.server.totals
    assert all(len(step.ids) == len(step.text) == step.emitted + step.cut for step in steps)
    assert sum(step.drafted for step in steps) == viewer.server.totals.drafted


def test_as_long_as_there_is_no_vocabulary_ids_are_shown() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(5)
    step = viewer.of(ev.Step)[-1]
    assert step.text == tuple(f"⟨{token}⟩" for token in (*step.emitted, *step.cut))
    assert step.drafted_text == tuple(f"⟨{token}⟩" for token in step.drafted)


def test_another_version_is_refused_in_a_sentence() -> None:
    viewer = Viewer()
    (state,) = viewer.stream.read(wire.encode(wire.Packet(2, "s", 1, 1, [])), 0)
    assert isinstance(state, ev.ServerState)
    assert state.stage == "refused"
    assert "version 2" in state.why
    # Of a later version, which cannot be read at all, at least the version can; it is told once.
    assert viewer.stream.read(wire.encode([2, {"all": "different"}]), 0) == []
    assert viewer.stream.malformed == 0
    # And with the right one it is live.
    viewer.attach()
    assert viewer.of(ev.ServerState) == [ev.ServerState("e1", "live")]


def test_whom_a_server_does_not_admit_is_told_why() -> None:
    viewer = Viewer()
    (state,) = viewer.send(wire.Reply(0, False, "the server has 32 viewers\nalready"))
    assert state == ev.ServerState("e1", "refused", "the server has 32 viewers already")


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\xc1",
        b"\x93" + b"\x91" * 5_000,
        wire.encode([1, "first"]),
        wire.encode(wire.Watch(1)),
        wire.encode(wire.Packet(1, "", 1, 1, [])),
        wire.encode(wire.Packet(1, "first", -1, 1, [])),
        wire.encode(wire.Packet(1, "s" * 1_000, 1, 1, [])),
    ],
)
def test_what_is_no_packet_is_counted(wrong: bytes) -> None:
    viewer = Viewer()
    viewer.attach()
    assert viewer.stream.read(wrong, viewer.now_ns) == []
    assert viewer.stream.malformed == 1
    viewer.now_ns += SECOND
    (serving,) = viewer.stream.tick(viewer.now_ns, GONE_NS)
    assert isinstance(serving, ev.Serving)
    assert serving.malformed == 1
    assert not viewer.stream.tick(viewer.now_ns + SECOND, GONE_NS)


ROW = wire.Row(0, 1, 1, [5, 6], 1, [5, 7], 2)


def row(**changed: object) -> wire.Row:
    return wire.Row(**{**_fields(ROW), **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        row(accepted=3),
        row(accepted=-1),
        row(emitted=3),
        row(emitted=-1),
        row(index=0),
        row(index=-1),
        row(before=0),
        row(before=5),
        row(before=2**60),
        row(drafted=[-1, 5]),
        row(drafted=[5] * 65),
        row(drafted=-2),
        row(drafted=2**60),
        row(sampled=[5] * 66),
        row(sampled=[2**40, 1]),
        row(slot=-1),
    ],
)
def test_a_step_that_makes_no_sense_changes_nothing_but_a_counter(wrong: wire.Row) -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.send(viewer.server.begin())
    viewer.send(*viewer.server.step())
    known, clock_ns = viewer.reached, viewer.server.clock_ns
    step = wire.EngineStep(4, 10, clock_ns + 10, None, None, list(known.after(2, 1, 2, 0)), [wrong])
    assert viewer.send(step) == []
    assert viewer.stream.malformed == 1
    assert viewer.reached == known
    (right,) = viewer.send(wire.EngineStep(4, 10, clock_ns + 10, None, None, list(known.after(2, 1, 2, 0)), [ROW]))
    assert isinstance(right, ev.Step)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 65},
        {"wall_ns": 0},
        {"wall_ns": 2**50},
        {"clock_ns": 5},
        {"clock_ns": 2**63},
        {"draft_ns": -1},
        {"totals": [1, 1]},
        {"totals": [2, 3, 1, 2, 1, 0, 0, 0]},
        {"totals": [2**53, 3, 1, 2, 1]},
        {"totals": [2, 9, 1, 2, 1]},
        {"totals": [9, 9, 10, 2, 1]},
        {"totals": [9, 9, 1, 2, 3]},
        {"totals": [-1]},
        {"rows": [ROW, ROW]},
    ],
    ids=str,
)
def test_sums_that_contradict_what_was_known_change_nothing(wrong: dict[str, object]) -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.send(viewer.server.begin())
    viewer.send(*viewer.server.step())
    known, clock_ns = viewer.reached, viewer.server.clock_ns
    right = wire.EngineStep(4, 10, clock_ns + 10, None, None, list(known.after(2, 1, 2, 0)), [ROW])
    assert viewer.send(wire.EngineStep(**{**_fields(right), **wrong})) == []  # type: ignore[arg-type]
    assert viewer.stream.malformed == 1
    assert viewer.reached == known
    assert len(viewer.send(right)) == 1


def test_sums_that_contradict_each_other_since_the_attachment_change_nothing() -> None:
    viewer = Viewer()
    viewer.server.begin()
    for _ in range(3):
        viewer.server.step()
    viewer.attach()
    before, clock_ns = viewer.server.totals, viewer.server.clock_ns
    # Three accepted of two drafted, which the many refused ones of before hide.
    wrong = before.plus(ev.Totals(2, 5, 1, 2, 3))
    assert wrong.accepted <= wrong.drafted
    assert viewer.send(wire.EngineStep(4, 10, clock_ns + 10, None, None, list(wrong), [])) == []
    assert viewer.stream.malformed == 1
    assert viewer.reached == ev.NOTHING


@pytest.mark.parametrize(
    "wrong",
    [
        {"totals": [0, 1]},
        {"clock_ns": 1},
        {"accepted_at": [0] * 65},
        {"accepted_at": [-1]},
        {"k": -1},
        {"waiting": -1},
        {"draft_ns": -1},
        {"running": [wire.Running(0, "", 1, 1, 1, 1)] * 2},
        {"running": [wire.Running(0, "r" * 600, 1, 1, 1, 1)]},
        {"running": [wire.Running(0, "r", -1, 1, 1, 1)]},
    ],
    ids=str,
)
def test_a_standing_that_makes_no_sense_changes_nothing(wrong: dict[str, object]) -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(10)
    known = viewer.reached
    standing = wire.Standing(**{**_fields(viewer.server.standing()), **wrong})  # type: ignore[arg-type]
    assert viewer.send(standing) == []
    assert (viewer.stream.malformed, viewer.reached) == (1, known)
    viewer.steps(10)
    assert viewer.told_totals() == viewer.server.totals


def test_a_description_that_makes_no_sense_is_dropped() -> None:
    viewer = Viewer()
    for wrong in (
        {"speculative": "x" * 20_000},
        {"k_max": 65},
        {"share": 1.5},
        {"share": float("nan")},
        {"model": "m" * 600},
        {"dp_rank": 1},
    ):
        viewer.send(about(**wrong))
    assert (viewer.stream.malformed, viewer.events) == (6, [])


def test_k_is_told_when_it_changes() -> None:
    viewer = Viewer()
    viewer.attach()
    assert viewer.send(wire.KSet(4)) == []
    assert viewer.send(wire.KSet(2)) == [ev.KChanged("e1", 2, "yours")]
    assert viewer.send(wire.KSet(65)) == []
    assert viewer.stream.malformed == 1


def test_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sense, "MOST_REQUESTS", 10)
    viewer = Viewer()
    viewer.attach()
    for _ in range(30):
        viewer.send(viewer.server.begin())
    assert len(viewer.of(ev.RequestStarted)) == 10
    assert viewer.stream.malformed == 20


def test_a_server_that_sends_counts_only_says_so() -> None:
    [counts, ids, none] = [
        seen(ev.LaneInfo("e1", "mtp", "there", 4, "tcp://there:1"), about(**said), "", "")
        for said in ({"redaction": "counts"}, {}, {"redaction": "counts", "k_max": 0})
    ]
    assert (counts.drafts, counts.why) == (False, COUNTS_ONLY)
    assert (ids.drafts, ids.why) == (True, "")
    assert none.why == "", "a server without a drafter hides no drafts"
