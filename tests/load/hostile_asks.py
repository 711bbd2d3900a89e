"""What hostile messages do to a server.

``python -m tests.load.hostile_asks`` sends 100,000 of them from several connections, between connections that are none
and messages of two megabytes, while a well-behaved viewer watches; and prints whether it got every step, what was
counted, and how much the server grew.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time

import psutil

from spectui.serving.settings import ServingSettings
from spectui.wire.messages import EngineStep, Watch
from tests.support.hostile import LONG, Stranger, asks, openings
from tests.support.viewers import LOCAL, Server, Viewer, of_kind, serving, step

SENDERS = 4
STRANGER_EVERY, LONG_EVERY = 100, 2_000
STRANGERS = 50
"""Of them are open at once, for each sender."""

STUCK_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--send", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send is not None:
        _send(options.send, options.messages)
    else:
        _measure(options.messages)


def _measure(messages: int) -> None:
    with serving(ServingSettings(endpoint=LOCAL)) as server:
        viewer = Viewer(server.publisher.endpoint, packets=100_000)
        viewer.watch()
        _through(server, viewer, messages // 10)
        memory = psutil.Process().memory_info
        before, malformed, began = memory().rss, server.publisher.malformed, time.monotonic()
        put, got, numbers = _through(server, viewer, messages)
        took = time.monotonic() - began
        grown = memory().rss - before
        whole = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        print(
            f"{messages} hostile messages were sent and {server.publisher.malformed - malformed} counted and "
            f"dropped in {took:.0f} s, with what came through {messages // STRANGER_EVERY} connections that were none, "
            f"and {messages // LONG_EVERY} messages of {len(LONG) / 1e6:.0f} MB"
        )
        print(f"a viewer beside got {got} of {put} steps, {'without' if whole else 'WITH'} a gap in its packets")
        print(f"the server grew by {grown / 1e6:.1f} MB, and has {server.publisher.viewers} viewer")
        viewer.close()


def _through(server: Server, viewer: Viewer, messages: int) -> tuple[int, int, list[int]]:
    """Have them sent; returns steps put, steps that the viewer got, and the numbers of its packets."""
    share = messages // SENDERS
    command = [sys.executable, "-m", "tests.load.hostile_asks", f"--messages={share}", "--send"]
    senders = [
        subprocess.Popen([*command, f"{server.publisher.endpoint} {number}"], stdin=subprocess.PIPE)
        for number in range(SENDERS)
    ]
    wanted = server.publisher.malformed + share * SENDERS
    put = got = 0
    numbers: list[int] = []
    told = time.monotonic()
    while server.publisher.malformed < wanted or got < put:
        if server.publisher.malformed < wanted:
            server.put(step(index=server.steps))
            put += 1
        viewer.say(Watch(1))
        before = server.publisher.malformed
        for packet in iter(lambda: viewer.maybe(0.01), None):
            numbers.append(packet.number)
            got += len(of_kind(packet.items, EngineStep))
        if server.publisher.malformed > before:
            told = time.monotonic()
        elif time.monotonic() - told > STUCK_S:
            break
    for sender in senders:
        sender.communicate()
    return put, got, numbers


def _send(place: str, messages: int) -> None:
    endpoint, _, seed = place.partition(" ")
    rng = random.Random(int(seed))
    bad = Viewer(endpoint)
    strangers: list[Stranger] = []
    for number, parts in enumerate(asks(messages, seed=int(seed))):
        bad.socket.send_multipart(parts)
        if number % STRANGER_EVERY == 0:
            strangers.append(Stranger(endpoint))
            strangers[-1].say(openings(rng))
            if len(strangers) > STRANGERS:
                strangers.pop(0).close()
        if number % LONG_EVERY == 0:
            giant = Viewer(endpoint)
            giant.socket.send(LONG)
            giant.socket.poll(20)
            giant.close()
    # What the server has not read yet would be lost with the connection.
    sys.stdin.read()
    bad.close()
    for stranger in strangers:
        stranger.close()


if __name__ == "__main__":
    main()
