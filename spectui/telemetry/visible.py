"""Which GPUs and slices CUDA may use: what CUDA_VISIBLE_DEVICES says, in NVML's terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spectui.telemetry.device import Device, text


def visible(devices: Sequence[Device], wish: str | None) -> list[Device]:
    """Those that CUDA may use, in CUDA's order; all of them where it is not told, or told nothing that is here.

    A number counts GPUs as NVML does, which CUDA follows with CUDA_DEVICE_ORDER=PCI_BUS_ID; ``GPU-`` and ``MIG-`` begin
    the UUID of a GPU or a slice, of which as much is needed as tells it apart. What follows the first entry that is
    nowhere does not count (CUDA C++ Programming Guide, "CUDA Environment Variables").

    Args:
        devices: GPUs, and slices in the place of those that are divided.
        wish: The variable; None where it is not set.
    """
    return list(dict.fromkeys(_named(devices, wish or ""))) or list(devices)


def _named(devices: Sequence[Device], wish: str) -> Iterator[Device]:
    for entry in wish.split(","):
        found = [device for device in devices if _is(device, entry.strip())]
        if not found:
            return
        yield from found


def _is(device: Device, entry: str) -> bool:
    if entry.isdecimal():
        return device.index == int(entry)
    if not entry.startswith(("GPU-", "MIG-")):
        return False
    uuid = device.ask(None, lambda nv, handle: text(nv.nvmlDeviceGetUUID, handle)) or ""
    return uuid.startswith(entry)
