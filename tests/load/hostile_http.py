"""A server that answers with every nonsense that HTTP allows, and some that it does not.

``python -m tests.load.hostile_http 100000`` reads as many answers: counters with a good one now and then, what a server
says of itself, and answers to prompts. It fails if anything breaks, grows, or changes on the screen but the count of
answers that made no sense.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import random
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from spectui.core.attached.views import AttachedView
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.sources.counters import fetching
from spectui.sources.counters.address import Address, address_of
from spectui.sources.counters.asking import Asker
from spectui.sources.counters.fetching import Fetcher
from spectui.sources.counters.reader import Poll
from spectui.sources.counters.watching import Watch
from tests.sources.counters import answers
from tests.support.http_servers import Asked, Respond, reply, reply_json, serving, stream

GOOD_EVERY = 8
"""Every so-manieth answer is a good one: a server that never makes sense is said not to."""

LOOK_S = 0.25
"""Time between two looks, on the clock that the rules see."""

MOST_GROWTH_MB = 10.0
PATIENCE_S = 60.0
LANE = ev.LaneInfo("e1", "mtp", "box", 3, "http://box")

Kind = Literal["good", "senseless", "broken"]
Parts = Iterable[bytes]

GOOD = answers.VLLM + answers.VLLM_DRAFTS
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
BOMB = gzip.compress(bytes(32 << 20))


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(2000))


def _line(rng: random.Random) -> str:
    """A sample that no counter can be."""
    name = rng.choice(["vllm:generation_tokens_total", "vllm:spec_decode_num_accepted_tokens_per_pos_total"])
    value = rng.choice(["-1", "+Inf", "-Inf", "1e300", "", "many", "0x10", "1_0", "9" * 400, "\u0663", "{}"])
    return f'{name}{{engine="{rng.randrange(9)}",position="{rng.randrange(3)}"}} {value}\n'


def _many_labels(rng: random.Random) -> Parts:
    return reply(GOOD + "".join(f'vllm:prompt_tokens_total{{engine="{n}"}} 1\n' for n in range(20_000)))


SENSELESS: tuple[Callable[[random.Random], Parts], ...] = (
    lambda rng: [_noise(rng) + b"\r\n\r\n", b""],
    lambda rng: reply(b"\xff" + _noise(rng)),
    lambda rng: reply(GOOD, kind=rng.choice(["text/html", "application/json", "image/png", "x", "text/plain2"])),
    lambda rng: reply("<html><body>502 Bad Gateway</body></html>", kind="text/html; charset=utf-8"),
    lambda rng: reply(GOOD + _line(rng)),
    lambda rng: reply(GOOD + GOOD),
    lambda rng: reply(GOOD.replace('engine="0"', rng.choice(['engine="0', "engine=0", '"engine":0', "{engine"]))),
    lambda rng: reply(GOOD + f'vllm:prompt_tokens_total{{engine="{"9" * rng.randrange(3000, 90_000)}"}} 1\n'),
    lambda rng: reply(GOOD.replace('position="1"', f'position="{rng.choice(["-1", "x", "999", "1.5", "", "٣"])}"')),
    lambda rng: reply(gzip.compress(GOOD.encode()), content_encoding="gzip"),
    lambda rng: reply(GOOD, content_encoding=rng.choice(["br", "deflate", "zstd", "gzip, gzip", "nonsense"])),
    lambda rng: [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 30_000 + b"\r\n", b""],
    lambda rng: [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n", b""],
    lambda rng: [HEAD + b"content-length: " + rng.choice([b"-1", b"x", b"1, 2", b"9" * 50]) + b"\r\n\r\n", b""],
    lambda rng: [HEAD + b"transfer-encoding: chunked\r\n\r\n" + rng.choice([b"zz", b"-1", b"F" * 40]) + b"\r\n", b""],
    lambda rng: [b"HTTP/9.9 200 OK\r\n\r\n", b""],
    lambda rng: [b"HTTP/1.1 abc OK\r\n\r\n", b""],
    lambda rng: reply("python_info 1\nnode:load 3\n"),
)
RARE: tuple[Callable[[random.Random], Parts], ...] = (
    lambda rng: [HEAD + b"\r\n", *([b"vllm: x\n" * 131_072] * 5), b""],
    lambda rng: [HEAD + b"\r\n", *([b"x" * (1 << 20)] * 5), b""],
    lambda rng: reply(BOMB, content_encoding="gzip"),
    _many_labels,
)
BROKEN: tuple[Callable[[random.Random], Parts], ...] = (
    lambda rng: [b""],
    lambda rng: [HEAD + b"content-length: 5000\r\n\r\n" + GOOD[: rng.randrange(500)].encode(), b""],
    lambda rng: reply(_noise(rng), rng.choice([500, 502, 503])),
)


def page(number: int) -> tuple[Kind, Parts]:
    """What is answered the ``number``-th time."""
    rng = random.Random(number)
    if number % GOOD_EVERY == 0:
        return "good", reply(GOOD)
    if number % 500 == 1:
        return "senseless", rng.choice(RARE)(rng)
    if rng.random() < 0.1:
        return "broken", rng.choice(BROKEN)(rng)
    return "senseless", rng.choice(SENSELESS)(rng)


def _message(rng: random.Random, depth: int = 0) -> object:
    """JSON that has the names of a real answer in any order."""
    names = [
        "choices",
        "delta",
        "content",
        "text",
        "usage",
        "completion_tokens",
        "metrics",
        "timings",
        "draft_n",
        "error",
    ]
    names += ["speculative_decoding", "num_spec_steps", "num_draft_tokens", "draft_n_accepted", "message", "data", "id"]
    pick = rng.randrange(8 if depth < 6 else 5)
    if pick == 0:
        return rng.choice([0, -1, 10**400, 1e308, float("nan"), float("inf"), True, None])
    if pick < 5:
        return rng.choice(["", "a", "\ud800", "\x1b[2J", "\0" * 40, "x" * rng.randrange(5000)])
    if pick == 5:
        return [_message(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(names): _message(rng, depth + 1) for _ in range(rng.randrange(6))}


def answer(number: int) -> Parts:
    """What is answered to the ``number``-th prompt, or question what the server runs."""
    rng = random.Random(number)
    piece = {"choices": [{"delta": {"content": "a"}}]}
    kinds: list[Callable[[], Parts]] = [
        lambda: stream(*[_message(rng) for _ in range(rng.randrange(6))]),
        lambda: stream(piece, _message(rng), "{" * rng.randrange(9000), "[" * 9000, "9" * 9000, "[DONE]"),
        lambda: stream(piece, "[DONE]"),
        lambda: reply_json(_message(rng), rng.choice([200, 200, 400, 401, 404, 418, 500])),
        lambda: reply(_noise(rng), rng.choice([200, 400, 500]), rng.choice(["text/event-stream", "application/json"])),
        lambda: [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + _noise(rng), b""],
        lambda: rng.choice(SENSELESS)(rng),
        lambda: rng.choice(BROKEN)(rng),
    ]
    if number % 200 == 0:
        return [
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
            *([b"data: {" + b"x" * 500_000] * 4),
            b"",
        ]
    return rng.choice(kinds)()


def hostile() -> Respond:
    """A server that answers so."""
    looks, asks = count(), count()
    good_models = reply_json(answers.models("demo", "vllm"))

    def respond(asked: Asked) -> Parts:
        if asked.path.startswith("/hostile"):
            return reply(GOOD) if asked.path.endswith("/metrics") else answer(next(asks))
        if asked.path == "/metrics":
            return page(next(looks))[1]
        return good_models if asked.path == "/v1/models" else answer(next(asks))

    return respond


def serve(pipe: Connection) -> None:
    """Serve in a process of its own, until the pipe ends."""
    with serving(hostile()) as url:
        pipe.send(url)
        pipe.poll(None)


class Bench:
    """What was answered, and what became of it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.kinds: Counter[str] = Counter()
        self.state = RunState()
        self.malformed = 0
        for event in (ev.RunStarted("", (LANE,), ev.Sampling(), attached=True), ev.RoundStarted(0, (), ev.Sampling())):
            reduce(self.state, event)

    def view(self) -> AttachedView:
        """The screen, but for the count of answers that made no sense."""
        found = Viewer(self.state).read().attached
        assert found is not None
        return replace(found, endpoints=tuple(replace(row, malformed=0) for row in found.endpoints))

    def look(self, number: int) -> None:
        """Read counters so often; every look at the screen must be the first one's."""
        clock = (index * LOOK_S for index in count())
        poll = Poll(Watch(LANE, self.address.shown), Fetcher(self.address), lambda: next(clock))
        first: AttachedView | None = None
        for index in range(number):
            kind, _ = page(index)
            self.kinds[kind] += 1
            self.malformed += kind == "senseless"
            for event in poll.once():
                reduce(self.state, event)
            shown = self.view()
            if index > GOOD_EVERY:
                first = first or shown
                assert shown == first, f"answer {index} ({kind}) changed the screen:\n{shown}\n{first}"
        endpoints = Viewer(self.state).read().attached
        assert endpoints is not None
        counted = endpoints.endpoints[0].malformed
        assert counted == self.malformed, f"{counted} answers were counted, {self.malformed} made no sense"
        poll.close()

    def meet(self, number: int) -> None:
        """Ask a server so often what it runs."""
        address = address_of(self.address.root + "/hostile")
        for _ in range(number):
            poll = Poll(Watch(LANE, address.shown), Fetcher(address))
            seen = [event for event in poll.once() if isinstance(event, ev.ServerSeen)]
            assert [event.kind for event in seen] == ["vllm"]
            poll.close()
            self.kinds["introductions"] += 1

    def ask(self, number: int) -> None:
        """Send so many prompts, each of which must come to an end."""
        ended = threading.Event()

        def emit(event: ev.Event) -> None:
            if isinstance(event, ev.Answered):
                event.text.encode()
                if event.ended:
                    self.kinds["prompts refused" if event.fault else "prompts answered"] += 1
                    ended.set()

        asker = Asker("e1", lambda: Fetcher(self.address), lambda: "demo", emit, lambda: None)
        for index in range(number):
            ended.clear()
            asker.ask(index, "prompt")
            assert ended.wait(PATIENCE_S), f"prompt {index} has no end"
        asker.stop()


def memory_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def files() -> int:
    """Open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def main(number: int) -> None:
    """Read ``number`` answers: eight of ten are counters, one is an introduction, one an answer to a prompt."""
    fetching.ANSWER_S = PATIENCE_S  # On a busy machine an answer may be late, which is something else than senseless.
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    bench = Bench(address_of(here.recv()))
    try:
        bench.meet(200)
        bench.ask(200)
        began, began_mb, began_files = time.monotonic(), memory_mb(), files()
        bench.look(number * 8 // 10)
        bench.meet(number // 50)
        bench.ask(number // 10)
        grown = memory_mb() - began_mb
        took = time.monotonic() - began
    finally:
        server.kill()
        server.join()
    print(f"{number} answers in {took:.0f} s, no crash: {json.dumps(dict(bench.kinds))}")
    print(f"{bench.malformed} made no sense and were counted; the screen did not change otherwise")
    print(f"memory {began_mb:.0f} MB, grown by {grown:.1f} MB; files {began_files}, then {files()}")
    assert grown < MOST_GROWTH_MB
    assert files() <= began_files + 2
    assert threading.active_count() == 1, threading.enumerate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
