"""Reading takes a file for what it is: a sentence for what is no trace, the rest of the events for what is broken."""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path

import pytest

from spectui.protocol import events as ev
from spectui.trace import reader
from spectui.trace.codec import encode
from spectui.trace.reader import KEPT_PROBLEMS, Trace, TraceError
from spectui.trace.writer import Recorder
from tests.trace.making import FAILSAFE_S, file_of, made_run

EVENTS = made_run(3, max_tokens=6, rounds=1, slots=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return file_of(tmp_path / "run.jsonl", EVENTS)


def edited(path: Path, edit: Callable[[list[bytes]], None]) -> Trace:
    lines = path.read_bytes().splitlines(keepends=True)
    edit(lines)
    path.write_bytes(b"".join(lines))
    return Trace.open(path)


def events_of(trace: Trace) -> list[ev.Event]:
    return [event for _, event in trace]


def test_a_whole_trace_has_its_header_its_events_and_no_problems(path: Path) -> None:
    trace = Trace.open(path)
    assert trace.header.run == EVENTS[0]
    assert trace.size == path.stat().st_size
    assert list(trace) == list(trace) == [(1_000_000 * number, event) for number, event in enumerate(EVENTS)]
    assert (trace.problems.count, trace.problems.unknown, trace.warning) == (0, 0, "")


def no_file(path: Path) -> None:
    path.unlink()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_file, "no such file"),
        (a_directory, "is a directory"),
        (a_pipe, "is not a regular file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\x7fELF\x02\x01\x01\x00\xff\xfe\n" * 40), "line 1 is broken: not text"),
        (lambda path: path.write_bytes(bytes(4096)), "line 1 is broken: not JSON"),
        (lambda path: path.write_text('{"a": 1}\n'), "line 1 is not a trace header"),
        (lambda path: path.write_text("hello\n" * 20), "line 1 is broken: not JSON"),
        (lambda path: path.write_text("\n\n"), "line 1 is broken"),
    ],
)
def test_what_is_no_trace_is_said_in_a_sentence(path: Path, make: Callable[[Path], object], said: str) -> None:
    make(path)
    with pytest.raises(TraceError) as found:
        Trace.open(path)
    assert said in str(found.value)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_name_that_no_file_can_have_is_said_in_a_sentence() -> None:
    with pytest.raises(TraceError, match="not a valid file name"):
        Trace.open(Path("a\x00b"))
    with pytest.raises(TraceError, match="cannot be read: File name too long"):
        Trace.open(Path("a" * 5000))


def test_a_file_that_may_not_be_read_is_said_in_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TraceError, match="may not be read: change its permissions"):
        Trace.open(path)


def test_a_file_that_goes_away_is_said_in_a_sentence(path: Path) -> None:
    trace = Trace.open(path)
    path.unlink()
    with pytest.raises(TraceError, match="no such file"):
        list(trace)
    assert trace.events_at([0]) == []


def test_broken_lines_are_named_and_everything_else_is_kept(path: Path) -> None:
    def edit(lines: list[bytes]) -> None:
        lines[5] = b"{nonsense\n"
        lines[7] = b"\xff\xfe\n"
        lines[9] = b'{"t":1,"e":"Paused","paused":"perhaps"}\n'
        lines[11] = b"\n"
        lines[13] = b'{"t":1,"e":"Recording","path":"/somewhere"}\n'

    trace = edited(path, edit)
    assert events_of(trace) == [event for place, event in enumerate(EVENTS) if place not in (4, 6, 8, 10, 12)]
    assert [(problem.line, problem.sentence) for problem in trace.problems.kept] == [
        (6, "line 6 is broken: not JSON; it is skipped"),
        (8, "line 8 is broken: not text; it is skipped"),
        (10, 'line 10 is broken: "paused" of Paused should be true or false; it is skipped'),
        (14, "line 14 makes no sense: a Recording is not an event of a run; it is skipped"),
    ]
    events_of(trace)
    assert trace.problems.count == 4, "a second reading tells nothing twice"


def test_of_many_problems_the_first_are_kept_and_all_are_counted(path: Path) -> None:
    trace = edited(path, lambda lines: lines.extend([b"?\n"] * 1_000))
    assert events_of(trace) == EVENTS
    assert len(trace.problems.kept) == KEPT_PROBLEMS
    assert trace.problems.count == 1_000


@pytest.mark.parametrize("left", range(1, 40, 3))
def test_a_last_line_that_was_cut_short_is_the_end_and_no_problem(path: Path, left: int) -> None:
    data = path.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(data[: last + left])
    trace = Trace.open(path)
    assert events_of(trace) == EVENTS[:-1]
    assert trace.problems.count == 0


