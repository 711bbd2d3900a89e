"""A server that sends whatever a viewer could choke on: what becomes of the viewer's memory, events and counter.

``python -m tests.load.hostile_server 100000`` sends as many messages over a real socket, to a viewer in this process
that folds what it is told as the screen does.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import psutil
import zmq

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.protocol.mailbox import Mailbox
from spectui.sources.attached.source import Attached
from spectui.sources.attached.tokens import TokenizerError, load_table
from spectui.wire import messages as wire
from spectui.wire.endpoints import parse
from tests.support.made_server import MadeServer, Sender, about
from tests.support.packets import changed

PAUSE_S = 0.001
PATIENCE_S, SETTLE_S = 10.0, 1.0
MEGABYTE = 1 << 20


def hostile(dice: random.Random) -> Iterator[bytes]:
    """Messages without end: malformed, senseless, huge, and some that are right."""
    server, sender = MadeServer(1), Sender()
    yield wire.encode(sender.packet(about(redaction="text"), server.standing()))
    for number in count():
        packet = sender.packet(*([server.begin()] if len(server.running) < 3 else []), *server.step())
        data = wire.encode(packet)
        match dice.randrange(14):
            case 0:
                yield dice.randbytes(dice.randrange(200))
            case 1:
                yield data[: dice.randrange(len(data))]
            case 2:
                place = dice.randrange(len(data))
                yield data[:place] + dice.randbytes(4) + data[place:]
            case 3 | 4 | 5:
                yield wire.encode(changed(dice, packet))
            case 6:
                yield b"\x91" * dice.randrange(20_000)
            case 7:
                # A length that promises four billion things.
                yield dice.choice((b"\xdd", b"\xc6", b"\xdb", b"\xdf")) + b"\xff" * 4 + dice.randbytes(20)
            case 8:
                yield wire.encode(Sender(f"s{number}").packet(about(model=f"/m/{number}"), MadeServer().standing()))
                yield wire.encode(sender.packet(about(redaction="text"), server.standing()))
            case 9:
                begun = [wire.Began(dice.randrange(2**50), "r" * 500, 9, [1] * 9, 0) for _ in range(50)]
                yield wire.encode(sender.packet(*begun))
            case 10:
                ids = [dice.randrange(2**21) for _ in range(65)]
                yield wire.encode(sender.packet(*[wire.Words(number, 0, 2**21, [b"x" * 500] * 40, ids)] * 3))
            case 11:
                yield wire.encode(sender.packet(*[wire.Reply(number, True, "\x1b[2J" * 500)] * 50))
            case 12:
                yield wire.encode(sender.packet(server.standing(dropped=number)))
            case _:
                yield data


class Pushed:
    """A server's socket that sends to whoever watches, as fast as they read."""

    def __init__(self, endpoint: str, messages: Iterator[bytes], most: int) -> None:
        self.sent = 0
        self.ended = threading.Event()
        self._messages, self._most = messages, most
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.router_mandatory = True
        self._socket.sndhwm = 100
        self._socket.bind(endpoint)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sending."""
        self.ended.set()
        self._thread.join()
        self._context.destroy(0)

    def _run(self) -> None:
        viewer: bytes | None = None
        while self.sent < self._most and not self.ended.is_set():
            if self._socket.poll(0 if viewer is not None else 100):
                viewer = self._socket.recv_multipart()[0]
            if viewer is None:
                continue
            try:
                self._socket.send_multipart([viewer, next(self._messages)], zmq.NOBLOCK)
            except zmq.Again:
                time.sleep(PAUSE_S)
            except zmq.ZMQError:
                viewer = None
            else:
                self.sent += 1


def attacked(endpoint: str, most: int, seed: int) -> tuple[int, Counter[str], int, int, RunState]:
    """Attach to a hostile server; gives how many messages it sent, the events by kind, the messages that were counted
    as malformed, the growth of memory in bytes after the first fifth, and the state at the end."""
    with suppress(TokenizerError):
        # It loads what the viewer loads for texts, so that this is no growth.
        load_table(about(), None)
    mailbox, state, told = Mailbox(), RunState(), Counter[str]()
    viewer = Viewer(state)
    server = Pushed(endpoint, hostile(random.Random(seed)), most)
    source = Attached([parse(endpoint)])
    source.start(mailbox)
    process, before, malformed, sent = psutil.Process(), None, 0, -1
    last = time.monotonic()
    while (server.sent < most and time.monotonic() - last < PATIENCE_S) or time.monotonic() - last < SETTLE_S:
        events = mailbox.drain()
        for event in events:
            reduce(state, event)  # type: ignore[arg-type]
            told[type(event).__name__] += 1
            if isinstance(event, ev.Serving):
                malformed = event.malformed
        viewer.read()
        if sent != server.sent:
            sent, last = server.sent, time.monotonic()
        if before is None and sent > most / 5:
            before = process.memory_info().rss
        time.sleep(0.02)
    grown = process.memory_info().rss - (before or 0)
    assert source.stop(5.0), "the viewer hangs"
    server.close()
    return server.sent, told, malformed, grown, state


def main(most: int, seed: int) -> int:
    """Send, and print what happened."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        sent, told, malformed, grown, state = attacked(f"ipc://{folder}/hostile.sock", most, seed)
        print(f"{sent:,} messages in {time.monotonic() - began:.0f} s, seed {seed}")
    print(f"{malformed:,} messages or parts of them made no sense; memory grew by {grown / MEGABYTE:.1f} MB")
    for name, number in told.most_common():
        print(f"{number:9,}  {name}")
    print("the viewer goes on" if state.fault is None else f"the viewer failed: {state.fault}")
    return state.fault is not None


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
