"""What the machine reports while lanes race: NVML's GPUs, the host, and the sampler thread that reads both.

Owns the bindings to drivers and system files, what they support here, and the pace of reading. Hands over frozen
samples (`spectui.protocol.samples`). Must not know: vLLM, Textual. Importing it is cheap; the NVML binding is loaded
when `spectui.telemetry.nvml.Nvml` opens.
"""