def test_a_last_line_that_only_lacks_its_end_counts(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert events_of(Trace.open(path)) == EVENTS


def test_a_line_of_any_length_costs_itself_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST_LINE", 2_000)
    trace = edited(path, lambda lines: lines.insert(4, b"[" * 9_999 + b"\n"))
    assert events_of(trace) == EVENTS
    assert [problem.line for problem in trace.problems.kept] == [5]


def test_unknown_kinds_are_counted_and_skipped(path: Path) -> None:
    trace = edited(path, lambda lines: lines.insert(3, b'{"t":5,"e":"Teleported"}\n'))
    assert events_of(trace) == EVENTS
    assert (trace.problems.unknown, trace.problems.count) == (1, 0)


def test_an_older_trace_is_read_and_a_newer_one_with_a_warning(tmp_path: Path) -> None:
    for schema, warned in ((0, False), (ev.SCHEMA_VERSION, False), (ev.SCHEMA_VERSION + 7, True)):
        trace = Trace.open(file_of(tmp_path / "run.jsonl", EVENTS, schema))
        assert events_of(trace) == EVENTS
        assert bool(trace.warning) is warned


def test_the_header_stands_in_for_the_line_that_says_the_same(path: Path) -> None:
    def edit(lines: list[bytes]) -> None:
        lines[1] = b"?\n"

    trace = edited(path, edit)
    assert events_of(trace) == EVENTS
    assert [problem.line for problem in trace.problems.kept] == [2]


def test_a_run_that_is_not_the_first_event_is_not_said_twice(tmp_path: Path) -> None:
    first, *rest = made_run(1, rounds=1)
    events = [ev.Notice("the telemetry is up"), first, *rest]
    recorder = Recorder(tmp_path / "run.jsonl", on_fault=pytest.fail)
    for event in events:
        recorder.emit(event)
    recorder.start()
    assert recorder.close(FAILSAFE_S)
    trace = Trace.open(tmp_path / "run.jsonl")
    assert trace.header.run == first
    assert events_of(trace) == events


@pytest.mark.parametrize("headless", [False, True])
def test_a_trace_that_went_through_an_editor_is_read(path: Path, headless: bool) -> None:
    """It has put a byte-order mark before the first line, and other line ends."""
    lines = path.read_bytes().splitlines()[headless:]
    path.write_bytes(BOM_UTF8 + b"".join(line + b"\r\n" for line in lines))
    trace = Trace.open(path)
    assert events_of(trace) == EVENTS
    assert trace.problems.count == headless


def test_without_its_header_a_trace_is_read_all_the_same(path: Path) -> None:
    def edit(lines: list[bytes]) -> None:
        lines[0] = b"?\n"

    trace = edited(path, edit)
    assert events_of(trace) == EVENTS
    assert [problem.sentence for problem in trace.problems.kept] == [
        "line 1 is broken: not JSON; the rest is read without it"
    ]
    assert events_of(edited(path, lambda lines: lines.pop(0))) == EVENTS  # type: ignore[arg-type, return-value]


def test_a_header_alone_is_a_trace_of_nothing_but_its_run(path: Path) -> None:
    assert events_of(edited(path, lambda lines: lines.__delitem__(slice(1, None)))) == EVENTS[:1]


def test_times_never_go_backwards(path: Path) -> None:
    events = EVENTS[:4]
    lines = [encode(time_ns, event) for time_ns, event in zip((-5, 9, 3, 12), events, strict=True)]
    path.write_text("\n".join([path.read_text().splitlines()[0], *lines]) + "\n")
    assert [time_ns for time_ns, _ in Trace.open(path)] == [0, 9, 9, 12]


def test_reading_goes_on_from_every_place_as_if_it_had_come_from_the_beginning(path: Path) -> None:
    def edit(lines: list[bytes]) -> None:
        lines[1] = b"?\n"
        lines[6] = b"?\n"

    trace = edited(path, edit)
    whole = list(trace)
    reading = trace.read()
    places = [reading.place, *(reading.place for _ in reading)]
    reading.close()
    for place in places:
        rest = trace.read(place)
        assert list(rest) == whole[place.number :]
        assert rest.number == len(whole)
        rest.close()
        assert list(rest) == []


def test_lines_are_found_again_by_where_they_begin(path: Path) -> None:
    trace = Trace.open(path)
    reading = trace.read()
    offsets = [reading.offset for _ in reading]
    reading.close()
    assert trace.events_at(offsets) == EVENTS
    assert trace.events_at([offsets[3] + 1, offsets[2]]) == [EVENTS[2]]


def test_text_from_hand_may_hold_any_character_and_spaces(path: Path) -> None:
    def edit(lines: list[bytes]) -> None:
        lines[2] = ("  " + json.dumps({"e": "Notice", "t": 5, "text": "grün"}, ensure_ascii=False) + "  \r\n").encode()

    assert events_of(edited(path, edit))[1] == ev.Notice("grün")
