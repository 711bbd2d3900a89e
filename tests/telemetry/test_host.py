"""The host: what is not known is None, and whose processor time it is."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from spectui.protocol.samples import HostSample
from spectui.protocol.source import ENGINE_THREAD
from spectui.sources.workers import WORKERS
from spectui.telemetry.host import NO_SENSOR, SLOW_READS, Counters, Host, busy_ns, count

MS = 1_000_000
SPENT_NS = 50 * MS
FAILSAFE_S = 30.0
SPANS = {"engine_cores", "other_cores", "foreign_cores", "major_faults", "minor_faults"}
SCREEN, WRITER = threading.Thread(name="screen"), threading.Thread(name="writer")


def unknown(sample: HostSample) -> set[str]:
    return {field.name for field in dataclasses.fields(sample) if getattr(sample, field.name) is None}


def spans(*counters: Counters) -> tuple[float | None, ...]:
    """Figures of the last read of a host that counts so."""
    said = iter(counters)
    host = Host(lambda: next(said))
    *_, last = [host.read() for _ in counters]
    return last.engine_cores, last.other_cores, last.minor_faults, last.major_faults


def counters(
    at_ms: int, process_ms: int, others_ms: dict[threading.Thread, int], minor: int = 0, major: int = 0
) -> Counters:
    return Counters(at_ms * MS, process_ms * MS, {t: ms * MS for t, ms in others_ms.items()}, minor, major)


FIRST = counters(1_000, 700, {SCREEN: 300}, 50, 5)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param((), (None, None, None, None), id="the first read has no span"),
        pytest.param((counters(1_000, 900, {SCREEN: 400}),), (None, None, None, None), id="nor a span of no time"),
        pytest.param(
            (counters(1_200, 1_100, {SCREEN: 350}, 250, 7),), (1.75, 0.25, 1_000, 10), id="what is left is the engine's"
        ),
        pytest.param((counters(1_200, 700, {SCREEN: 300}, 50, 5),), (0, 0, 0, 0), id="an idle span is no unknown one"),
        pytest.param((counters(1_200, 1_000, {SCREEN: 300, WRITER: 100}, 50, 5),), (1, 0.5, 0, 0), id="a new thread"),
        pytest.param((counters(1_200, 760, {}, 50, 5),), (0.3, 0, 0, 0), id="a thread that ended takes its past along"),
        pytest.param((counters(1_200, 740, {SCREEN: 350}, 50, 5),), (0, 0.25, 0, 0), id="clocks that were read apart"),
        pytest.param((counters(1_200, 900, {SCREEN: 0}, 50, 5),), (1, 0, 0, 0), id="a clock that just went"),
        pytest.param(
            (counters(1_200, 900, {SCREEN: 350}), counters(1_700, 1_400, {SCREEN: 450}, 50)),
            (0.8, 0.2, 100, 0),
            id="since the read before, not since the first",
        ),
    ],
)
def test_figures_of_a_span(later: tuple[Counters, ...], expected: tuple[float | None, ...]) -> None:
    assert spans(FIRST, *later) == tuple(figure if figure is None else pytest.approx(figure) for figure in expected)


@pytest.mark.parametrize(
    ("busy_ms", "foreign"),
    [((None, None), None), ((1_000, None), None), ((1_000, 1_400), 0.5), ((1_000, 1_250), 0.0)],
)
def test_cores_of_other_programs_are_what_is_left_of_the_busy_ones(
    busy_ms: tuple[int | None, int | None], foreign: float | None
) -> None:
    """In 200 ms this process has used 300 ms of processor time, and its cores were busy for so many."""
    first, second = (None if ms is None else ms * MS for ms in busy_ms)
    said = iter((replace(FIRST, busy_ns=first), replace(counters(1_200, 1_000, {SCREEN: 300}), busy_ns=second)))
    host = Host(lambda: next(said))
    host.read()
    sample = host.read()
    assert sample.foreign_cores == (foreign if foreign is None else pytest.approx(foreign))


@pytest.mark.parametrize(
    ("before_ms", "now_ms", "engine", "foreign"),
    [
        ({7: 100}, {7: 160}, 1.3, 0.1),
        # A worker is seen first when its engine has been built, which takes many seconds of processor time.
        ({}, {7: 20_000}, 1.0, 0.4),
        ({7: 100}, {7: 160, 8: 20_000}, 1.3, 0.1),
        ({7: 100}, {}, 1.0, 0.4),
    ],
)
def test_a_worker_process_is_no_other_program(
    before_ms: dict[int, int], now_ms: dict[int, int], engine: float, foreign: float
) -> None:
    """In 200 ms this process alone has used 200 ms of processor time, and its cores were busy for 280.

    What a worker used before it was seen belongs to no span.
    """
    first, second = ({pid: ms * MS for pid, ms in workers.items()} for workers in (before_ms, now_ms))
    later = counters(1_200, 900, {SCREEN: 300})
    said = iter((replace(FIRST, busy_ns=0, workers_ns=first), replace(later, busy_ns=280 * MS, workers_ns=second)))
    host = Host(lambda: next(said))
    host.read()
    sample = host.read()
    assert (sample.engine_cores, sample.foreign_cores) == (pytest.approx(engine), pytest.approx(foreign))


def test_the_cores_of_this_process_are_counted(tmp_path: Path) -> None:
    statistics = tmp_path / "stat"
    statistics.write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        + "".join(f"cpu{core} 10 20 30 4000 50 1 2 7 0 0\n" for core in sorted(os.sched_getaffinity(0)))
        + "intr 1 2 3\n"
    )
    ticks = len(os.sched_getaffinity(0)) * (10 + 20 + 30 + 1 + 2 + 7)
    assert busy_ns(statistics) == ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("text", [None, "", "cpu 1 2\n", "cpu0 x\n"])
def test_a_system_that_does_not_count_its_cores(tmp_path: Path, text: str | None) -> None:
    statistics = tmp_path / "stat"
    if text is not None:
        statistics.write_text(text)
    assert busy_ns(statistics) is None


@contextmanager
def spending(name: str) -> Iterator[threading.Thread]:
    """A thread that has spent its processor time when the block begins, and lives until it ends."""
    spent, over = threading.Event(), threading.Event()

    def spend() -> None:
        while time.thread_time_ns() < SPENT_NS:
            pass
        spent.set()
        over.wait(FAILSAFE_S)

    thread = threading.Thread(target=spend, name=name)
    thread.start()
    assert spent.wait(FAILSAFE_S)
    try:
        yield thread
    finally:
        over.set()
        thread.join(FAILSAFE_S)


def test_a_busy_thread_that_is_not_the_engine_s_counts_as_other() -> None:
    with spending("busy") as thread:
        assert count().others_ns[thread] >= SPENT_NS
    assert thread not in count().others_ns


def test_the_engine_s_thread_counts_with_the_process_alone() -> None:
    before = count()
    with spending(ENGINE_THREAD) as thread:
        now = count()
    assert thread not in now.others_ns
    assert now.process_ns - before.process_ns >= SPENT_NS


def test_a_thread_that_has_not_begun_is_not_counted() -> None:
    assert SCREEN not in count().others_ns


def sensors(**celsius: list[float]) -> Callable[[], dict[str, list[SimpleNamespace]]]:
    return lambda: {name: [SimpleNamespace(current=one) for one in readings] for name, readings in celsius.items()}


def test_this_process_on_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "sensors_temperatures", sensors(coretemp=[51.0, 58.5], nvme=[80.0]))
    host = Host()
    first, second = host.read(), host.read()
    assert host.missing == ()
    assert unknown(first) == SPANS
    assert unknown(second) == set()
    for sample in (first, second):
        assert sample.resident
        assert sample.available
        assert sample.total
        assert 0 < sample.resident < sample.total
        assert 0 < sample.available <= sample.total
        assert sample.cores == len(os.sched_getaffinity(0))
        assert sample.temperature_c == 58.5


def failing() -> dict[str, object]:
    raise OSError("no such device")


@pytest.mark.parametrize(
    "readings",
    [
        pytest.param(sensors(), id="no sensor"),
        pytest.param(sensors(nvme=[80.0]), id="none of the processor"),
        pytest.param(sensors(coretemp=[]), id="one that says nothing"),
        pytest.param(failing, id="one that cannot be read"),
    ],
)
def test_without_a_sensor_the_temperature_is_missing_and_not_zero(
    monkeypatch: pytest.MonkeyPatch, readings: Callable[[], object]
) -> None:
    monkeypatch.setattr(psutil, "sensors_temperatures", readings)
    host = Host()
    assert host.read().temperature_c is None
    assert host.missing == (NO_SENSOR,)


def test_where_psutil_knows_no_sensors_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    assert Host().missing == (NO_SENSOR,)


def test_what_psutil_trips_over_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def garbled() -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(psutil, "sensors_temperatures", garbled)
    monkeypatch.setattr(psutil, "virtual_memory", garbled)
    host = Host()
    assert host.missing == (NO_SENSOR,)
    assert unknown(host.read()) == SPANS | {"available", "total", "temperature_c"}


def test_without_psutil_the_rest_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    host = Host()
    first, second = host.read(), host.read()
    assert unknown(first) == SPANS | {"available", "total", "temperature_c"}
    assert unknown(second) == {"available", "total", "temperature_c"}
    assert host.missing == (NO_SENSOR,)


def test_what_hardly_moves_is_read_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    degrees = iter(range(40, 100))
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors(k10temp=[float(next(degrees))])())
    host = Host()
    read = [host.read().temperature_c for _ in range(2 * SLOW_READS)]
    assert read == [41.0] * SLOW_READS + [42.0] * SLOW_READS


def test_memory_and_time_of_worker_processes_are_ours() -> None:
    hold = "data = bytearray(64 << 20); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        alone = Host().read().resident
        WORKERS.add([worker.pid])
        try:
            both, spent = Host().read().resident, count().workers_ns
            worker.communicate(b"\n")
            ended = count().workers_ns, Host().read().resident
        finally:
            WORKERS.remove([worker.pid])
    assert alone is not None
    assert both is not None
    assert both > alone + (60 << 20)
    assert spent[worker.pid] > 0
    assert ended[0] == {worker.pid: 0}
    assert ended[1] is not None
    assert ended[1] < both
