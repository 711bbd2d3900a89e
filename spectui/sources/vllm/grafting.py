"""Builds a lane's target from the weights of a target that is loaded already. Written for vLLM 0.32.

The lane's own modules are built on the ``meta`` device, where tensors take no memory. Parts without attention are then
replaced by the donor's, after all that vLLM does to weights once they are loaded: packed matrices, quantised layouts,
fused experts and the closures that use them come along. Modules that hold attention stay the lane's own, since they
keep its cache, its backend and its compiled code, and get the donor's parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from vllm.compilation.wrapper import TorchCompileWithNoGuardsWrapper
from vllm.model_executor.layers import rotary_embedding
from vllm.model_executor.layers.attention import is_deferred_attention_layer
from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.utils.torch_utils import set_default_torch_dtype

from spectui.sources.vllm.sharing import Borrowing, SharingError

MODULE_INTERNALS = frozenset(vars(nn.Module()))
"""Attributes that PyTorch keeps in every module."""

DRAFTING_KEYS = ("num_nextn_predict_layers",)
"""Entries of a target's configuration that only the choice of a drafter reads: see `LaneSpec.target_arguments`."""


def loader_class(borrowing: Borrowing) -> type[BaseModelLoader]:
    """Return the class that loads one lane's target: from a donor if ``borrowing`` knows one, else as vLLM does."""

    class TargetLoader(BaseModelLoader):
        def _plain(self) -> Any:
            return get_model_loader(dataclasses.replace(self.load_config, load_format=borrowing.load_format))

        def download_model(self, model_config: Any) -> None:
            self._plain().download_model(model_config)

        def load_weights(self, model: nn.Module, model_config: Any) -> None:
            self._plain().load_weights(model, model_config)

        def load_model(self, vllm_config: Any, model_config: Any, prefix: str = "") -> Any:
            # The drafter is loaded after the target, in the format that the user asked for.
            self.load_config.load_format = borrowing.load_format
            plain = self._plain()
            if borrowing.done:
                return plain.load_model(vllm_config=vllm_config, model_config=model_config, prefix=prefix)
            kind = _kind(vllm_config, model_config)
            donor = borrowing.donor(kind)
            if donor is None:
                model = plain.load_model(vllm_config=vllm_config, model_config=model_config, prefix=prefix)
            else:
                model = _borrowed(vllm_config, model_config, prefix, donor)
            borrowing.loaded(kind, model)
            return model

    return TargetLoader


def _kind(vllm_config: Any, model_config: Any) -> Any:
    """What two targets must have in common for one to use the other's weights."""
    config = {name: value for name, value in model_config.hf_config.to_dict().items() if name not in DRAFTING_KEYS}
    return (
        (model_config.model, model_config.revision, model_config.dtype, model_config.quantization),
        model_config.max_model_len,
        (vllm_config.compilation_config.mode, tuple(vllm_config.compilation_config.custom_ops)),
        config,
    )


def _borrowed(vllm_config: Any, model_config: Any, prefix: str, donor: nn.Module) -> Any:
    """Build the target that ``vllm_config`` describes, with the donor's weights.

    Raises:
        SharingError: It cannot be built that way; the donor is as it was.
    """
    try:
        with set_default_torch_dtype(model_config.dtype):
            with torch.device("meta"), _ropes_kept():
                model = initialize_model(vllm_config=vllm_config, model_config=model_config, prefix=prefix)
            if hasattr(model, "process_weights_after_loading"):
                raise SharingError(f"{type(model).__name__} prepares its weights in a way of its own")
            _Graft(model, donor, vllm_config).apply()
            modules: list[Any] = [one for one in model.modules() if isinstance(one, AttentionLayerBase)]
            for module in filter(is_deferred_attention_layer, modules):
                module.process_weights_after_loading(model_config.dtype)
    except SharingError:
        raise
    except Exception as error:
        raise SharingError(f"{type(error).__name__}: {error}") from error
    return model.eval()


@contextmanager
def _ropes_kept() -> Iterator[None]:
    """Keep vLLM's process-wide table of rotary embeddings as it is: the next model must find none on ``meta``."""
    ropes = rotary_embedding._ROPE_DICT
    before = dict(ropes)
    try:
        yield
    finally:
        ropes.clear()
        ropes.update(before)


