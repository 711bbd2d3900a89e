"""Fixtures of the whole suite: no network but what the product itself needs, no home directory, one set of engines."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spectui.sources.machine import cpu_dtype

_CACHE = Path(os.environ.get("SPECTUI_TEST_CACHE") or Path(tempfile.gettempdir()) / "spectui-tests")
os.environ["SPECTUI_CACHE_DIR"] = str(_CACHE)
os.environ["SPECTUI_LOG_DIR"] = str(_CACHE / "logs")
os.environ["SPECTUI_CONFIG_DIR"] = str(_CACHE / "config")
os.environ.setdefault("VLLM_CACHE_ROOT", str(_CACHE / "vllm"))
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo target's checkpoint, made once a machine."""
    from spectui.sources.demo_model import ensure_demo_model

    return ensure_demo_model(lambda progress: None)


LaneMaker = Callable[..., Any]
LANES_AT_ONCE = 6
"""Engines in memory at once, about 1 GB each in float32; whoever was not asked for the longest time makes room."""

ENGINE_ARGS = {
    "dtype": cpu_dtype(),
    "enforce_eager": True,
    "max_model_len": 1024,
    "max_num_seqs": 16,
    "kv_cache_memory_bytes": 256 << 20,
    "enable_prefix_caching": False,
    "disable_log_stats": False,
    "seed": 0,
}
SMALL_ENGINE_ARGS = {**ENGINE_ARGS, "max_model_len": 512, "max_num_seqs": 4, "kv_cache_memory_bytes": 64 << 20}
"""For engines that fail, or that one test uses alone."""


@pytest.fixture(scope="session")
def make_lane(demo_model: Path) -> Iterator[LaneMaker]:
    """``make_lane("ngram:k=5", dtype="float32", ...)``: a lane on the demo target, one for each set of arguments."""
    from spectui.sources.vllm.lane import Lane
    from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec

    lanes: dict[Any, Lane] = {}

    def make(spec_text: str, **overrides: Any) -> Lane:
        key = (spec_text, *sorted(overrides.items()))
        lane = lanes.pop(key, None)
        if lane is None:
            while len(lanes) >= LANES_AT_ONCE:
                lanes.pop(next(iter(lanes))).close()
                gc.collect()
            spec = parse_lane_spec(spec_text, demo=True)
            lane = Lane(lane_infos([spec])[0], spec, str(demo_model), {**ENGINE_ARGS, **overrides})
        lanes[key] = lane
        return lane

    yield make
    for lane in lanes.values():
        lane.close()
    lanes.clear()
    gc.collect()
