"""A trace on disk is read into what takes its events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.protocol import events as ev
from spectui.trace.codec import Header, encode, encode_header
from spectui.trace.progress import read_into
from spectui.trace.reader import Trace
from tests.load.analysis_bench import events, main
from tests.support.planted_traces import planted


def test_a_trace_reads_as_its_events(tmp_path: Path) -> None:
    made = [*planted("numbers", 1), *planted(None, 2)[1:], *planted(None, 3)[1:]]
    lines = [encode_header(Header(ev.SCHEMA_VERSION, "0")), *(encode(n, event) for n, event in enumerate(made))]
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    told: list[int] = []
    columns = Columns()
    read_into(Trace.open(path), columns.add, told.append, 1000)
    assert analyse(columns) == analyse(Columns().add_all(made))
    assert told == sorted(set(told))
    assert len(told) == 1 + (len(made) - 1) // 1000
    ends = path.read_bytes().splitlines(keepends=True)
    assert told[1] == sum(map(len, ends[:1002]))


def test_the_load_has_as_many_events_as_asked_for() -> None:
    made = list(events(5_000))
    assert len(made) == 5_000
    assert {event.lane for event in made if isinstance(event, ev.Step)} == {"ar", "mtp", "dflash"}


def test_the_load_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Whether it was fast enough is not for a test to say.
    assert main(["--events", "5000", "--trace", str(tmp_path / "load.jsonl")]) in (0, 1)
    figures = json.loads(capsys.readouterr().out.splitlines()[0])
    made = [event for event in events(5_000) if isinstance(event, ev.Step)]
    assert figures["steps"] == len(made)
    assert figures["judged"] == sum(min(one.accepted + 1, len(one.drafted)) for one in made if one.drafted)
