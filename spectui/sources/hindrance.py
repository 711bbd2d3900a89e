"""Whether the GPU is slowed down at the moment: the telemetry sets it, and the lanes mark their steps with it."""

from __future__ import annotations

import threading

GPU_HINDERED = threading.Event()
"""Set while another process computes on the lanes' GPU, or its clocks are held down. There is one for the whole
process."""
