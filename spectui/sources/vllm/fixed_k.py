"""Recognises lanes whose K must stay what they were built for, because vLLM computes something else below it.

With Gated DeltaNet layers (Qwen 3.5, Qwen 3.6, Qwen3-Next) on a CPU without AMX, vLLM 0.32 keeps the state of their
convolution right only if every step has as many drafts as the lane was built for: with fewer the text is silently
wrong, or the engine dies of tensors whose sizes differ (``_spec_forward`` in
``vllm/model_executor/layers/mamba/ops/cpu/gdn_attention.py``, where the buffer is rolled).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from spectui.protocol.events import Event, KChanged, LaneInfo, Notice, Sampling
from spectui.sources.vllm.compat import device, parts
from spectui.sources.vllm.unsupported import UnsupportedError

UNEVEN = frozenset({"ngram", "suffix"})
"""Methods that draft as many tokens as they find, often none, whatever K is."""

GATED_DELTA_NET = "GDN_ATTN"
"""vLLM's name of the layers' kind in the specs of their cache."""

BECAUSE = "this processor has no AMX, and without it vLLM's Gated DeltaNet layers are right only if every step"


def why_fixed(engine: Any, info: LaneInfo) -> str:
    """Say why a lane's K must stay its K_max; empty if it may change.

    Raises:
        UnsupportedError: Its method drafts fewer tokens by itself.
    """
    if not info.k_max or not needs_all_drafts(parts.scheduler_of(engine).kv_cache_config):
        return ""
    if info.method in UNEVEN:
        raise UnsupportedError(
            f"{info.title} cannot run on this target here: {BECAUSE} has the same number of drafts; use DFlash, or a "
            "GPU"
        )
    return stays(info.k_max)


def stays(k_max: int) -> str:
    """Say that K stays where `needs_all_drafts` holds."""
    return f"K stays {k_max}: {BECAUSE} has {k_max} drafts"


def cautions(info: LaneInfo, why: str, sampling: Sampling) -> Iterator[Event]:
    """What to tell about a lane whose K stays because of ``why`` when it begins: that it began with another, and that
    a grammar would cut its drafts."""
    if not why:
        return
    if info.k_first != info.k_max or info.k_source == "auto":
        yield KChanged(info.name, info.k_max, "default")
        yield Notice(why, info.name, "warning")
    if sampling.json_schema is not None:
        yield Notice(
            f"do not trust this lane's text: a JSON schema cuts drafts short, but {why.partition(': ')[2]}",
            info.name,
            "warning",
        )


def needs_all_drafts(kv_cache_config: Any) -> bool:
    """Whether an engine with such a cache is right only if every step has as many drafts as it was built for."""
    return device.on_cpu() and _has_gated_delta_net(kv_cache_config) and not _rolls_any_number()


def _has_gated_delta_net(kv_cache_config: Any) -> bool:
    kinds = (getattr(group.kv_cache_spec, "mamba_type", None) for group in kv_cache_config.kv_cache_groups)
    return any(getattr(kind, "name", "") == GATED_DELTA_NET for kind in kinds)


def _rolls_any_number() -> bool:
    """Whether vLLM takes its native convolution for drafts, which rolls the state by as many as there are."""
    torch: Any = importlib.import_module("torch")
    kernels: Any = importlib.import_module("vllm.model_executor.layers.mamba.ops.cpu.gdn_attention")
    return bool(torch.cpu._is_amx_tile_supported() or kernels.is_arm_bf16())
