"""Formats the machine in detail: memory by owner, bandwidth, roofline, engines, gauges, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from spectui.core.machine import Holding, MachineView, MemoryView
from spectui.core.views import LaneView, RunView
from spectui.figures import DASH, number_text, of_text, percent_text, rate_text, size_text
from spectui.protocol.samples import GpuSample, HostSample, Missing
from spectui.ui.paint.bars import Bar, bar_rows
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, row_width
from spectui.ui.paint.wrapping import wrap
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.bandwidth_chart import bandwidth_rows
from spectui.ui.widgets.cost_rows import MISSING
from spectui.ui.widgets.engine_rows import engine_rows, scheduling_row
from spectui.ui.widgets.telemetry_strip import bandwidth_row

CHART_ROWS = 8
_CELLS = 110
"""Rows are no wider than this, so that figures stay near their names."""

_GAP = "   "
_VALUE = 19
"""The least width of a gauge's value, so that columns do not move as figures change."""

_LEAST_BAR, _LEAST_NAME, _MOST_NAME = 8, 6, 16
_ROOMY = 60
"""Width from which there is room for the part of a cache that is in use."""

ROOFLINE = (
    "est.: bytes/step = weights + drafter passes + KV cache that attention reaches; max. tok/s = peak / (bytes/step) x "
    "tokens/step. Activations and hits in the processor's caches are not counted."
)


HIDDEN = Missing(
    "memory of this process, SM time of other programs",
    "the driver does not list this process, as in a container; start it with the host's process ids (--pid=host)",
)


def machine_rows(run: RunView, width: int) -> list[Row]:
    """Format everything that the telemetry measures."""
    machine = run.telemetry
    cells = min(width, _CELLS)
    engines = _section("Engines", engine_rows(run.lanes, cells), cells, scheduling_row(run.lanes))
    if machine is None:
        return [*engines, (("no samples yet", "muted"),)]
    rows = _section("Memory", _memory_rows(run.memory, cells), cells, _total(run.memory, machine))
    rows += _section("Bandwidth", _bandwidth_rows(machine, cells), cells, bandwidth_row(machine, run.partial))
    missing: Row = ((MISSING, "warn"),) if run.partial else EMPTY
    rows += _section("Lanes below the roofline", _roofline_rows(run.lanes, machine.peak, cells), cells, missing)
    rows += engines
    several = len(machine.sample.gpus) > 1
    for place, gpu in enumerate(machine.sample.gpus):
        peak = machine.peaks[place] if place < len(machine.peaks) else None
        title = f"GPU {gpu.index}: {safe(gpu.name)}" if several else safe(gpu.name)
        rows += _section(title, _gpu_rows(gpu, peak, cells), cells)
    rows += _section("Host", _host_rows(machine.sample.host, machine.gpu is not None, cells), cells)
    missing_here = (HIDDEN, *machine.missing) if machine.hidden else machine.missing
    rows += _section("Not sampled here", _missing_rows(missing_here, cells), cells)
    return rows[:-1]


def _section(title: str, rows: Sequence[Row], width: int, note: Row = EMPTY) -> list[Row]:
    """Return a title with a note after it, or below it if there is no room, and the rows; nothing without rows."""
    if not rows:
        return []
    name: Row = ((clip(title, width), "strong"),)
    beside = (*name, *(((_GAP, "text"), *note) if note else ()))
    if row_width(beside) <= width:
        return [beside, *rows, EMPTY]
    text = "".join(span for span, _ in note)
    return [name, *(((line, "muted"),) for line in wrap(text, width)), *rows, EMPTY]


def _memory_rows(memory: MemoryView, width: int) -> list[Row]:
    """Format a bar for each holding and for the rest: its size, and for a cache how much of it is in use."""
    total = memory.total
    holdings = list(memory.holdings)
    if memory.other is not None:
        holdings.append(Holding("other", "", max(0, memory.other)))
    if not holdings:
        return [(("no lane holds any memory yet", "muted"),)]
    values = _sizes(holdings, in_use=width >= _ROOMY)
    room = width - len(values[0]) - _LEAST_BAR - 2
    bars = [
        Bar(
            f"{clip(safe(one.owner), max(_LEAST_NAME, room - len(one.what) - 1))} {one.what}".rstrip(),
            one.bytes / total if one.bytes is not None and total else None,
            value,
        )
        for one, value in zip(holdings, values, strict=True)
    ]
    rows = bar_rows(bars, "accent", width, len(bars))
    if memory.other is not None and memory.other < 0:
        untouched = f"{size_text(-memory.other)} of the reserved memory has not been touched yet."
        rows += [((line, "muted"),) for line in wrap(untouched, width)]
    return rows


