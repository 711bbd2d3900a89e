"""The mailbox between threads, and the slot in which frames are drawn: real threads, no waiting for the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from spectui.protocol import events as ev
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.mailbox import Mailbox

FAILSAFE_S = 20.0


def step(index: int) -> ev.Step:
    return ev.Step(
        "ar", "0-0", 0, index, 0, (), 0, (1,), (), "bonus", None, ("a",), (), 1, 1_000_000, 1_000_000 * index
    )


def indices(events: list[ev.Event]) -> list[int | str]:
    return [event.index if isinstance(event, ev.Step) else type(event).__name__ for event in events]


def test_events_come_out_in_order_and_in_portions() -> None:
    box = Mailbox()
    for index in range(5):
        box.emit(step(index))
    assert indices(box.drain(2)) == [0, 1]
    assert len(box) == 3
    assert indices(box.drain()) == [2, 3, 4]
    assert box.drain() == []


def test_a_gap_stands_where_the_steps_were_lost() -> None:
    box = Mailbox(capacity=3)
    for index in range(5):
        box.emit(step(index))
    assert indices(box.drain(1)) == [0]
    box.emit(step(5))
    assert indices(box.drain()) == [1, 2, "Gap", 5]
    assert box.dropped == 2


def test_a_gap_at_the_end_is_reported_without_another_event() -> None:
    box = Mailbox(capacity=1)
    for index in range(4):
        box.emit(step(index))
    assert box.drain() == [step(0), ev.Gap(3)]
    assert box.drain() == []


def test_what_says_where_the_run_stands_is_never_dropped() -> None:
    box = Mailbox(capacity=1)
    box.emit(step(0))
    box.emit(step(1))
    box.emit(ev.RoundFinished(0))
    box.emit(ev.RoundStarted(1, (), ev.Sampling()))
    assert indices(box.drain()) == [0, "Gap", "RoundFinished", "RoundStarted"]


def test_nothing_is_lost_unseen_between_two_threads() -> None:
    box = Mailbox(capacity=64)
    total = 20_000

    def produce() -> None:
        for index in range(total):
            box.emit(step(index))

    producer = threading.Thread(target=produce)
    producer.start()
    seen = lost = 0
    while producer.is_alive() or len(box):
        for event in box.drain(50):
            seen += isinstance(event, ev.Step)
            lost += event.lost if isinstance(event, ev.Gap) else 0
    for event in box.drain():
        lost += event.lost if isinstance(event, ev.Gap) else 0
    assert seen + lost == total
    assert lost == box.dropped


def test_no_slot_is_needed_while_nothing_steps() -> None:
    assert FrameSlot().request(pytest.fail) is False


def test_an_offer_without_a_waiting_frame_does_nothing() -> None:
    slot = FrameSlot(bound_s=FAILSAFE_S)
    slot.stepping(True)
    slot.offer()
    assert slot.overruns == 0


def test_a_stuck_screen_holds_the_engine_for_the_bound_only() -> None:
    slot = FrameSlot(bound_s=0.001)
    slot.stepping(True)
    granted: list[int] = []
    assert slot.request(lambda: granted.append(1))
    slot.offer()
    slot.offer()
    assert granted == [1]
    assert slot.overruns == 1


def test_the_engine_waits_until_the_frame_is_drawn() -> None:
    slot = FrameSlot(bound_s=FAILSAFE_S)
    slot.stepping(True)
    order: list[str] = []
    granted = threading.Event()
    assert slot.request(granted.set)

    def engine() -> None:
        slot.offer()
        order.append("step")

    thread = threading.Thread(target=engine)
    thread.start()
    assert granted.wait(FAILSAFE_S)
    order.append("frame")
    slot.drawn()
    thread.join(FAILSAFE_S)
    assert order == ["frame", "step"]
    assert slot.overruns == 0


def test_a_late_frame_does_not_count_for_the_next_slot() -> None:
    slot = FrameSlot(bound_s=0.001)
    slot.stepping(True)
    slot.request(lambda: None)
    slot.offer()
    slot.drawn()
    slot.request(lambda: None)
    slot.offer()
    assert slot.overruns == 2


def test_an_engine_that_stops_grants_the_waiting_frame() -> None:
    slot = FrameSlot(bound_s=0.001)
    slot.stepping(True)
    granted: list[int] = []
    slot.request(lambda: granted.append(1))
    slot.stepping(False)
    assert granted == [1]


class StopsInBetween(FrameSlot):
    """Its engine stops after the screen saw it stepping and before the screen's request is there."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_wanted" and value is not None:
            self.stepping(False)
        super().__setattr__(name, value)


def test_an_engine_that_stops_during_the_request_is_noticed() -> None:
    slot = StopsInBetween()
    slot.stepping(True)
    assert slot.request(lambda: None) is False


def test_no_wanted_frame_is_ever_forgotten() -> None:
    """A screen that draws one frame after the other beside an engine that keeps starting and stopping."""
    slot = FrameSlot(bound_s=FAILSAFE_S)
    end = threading.Event()

    def engine() -> None:
        while not end.is_set():
            slot.stepping(True)
            for _ in range(3):
                slot.offer()
            slot.stepping(False)

    thread = threading.Thread(target=engine)
    thread.start()
    try:
        for _ in range(2_000):
            granted = threading.Event()
            grant: Callable[[], None] = granted.set
            if slot.request(grant):
                assert granted.wait(FAILSAFE_S), "a wanted frame was never granted"
            slot.drawn()
    finally:
        end.set()
        slot.drawn()
        thread.join(FAILSAFE_S)
    assert not thread.is_alive()


def test_other_threads_of_a_source_stand_aside_while_a_frame_is_drawn() -> None:
    slot = FrameSlot(bound_s=FAILSAFE_S)
    slot.stand_aside()
    slot.stepping(True)
    granted = threading.Event()
    assert slot.request(granted.set)
    order: list[str] = []

    def index() -> None:
        slot.stand_aside()
        order.append("index")

    engine, other = threading.Thread(target=slot.offer), threading.Thread(target=index)
    engine.start()
    assert granted.wait(FAILSAFE_S)
    other.start()
    order.append("frame")
    slot.drawn()
    engine.join(FAILSAFE_S)
    other.join(FAILSAFE_S)
    assert order == ["frame", "index"]


def test_steps_of_which_only_counts_are_known_are_dropped_like_others() -> None:
    totals = ev.Totals(9, 18, 9, 27, 9)
    counted = ev.CountedStep("e1", "r", 0, 8, 3, 3, 1, 2, 0, "recovered", None, 1, 10, 90, totals=totals)
    box = Mailbox(capacity=1)
    box.emit(ev.ServerState("e1", "live"))
    box.emit(counted)
    box.emit(ev.ServerState("e1", "gone"))
    assert box.dropped == 1
    gap = ev.Gap(1, reached=(ev.Reached("e1", 90, totals),))
    assert box.drain() == [ev.ServerState("e1", "live"), gap, ev.ServerState("e1", "gone")]
