"""Makes vLLM believe that this process has one NVIDIA GPU, as far as its configuration and its plans go.

No device is touched and no kernel can run. `pretend` changes vLLM for the whole process, so it is called first in a
process of its own: see `tests/support/cuda_configurations.py`. Written for vLLM 0.32.
"""

from __future__ import annotations

import os
import sys
import types
from dataclasses import dataclass
from typing import Any

from tests.support import torchvision_stub

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Card:
    """The GPU that is pretended."""

    name: str = "NVIDIA H100 80GB HBM3"
    capability: tuple[int, int] = (9, 0)
    memory: int = int(79.2 * GIB)
    units: int = 132


def pretend(card: Card = Card()) -> None:
    """Let vLLM see ``card``. Call it before vLLM is imported."""
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    _kernels()
    _platform(card)
    _triton()
    torchvision_stub.stand_in()


class _Kernels(types.ModuleType):
    """A compiled module of the CUDA build, whose every function says that it cannot run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(f"{self.__name__}.{name} is a CUDA kernel, and this GPU is pretended")

        return missing


def _kernels() -> None:
    sys.modules.setdefault("vllm._C_stable_libtorch", types.ModuleType("vllm._C_stable_libtorch"))
    for name in ("vllm.vllm_flash_attn", "vllm.vllm_flash_attn.flash_attn_interface"):
        module: Any = _Kernels(name)
        module.is_fa_version_supported = lambda version, *args: version in (2, 3, 4)
        module.fa_version_unsupported_reason = lambda version, *args: None if version in (2, 3, 4) else "pretended"
        module.FA2_AVAILABLE = module.FA3_AVAILABLE = True
        module.__path__ = []
        sys.modules[name] = module


def _platform(card: Card) -> None:
    import torch
    import vllm.platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    class Pretended(CudaPlatformBase):  # type: ignore[misc]
        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> Any:
            return DeviceCapability(*card.capability)

        @classmethod
        def get_device_name(cls, device_id: int = 0) -> str:
            return card.name

        @classmethod
        def get_device_uuid(cls, device_id: int = 0) -> str:
            return "GPU-pretended"

        @classmethod
        def get_device_total_memory(cls, device_id: int = 0) -> int:
            return card.memory

        @classmethod
        def is_fully_connected(cls, ids: Any) -> bool:
            return True

        @classmethod
        def current_device(cls) -> Any:
            return torch.device("meta")

        @classmethod
        def device_count(cls) -> int:
            return 1

        @classmethod
        def is_integrated_gpu(cls, device_id: int = 0) -> bool:
            return False

        @classmethod
        def num_compute_units(cls, device_id: int = 0) -> int:
            return card.units

        @classmethod
        def get_device_numa_node(cls, device_id: int = 0) -> None:
            return None

        @classmethod
        def get_all_device_numa_nodes(cls) -> None:
            return None

        @classmethod
        def get_cuda_runtime_major(cls) -> int:
            return 13

        @classmethod
        def log_warnings(cls) -> None: ...

    vllm.platforms._current_platform = Pretended()
    torch.cuda.device_count = lambda: 1


def _triton() -> None:
    """Say that Triton is there, whose kernels are only defined here, never compiled."""
    import vllm.config.vllm as config
    import vllm.model_executor.models.registry as registry
    from vllm import _custom_ops as ops
    from vllm.triton_utils import triton

    class Config:
        def __init__(self, kwargs: Any = None, num_warps: int = 4, num_stages: int = 2, **more: Any) -> None:
            self.kwargs, self.num_warps, self.num_stages = kwargs or {}, num_warps, num_stages

    config.HAS_TRITON = True
    triton.Config = Config
    # Another process would not be pretending.
    registry._run_in_subprocess = lambda inspect: inspect()
    for name in dir(ops):
        if "support" in name and callable(getattr(ops, name)):
            setattr(ops, name, lambda *args, **kwargs: True)
