"""The processes in which engines run a model that is split among several GPUs.

The engines' room tells of them, and the telemetry counts them as part of this program.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable


class WorkerProcesses:
    """Process ids of living engines' workers; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: frozenset[int] = frozenset()

    def add(self, pids: Iterable[int]) -> None:
        with self._lock:
            self._pids |= frozenset(pids)

    def remove(self, pids: Iterable[int]) -> None:
        with self._lock:
            self._pids -= frozenset(pids)

    @property
    def pids(self) -> frozenset[int]:
        return self._pids


WORKERS = WorkerProcesses()
"""Those of this process."""
