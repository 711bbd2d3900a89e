"""Fixtures of the whole suite: no network but what the product itself needs, no home directory, one set of engines.

The demo model takes a while to make, so it is kept in pytest's cache, which belongs to the checkout: ``make clean``
removes it, and nobody else's tests meet it. SPECTUI_TEST_CACHE names another folder. Everything else that the program
writes goes into pytest's temporary folder of the session.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from spectui.runtime.threads import engine_environment, find_openmp, usable_cpus
from spectui.sources.hardware import cpu_dtype

SCREENS = ("spectui.ui", "textual", "tests.support.rig", "tests.support.terminal", "tests.support.browser")
"""Whoever imports of these draws on a screen."""

# How long an example takes is the machine's affair: nothing here is a timed test.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Engines run here as in the program, but for the preloading: symbols of libraries that are loaded later are looked up
# first in one that is loaded for all. With the OpenMP that torch brings, vLLM computes on one core.
if (openmp := find_openmp()) is not None:
    ctypes.CDLL(str(openmp), mode=ctypes.RTLD_GLOBAL)
_settings = engine_environment(usable_cpus(), os.environ, openmp=openmp).changes
os.environ.update((name, value) for name, value in _settings.items() if name != "LD_PRELOAD")


def pytest_configure(config: pytest.Config) -> None:
    """Lead the program away from the user's folders before a test module is imported."""
    os.environ["SPECTUI_CONFIG_DIR"] = os.environ["SPECTUI_LOG_DIR"] = "/nonexistent"
    os.environ["SPECTUI_CACHE_DIR"] = str(kept_folder(config) or "/nonexistent")


def kept_folder(config: pytest.Config) -> Path | None:
    """What stays from one session to the next; None where nothing can."""
    if chosen := os.environ.get("SPECTUI_TEST_CACHE"):
        return Path(chosen).absolute()
    # Without its plug-in (``-p no:cacheprovider``) there is no such attribute.
    cache = getattr(config, "cache", None)
    try:
        folder = cache.mkdir("spectui") if cache is not None else None
    except OSError:
        return None
    return folder if folder is not None and os.access(folder, os.W_OK) else None


@pytest.fixture(scope="session", autouse=True)
def _folders(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> None:
    """Folders of the session for whatever the program writes."""
    session = tmp_path_factory.mktemp("session")
    kept = kept_folder(pytestconfig) or session
    os.environ["SPECTUI_CACHE_DIR"] = str(kept)
    os.environ["SPECTUI_LOG_DIR"] = str(session / "logs")
    os.environ["SPECTUI_CONFIG_DIR"] = str(session / "config")
    os.environ["SPECTUI_SOCKET_DIR"] = str(session / "sockets")
    os.environ.setdefault("VLLM_CACHE_ROOT", str(kept / "vllm"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as one of ``engine``, ``tui`` and ``unit``, unless it says so itself."""
    for item in items:
        if not any(item.get_closest_marker(name) for name in KINDS):
            item.add_marker(_kind(item))


KINDS = ("unit", "tui", "engine")


def _kind(item: pytest.Item) -> str:
    """``engine`` where the demo model is needed, ``tui`` where the module draws on a screen, else ``unit``."""
    if "demo_model" in getattr(item, "fixturenames", ()):
        return "engine"
    module = item.getparent(pytest.Module)
    assert module is not None
    rooms = {getattr(one, "__module__", None) or getattr(one, "__name__", "") for one in vars(module.obj).values()}
    return "tui" if any(f"{room}.".startswith(f"{screen}.") for room in rooms for screen in SCREENS) else "unit"


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo target's checkpoint, made once a checkout."""
    from spectui.sources.demo_model import ensure_demo_model

    return ensure_demo_model(lambda progress: None)


LaneMaker = Callable[..., Any]
LANES_AT_ONCE = 12
"""Engines in memory at once, each with its cache and its drafter; whoever was not asked for the longest time makes
room."""

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
    """``make_lane("ngram:k=5", dtype="float32", ...)``: a lane on the demo target, one for each set of arguments. Those
    of one number format and one length share the target's weights, as the program's lanes do."""
    from spectui.sources.vllm.lane import Lane
    from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
    from spectui.sources.vllm.sharing import SharedTarget

    shared = SharedTarget(ENGINE_ARGS)

    lanes: dict[Any, Lane] = {}

    def make(spec_text: str, **overrides: Any) -> Lane:
        arguments = {**ENGINE_ARGS, **overrides}
        key = (spec_text, *sorted(arguments.items()))
        lane = lanes.pop(key, None)
        if lane is None:
            while len(lanes) >= LANES_AT_ONCE:
                lanes.pop(next(iter(lanes))).close()
                gc.collect()
            spec = parse_lane_spec(spec_text, demo=True)
            lane = Lane(lane_infos([spec])[0], spec, str(demo_model), arguments, shared.borrowing(str(demo_model)))
        lanes[key] = lane
        return lane

    yield make
    for lane in lanes.values():
        lane.close()
    lanes.clear()
    gc.collect()