def _sizes(holdings: Sequence[Holding], in_use: bool) -> list[str]:
    """Return aligned sizes, each followed by how much of it is in use."""
    sizes = [size_text(one.bytes) for one in holdings]
    uses = ["" if one.used is None or not in_use else f"{_GAP}{size_text(one.used)} in use" for one in holdings]
    figures, behind = max(map(len, sizes)), max(map(len, uses))
    return [f"{size:>{figures}}{use:<{behind}}" for size, use in zip(sizes, uses, strict=True)]


def _total(memory: MemoryView, machine: MachineView) -> Row:
    gpu, host = machine.gpu, machine.sample.host
    if gpu is None:
        free = f" of the host's {size_text(host.total)}, {size_text(host.available)} free"
        return (("this process ", "muted"), (size_text(memory.total), "text"), (free, "muted"))
    device = of_text(size_text(gpu.memory_used), size_text(gpu.memory_total))
    return (
        ("this process ", "muted"),
        ("hidden" if machine.hidden else size_text(gpu.process_memory), "text"),
        (", device ", "muted"),
        (device, "text"),
    )


def _bandwidth_rows(machine: MachineView, width: int) -> list[Row]:
    chart = bandwidth_rows(machine, width, CHART_ROWS)
    if not chart:
        return [((line, "muted"),) for line in wrap("no lane has been stepping while samples were taken", width)]
    how = "from bus width and clock" if machine.derived else "measured by copying"
    note = f"peak {rate_text(machine.peak)}, {how}" if machine.peak else ""
    return [*chart, *(((line, "muted"),) for line in wrap(note, width))]


@dataclass(frozen=True, slots=True)
class _Column:
    """One figure for every lane, under a heading; ``rank`` says how soon the column is dropped."""

    heading: str
    values: Sequence[str]
    rank: int
    estimated: bool = True

    @property
    def cells(self) -> int:
        return max(map(len, (self.heading, *self.values)))

    def text(self, at: int | None = None) -> str:
        """Return the value at position ``at``, or the heading."""
        return f"  {self.heading if at is None else self.values[at]:>{self.cells}}"


