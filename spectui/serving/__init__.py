"""The tap in a server: ``vllm serve MODEL --scheduler-cls spectui.serving.TracingScheduler``.

Runs in the server's engine-core process. The engine thread keeps what each step did in a `Feed`; a thread of its own
sends it to the viewers. Neither waits for a viewer.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # vLLM is imported with the first use, so that the rest of the package can be used without it.
    if name == "TracingScheduler":
        from spectui.serving.scheduler import TracingScheduler

        return TracingScheduler
    if name == "TracingWorker":
        from spectui.serving.worker import TracingWorker

        return TracingWorker
    raise AttributeError(name)
