"""``spectui analyze`` from its arguments to what it prints, on recorded and made-up traces."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.main import main
from spectui.core.analysis.document import SCHEMA
from spectui.protocol.events import Gap, RunStarted, Step
from spectui.trace.codec import Header, encode_header
from tests.support.terminal import PtySession
from tests.trace.making import file_of, long_request, made_run

TRACES = Path(__file__).parents[3] / "demos" / "traces"
CODING = TRACES / "coding.jsonl"


def test_a_recorded_race_is_analysed_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(CODING)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[0] == "MTP"
    assert "DFlash" in lines
    assert "MTP" in lines[1]
    assert "\x1b" not in out
    assert max(map(len, lines)) <= 80
    assert "2 answers, 151 steps with a draft; 138 of 302 drafted tokens accepted (46 %," in lines
    assert any(line.startswith("Position in the draft ") for line in lines)
    assert sum(line.startswith("Headroom ") for line in lines) == 2
    assert any("  a perfect drafter " in line for line in lines)
    assert any(line.startswith("mtp and dflash at the same places") for line in lines)


def test_the_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(CODING), "--json"]) == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert err == ""
    assert data["schema"] == SCHEMA
    assert data["traces"] == [str(CODING)]
    mtp, dflash = data["lanes"]
    assert (mtp["lane"], mtp["steps"], mtp["drafted"], mtp["accepted"]) == ("mtp", 151, 302, 138)
    assert dflash["lane"] == "dflash"
    buckets = next(one for one in mtp["dimensions"] if one["key"] == "position")["buckets"]
    assert sum(bucket["acceptance"]["count"] for bucket in buckets) == mtp["judged"]
    assert sum(bucket["lost"] for bucket in buckets) == mtp["lost"]


def test_only_the_lanes_that_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(CODING), "--json", "--lane", "dflash"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [lane["lane"] for lane in data["lanes"]] == ["dflash"]
    assert [one["lane"] for one in data["headroom"]] == ["dflash"]
    assert [(pair["first"], pair["second"]) for pair in data["agreements"]] == [("mtp", "dflash")]


def test_the_csv_goes_where_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.csv"
    assert main(["analyze", str(CODING), "--csv", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"\n\nCSV: {path}\n")
    assert main(["analyze", str(CODING), "--csv", "-"]) == 0
    printed = capsys.readouterr().out
    assert printed == path.read_text()
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert {row["lane"] for row in rows} == {"mtp", "dflash"}
    assert sum(int(row["judged"]) for row in rows if row["lane"] == "mtp" and row["dimension"] == "position") == 239
    assert main(["analyze", str(CODING), "--json", "--csv", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == SCHEMA


def test_lanes_of_several_traces_count_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(TRACES / f"{name}.jsonl") for name in ("coding", "math", "roleplay")]
    drafted = []
    for path in paths:
        main(["analyze", path, "--json"])
        drafted.append(json.loads(capsys.readouterr().out)["lanes"][0]["drafted"])
    assert main(["analyze", *paths, "--json"]) == 0
    mtp = json.loads(capsys.readouterr().out)["lanes"][0]
    assert mtp["drafted"] == sum(drafted)
    categories = next(one for one in mtp["dimensions"] if one["key"] == "category")["buckets"]
    assert [bucket["name"] for bucket in categories] == ["coding", "math", "roleplay"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "TRACE"),
        (("nowhere.jsonl",), 1, "nowhere.jsonl: no such file: name a trace that --record or R has written"),
        ((str(TRACES),), 1, "is a directory: name a trace in it"),
        (
            (str(CODING), "--lane", "ar"),
            2,
            "--lane ar: this lane drafts nothing, so there is nothing to analyse: choose",
        ),
        ((str(CODING), "--lane", "dflsh"), 2, "--lane dflsh: no such lane: did you mean 'dflash'?"),
        ((str(CODING), "--lane", "x"), 2, "--lane x: no such lane: choose mtp or dflash"),
        ((str(CODING), "--json", "--csv", "-"), 2, "--csv - and --json both print: give --csv a file"),
        ((str(CODING), "--csv", str(CODING)), 2, "is a trace itself: give another name"),
        (
            (str(CODING), "--csv", "/nowhere/x.csv"),
            1,
            "/nowhere/x.csv cannot be written (No such file or directory): give",
        ),
        ((str(CODING), str(TRACES / "h200.jsonl")), 0, ""),
        ((str(CODING), "--jsn"), 2, "unknown option '--jsn': did you mean '--json'?"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_what_to_do(
    words: tuple[str, ...], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(["analyze", *words])
    except SystemExit as end:
        ended = int(str(end.code))
    assert ended == code
    out, err = capsys.readouterr()
    assert says in err
    if code:
        assert out == ""
        assert err.startswith("spectui analyze: ")
        assert err.count("\n") == 1


def _said(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["analyze", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_trace_without_drafts_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ar = replace(made_run(1)[0], lanes=made_run(1)[0].lanes[:1])  # type: ignore[union-attr, arg-type]
    alone = [ar, *(event for event in made_run(1)[1:] if getattr(event, "lane", "ar") == "ar")]
    path = file_of(tmp_path / "ar.jsonl", alone)
    assert _said(path, capsys) == (
        f"spectui analyze: {path} has no lane that drafts: record one, as in spectui run --lane ar --lane mtp --record "
        "run.jsonl\n"
    )
    begun = file_of(tmp_path / "begun.jsonl", [event for event in made_run(1) if not isinstance(event, Step)])
    assert _said(begun, capsys) == (
        f"spectui analyze: {begun} has no step with a draft: record until an answer has begun\n"
    )


def test_a_trace_of_broken_lines_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = made_run(1)[0]
    assert isinstance(start, RunStarted)
    path = tmp_path / "run.jsonl"
    path.write_text(encode_header(Header(1, "0.1.0", start)) + "\n" + "rubbish\n" * 10)
    assert "no step with a draft: record until an answer has begun (run.jsonl has 10 damaged lines; line 2 is" in _said(
        path, capsys
    )


def test_steps_that_are_missing_and_lines_that_are_broken_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_run(2)
    path = file_of(tmp_path / "run.jsonl", [*made[:40], Gap(7), *made[60:]])
    with path.open("a") as file:
        file.write("rubbish\n")
    assert main(["analyze", str(path)]) == 0
    notes = capsys.readouterr().out.partition("\nNotes\n")[2]
    assert "- 7 events are missing" in notes
    assert "- run.jsonl: line" in notes


def test_names_from_a_trace_do_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\u202e"
    made = [
        replace(event, text=(hostile,) * len(event.text), drafted_text=(hostile,) * len(event.drafted))
        if isinstance(event, Step)
        else event
        for event in made_run(3)
    ]
    path = file_of(tmp_path / "run.jsonl", made)
    for more in ((), ("--json",), ("--csv", "-")):
        assert main(["analyze", str(path), *more]) == 0
        out = capsys.readouterr().out
        assert not [
            char for char in out if (char < " " and char != "\n") or "\x7f" <= char <= "\x9f" or char == "\u202e"
        ]


# Nothing may be loaded that a machine without an engine lacks, or that takes seconds.
LOADS = """
import sys
from spectui.cli.main import main
code = main(["analyze", sys.argv[1]])
wrong = {"vllm", "torch", "transformers", "textual"} & set(sys.modules)
sys.exit(f"loaded {wrong}" if wrong else code)
"""


def test_it_loads_no_engine_and_no_screen() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADS, CODING], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("MTP\n")


# A line as soon as there is anything to say, for a trace that is read in no time.
SLOW = """
import sys, time
from spectui.bench.analysis import progress, reading
from spectui.cli.main import main
progress.LEAST_S = progress.FRAME_S = 0.0
reading.LOOK_EVENTS = 256
at = progress.ReadingLine.at
def slowly(line, *words):
    at(line, *words)
    time.sleep(0.05)
progress.ReadingLine.at = slowly
sys.exit(main(["analyze", *sys.argv[1:]]))
"""


def test_a_terminal_shows_how_far_it_is_and_then_colours(tmp_path: Path) -> None:
    path = file_of(tmp_path / "run.jsonl", [*made_run(1)[:-1], *long_request(4000)[2:]])
    with PtySession([sys.executable, "-c", SLOW, path], cols=90) as program:
        program.wait_for(lambda rows: any(row.startswith("reading run.jsonl") and " left" in row for row in rows))
        assert any("B of 1.41 MB" in row for row in program.rows())
        assert program.wait_exit() == 0
        assert program.modes_restored()
        assert b"\x1b[?25l" not in program.raw
        assert "reading" not in program.text()
        assert b"\x1b[1mMTP\x1b[0m" in program.raw