def _roofline_rows(lanes: Sequence[LaneView], peak: float | None, width: int) -> list[Row]:
    """Format, for each lane that has stepped, the measurements, a bar of MBU, and the estimates."""
    moving = [(place, lane, lane.traffic) for place, lane in enumerate(lanes) if lane.traffic is not None]
    if not moving:
        return []
    shares = [traffic.utilisation(peak) for _, _, traffic in moving]
    columns = [
        _Column("tok/s", [_rate(lane.tok_s) for _, lane, _ in moving], 0, estimated=False),
        _Column("tokens/step", [f"{traffic.tokens_per_step:.2f}" for _, _, traffic in moving], 3, estimated=False),
        _Column("of peak", [percent_text(share) for share in shares], 1),
        _Column("max. tok/s", [_rate(traffic.ceiling(peak)) for _, _, traffic in moving], 2),
        _Column("traffic", [rate_text(traffic.per_second) for _, _, traffic in moving], 4),
        _Column("bytes/step", [size_text(traffic.step_bytes) for _, _, traffic in moving], 5),
    ]
    names = [clip(safe(lane.info.title), min(_MOST_NAME, width // 4)) for _, lane, _ in moving]
    named = max(map(cell_len, names))
    while (bar := width - named - 2 - sum(column.cells + 2 for column in columns)) < _LEAST_BAR and len(columns) > 1:
        columns.remove(max(columns, key=lambda column: column.rank))
    bar = max(1, bar)
    measured = [column for column in columns if not column.estimated]
    estimated = [column for column in columns if column.estimated]
    heading = f"{'':{named}}{''.join(c.text() for c in measured)}  {'est.':{bar}}{''.join(c.text() for c in estimated)}"
    rows: list[Row] = [((heading, "muted"),)]
    for at, (place, _, _) in enumerate(moving):
        (drawn,) = bar_rows([Bar("", shares[at], "")], lane_style(place), bar + 2, 1)
        rows.append(
            (
                (names[at] + " " * (named - cell_len(names[at])), lane_style(place)),
                ("".join(column.text(at) for column in measured) + "  ", "text"),
                *drawn[1:-1],
                ("".join(column.text(at) for column in estimated), "text"),
            )
        )
    return [*rows, *(((line, "muted"),) for line in wrap(ROOFLINE, width))]


def _rate(tok_s: float | None) -> str:
    return number_text(tok_s, "", ".1f" if tok_s is not None and tok_s < 1_000 else ".0f").strip()


def _gpu_rows(gpu: GpuSample, peak: float | None, width: int) -> list[Row]:
    if gpu.lost:
        lost = "lost: the driver can no longer reach it; see nvidia-smi and the kernel log"
        return [((line, "bad"),) for line in wrap(lost, width)]
    busy = percent_text(gpu.memory_busy)
    gauges = [
        ("DRAM traffic", of_text(percent_text(gpu.bandwidth_share), rate_text(peak))),
        ("memory busy", busy if gpu.memory_busy is None else f"{busy} of time"),
        ("SM busy", percent_text(gpu.sm_share)),
        ("SM, others", percent_text(gpu.foreign_share)),
        ("tensor pipes", percent_text(gpu.tensor_share)),
        ("memory", of_text(size_text(gpu.memory_used), size_text(gpu.memory_total))),
        ("power", of_text(number_text(gpu.power_w, "W"), number_text(gpu.power_limit_w, "W"))),
        (
            "temperature",
            f"{number_text(gpu.temperature_c, '°C')}, memory {number_text(gpu.memory_temperature_c, '°C')}",
        ),
        ("SM clock", number_text(gpu.sm_clock_mhz, "MHz")),
        ("memory clock", number_text(gpu.memory_clock_mhz, "MHz")),
        ("PCIe in", rate_text(gpu.pcie_receive)),
        ("PCIe out", rate_text(gpu.pcie_send)),
    ]
    held = DASH if gpu.throttle is None else ", ".join(gpu.throttle) or "nothing"
    return [*_gauges(gauges, width), *(((line, "muted"),) for line in wrap(safe(f"clocks throttled by {held}"), width))]


def _host_rows(host: HostSample, with_memory: bool, width: int) -> list[Row]:
    memory = [
        ("memory", size_text(host.resident)),
        ("free", of_text(size_text(host.available), size_text(host.total))),
    ]
    load = number_text(host.load, "", ".2f").strip()
    gauges = [
        *(memory if with_memory else []),
        ("engine", number_text(host.engine_cores, "cores", ".2f")),
        ("screen", number_text(host.other_cores, "cores", ".2f")),
        ("elsewhere", number_text(host.foreign_cores, "cores", ".2f")),
        ("load", load if host.cores is None else f"{load} on {host.cores} cores"),
        ("temperature", number_text(host.temperature_c, "°C")),
        ("page faults", number_text(host.minor_faults, "per second")),
        ("from disk", number_text(host.major_faults, "per second")),
    ]
    return _gauges(gauges, width)


def _gauges(gauges: Sequence[tuple[str, str]], width: int) -> list[Row]:
    """Lay names and values out in as many columns as the width allows, row by row."""
    names, values = max(len(name) for name, _ in gauges), max(_VALUE, *(len(value) for _, value in gauges))
    columns = max(1, (width + len(_GAP)) // (names + 2 + values + len(_GAP)))
    rows: list[Row] = []
    for first in range(0, len(gauges), columns):
        row: Row = ()
        for name, value in gauges[first : first + columns]:
            row += (((_GAP, "text"),) if row else ()) + (
                (f"{name:<{names}}  ", "muted"),
                (f"{value:<{values}}", "text"),
            )
        rows.append(row)
    return rows


def _missing_rows(missing: Sequence[Missing], width: int) -> list[Row]:
    lines = (f"{one.what}: {one.why}" for one in missing)
    return [((part, "muted"),) for line in lines for part in wrap(safe(line), width)]
