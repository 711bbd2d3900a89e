"""``spectui bench``: measure the matrix, check the outputs, write the report."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from spectui.bench.matrix.checks import Checked
from spectui.bench.matrix.journal import Journal, check_free, open_journal
from spectui.bench.matrix.preparing import bench_config
from spectui.bench.matrix.running import BenchRun
from spectui.bench.matrix.table import result_lines
from spectui.bench.matrix.traces import trace_name
from spectui.bench.published import compare_published, published_sources
from spectui.bench.reports import write_reports
from spectui.core.bench.codec import results_json
from spectui.core.bench.matrix import Block
from spectui.core.bench.results import Cell, results_of
from spectui.errors import DONE, FAILED, INTERRUPTED, SpecTUIError
from spectui.runtime.output import tell, visible
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu

logger = logging.getLogger(__name__)


def bench(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run the command; ``arguments`` are what the user typed after the command's name. Returns the exit code.

    Raises:
        UsageError: An option is wrong.
        RunError: Nothing could be measured.
    """
    if options.compare:
        published_sources(options.compare)
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    from spectui.setup.session import engine_session

    folder = Path(options.resume or options.out or default_folder())
    earlier = open_journal(folder) if options.resume else None
    if earlier is None:
        check_free(folder)
    config = bench_config(options, gpu=gpu)
    code, failure = DONE, ""
    with engine_session(config) as session:
        run = BenchRun(
            options, shlex.join(["spectui", "bench", *arguments]), arguments, config, session, folder, gpu=gpu
        )
        try:
            run.load()
            if earlier is None:
                run.begin()
            else:
                run.go_on(earlier)
            run.measure()
            run.check()
        except KeyboardInterrupt:
            code = INTERRUPTED
        except SpecTUIError as error:
            if run.journal is None:
                raise
            code, failure = FAILED, str(error)
    if run.journal is None:
        return code
    checked = report(options, run.journal)
    if failure:
        tell(f"spectui bench: {failure}")
    if code != DONE:
        tell(f"spectui bench: stopped; to continue: spectui bench --resume {shlex.quote(str(folder))}")
    elif checked.failed:
        tell(f"spectui bench: --lossless failed: {checked.failure}: see Losslessness in {folder / 'report.md'}")
        code = FAILED
    return code


def report(options: argparse.Namespace, journal: Journal) -> Checked:
    """Write the report of what is in the journal, and print its table or JSON; returns what checks found."""
    checked = Checked(journal)
    results = results_of(
        journal.header,
        journal.matrix,
        journal.turns,
        left_out=journal.left_out,
        smoke=journal.smoke,
        lossless=checked.greedy,
        distribution=checked.distribution,
    )
    if options.record:
        results = replace(results, cells=tuple(_traced(cell, journal) for cell in results.cells))
    compared, lines = compare_published(results, options.compare) if options.compare else ("", [])
    write_reports(results, journal.folder, naive=options.naive, lossless_markdown=checked.markdown, compared=compared)
    if options.json:
        print(results_json(results).decode().replace("\x7f", "\\u007f"), end="")
        return checked
    shown = [*result_lines(results, naive=options.naive), *checked.lines, *lines]
    print("\n".join(map(visible, [*shown, f"report: {journal.folder / 'report.md'}"])))
    return checked


def _traced(cell: Cell, journal: Journal) -> Cell:
    """The cell with the path of its trace, if it has one."""
    name = trace_name(cell.variant, Block(cell.concurrency, str(cell.category), cell.context))
    return replace(cell, traces=(name,)) if (journal.folder / name).exists() else cell


def default_folder() -> str:
    """A new folder for results in the current one."""
    return f"spectui-bench-{datetime.now():%Y-%m-%d-%H%M%S}"
