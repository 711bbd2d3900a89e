"""``spectui analyze --export``: the file, and what is said when there is none."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from spectui.bench.analysis.exporting import add_options, as_line, export
from spectui.cli.main import main
from spectui.core.hard_positions import HardPosition
from spectui.errors import RunError, UsageError
from tests.support.drafted_traces import Making, written

pytestmark = pytest.mark.unit


def asked(*words: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--lane", action="append", default=[])
    add_options(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return written(tmp_path / "run.jsonl", Making())


def test_a_line_holds_every_key(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hard.jsonl"
    assert export(asked(trace, "--export", out, "--lane", "mtp", "--export-context", "8")) == 0
    lines = out.read_text(encoding="ascii").splitlines()
    assert capsys.readouterr().out == f"{len(lines)} hard positions: {out}\n"
    for line in lines:
        data = json.loads(line)
        assert list(data) == [one.name for one in fields(HardPosition)]
        assert len(data["context"]) == min(8, data["position"])
    assert sorted(tmp_path.iterdir()) == sorted([trace, out])


def test_several_traces_are_written_to_one_file(trace: Path, tmp_path: Path) -> None:
    other = written(
        tmp_path / "other.jsonl", replace(Making(), seed=1, prompts=[(f"another {i}", "code") for i in range(12)])
    )
    counts = []
    for traces in ([trace], [other], [trace, other]):
        assert export(asked(*traces, "--export", tmp_path / "hard.jsonl")) == 0
        counts.append(len((tmp_path / "hard.jsonl").read_text().splitlines()))
        rounds = {
            (data["trace"], data["round"])
            for data in map(json.loads, (tmp_path / "hard.jsonl").read_text().splitlines())
        }
        names = [None] if len(traces) == 1 else [str(one) for one in traces]
        assert rounds == {(name, number) for name in names for number in range(12)}
    assert counts[2] == counts[0] + counts[1]


def test_text_that_is_none_survives() -> None:
    position = HardPosition("t", "l", "c", 0, 0, 0, 1, 1, (1,), (2,), 0, 3, ("\ud800",), "\x1b\x7f", (None,), None, 1)
    line = as_line(position)
    assert line.isascii()
    assert json.loads(line)["drafted_text"] == ["\ud800"]


def test_the_command_exports_instead_of_analysing(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hard.jsonl"
    assert main(["analyze", str(trace), "--lane", "mtp", "--export", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"hard positions: {out}\n")
    for words, said in (
        (["--export", str(out), "--json"], "leave out --json and --csv"),
        (["--export-context", "9"], "add --export, or leave it out"),
    ):
        assert main(["analyze", str(trace), *words]) == 2
        assert said in capsys.readouterr().err


def test_old_traces_are_refused_in_a_sentence(tmp_path: Path) -> None:
    old = written(tmp_path / "old.jsonl", replace(Making(), ids=False))
    with pytest.raises(RunError, match=r"--export needs the ids of the prompts, .*: record them again"):
        export(asked(old, "--export", tmp_path / "hard.jsonl"))
    assert list(tmp_path.iterdir()) == [old]


def test_wrong_usage_is_refused_before_a_file_changes(trace: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a trace itself: give another name"):
        export(asked(trace, "--export", trace))
    kept = tmp_path / "hard.jsonl"
    kept.write_text("kept")
    with pytest.raises(UsageError, match="--lane mpt: no lane of that name drafts in the traces: choose from mtp"):
        export(asked(trace, "--export", kept, "--lane", "mpt"))
    with pytest.raises(RunError, match="no such file"):
        export(asked(tmp_path / "none.jsonl", "--export", kept))
    assert kept.read_text() == "kept"
    with pytest.raises(RunError, match=r"cannot be written .*: give another name with --export"):
        export(asked(trace, "--export", tmp_path / "no" / "hard.jsonl"))
