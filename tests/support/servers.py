"""Real servers: vLLM's OpenAI server as a process of its own, with the tap or without, and its counters.

Nothing outlives the process that started it: a server is told to end when that process does, and `Server.stop` ends
its whole process group.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from spectui.runtime.threads import engine_environment, find_openmp, usable_cpus
from spectui.sources.demo_model import drafters
from spectui.sources.hardware import cpu_dtype
from tests.support import tiny_checkpoints

ROOT = Path(__file__).parent.parent.parent
START_S, STOP_S, SETTLE_S = 240.0, 20.0, 30.0
NAME = "demo"
"""Under which every server serves its model."""

SEATS = 16
TAP = ("--scheduler-cls", "spectui.serving.TracingScheduler", "--worker-extension-cls", "spectui.serving.TracingWorker")

# As `python -m vllm.entrypoints.openai.api_server`, but it ends when its parent does.
_MAIN = """
import ctypes, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
sys.argv[0] = "vllm.entrypoints.openai.api_server"
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Counters:
    """What a server counts of itself, over all of its engines."""

    drafts: int
    drafted: int
    accepted: int
    accepted_at: tuple[int, ...]
    emitted: int
    prompt_tokens: int

    def since(self, before: Counters) -> Counters:
        """What was counted since then."""
        at = tuple(now - then for now, then in zip(self.accepted_at, before.accepted_at, strict=True))
        plain = {f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self) if f.name != _AT}
        return Counters(**plain, accepted_at=at)


_AT = "accepted_at"
_NAMES = {
    "drafts": "vllm:spec_decode_num_drafts_total",
    "drafted": "vllm:spec_decode_num_draft_tokens_total",
    "accepted": "vllm:spec_decode_num_accepted_tokens_total",
    "emitted": "vllm:generation_tokens_total",
    "prompt_tokens": "vllm:prompt_tokens_total",
}
_PER_POSITION = "vllm:spec_decode_num_accepted_tokens_per_pos_total"


