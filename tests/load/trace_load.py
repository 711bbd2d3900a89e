"""A long trace: how fast it is written, read and indexed, what that takes in memory, and how soon any place is reached.

The trace is a made-up race of three lanes with 16 requests each, in one round, which is the hardest case: nothing of it
can be forgotten. Rates are per second of processor time, which other programs on the machine do not stretch as much as
they stretch wall time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from spectui import __version__
from spectui.cli.replay import without_full_collections
from spectui.core.rates import percentile
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticRace, demo_lanes
from spectui.trace.codec import Header, decode, decode_any, encode, encode_any, encode_header
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace

EVENTS = 2_000_000
REQUESTS = 16
GROWTH = 1.2
"""How much more an event at the end of a trace may cost than one at its beginning."""

SEEK_S = 1.0
FIRST_S = 2.0
_SAMPLE = 100_000
_SEEKS = 40
_PATIENCE_S = 3600.0


@dataclass(frozen=True)
class TraceLoad:
    """What was measured. Rates are events a second of processor time, memory is in MB (10^6 bytes).

    Attributes:
        events: In the trace, which has ``file_mb``.
        encode_s: Events made into lines; ``decode_s`` lines made into events.
        encode_any_s: The same by the code that takes any event, ``decode_any_s`` any line, without the short cut for
            steps.
        first_event_s: Wall time until the first event was there.
        index_s: Wall time until the whole trace was known.
        first_us: Processor time of an event of the first tenth in the index, ``last_us`` of the last, in microseconds.
        rss_before: Resident memory before the index was made, ``rss_index`` with it, ``rss_seek`` when places had been
            gone to as well.
        seek_p50: Wall time until the state of a place a million events away was there, in seconds.
        back_p50: The same of the place one event before.
    """

    events: int
    file_mb: float
    encode_s: float
    decode_s: float
    encode_any_s: float
    decode_any_s: float
    first_event_s: float
    index_s: float
    first_us: float
    last_us: float
    rss_before: float
    rss_index: float
    rss_seek: float
    seek_p50: float
    seek_max: float
    back_p50: float

    @property
    def passed(self) -> bool:
        """Whether the bars hold: soon to begin with, anywhere at once, and not dearer towards the end."""
        even = self.last_us <= GROWTH * self.first_us
        return even and self.first_event_s <= FIRST_S and self.seek_max <= SEEK_S


def made(events: int) -> Iterator[ev.Event]:
    """So many events of a race that would go on."""
    lanes = demo_lanes()
    race = SyntheticRace(lanes, 0)
    for lane in lanes:
        race.ready(lane.info.name)
    sampling = ev.Sampling(max_tokens=events, ignore_eos=True)
    prompts = tuple(ev.Prompt(f"prompt {slot}", index=slot, count=REQUESTS) for slot in range(REQUESTS))

    def endless() -> Iterator[ev.Event]:
        yield ev.RunStarted("made-up target", tuple(lane.info for lane in lanes), sampling, REQUESTS, synthetic=True)
        yield from (ev.LaneStage(lane.info.name, "ready") for lane in lanes)
        yield from race.begin(prompts, sampling)
        while (turn := race.furthest_behind()) is not None:
            yield from race.step(turn)

    return islice(endless(), events)


def write(path: Path, events: int) -> None:
    """Write a trace of so many events."""
    with path.open("w", encoding="ascii") as file:
        for number, event in enumerate(made(events)):
            if isinstance(event, ev.RunStarted):
                file.write(encode_header(Header(ev.SCHEMA_VERSION, __version__, event)) + "\n")
            file.write(encode(number * 1_000_000, event) + "\n")


def measure(path: Path) -> TraceLoad:
    """Read and index the trace at ``path``."""
    without_full_collections()
    began = time.perf_counter()
    trace = Trace.open(path)
    with closing(trace.read()) as reading:
        next(reading)
    first_event_s = time.perf_counter() - began
    rates = _codec(trace)

    costs: list[tuple[int, float]] = []
    timeline = Timeline(trace, lambda: costs.append((timeline.known, time.thread_time())))
    rss_before = _rss_mb()
    began = time.perf_counter()
    timeline.start()
    timeline.wait(_PATIENCE_S)
    index_s = time.perf_counter() - began
    rss_index = _rss_mb()
    seeks, backs = _seeks(timeline)
    return TraceLoad(
        events=timeline.known,
        file_mb=trace.size / 1e6,
        **rates,
        first_event_s=first_event_s,
        index_s=index_s,
        first_us=_cost_us(costs[: len(costs) // 10]),
        last_us=_cost_us(costs[-len(costs) // 10 :]),
        rss_before=rss_before,
        rss_index=rss_index,
        rss_seek=_rss_mb(),
        seek_p50=percentile(seeks, 0.5) or 0.0,
        seek_max=max(seeks),
        back_p50=percentile(backs, 0.5) or 0.0,
    )


def _codec(trace: Trace) -> dict[str, float]:
    """Rates of the codec, by their names in `TraceLoad`."""
    with closing(trace.read()) as reading:
        sample = list(islice(reading, _SAMPLE))
    lines = [(encode(*stamped),) for stamped in sample]
    return {
        "encode_s": len(sample) / _cpu_s(encode, sample),
        "decode_s": len(sample) / _cpu_s(decode, lines),
        "encode_any_s": len(sample) / _cpu_s(encode_any, sample),
        "decode_any_s": len(sample) / _cpu_s(decode_any, lines),
    }


def _cpu_s(do: Callable[..., object], each: Iterable[tuple[Any, ...]]) -> float:
    """Processor time of doing it with each."""
    began = time.thread_time()
    for arguments in each:
        do(*arguments)
    return time.thread_time() - began


def _cost_us(costs: list[tuple[int, float]]) -> float:
    (first, began), (last, ended) = costs[0], costs[-1]
    return (ended - began) / max(1, last - first) * 1e6


def _seeks(timeline: Timeline) -> tuple[list[float], list[float]]:
    """Wall times of going far away, and of going back by one event from there."""
    rng = random.Random(0)
    far, back = [], []
    place = 0
    for _ in range(_SEEKS):
        place = (
            place + timeline.known // 2 + rng.randrange(-timeline.known // 9, timeline.known // 9)
        ) % timeline.known
        far.append(_timed(timeline, place))
        back.append(_timed(timeline, max(0, place - 1)))
    return far, back


def _timed(timeline: Timeline, place: int) -> float:
    began = time.perf_counter()
    timeline.state_at(place)
    return time.perf_counter() - began


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def table(load: TraceLoad) -> str:
    """The figures for people."""
    rows = [
        ("trace", f"{load.events:,} events, {load.file_mb:,.0f} MB"),
        ("encode an event", f"{1e6 / load.encode_s:.1f} us   without the short cut: {1e6 / load.encode_any_s:.1f} us"),
        ("decode a line", f"{1e6 / load.decode_s:.1f} us   without the short cut: {1e6 / load.decode_any_s:.1f} us"),
        ("first event after", f"{load.first_event_s * 1e3:.1f} ms   bar: {FIRST_S:g} s"),
        ("index complete after", f"{load.index_s:.1f} s"),
        ("an event in the index", f"{load.first_us:.1f} us in the first tenth, {load.last_us:.1f} us in the last"),
        (
            "resident memory",
            f"{load.rss_before:.0f} MB, {load.rss_index:.0f} MB with the index, {load.rss_seek:.0f} MB after seeking",
        ),
        (
            "a million events away",
            f"{load.seek_p50 * 1e3:.0f} ms (p50), {load.seek_max * 1e3:.0f} ms at most   bar: {SEEK_S:g} s",
        ),
        ("one event back", f"{load.back_p50 * 1e3:.0f} ms (p50)"),
        ("result", "pass" if load.passed else "FAIL"),
    ]
    return "\n".join(f"{name:<28}{value}" for name, value in rows)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the bars hold, 1 when they do not."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.trace_load", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--trace", type=Path, help="a trace to measure; made when there is none of that name")
    parser.add_argument("--json", action="store_true", help="figures as JSON only")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = options.trace or Path(folder) / "long.jsonl"
        if not path.exists():
            write(path, options.events)
        load = measure(path)
    if not options.json:
        print(table(load))
    print(json.dumps(asdict(load)))
    return 0 if load.passed else 1


if __name__ == "__main__":
    sys.exit(main())
