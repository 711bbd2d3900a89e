"""Traces are read one after another: what is said about files that are none, and how several count as one."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from spectui.bench.analysis.reading import LOOK_EVENTS, read_traces
from spectui.errors import RunError
from spectui.protocol.events import Event, RoundStarted, RunStarted, Step, TraceEvent
from tests.trace.making import file_of, long_request, made_run


def read(*paths: Path) -> list[TraceEvent]:
    """All events of these traces."""
    events: list[TraceEvent] = []
    read_traces(paths, events.append)
    return events


def rounds(events: list[TraceEvent]) -> list[tuple[int, str]]:
    return [(event.round, event.prompts[0].text) for event in events if isinstance(event, RoundStarted)]


def with_prompts(*texts: str, target: str = "model") -> list[Event]:
    """A run with a round for each text."""
    made = long_request(3)
    start, begun, rest = made[0], made[1], made[2:]
    assert isinstance(start, RunStarted)
    assert isinstance(begun, RoundStarted)
    events: list[Event] = [replace(start, target=target)]
    for number, text in enumerate(texts):
        events += [replace(begun, round=number, prompts=(replace(begun.prompts[0], text=text),)), *rest]
    return events


def test_every_event_of_a_single_trace_arrives_as_it_is(tmp_path: Path) -> None:
    made = made_run(1)
    assert read(file_of(tmp_path / "run.jsonl", made)) == made


def test_lanes_that_draft_are_told_from_others(tmp_path: Path) -> None:
    seen = read_traces([file_of(tmp_path / "run.jsonl", made_run(1))], lambda event: None)
    assert seen.lanes == {"ar", "mtp", "dflash"}
    assert seen.drafting == {"mtp", "dflash"}
    assert seen.complaints == ()


def test_rounds_of_the_same_prompts_have_the_same_number_in_all_traces(tmp_path: Path) -> None:
    first = file_of(tmp_path / "a.jsonl", with_prompts("p", "q", "p"))
    second = file_of(tmp_path / "b.jsonl", with_prompts("r", "p", target="/elsewhere/model"))
    found = rounds(read(first, second))
    assert found == [(0, "p"), (1, "q"), (2, "p"), (3, "r"), (0, "p")]
    assert rounds(read(second)) == [(0, "r"), (1, "p")]


def test_traces_of_different_models_are_refused(tmp_path: Path) -> None:
    first = file_of(tmp_path / "a.jsonl", with_prompts("p"))
    second = file_of(tmp_path / "b.jsonl", with_prompts("p", target="another"))
    with pytest.raises(RunError, match=r"^a.jsonl is of model and b.jsonl of another: analyse traces of different"):
        read(first, second)


def test_broken_lines_are_skipped_and_told(tmp_path: Path) -> None:
    path = file_of(tmp_path / "run.jsonl", long_request(5))
    lines = path.read_text().splitlines()
    lines[4:4] = ["{", '{"t":1}']
    path.write_text("\n".join(lines) + "\n")
    events: list[TraceEvent] = []
    seen = read_traces([path], events.append)
    assert sum(isinstance(event, Step) for event in events) == 5
    assert len(seen.complaints) == 1
    assert seen.complaints[0].startswith("run.jsonl has 2 damaged lines; line 5 is broken: not JSON")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, ": no such file: name a trace that --record or R has written"),
        ("", " is empty: nothing was recorded to it"),
        ("hello\n", " is not a trace: line 1 is broken: not JSON; record one with --record"),
    ],
)
def test_a_file_that_is_no_trace_is_told_before_anything_is_read(
    content: str | None, says: str, tmp_path: Path
) -> None:
    good, bad = file_of(tmp_path / "good.jsonl", long_request(2)), tmp_path / "bad.jsonl"
    if content is not None:
        bad.write_text(content)
    events: list[TraceEvent] = []
    with pytest.raises(RunError) as raised:
        read_traces([good, bad], events.append)
    assert str(raised.value) == f"{bad}{says}"
    assert not events


def test_a_directory_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is a directory: name a trace in it$"):
        read(tmp_path)


def test_how_far_it_has_come_is_told_in_bytes_of_all(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    class Watching:
        def at(self, name: str, done: int, total: int) -> None:
            told.append((name, done, total))

        def analysing(self) -> None:
            raise AssertionError("nothing is analysed here")

    paths = [file_of(tmp_path / name, long_request(2 * LOOK_EVENTS)) for name in ("a.jsonl", "b.jsonl")]
    read_traces(paths, lambda event: None, Watching())
    sizes = [path.stat().st_size for path in paths]
    assert {total for _, _, total in told} == {sum(sizes)}
    assert [name for name, _, _ in told] == ["a.jsonl"] * 3 + ["b.jsonl"] * 3
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert done[2] < sizes[0] <= done[3]


def test_the_garbage_collector_is_back_afterwards(tmp_path: Path) -> None:
    states: list[bool] = []
    read_traces([file_of(tmp_path / "run.jsonl", long_request(2))], lambda event: states.append(gc.isenabled()))
    assert not any(states)
    assert gc.isenabled()
