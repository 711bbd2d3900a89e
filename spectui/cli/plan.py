"""``spectui plan``: how much memory lanes will take, before anything is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from spectui.errors import DONE, FAILED, RunError
from spectui.figures import DASH, size_text
from spectui.runtime.output import as_json, visible
from spectui.runtime.threads import has_nvidia_gpu
from spectui.setup import options as opts
from spectui.setup import values

if TYPE_CHECKING:
    from spectui.core.memory_plan.cuts import Cuts
    from spectui.core.memory_plan.plan import Device, LanePlan, MemoryPlan

DESCRIPTION = "Work out how much memory lanes will take, from configurations and headers, without loading anything."

_COLUMNS = ("target", "drafter", "KV cache", "CUDA graphs", "together")
_LANE, _COLUMN = 20, 14


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    opts.add_engine_options(parser)
    parser.add_argument(
        "--device-memory",
        type=values.memory_size,
        default=None,
        metavar="SIZE",
        help="plan for a GPU with so much free memory, such as 80GB (this machine)",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.core.memory_plan.plan import Device

    size = options.device_memory
    device = None if size is None else Device(f"a GPU of {size_text(size)}", size, size, gpu=True)
    return show(options, gpu=device is not None or has_nvidia_gpu(), device=device)


def show(options: argparse.Namespace, *, gpu: bool, device: Device | None = None) -> int:
    """Print the plan of a run with these options; the exit code says whether it fits.

    Raises:
        UsageError: An option is wrong.
        RunError: The target's configuration cannot be read.
    """
    from spectui.core.memory_plan.cuts import cuts, in_turn
    from spectui.core.memory_plan.plan import plan_memory
    from spectui.setup.config import host_config
    from spectui.setup.planning import asked_of, device_of
    from spectui.sources.vllm.target import TargetError

    config = host_config(options, gpu=gpu, installed=False)
    try:
        asked = asked_of(config, gpu=gpu)
    except TargetError as error:
        raise RunError(str(error)) from error
    device = device or device_of(config, gpu=gpu)
    plan, found = plan_memory(asked, device), cuts(asked, device)
    alone = in_turn(plan) if plan.fits is False else None
    if options.json:
        print(as_json(document(plan, found, alone)))
    else:
        print("\n".join(map(visible, lines(plan, found, alone))))
    return FAILED if plan.fits is False else DONE


def document(plan: MemoryPlan, found: Cuts, alone: int | None) -> dict[str, object]:
    """The plan for machines; sizes are in bytes."""
    sums = {name: getattr(plan, name) for name in ("total", "needed", "least", "short", "fits", "hopeless")}
    return {**asdict(plan), **sums, "cuts": [asdict(cut) for cut in found.each], "flags": found.flags, "in_turn": alone}


def lines(plan: MemoryPlan, found: Cuts, alone: int | None) -> Iterator[str]:
    """The plan for people."""
    yield f"{plan.target}: {_of(plan.requests, 'request')} of {plan.context:,} tokens in each lane"
    yield f"{plan.device.name}: {size_text(plan.device.free)} of {size_text(plan.device.total)} free"
    yield ""
    yield _row("", *_COLUMNS)
    for lane in plan.lanes:
        yield _lane(lane)
    yield _row("process", *[""] * 4, _est(plan.base))
    yield _row("work of a step", *[""] * 4, _est(plan.working))
    yield _row("total", *[""] * 4, size_text(plan.total))
    yield ""
    yield from _verdict(plan)
    if found.each:
        yield ""
        yield "What would help, the least loss first:"
        width = max(len(cut.flags) for cut in found.each)
        for cut in found.each:
            enough = "  enough" if cut.enough else ""
            yield f"  {cut.flags:<{width}}  saves {size_text(cut.saves):>8}{enough:<8}  costs {cut.loses}"
        if found.flags and not any(cut.enough for cut in found.each):
            yield f"Enough together: {found.flags}"
    if plan.fits is False and alone is None and not (found.flags or any(cut.enough for cut in found.each)):
        yield "Not even all of this is enough: race fewer lanes, or take a smaller model."
    if alone is not None:
        yield (
            f"One lane at a time needs {size_text(alone)}: `spectui run --lane SPEC --record FILE` for each, then "
            "`spectui replay FILE`"
        )


def _verdict(plan: MemoryPlan) -> Iterator[str]:
    for sentence in plan.unknown:
        yield f"Not known: {sentence}."
    if plan.fits is None or plan.short is None:
        yield "Whether it fits is not known."
    elif plan.fits:
        smaller = "" if plan.needed == plan.total else f"; {size_text(plan.needed)} would do, with smaller caches"
        yield f"It fits: these lanes take {size_text(plan.total)} of {size_text(plan.device.free)} free{smaller}."
    else:
        yield f"It does not fit: {size_text(plan.needed)} are needed, {size_text(plan.short)} are missing."
    for lane in plan.lanes:
        if plan.sized and lane.kv_least is not None and lane.kv < lane.kv_least:
            yield f"{lane.title} would not start: its cache must have {size_text(lane.kv_least)} at least."


def _lane(lane: LanePlan) -> str:
    target = "shared" if lane.target == 0 else "not known" if lane.target is None else size_text(lane.target)
    drafter = DASH if lane.drafter == 0 else "not known" if lane.drafter is None else size_text(lane.drafter)
    kv = size_text(lane.kv) if lane.kv_needed is not None else f"guess {size_text(lane.kv)}"
    graphs = _est(lane.graphs) if lane.graphs else DASH
    return _row(lane.title, target, drafter, kv, graphs, size_text(lane.fixed + lane.kv))


def _row(head: str, *cells: str) -> str:
    return f"{head[:_LANE]:<{_LANE}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)


def _est(size: int) -> str:
    return f"est. {size_text(size)}"


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
