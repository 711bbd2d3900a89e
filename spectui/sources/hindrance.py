"""Whether the GPU is held back at the moment: the telemetry says so, the lanes mark their steps with it."""

from __future__ import annotations

import threading

GPU_HINDERED = threading.Event()
"""Set while another process computes on the lanes' GPU, or its clocks are held down. One process, one fact."""
