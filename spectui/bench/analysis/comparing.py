"""``spectui compare``: reads two traces, prints what changed, and judges it for ``--fail-under``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from spectui import __version__
from spectui.bench.analysis.columns import Line
from spectui.bench.analysis.comparison_text import comparison_lines, gate_lines
from spectui.bench.analysis.progress import reading_line
from spectui.bench.analysis.reading import read_traces
from spectui.core.comparison.answers import Recorded
from spectui.core.comparison.compare import compare
from spectui.core.comparison.document import document_of
from spectui.core.comparison.gate import gate
from spectui.errors import DONE, FAILED
from spectui.runtime.output import as_json, tell


def compare_traces(
    a: Path, b: Path, lanes: Sequence[tuple[str, str]], fail_under: float | None, figure: str, *, json: bool
) -> int:
    """Print what changed from one trace to the other; returns the exit code.

    Raises:
        UsageError: A trace has no lane that was named.
        RunError: A file is not a trace, or nothing can be compared.
    """
    sides = []
    complaints: list[str] = []
    with reading_line() as line:
        for path in (a, b):
            recorded = Recorded()
            complaints += read_traces([path], recorded.add, line).complaints
            sides.append(recorded)
        line.analysing()
        found = compare(sides[0], sides[1], lanes)
        verdict = None if fail_under is None else gate(sides[0], sides[1], figure, fail_under, lanes)
    for sentence in complaints:
        tell(f"spectui: {sentence}")
    if json:
        print(as_json(asdict(document_of(found, verdict, __version__, str(a), str(b)))))
    else:
        lines = comparison_lines(found, str(a), str(b))
        if verdict is not None:
            lines += [Line(), *gate_lines(verdict)]
        print("\n".join(one.text for one in lines))
    return FAILED if verdict is not None and verdict.failed else DONE
