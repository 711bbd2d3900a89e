"""Traces that were damaged in every way that comes to mind: never an exception but `TraceError`, always a sentence,
and every line that is still whole is kept."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from spectui.core.views import Viewer
from spectui.protocol.events import Event
from spectui.trace.codec import decode
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace, TraceError
from tests.trace.making import FAILSAFE_S, file_of, made_run

TRACES = 5
MUTATIONS = 2_000
"""Of each trace; with `TRACES` of them 10,000."""

FOLDED = 16
"""One in so many is also folded and shown."""

Mutate = Callable[[random.Random, bytes], bytes]


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_end(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def cut_middle(rng: random.Random, data: bytes) -> bytes:
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:first] + data[last:]


def swap_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    for _ in range(rng.choice((1, 2, 20))):
        one, other = (rng.randrange(len(lines)) for _ in range(2))
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def repeat_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines for _ in range(rng.choice((0, 1, 1, 1, 2))))


def other_numbers(rng: random.Random, data: bytes) -> bytes:
    numbers = (
        b"0",
        b"-1",
        b"1e999",
        b"NaN",
        b"9" * 30,
        b"9223372036854775807",
        b"-9223372036854775808",
        b"0.5",
        b"null",
    )
    return _replaced(rng, rb"-?\d+(?:\.\d+)?", data, numbers)


def other_values(rng: random.Random, data: bytes) -> bytes:
    found = (b'""', b"[]", b"{}", b"[[]]", b"true", b"null", b'"\\ud800"', b'"\\u0000\\u001b[2J"', b"[1,2,3]")
    return _replaced(rng, rb'"[^"]*"|\[[^\[\]]*\]', data, found)


def other_names(rng: random.Random, data: bytes) -> bytes:
    return _replaced(rng, rb'"\w+":', data, (b'"other":', b'"t":', b'"e":', b'"k":', b'"accepted":'))


def other_schema(rng: random.Random, data: bytes) -> bytes:
    schema = rng.choice((b"0", b"2", b"77", b"-1", b'"1"', b"null", b"1.5", b"9" * 40))
    return re.sub(rb'"schema":\d+', b'"schema":' + schema, data, count=1)


def binary(rng: random.Random, data: bytes) -> bytes:
    first = rng.randrange(len(data))
    return data[:first] + rng.randbytes(rng.choice((1, 40, 4_000))) + data[first:]


def empty(rng: random.Random, data: bytes) -> bytes:
    return b"" if rng.random() < 0.1 else b"\n" * rng.randrange(5) + data


def _replaced(rng: random.Random, pattern: bytes, data: bytes, by: tuple[bytes, ...]) -> bytes:
    places = list(re.finditer(pattern, data))
    for place in sorted(
        rng.sample(places, min(len(places), rng.choice((1, 1, 3, 20)))), key=lambda place: -place.start()
    ):
        data = data[: place.start()] + rng.choice(by) + data[place.end() :]
    return data


MUTATE: tuple[Mutate, ...] = (
    flip_bits,
    cut_end,
    cut_middle,
    swap_lines,
    repeat_lines,
    other_numbers,
    other_values,
    other_names,
    other_schema,
    binary,
    empty,
)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRACES))
def test_damage_is_survived_named_and_costs_nothing_else(number: int, tmp_path: Path) -> None:
    path = file_of(tmp_path / "run.jsonl", made_run(number, max_tokens=3 + number, rounds=1 + number % 2, slots=1))
    whole = path.read_bytes()
    header, *lines = whole.splitlines()
    events = {line: decode(line.decode())[1] for line in lines}
    rng = random.Random(number)
    opened = 0
    for place in range(MUTATIONS):
        mutate = MUTATE[place % len(MUTATE)]
        data = mutate(rng, whole)
        if rng.random() < 0.1:
            data = rng.choice(MUTATE)(rng, data or b"\n")
        # A new file each time: some file systems write an old one that is cut and filled again to the disk at once.
        path.unlink()
        path.write_bytes(data)
        kept = data.split(b"\n")
        try:
            trace = opening(path, refusable=kept[0] != header and not any(line in events for line in kept[:9]))
            if trace is not None:
                opened += 1
                whole_events = Counter(events[line] for line in kept if line in events)
                survives(trace, whole_events, len(kept), fold=place % FOLDED == 0)
        except Exception as error:
            error.add_note(f"mutation {place} by {mutate.__name__}")
            raise
    assert opened > MUTATIONS * 0.7


def opening(path: Path, refusable: bool) -> Trace | None:
    """The trace, None where it was refused in a sentence and may be."""
    try:
        return Trace.open(path)
    except TraceError as error:
        sentence = str(error)
    assert re.fullmatch(r"[^\n]{20,}", sentence)
    assert refusable, "a trace was refused that can be read"
    return None


def survives(trace: Trace, whole: Counter[Event | None], lines: int, fold: bool) -> None:
    """Everything whole is in it, what is not has a sentence, and the rest can be folded and shown."""
    found = [event for _, event in trace]
    assert not whole - Counter[Event | None](found), "a whole line was lost"
    assert len(found) <= lines
    for problem in trace.problems.kept:
        assert re.fullmatch(rf"line {problem.line} [^\n]{{10,}}", problem.sentence)
    if fold:
        folds(trace, len(found))


def folds(trace: Trace, events: int) -> None:
    timeline = Timeline(trace)
    timeline.start()
    assert timeline.wait(FAILSAFE_S)
    assert (timeline.complete, timeline.fault, timeline.known) == (True, "", events)
    assert len(timeline.rejections(40)) == 40
    for number in (0, events // 2, events):
        Viewer(timeline.state_at(number)).read()
