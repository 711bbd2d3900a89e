"""Whether something else slows the lanes down at the moment: the telemetry sets it, and the lanes mark their steps."""

from __future__ import annotations

import threading

GPU_HINDERED = threading.Event()
"""Set while another process computes on the lanes' GPU, or its clocks are held down. There is one for the whole
process."""

CORES_HINDERED = threading.Event()
"""Set while other programs use cores that this one and its worker processes could use. It is for lanes whose engines
run in processes of their own; the others watch their own threads (`spectui.sources.vllm.waiting`)."""
