"""Each room loads without what it must not know: the contracts of pyproject.toml, seen at run time."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("vllm", "torch", "transformers")


@pytest.mark.parametrize(
    ("room", "absent"),
    [
        ("spectui.core.views", (*HEAVY, "textual", "rich", "psutil")),
        ("spectui.protocol.events", (*HEAVY, "textual", "rich", "numpy")),
        ("spectui.sources.synthetic.source", (*HEAVY, "textual")),
        ("spectui.sources.vllm.host", (*HEAVY, "textual")),
        ("spectui.bench.calibrate", (*HEAVY, "textual")),
        ("spectui.cli.run", (*HEAVY, "textual", "numpy", "msgspec")),
        ("spectui.cli.shot", (*HEAVY, "textual", "rich", "numpy")),
        ("spectui.cli.cast", (*HEAVY, "textual", "rich", "numpy")),
        ("spectui.cli.serve", (*HEAVY, "textual", "rich", "numpy", "aiohttp")),
        ("spectui.ui.app", (*HEAVY, "numpy", "spectui.sources.vllm", "msgspec")),
        ("spectui.telemetry.sampler", (*HEAVY, "textual", "rich", "numpy", "psutil", "pynvml")),
        # An engine core is forked or spawned after this.
        ("spectui.serving.publisher", (*HEAVY, "textual", "rich", "numpy", "zmq")),
        ("spectui.cli.keys", (*HEAVY, "textual", "numpy", "msgspec", "zmq")),
        ("spectui.trace.index", (*HEAVY, "textual", "rich", "numpy", "psutil", "asyncio", "msgspec")),
        ("spectui.trace.writer", (*HEAVY, "textual", "rich", "numpy", "psutil", "asyncio", "msgspec")),
        ("spectui.sources.replay", (*HEAVY, "textual", "rich", "numpy", "msgspec")),
        ("spectui.cli.main", (*HEAVY, "textual", "numpy", "asyncio", "msgspec")),
    ],
)
def test_a_room_loads_without(room: str, absent: tuple[str, ...]) -> None:
    """In a fresh interpreter, so that nothing else has loaded them."""
    script = f"import sys, {room}; print(*(name for name in {absent!r} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_asking_for_pip_leaves_setuptools_able_to_load() -> None:
    """torch imports setuptools later in the same process; the first run on a new machine depends on it."""
    script = "from spectui.sources.demo_model.wheel import pip_command; pip_command(); import setuptools"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_msgspec_is_loaded_with_the_first_line_of_a_trace() -> None:
    """Neither the first frame nor a run that is not recorded has its 20 ms."""
    script = """
import sys
from pathlib import Path
from spectui.protocol.events import RoundFinished, Step
from spectui.sources.recording import Recorded
from spectui.sources.synthetic.source import SyntheticSource
from spectui.trace.codec import encode
from tests.sources.test_synthetic import FAILSAFE_S, FAST, Collector
sink = Collector()
source = Recorded(SyntheticSource(pace=FAST), None, Path)
source.start(sink)
sink.wait_for_kind(RoundFinished)
assert source.stop(FAILSAFE_S)
print("msgspec" in sys.modules)
encode(0, next(event for event in sink.events if isinstance(event, Step)))
print("msgspec" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
