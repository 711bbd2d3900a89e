"""NVML without a GPU: a stub of the driver's library under NVIDIA's real binding. See `tests.nvml.stub`."""
