"""One GPU, as NVML reports it: asks, remembers what is refused and why, and notices when the GPU is lost.

The metrics themselves are defined in `spectui.telemetry.readings` and `spectui.telemetry.gpm`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias, TypeVar

from spectui.errors import Fault

logger = logging.getLogger(__name__)

T = TypeVar("T")
Call: TypeAlias = Callable[[Any, Any], T]
"""Asks for one thing, given the binding (`pynvml`) and the device's handle."""


class Code(IntEnum):
    """The NVML return codes that are distinguished here; the numbers are part of NVML's binary interface."""

    SUCCESS = 0
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    DRIVER_NOT_LOADED = 9
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    LIB_RM_VERSION_MISMATCH = 18
    ARGUMENT_VERSION_MISMATCH = 25
    DEPRECATED = 26


UNREADABLE = -1
"""An extra code for an answer that the binding could not read."""

UNSUPPORTED = frozenset({Code.INVALID_ARGUMENT, Code.NOT_SUPPORTED, Code.DEPRECATED})
OLD_DRIVER = frozenset({Code.FUNCTION_NOT_FOUND, Code.ARGUMENT_VERSION_MISMATCH})
FINAL = UNSUPPORTED | OLD_DRIVER | {Code.NO_PERMISSION}
"""Answers that never change; any other refusal may be temporary, and the metric is asked for again."""

_FORBIDDEN = Fault("this user may not read it", "ask the administrator for permission")
_OLD_DRIVER = Fault("the driver does not know it yet", "install a newer NVIDIA driver")
_RESET = Fault(
    "the GPU has to be reset first", "let the administrator run nvidia-smi --gpu-reset, or restart the machine"
)


def text(call: Callable[..., Any], *arguments: Any) -> str:
    """Call a function of the binding that returns text, in any encoding; the binding itself accepts only UTF-8."""
    answer = getattr(call, "__wrapped__", call)(*arguments)
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)


def said(error: Exception) -> str:
    """An NVML error in NVML's own words, which the driver may have translated."""
    try:
        return str(error)
    except UnicodeDecodeError:
        return f"error {getattr(error, 'value', 'of its own')}"


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that a device can refuse to report.

    Attributes:
        what: Its name for the user.
        unsupported: Why a device may not have it; None for a general sentence.
        forbidden: Why a user may not read it, and what to do.
    """

    what: str
    unsupported: str | None = None
    forbidden: str = _FORBIDDEN


class Device:
    """A GPU, or a MIG slice (`spectui.telemetry.mig.Slice`).

    Attributes:
        index: NVML's index of the GPU.
        name: The product's name; a slice's name ends with its profile.
        handle: NVML's handle of the device.
        lost: Whether the driver says that the GPU is gone; it is not asked again.
        refused: The return code of every metric that was refused last time.
    """

    is_slice = False

    def __init__(self, nv: Any, handle: Any, index: int, name: str = "NVIDIA GPU") -> None:
        self.index = index
        self.name = name
        self.handle = handle
        self.lost = False
        self.refused: dict[Metric, int] = {}
        self._nv = nv

    def ask(self, metric: Metric | None, call: Call[T]) -> T | None:
        """The answer, or None if there is none; without a metric the reason is not recorded."""
        if not self.may_ask(metric):
            return None
        try:
            answer = call(self._nv, self.handle)
        except self._nv.NVMLError as error:
            self.note(metric, error.value)
            return None
        except Exception:
            # An answer that the binding cannot read affects only this metric.
            if metric is None or self.refused.get(metric) != UNREADABLE:
                what = "an answer" if metric is None else metric.what
                logger.exception("GPU %d: %s cannot be read", self.index, what)
            self.note(metric, UNREADABLE)
            return None
        self.note(metric, Code.SUCCESS)
        return answer

    def may_ask(self, metric: Metric | None) -> bool:
        """Whether an answer is still possible."""
        return not self.lost and (metric is None or self.refused.get(metric) not in FINAL)

    def note(self, metric: Metric | None, code: int) -> None:
        """Record how NVML answered."""
        if code == Code.GPU_IS_LOST:
            self.lost = True
        elif metric is None:
            return
        elif code == Code.SUCCESS:
            self.refused.pop(metric, None)
        else:
            self.refused[metric] = code

    def why(self, metric: Metric) -> str:
        """Why ``metric`` was refused, in one sentence."""
        code = self.refused[metric]
        if code in UNSUPPORTED:
            return metric.unsupported or f"{'a MIG slice' if self.is_slice else 'the GPU'} does not report it"
        if code == Code.NO_PERMISSION:
            return metric.forbidden
        if code in OLD_DRIVER:
            return _OLD_DRIVER
        if code == Code.RESET_REQUIRED:
            return _RESET
        if code == UNREADABLE:
            return "the driver's answer cannot be read; the log has the details"
        return f"the driver says: {said(self._nv.NVMLError(code))}"

    def has_gpm(self) -> bool:
        """Whether the driver can sample the device's own counters."""
        return bool(self._nv.nvmlGpmQueryDeviceSupport(self.handle).isSupportedDevice)

    def take_gpm(self, sample: Any) -> None:
        """Have the driver write those counters into ``sample``."""
        self._nv.nvmlGpmSampleGet(self.handle, sample)
