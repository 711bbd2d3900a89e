"""Whatever a server sends: no error, no event that a trace would not take, no totals that do not add up."""

from __future__ import annotations

import random
from itertools import count

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.sources.attached.stream import SECOND, Stream
from spectui.trace.codec import decode, encode
from spectui.wire import messages as wire
from tests.support.packets import PACKETS, changed, served

pytestmark = pytest.mark.unit

INFO = ev.LaneInfo("e1", "unknown", "there", 0, "tcp://there:1")


def followed(packets: list[wire.Packet] | list[bytes]) -> tuple[Stream, RunState]:
    """Follow packets, and check everything that they make the viewer say."""
    stream, state = Stream(INFO, "tcp://there:1", count()), RunState()
    reduce(state, ev.RunStarted("", (INFO,), ev.Sampling(), attached=True))
    reduce(state, ev.RoundStarted(0, (), ev.Sampling()))
    slots: set[int] = set()
    known = ev.NOTHING
    clock_ns = 0
    for number, packet in enumerate(packets):
        data = packet if isinstance(packet, bytes) else wire.encode(packet)
        now_ns = number * SECOND // 2
        for event in [*stream.read(data, now_ns), *stream.tick(now_ns, 3 * SECOND)]:
            line = encode(0, event)  # type: ignore[arg-type]
            assert decode(line) == (0, event)
            reduce(state, event)  # type: ignore[arg-type]
            match event:
                case ev.RequestStarted():
                    assert event.slot not in slots
                    slots.add(event.slot)
                case ev.RequestFinished():
                    slots.remove(event.slot)
                case ev.Step() | ev.CountedStep():
                    assert event.slot in slots
                    known = known.plus(event.own_totals._replace(silent=0))
                    assert event.totals == known
                    assert event.clock_ns > clock_ns or event.batch > 1
                    clock_ns = event.clock_ns
                case ev.Gap():
                    (reached,) = event.reached
                    assert event.lost >= reached.totals.steps - known.steps
                    assert min(reached.totals.minus(known)) >= 0
                    assert reached.clock_ns >= clock_ns
                    known, clock_ns = reached.totals, reached.clock_ns
        assert stream.session.sums.totals == known
    Viewer(state).read()
    return stream, state


@settings(deadline=None, max_examples=100)
@given(st.lists(PACKETS, max_size=12))
def test_packets_of_every_kind(packets: list[wire.Packet]) -> None:
    followed(packets)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**9))
def test_packets_of_a_server_that_lies_now_and_then(seed: int) -> None:
    followed(served(seed))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**9), st.randoms(use_true_random=False))
def test_malformed_bytes_at_any_place(seed: int, dice) -> None:  # type: ignore[no-untyped-def]
    packets = [bytearray(wire.encode(packet)) for packet in served(seed, 20)]
    for _ in range(8):
        data = dice.choice(packets)
        place = dice.randrange(len(data))
        match dice.randrange(3):
            case 0:
                data[place] = dice.randrange(256)
            case 1:
                del data[place:]
                data += b"\xc1"
            case _:
                data[place:place] = dice.randbytes(3)
    followed([bytes(data) for data in packets])


def test_what_these_tests_send_is_partly_believed_and_partly_not() -> None:
    """They would hold of a viewer that believes nothing."""
    believed = malformed = gaps = 0
    for seed in range(40):
        stream, state = followed(served(seed))
        believed += state.lanes["e1"].run.totals.steps
        malformed += stream.malformed
        gaps += state.lost
    assert believed > 2_000
    assert malformed > 10
    assert gaps > 10
    packet = served(1)[3]
    assert msgspec.to_builtins(changed(random.Random(1), packet)) != msgspec.to_builtins(packet)