def read_counters(text: str) -> Counters:
    """Read what ``/metrics`` says."""
    sums: dict[str, int] = {}
    at: dict[int, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + int(sample.value)
            if sample.name == _PER_POSITION:
                place = int(sample.labels["position"])
                at[place] = at.get(place, 0) + int(sample.value)
    plain = {name: sums.get(theirs, 0) for name, theirs in _NAMES.items()}
    return Counters(**plain, accepted_at=tuple(at[place] for place in sorted(at)))


@dataclass(frozen=True)
class Kind:
    """What a server runs.

    Attributes:
        model: The target's folder.
        arguments: Those of the command line that are its own.
        dtype: Its number format.
    """

    model: Path
    arguments: tuple[str, ...]
    dtype: str


def mtp(model: Path, k: int = 3) -> Kind:
    """The demo target with its MTP head."""
    head = {"method": "mtp", "model": str(drafters.demo_drafter("mtp")), "num_speculative_tokens": k}
    overrides = json.dumps({"num_nextn_predict_layers": 1})
    return Kind(model, ("--hf-overrides", overrides, *_speculative(head)), cpu_dtype())


def ngram(model: Path, k: int = 4) -> Kind:
    """The demo target with n-gram look-up."""
    drafter = {
        "method": "ngram", "num_speculative_tokens": k, "prompt_lookup_max": 3, "prompt_lookup_min": 1,
    }  # fmt: skip
    return Kind(model, _speculative(drafter), cpu_dtype())


def split(folder: Path, k: int = 3) -> Kind:
    """A tiny Llama with an MTP head, in two worker processes; the demo target's nine heads cannot be divided."""
    tiny = tiny_checkpoints.make("llama", folder)
    head = {"method": "mtp", "model": str(folder / "mtp"), "num_speculative_tokens": k}
    overrides = json.dumps({"num_nextn_predict_layers": 1})
    arguments = ("--tensor-parallel-size", "2", "--hf-overrides", overrides, *_speculative(head))
    return Kind(tiny.target, arguments, tiny.dtype)


def _speculative(drafter: Mapping[str, Any]) -> tuple[str, str]:
    return "--speculative-config", json.dumps(drafter)


class Server:
    """A server that starts; `ready` waits for it.

    Attributes:
        url: Of its HTTP API, without ``/v1``.
        endpoint: Where viewers attach.
        log: What it printed.
    """

    def __init__(self, kind: Kind, *, tap: bool = True, asynchronous: bool = False, **settings: str) -> None:
        """Start it.

        Args:
            kind: What it runs.
            tap: Whether the tap is in it.
            asynchronous: Whether it schedules steps before it knows the results of those before.
            settings: Environment variables, without ``SPECTUI_``: ``control="1"``.
        """
        # The path of a socket is short, so it does not lie in pytest's folder.
        self.folder = Path(tempfile.mkdtemp(prefix="spectui-"))
        self.log = self.folder / "server.log"
        self.endpoint = f"ipc://{self.folder / 'tap.sock'}"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        arguments = [
            "--model", str(kind.model), "--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(port),
            "--dtype", kind.dtype, "--enforce-eager", "--max-model-len", "1024", "--max-num-seqs", str(SEATS),
            "--kv-cache-memory-bytes", str(256 << 20), "--no-enable-prefix-caching",
            "--async-scheduling" if asynchronous else "--no-async-scheduling",
            "--per-request-spec-decode-metrics", "summary", "--override-generation-config", '{"temperature": 0}',
            *(TAP if tap else ()), *kind.arguments,
        ]  # fmt: skip
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, *arguments],
                env=_environment({"ENDPOINT": self.endpoint, **settings}),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the API server, whose process group all others are in."""
        return self._process.pid

    def ready(self) -> Server:
        """Wait until it answers."""
        try:
            wait_for(self._healthy, START_S, lambda: f"the server did not start:\n{self.said()}")
        except BaseException:
            self.stop()
            raise
        return self

    def said(self, lines: int = 40) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _healthy(self) -> bool:
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the server ended with {code}:\n{self.said()}")
        with suppress(httpx.TransportError):
            return self.get("/health").status_code == 200
        return False

    def get(self, path: str) -> httpx.Response:
        """Ask its HTTP API."""
        return httpx.get(f"{self.url}{path}", timeout=10.0, trust_env=False)

    def counters(self) -> Counters:
        """What it has counted by now. The counters follow the answers a little later: see `settled`."""
        return read_counters(self.get("/metrics").text)

    def settled(self) -> Counters:
        """What it has counted once nothing is in flight."""
        seen = [self.counters()]

        def still() -> bool:
            seen.append(self.counters())
            return len(seen) > 3 and len(set(seen[-4:])) == 1

        wait_for(still, SETTLE_S, lambda: f"the counters go on and on: {seen[-1]}")
        return seen[-1]

    def resident(self) -> int:
        """Bytes of memory of the API server and the engine cores, without the workers that hold the model."""
        api = psutil.Process(self.pid)
        cores = [child for child in api.children(recursive=True) if child.name().startswith("VLLM::EngineCor")]
        return sum(process.memory_info().rss for process in (api, *cores))

    def stop(self) -> None:
        """End all of its processes."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        wait_for(lambda: not _living(self.pid), STOP_S, lambda: f"the server left processes: {_living(self.pid)}")
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for(done: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    """Ask ``done`` until it says so.

    Raises:
        AssertionError: It never did; ``otherwise`` says what that means.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.1)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """That of a user who runs a server on this machine's CPU, with these settings of the tap's."""
    ours = engine_environment(usable_cpus(), os.environ, openmp=find_openmp()).settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPECTUI_")}
    environment |= {setting.name: setting.value for setting in ours}
    environment |= {f"SPECTUI_{name.upper()}": value for name, value in settings.items()}
    # A server has its engine core in a process of its own.
    environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return environment | {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _living(group: int) -> list[int]:
    """Processes of a group that have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
