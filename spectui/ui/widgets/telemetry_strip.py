"""Memory and bandwidth on one line of the live screen."""

from __future__ import annotations

from typing import Any

from spectui.core.machine import CACHE, DRAFTER, WEIGHTS, MachineView, MemoryView
from spectui.core.views import RunView
from spectui.figures import number_text, of_text, percent_text, rate_text, size_text
from spectui.protocol.samples import GpuSample
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import Row, row_width

GAP = "   "


class TelemetryStrip(Canvas):
    """One row; blank until the first sample."""

    DEFAULT_CSS = "TelemetryStrip { height: 1; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._run: RunView | None = None

    def show(self, run: RunView) -> None:
        """Show ``run``."""
        self._run = run
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._run is None else strip_rows(self._run, width)


def strip_rows(run: RunView, width: int) -> list[Row]:
    """Memory by owner, and bandwidth compared with its peak; if room is short, the last items are dropped first."""
    machine = run.telemetry
    if machine is None:
        return []
    row: Row = ()
    for item in _items(run, machine, width):
        longer = (*row, *(((GAP, "text"),) if row else ()), *item)
        if row_width(longer) > width:
            break
        row = longer
    return [row]


def _items(run: RunView, machine: MachineView, width: int) -> list[Row]:
    gpu, host = machine.gpu, machine.sample.host
    lost = dict.fromkeys(one.index for one in machine.sample.gpus if one.lost)
    items = [_lost(index, run) for index in lost]
    if gpu is not None and gpu.lost:
        return [*items, ((safe(gpu.name), "muted"),)]
    items += [_memory(run, gpu, width), bandwidth_row(machine, run.partial)]
    parts = ((WEIGHTS, "weights"), (DRAFTER, "drafters"), (CACHE, "KV"))
    items += [_named(name, _sizes(run.memory, what)) for what, name in parts if run.memory.of(what)]
    if gpu is None:
        return [*items, _named("engine", number_text(host.engine_cores, "cores", ".1f"))]
    power = of_text(number_text(gpu.power_w, "W"), number_text(gpu.power_limit_w, "W"))
    return [*items, _named("power", power), ((number_text(gpu.temperature_c, "°C"), "text"),)]


def _lost(index: int, run: RunView) -> Row:
    goes_on = run.fault is None and any(lane.failed is None for lane in run.lanes)
    return ((f"GPU {index} was lost", "bad"), (", the race goes on" if goes_on else "", "muted"))


def _sizes(memory: MemoryView, what: str) -> str:
    """``3 x 269 MB`` if all lanes hold the same amount, else the sum."""
    sizes = memory.of(what)
    if len(sizes) > 1 and len({size_text(size) for size in sizes}) == 1:
        return f"{len(sizes)} x {size_text(sizes[0])}"
    return size_text(memory.sum_of(what))


def _memory(run: RunView, gpu: GpuSample | None, width: int) -> Row:
    if gpu is None:
        return _named("memory", size_text(run.memory.total))
    used = of_text(size_text(gpu.memory_used), size_text(gpu.memory_total))
    return _named(clip(safe(gpu.name).removeprefix("NVIDIA "), width - len(used) - 1), used)


def bandwidth_row(machine: MachineView, partial: bool) -> Row:
    """Traffic of the newest sample compared with the peak: ``est. 10.2 GB/s of 21.1 GB/s, 49 %``.

    An estimate is ``partial`` if steps were lost; what counters report is not.
    """
    traffic, peak = machine.bandwidth[-1] if machine.bandwidth else None, machine.peak
    word = "" if machine.measured else "partial est. " if partial else "est. "
    row: Row = ((f"{word}{rate_text(traffic)}", "text"),)
    if peak:
        row += ((f" of {rate_text(peak)}", "muted"),)
    if peak and traffic is not None:
        row += ((", ", "muted"), (percent_text(traffic / peak), "text"))
    return row


def _named(name: str, value: str) -> Row:
    return ((f"{name} ", "muted"), (value, "text"))
