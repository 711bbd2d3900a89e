"""``spectui analyze --export``: writes hard positions for those who train drafters."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.errors import DONE, RunError, UsageError
from spectui.setup import values

if TYPE_CHECKING:
    from spectui.core.hard_positions import HardPosition

CONTEXT_TOKENS = 512
"""Tokens of context of a hard position, if nothing else is asked for."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that an export takes; it needs ``traces`` and ``lane`` too."""
    parser.add_argument(
        "--export",
        type=values.path,
        default=None,
        metavar="FILE.jsonl",
        help="instead, write every refusal with its context to this file, for the training of drafters",
    )
    parser.add_argument(
        "--export-context",
        type=values.positive,
        default=None,
        metavar="N",
        help=f"tokens of context to write for each refusal, the last N before it ({CONTEXT_TOKENS})",
    )


def as_line(position: HardPosition) -> str:
    """A hard position as a line of JSON in ASCII, so that every text survives, lone surrogates too."""
    return json.dumps({one.name: getattr(position, one.name) for one in fields(position)}, separators=(",", ":")) + "\n"


def export(options: argparse.Namespace) -> int:
    """Write the hard positions of all traces; returns the exit code.

    Raises:
        UsageError: An option is wrong, or a lane is not in the traces.
        RunError: A file is not a trace, holds no ids of its prompts, or the export cannot be written.
    """
    from spectui.bench.analysis.progress import reading_line
    from spectui.bench.analysis.reading import read_traces
    from spectui.core.hard_positions import HardPositions
    from spectui.runtime.output import tell, visible

    path, traces = Path(options.export), [Path(trace) for trace in options.traces]
    if any(path.exists() and trace.exists() and path.samefile(trace) for trace in traces):
        raise UsageError(f"--export {path} is a trace itself: give another name")
    # A file that is not complete never has the name of one that is.
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="ascii", buffering=1 << 18) as file, reading_line() as line:
            hard = HardPositions(
                lambda one: file.write(as_line(one)), options.lane, options.export_context or CONTEXT_TOKENS
            )
            seen = read_traces(traces, hard.add, line, hard.open)
            hard.close()
        for name in options.lane:
            if name not in seen.drafting:
                raise UsageError(
                    f"--lane {name}: no lane of that name drafts in the traces: choose from "
                    f"{', '.join(sorted(seen.drafting)) or 'others, for none drafts'}"
                )
        if seen.attached and not hard.found and (hard.hidden or hard.without_ids):
            raise RunError("--export needs the ids of drafts and prompts, which the servers of this trace did not send")
        if hard.without_ids and not hard.found:
            raise RunError(
                "--export needs the ids of the prompts, which the traces do not hold because an older version recorded "
                "them: record them again"
            )
        partial.replace(path)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror or error}): give another name with --export"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    for sentence in seen.complaints:
        tell(f"spectui: {sentence}")
    left_out = hard.unknown + hard.without_ids + hard.hidden
    if left_out:
        tell(f"spectui: {left_out:,} refusals left out: what came before them is not in the trace")
    print(visible(f"{hard.found:,} hard position{'s' * (hard.found != 1)}: {path}"))
    return DONE
