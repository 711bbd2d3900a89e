"""What a report gets from the traces of a benchmark, also when they cannot be analysed."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.bench.analysis import analysing
from tests.trace.making import file_of, made_run


def test_without_traces_there_is_nothing_to_say() -> None:
    why = analysing.why_of([])
    assert (why.traces, why.analysis, why.fault) == (0, None, "")


def test_traces_are_analysed_together(tmp_path: Path) -> None:
    paths = [file_of(tmp_path / f"{number}.jsonl", made_run(number)) for number in (1, 2)]
    why = analysing.why_of(paths)
    assert why.traces == 2
    assert why.analysis is not None
    assert [lane.lane for lane in why.analysis.lanes] == ["mtp", "dflash"]


@pytest.mark.parametrize("error", [ValueError("two\nlines"), KeyError()])
def test_no_trace_keeps_a_report_from_being_written(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = analysing.why_of([tmp_path / "gone.jsonl"])
    assert gone.analysis is None
    assert gone.fault.endswith("gone.jsonl: no such file: name a trace that --record or R has written.")

    def failing(columns: object) -> None:
        raise error

    monkeypatch.setattr(analysing, "analyse", failing)
    why = analysing.why_of([file_of(tmp_path / "run.jsonl", made_run(1))])
    assert why.fault in ("two lines.", "KeyError.")
