"""``spectui bench``: measure the matrix, check the outputs, write the report."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.bench.analysis.analysing import why_of
from spectui.bench.matrix.checks import Checked
from spectui.bench.matrix.journal import Journal, check_free, continue_journal
from spectui.bench.matrix.preparing import bench_config
from spectui.bench.matrix.resuming import with_ks
from spectui.bench.matrix.running import BenchRun
from spectui.bench.matrix.surroundings import variables_of_user
from spectui.bench.matrix.table import result_lines
from spectui.bench.matrix.traces import trace_name
from spectui.bench.published import compare_published, published_sources
from spectui.bench.reports import write_reports
from spectui.core.bench.codec import encodable, results_json
from spectui.core.bench.matrix import Block
from spectui.core.bench.published import Source
from spectui.core.bench.results import Cell, cells_of, results_of
from spectui.errors import DONE, FAILED, INTERRUPTED, SpecTUIError, UsageError
from spectui.runtime.output import sentence, tell, visible
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu

if TYPE_CHECKING:
    from spectui.sources.vllm.config import HostConfig

logger = logging.getLogger(__name__)


def bench(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run the command; ``arguments`` are what the user typed after the command's name. Returns the exit code.

    Raises:
        UsageError: An option is wrong.
        RunError: Nothing could be measured.
    """
    published = published_sources(options.compare) if options.compare else None
    gpu = has_nvidia_gpu()
    set_by_user = variables_of_user(apply_or_reexec(gpu=gpu).changes)
    from spectui.setup.planning import planned_room
    from spectui.setup.session import engine_session

    folder = Path(options.resume or options.out or default_folder())
    earlier = continue_journal(folder) if options.resume else None
    if earlier is None:
        check_free(folder, named=options.out is not None)
    config = bench_config(options, gpu=gpu)
    check_config(options, config)
    if earlier is not None:
        config = replace(config, specs=with_ks(config.specs, earlier.matrix))
        config = replace(config, room=partial(planned_room, config, gpu=gpu))
    code, failure = DONE, ""
    with engine_session(config) as session:
        run = BenchRun(
            options,
            shlex.join(["spectui", "bench", *arguments]),
            arguments,
            config,
            session,
            folder,
            gpu=gpu,
            set_by_user=set_by_user,
        )
        try:
            run.load()
            if earlier is None:
                run.begin()
            else:
                run.go_on(earlier)
            run.measure()
            run.check()
            if run.lost:
                code, failure = FAILED, run.lost[0]
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader of the progress has gone.
            raise
        except (SpecTUIError, OSError) as error:
            if run.journal is None:
                raise
            code, failure = FAILED, sentence(error) if isinstance(error, OSError) else str(error)
    if run.journal is None:
        return code
    run.journal.close()
    try:
        checked, unwritten = report(options, run.journal, published)
    finally:
        # Also if the report fails: this is how nothing is lost.
        if failure:
            tell(f"spectui bench: {failure}")
        if code != DONE:
            how = "some cells are missing" if run.lost else "stopped"
            tell(f"spectui bench: {how}; to continue: spectui bench --resume {shlex.quote(str(folder))}")
    if unwritten:
        again = f"to write it again: spectui bench --resume {shlex.quote(str(folder))}"
        tell(f"spectui bench: the report cannot be written: {unwritten}" + (f"; {again}" if code == DONE else ""))
    if checked.failed:
        where = "" if unwritten else f": see Losslessness in {folder / 'report.md'}"
        tell(f"spectui bench: --lossless failed: {checked.failure}{where}")
    return code or (FAILED if unwritten or checked.failed else DONE)


def check_config(options: argparse.Namespace, config: HostConfig) -> None:
    """Refuse lanes and engines that cannot do what is asked for, before anything is loaded.

    Raises:
        UsageError: They cannot.
    """
    if options.lossless and all(spec.method != "ar" for spec in config.specs):
        raise UsageError("--lossless compares lanes with AR, and no lane is AR: add --lane ar")
    most, seats = max(options.concurrency), config.engine_args["max_num_seqs"]
    if seats < most:
        raise UsageError(
            f"--engine-arg max_num_seqs={seats} keeps fewer requests in flight than --concurrency {most}: raise it, or "
            "leave it out"
        )


def report(options: argparse.Namespace, journal: Journal, published: Sequence[Source] | None) -> tuple[Checked, str]:
    """Write the report of what is in the journal, and print its table or JSON.

    Returns:
        What checks found, and why the report could not be written; empty if it was.
    """
    checked = Checked(journal)
    results = results_of(
        # Bytes of a path that are not UTF-8 are kept for --resume, but JSON cannot hold them.
        replace(journal.header, arguments=tuple(map(encodable, journal.header.arguments))),
        journal.matrix,
        journal.turns,
        left_out=(*journal.left_out, *_lost(journal)),
        smoke=journal.smoke,
        lossless=checked.greedy,
        distribution=checked.distribution,
    )
    if options.record:
        results = replace(results, cells=tuple(_traced(cell, journal) for cell in results.cells))
    compared, lines = ("", []) if published is None else compare_published(results, published)
    unwritten = ""
    try:
        write_reports(
            results,
            journal.folder,
            naive=options.naive,
            lossless_markdown=checked.markdown,
            compared=compared,
            why=why_of([journal.folder / name for cell in results.cells for name in cell.traces]),
        )
    except OSError as error:
        unwritten = sentence(error)
    if options.json:
        print(results_json(results).decode().replace("\x7f", "\\u007f"), end="")
        return checked, unwritten
    shown = [*result_lines(results, naive=options.naive), *checked.lines, *lines]
    if not unwritten:
        shown.append(f"report: {journal.folder / 'report.md'}")
    print("\n".join(map(visible, shown)))
    return checked, unwritten


def _lost(journal: Journal) -> list[str]:
    """How lanes died whose cells are missing for it."""
    matrix = journal.matrix
    counted = cells_of(journal.header, matrix, journal.turns)
    missing = [
        variant.lane
        for variant in matrix.variants
        if sum(cell.variant == variant for cell in counted) < len(matrix.blocks)
    ]
    return [why for lane, why in journal.lost.items() if lane in missing]


def _traced(cell: Cell, journal: Journal) -> Cell:
    """The cell with the path of its trace, if it has one."""
    name = trace_name(cell.variant, Block(cell.concurrency, str(cell.category), cell.context))
    return replace(cell, traces=(name,)) if (journal.folder / name).exists() else cell


def default_folder() -> str:
    """A new folder for results in the current one."""
    return f"spectui-bench-{datetime.now():%Y-%m-%d-%H%M%S}"
