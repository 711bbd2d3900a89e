"""``spectui bench``: measure the matrix, check the outputs, write the report."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from spectui.bench.matrix.journal import Journal, check_free, open_journal
from spectui.bench.matrix.preparing import bench_config
from spectui.bench.matrix.running import BenchRun
from spectui.bench.matrix.table import result_lines
from spectui.bench.reports import write_reports
from spectui.core.bench.codec import results_json
from spectui.core.bench.results import Results, results_of
from spectui.errors import DONE, FAILED, INTERRUPTED, RunError
from spectui.runtime.output import tell, visible
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu

logger = logging.getLogger(__name__)


def bench(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run the command; ``arguments`` are what the user typed after the command's name. Returns the exit code.

    Raises:
        UsageError: An option is wrong.
        RunError: Nothing could be measured.
    """
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
        except KeyboardInterrupt:
            code = INTERRUPTED
        except RunError as error:
            if run.journal is None:
                raise
            code, failure = FAILED, str(error)
    if run.journal is None:
        return code
    report(options, run.journal)
    if failure:
        tell(f"spectui bench: {failure}")
    if code != DONE:
        tell(f"spectui bench: stopped; spectui bench --resume {shlex.quote(str(folder))} goes on from here")
    return code


def report(options: argparse.Namespace, journal: Journal) -> None:
    """Write the report of what is in the journal, and print its table or JSON."""
    results = results_of_journal(journal)
    write_reports(results, journal.folder, naive=options.naive)
    if options.json:
        print(results_json(results).decode().replace("\x7f", "\\u007f"), end="")
    else:
        print("\n".join(map(visible, result_lines(results, naive=options.naive))))
        print(visible(f"report: {journal.folder / 'report.md'}"))


def results_of_journal(journal: Journal) -> Results:
    """The results as they stand."""
    return results_of(
        journal.header,
        journal.matrix,
        journal.turns,
        left_out=journal.left_out,
        smoke=journal.smoke,
    )


def default_folder() -> str:
    """A new folder for results in the current one."""
    return f"spectui-bench-{datetime.now():%Y-%m-%d-%H%M%S}"