class _Graft:
    """One model on ``meta`` that is given the weights of another of the same kind."""

    def __init__(self, model: nn.Module, donor: nn.Module, vllm_config: Any) -> None:
        self._model = model
        self._donor = donor
        self._context: dict[str, Any] = vllm_config.compilation_config.static_forward_context
        self._device = torch.device(vllm_config.device_config.device)
        self._own: dict[int, bool] = {}
        self._pairs: list[tuple[nn.Module, nn.Module]] = []
        self._modules: dict[int, nn.Module] = {}
        self._tensors: dict[int, torch.Tensor] = {}
        self._seen: set[int] = set()
        # What was replaced must live until the end, so that nothing else gets its identity.
        self._replaced: list[object] = []

    def apply(self) -> None:
        self._take(self._model, self._donor, "the model")
        for new, old in self._pairs:
            self._take_attributes(new, old)
        for name, layer in self._context.items():
            # MoE layers are looked up here in every step.
            self._context[name] = self._modules.get(id(layer), layer)
        self._check()

    def _is_own(self, module: nn.Module) -> bool:
        """Whether the lane needs a module of its own here: it holds attention, or code that is compiled for a lane."""
        if (known := self._own.get(id(module))) is None:
            known = isinstance(module, (AttentionLayerBase, TorchCompileWithNoGuardsWrapper))
            known = known or any(map(self._is_own, module.children()))
            self._own[id(module)] = known
        return known

    def _take(self, new: nn.Module, old: nn.Module, path: str) -> None:
        """Give ``new`` the parameters of ``old``, and the parts below it that need not be its own."""
        if id(new) in self._seen:
            return
        self._seen.add(id(new))
        if type(new) is not type(old):
            raise SharingError(f"{path} is a {type(new).__name__} here and a {type(old).__name__} there")
        self._pairs.append((new, old))
        tables: Any = ((new._parameters, old._parameters), (new._buffers, old._buffers))
        for ours, theirs in tables:
            self._tensors.update((id(one), theirs[name]) for name, one in ours.items() if theirs.get(name) is not None)
            self._replaced += ours.values()
            ours.clear()
            ours.update(theirs)
        if new._modules.keys() != old._modules.keys():
            raise SharingError(f"{path} has other parts: {sorted(new._modules.keys() ^ old._modules.keys())}")
        for name, child in new._modules.items():
            other = old._modules[name]
            if child is None or other is None or child is other:
                new._modules[name] = other
            elif self._is_own(child):
                self._take(child, other, f"{path}.{name}")
            else:
                new._modules[name] = self._replace(child, other)

    def _replace(self, child: nn.Module, other: nn.Module) -> nn.Module:
        """Note what stands for ``child`` and everything below it from now on, for those who refer to that elsewhere."""
        self._replaced.append(child)
        modules, tensors = dict(other.named_modules()), dict(other.named_parameters())
        self._modules.update((id(one), modules[name]) for name, one in child.named_modules() if name in modules)
        self._tensors.update((id(one), tensors[name]) for name, one in child.named_parameters() if name in tensors)
        return other

    def _take_attributes(self, new: Any, old: Any) -> None:
        """Replace what ``new`` holds outside PyTorch's tables: parts that were taken, and tensors on ``meta``."""
        own, others = vars(new), vars(old)
        for name, value in list(own.items()):
            if isinstance(new, nn.Module) and name in MODULE_INTERNALS:
                continue
            if (taken := self._taken(value, others.get(name), f"{type(new).__name__}.{name}")) is not value:
                own[name] = taken
        if isinstance(new, AttentionLayerBase):
            # Set when a quantised cache's scales are loaded (``BaseKVCacheMethod.process_weights_after_loading``).
            own.update((name, value) for name, value in others.items() if name.endswith("_float"))

    def _taken(self, value: Any, other: Any, path: str) -> Any:
        if isinstance(value, torch.Tensor):
            return self._taken_tensor(value, other, path)
        if isinstance(value, nn.Module):
            return self._modules.get(id(value), value)
        if type(value) in (list, tuple):
            others = other if type(other) is type(value) and len(other) == len(value) else [None] * len(value)
            taken = [self._taken(one, its, path) for one, its in zip(value, others, strict=True)]
            return value if all(map(_is, taken, value)) else type(value)(taken)
        if type(value) is dict:
            pairs = other if isinstance(other, dict) else {}
            changed = {key: self._taken(one, pairs.get(key), path) for key, one in value.items()}
            return value if all(map(_is, changed.values(), value.values())) else changed
        if _has_parts(value) and id(value) not in self._seen:
            self._seen.add(id(value))
            self._take_attributes(value, other if type(other) is type(value) else _NOTHING)
        return value

    def _taken_tensor(self, value: torch.Tensor, other: Any, path: str) -> torch.Tensor:
        if not value.is_meta:
            return value
        if (known := self._tensors.get(id(value))) is not None:
            return known
        if not value.numel():
            # The place of a cache that the engine has yet to allocate.
            return torch.empty_like(value, device=self._device)
        if isinstance(other, torch.Tensor) and (other.shape, other.dtype) == (value.shape, value.dtype):
            return other
        raise SharingError(f"{path} has no counterpart")

    def _check(self) -> None:
        """Make sure that nothing was left out.

        Raises:
            SharingError: Something was.
        """
        for kind in ("parameters", "buffers"):
            ours, theirs = (dict(getattr(model, f"named_{kind}")()) for model in (self._model, self._donor))
            if ours.keys() != theirs.keys() or not all(map(_is, ours.values(), theirs.values())):
                raise SharingError(f"not all of its {kind} are the first lane's")
            if left := [name for name, tensor in ours.items() if tensor.is_meta]:
                raise SharingError(f"{left[0]} was never loaded")
        reachable = set(map(id, self._model.modules()))
        for name, layer in self._context.items():
            if id(layer) not in reachable:
                raise SharingError(f"{name} is not a part of the model")


class _Nothing:
    """The counterpart of an object that the donor does not have."""


_NOTHING = _Nothing()


def _is(one: object, other: object) -> bool:
    return one is other


def _has_parts(value: Any) -> bool:
    """Whether an object of vLLM's, such as an attention backend, may hold modules or tensors."""
    room = type(value).__module__
    return room.startswith("vllm.") and ".config" not in room and hasattr(value, "__dict__")
