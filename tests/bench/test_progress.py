"""The live line of a benchmark in a real terminal: what it leaves alone, and how wide it is."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.support.terminal import PtySession

pytestmark = pytest.mark.unit

# Standard input is no terminal, and descriptors 1 and 2 are the log.
PROGRAM = """
import os, sys, time
from pathlib import Path
from spectui.bench.matrix import progress
from spectui.core.bench.estimate import piece_seconds
from spectui.runtime.quiet import quiet_output
from spectui.sources.vllm.benching import Place
from tests.support.benchmarks import made_up_header, made_up_matrix, made_up_turns

os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
progress.FRAME_S = 0.0
matrix = made_up_matrix()
block, variant = matrix.blocks[0], matrix.variants[0]
with quiet_output(Path(sys.argv[1])):
    line = progress.make_progress(made_up_header(matrix), matrix, lambda block, variant: 1.0, [])
    line.at(Place(block, 0, variant, 0))
    print("a library speaks")
    print("a library complains", file=sys.stderr)
    os.write(1, b"a kernel speaks\\n")
    line.tell("a trace cannot be written")
    for turn in made_up_turns(matrix)[:3]:
        line.ended(turn)
    while True:
        line.at(Place(block, 1, variant, 0))
        time.sleep(0.01)
"""


def test_the_live_line_leaves_the_cursor_and_other_peoples_words_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with PtySession([sys.executable, "-c", PROGRAM, log], cols=70) as program:
        program.wait_for("coding, 1 in flight: ar 2/3")
        rows = program.rows()
        assert "a trace cannot be written" in rows
        assert any(row.startswith("coding, 1 in flight: ar ") and "tok/s, mtp K=2" in row for row in rows)
        bar = next(row for row in rows if "3/18 cells" in row)
        assert 65 <= len(bar) <= 70
        program.resize(100, 36)
        program.wait_for(lambda rows: any("3/18 cells" in row and 95 <= len(row) <= 100 for row in rows))
        program.signal(signal.SIGTERM)
        assert program.wait_exit() == -signal.SIGTERM
        assert program.modes_restored()
        assert b"\x1b[?25l" not in program.raw
        assert "a library" not in program.text()
    said = log.read_text()
    assert all(words in said for words in ("a library speaks", "a library complains", "a kernel speaks"))
