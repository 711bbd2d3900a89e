"""The host's memory peak: measured once a machine, and never worth more than a figure."""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spectui.telemetry import peak as room
from spectui.telemetry.peak import FILE, measure, memory_peak

HERE = "EPYC, 2 cores"


class Probe:
    """Finds one more byte a second each time."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> float:
        self.runs += 1
        return 1e9 + self.runs


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says on which machine the test runs from now on."""

    def move(machine: str) -> None:
        monkeypatch.setattr(room, "machine_name", lambda: machine)

    move(HERE)
    return move


def test_it_is_measured_once_a_machine(tmp_path: Path, probe: Probe) -> None:
    folder = tmp_path / "cache" / "spectui"
    assert [memory_peak(folder, probe) for _ in range(3)] == [1e9 + 1] * 3
    assert probe.runs == 1
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_another_machine_s_is_not_taken(tmp_path: Path, probe: Probe, here: Callable[[str], None]) -> None:
    """As in a home directory that several machines share."""
    memory_peak(tmp_path, probe)
    here("Xeon, 64 cores")
    assert [memory_peak(tmp_path, probe) for _ in range(2)] == [1e9 + 2] * 2
    here(HERE)
    assert memory_peak(tmp_path, probe) == 1e9 + 3


def test_without_a_folder_it_is_measured_every_time(probe: Probe) -> None:
    assert [memory_peak(None, probe) for _ in range(2)] == [1e9 + 1, 1e9 + 2]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"machine": "EPYC, 2 co', id="cut off"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[1, 2]", id="no object"),
        pytest.param(b"3", id="a number"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(b'{"machine": "EPYC, 2 cores"}', id="no figure"),
        pytest.param(b'{"bytes_per_second": 5e9}', id="no machine"),
        *(
            pytest.param(f'{{"machine": "{HERE}", "bytes_per_second": {figure}}}'.encode(), id=f"figure {figure}")
            for figure in ("null", "[]", '"fast"', "0", "-1", "NaN", "Infinity")
        ),
    ],
)
def test_what_cannot_be_read_is_measured_and_written_anew(tmp_path: Path, probe: Probe, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert [memory_peak(tmp_path, probe) for _ in range(2)] == [1e9 + 1] * 2
    assert json.loads((tmp_path / FILE).read_text()) == {"machine": HERE, "bytes_per_second": 1e9 + 1}


def test_a_folder_that_cannot_be_written_costs_the_next_start_a_measurement(tmp_path: Path, probe: Probe) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    assert [memory_peak(in_the_way / "cache", probe) for _ in range(2)] == [1e9 + 1, 1e9 + 2]


def test_a_place_that_is_taken_does_no_harm(tmp_path: Path, probe: Probe) -> None:
    (tmp_path / FILE / "full").mkdir(parents=True)
    assert memory_peak(tmp_path, probe) == 1e9 + 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_probe_that_fails_leaves_it_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> float:
        raise OSError("no memory")

    with caplog.at_level(logging.ERROR):
        assert memory_peak(tmp_path, failing) is None
    assert "the memory peak is unknown" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", ["/nowhere/python", shutil.which("false"), shutil.which("true")])
def test_a_process_that_gives_no_figure_is_an_error(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(OSError, match=r"."):
        measure()
    assert memory_peak(None) is None


def test_the_probe_itself() -> None:
    rate = measure()
    assert rate > 0
    assert math.isfinite(rate)
