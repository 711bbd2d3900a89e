"""Every demo runs with the command that its list names, and the synthetic one says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from demos.make_synthetic import LANES, TRACE, acceptance, made
from spectui.cli.main import build_parser, main
from spectui.core.summary import lane_summary
from spectui.trace.reader import Trace
from tests.trace.making import folded

ROOT = Path(__file__).parents[2]
DEMOS = ROOT / "demos"
README = (DEMOS / "README.md").read_text(encoding="utf-8")
TRACES = sorted((DEMOS / "traces").glob("*.jsonl"))


def test_every_command_of_the_list_parses_and_every_trace_is_listed() -> None:
    commands = re.findall(r"`spectui ([^`]+)`", README)
    named = set()
    for command in commands:
        options = build_parser().parse_args(command.split())
        if trace := getattr(options, "trace", None):
            named.add(ROOT / trace)
    assert named == set(TRACES)


def test_every_file_that_it_names_exists() -> None:
    named = re.findall(r"^\| `([\w./-]+)` \|", README, re.M)
    assert named
    assert not [name for name in named if not (DEMOS / name).exists()]


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
def test_a_trace_plays_headless_without_a_problem(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(trace), "--headless"]) == 0
    said = capsys.readouterr().out
    assert "round 0" in said
    assert not re.search(r"^line \d", said, re.M)
    assert trace.stat().st_size < 1_000_000


def test_the_synthetic_trace_says_so_in_its_header_and_on_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = Trace.open(TRACE).header
    assert header.run is not None
    assert header.run.synthetic
    assert "synthetic" in header.run.target
    monkeypatch.chdir(tmp_path)
    for size in ("80x24", "120x36", "200x50"):
        assert main(["shot", str(TRACE), "-o", "shot.txt", "--size", size]) == 0
        assert "synthetic" in Path("shot.txt").read_text().splitlines()[0]


@pytest.mark.slow
def test_the_synthetic_trace_is_what_its_script_makes_and_has_the_published_figures() -> None:
    timed = list(Trace.open(TRACE))
    assert timed == made()
    events = [event for _, event in timed]
    state = folded(events)
    for wanted in LANES:
        name = wanted.info.name
        assert lane_summary(state.lanes[name], state.reference).tok_s == pytest.approx(wanted.tok_s, rel=0.001)
        for place, share in enumerate(wanted.acceptance, start=1):
            assert acceptance(events, name, place) == pytest.approx(share, abs=0.03)
        if wanted.acceptance:
            assert acceptance(events, name, 8) < 0.20
