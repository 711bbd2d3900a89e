"""From traces to what they say."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spectui.bench.analysis.reading import Seen, Watching, read_traces
from spectui.bench.reports.why import Why
from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.results import Analysis
from spectui.errors import RunError

logger = logging.getLogger(__name__)


def analysed(paths: Sequence[Path], watching: Watching | None = None) -> tuple[Analysis, Seen]:
    """Read traces and analyse them together; what was wrong with their lines is among the notes.

    Raises:
        RunError: A file is not a trace, or no lane drafted anything.
    """
    columns = Columns()
    seen = read_traces(paths, columns.add, watching)
    if watching is not None:
        watching.analysing()
    found = analyse(columns)
    if not any(lane.steps for lane in found.lanes):
        raise RunError(_nothing(paths, seen))
    return replace(found, notes=(*found.notes, *seen.complaints)), seen


def why_of(paths: Sequence[Path]) -> Why:
    """What a report says of these traces. Nothing that they hold keeps the report from being written."""
    if not paths:
        return Why()
    try:
        return Why(len(paths), analysed(paths)[0])
    except RunError as error:
        return Why(len(paths), fault=f"{error}.")
    except Exception as error:
        logger.exception("the traces could not be analysed")
        return Why(len(paths), fault=f"{' '.join(str(error).split()) or type(error).__name__}.")


def _nothing(paths: Sequence[Path], seen: Seen) -> str:
    """Why there is nothing to analyse, and what to do."""
    which, has = (str(paths[0]), "has") if len(paths) == 1 else (f"the {len(paths)} traces", "have")
    if seen.attached:
        why = "no step with a draft: attach to servers that draft, with the tap (see docs/attach.md)"
    elif seen.drafting:
        why = "no step with a draft: record until an answer has begun"
    else:
        why = "no lane that drafts: record one, as in spectui run --lane ar --lane mtp --record run.jsonl"
    return f"{which} {has} {why}" + (f" ({seen.complaints[0]})" if seen.complaints else "")
