"""The measuring of long traces, on a short one: that it measures, not what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.load.trace_load import TraceLoad, main, table


@pytest.mark.slow
def test_a_trace_is_made_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    main(["--events", "3000", "--trace", str(path), "--json"])
    load = TraceLoad(**json.loads(capsys.readouterr().out))
    assert load.events == 3000
    assert load.file_mb == path.stat().st_size / 1e6
    assert "3,000 events" in table(load)
    main(["--events", "9", "--trace", str(path)])
    assert "3,000 events" in capsys.readouterr().out, "a trace that is there is not made again"
