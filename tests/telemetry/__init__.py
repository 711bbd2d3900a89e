"""Tests of the telemetry's readers and of its thread; the driver is a stub (`tests.nvml.stub`)."""
