"""One copy of the target's weights for all lanes: the first lane loads them, later ones borrow them.

Drafters, caches and compiled code stay each lane's own. Only lanes hold the weights, so that these are freed with the
last lane, whatever the order in which lanes are closed. How weights are borrowed is in
`spectui.sources.vllm.grafting`.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from spectui.figures import size_text
from spectui.sources.vllm.compat import device, workers
from spectui.sources.vllm.footprint import weight_bytes

FORMAT = "spectui"
"""The load format under which vLLM finds the loader while a lane is built."""

FORMATS = frozenset(
    {"auto", "hf", "safetensors", "pt", "npcache", "mistral", "fastsafetensors", "instanttensor", "dummy"}
)
"""The load formats whose names matter to vLLM's loaders only."""


MARGIN = 1.1
"""What a lane takes beside its weights and its cache, as a factor. Too little on a CPU ends the whole program."""


class SharingError(RuntimeError):
    """A lane cannot use another lane's weights; the message says why. The other lane is as it was."""


class Borrowing:
    """How one lane gets its target.

    Attributes:
        load_format: The load format that the user asked for.
        done: Whether the target is loaded.
        shared: Whether it uses the weights of an earlier lane.
        unlike: Whether it has weights of its own because no earlier lane's target is of its kind.
    """

    def __init__(
        self, models: dict[int, tuple[Any, weakref.ref[Any]]] | None = None, load_format: str = "auto"
    ) -> None:
        """``models`` are the targets that are loaded, by identity, each with its kind; None to load an own copy."""
        self._models = models
        self.load_format = load_format
        self.done = self.shared = self.unlike = False

    @contextmanager
    def engine_args(self) -> Iterator[Mapping[str, Any]]:
        """Yield the engine arguments with which an engine that is built within the block borrows its target."""
        if self._models is None:
            yield {}
            return
        loaders: Any = importlib.import_module("vllm.model_executor.model_loader")
        grafting = importlib.import_module("spectui.sources.vllm.grafting")
        loaders.register_model_loader(FORMAT)(grafting.loader_class(self))
        try:
            yield {"load_format": FORMAT}
        finally:
            del loaders._LOAD_FORMAT_TO_MODEL_LOADER[FORMAT]

    def donor(self, kind: Any) -> Any:
        """Return a loaded target of this kind, or None."""
        loaded = [(its, model) for its, held in (self._models or {}).values() if (model := held()) is not None]
        found = next((model for its, model in loaded if its == kind), None)
        self.shared = found is not None
        self.unlike = found is None and bool(loaded)
        return found

    def loaded(self, kind: Any, model: Any) -> None:
        """Offer the lane's target to later lanes, for as long as a lane holds it."""
        self.done = True
        if (models := self._models) is not None:
            key = id(model)
            models[key] = kind, weakref.ref(model, lambda _: models.pop(key, None))


ALONE = Borrowing()
"""A lane with this loads its own copy, as vLLM does."""


class SharedTarget:
    """The target that the lanes of one loader have in common."""

    def __init__(self, engine_args: Mapping[str, Any]) -> None:
        self._engine_args = engine_args
        self._load_format = str(engine_args.get("load_format") or "auto").lower()
        self._models: dict[int, tuple[Any, weakref.ref[Any]]] = {}
        self._lanes = 0

    def borrowing(self, target: str) -> Borrowing:
        """Return how the next lane gets ``target``."""
        models = None if self.obstacle(target) else self._models
        return Borrowing(models, self._load_format)

    def obstacle(self, target: str) -> str | None:
        """Say why lanes cannot share ``target`` with these engine arguments; None if they can."""
        asked = self._engine_args.get
        if workers.world_size(self._engine_args) * workers.parallel_size(self._engine_args, "data_parallel_size") > 1:
            return "each lane's model is spread over processes of its own"
        if asked("distributed_executor_backend") not in (None, "uni"):
            return "each lane's model is in a process of its own"
        if asked("enable_lora"):
            return "LoRA changes a lane's layers"
        if asked("cpu_offload_gb"):
            return "weights are offloaded to the host's memory"
        if asked("offload_group_size") or asked("offload_backend") not in (None, "auto"):
            # `set_offloader` in ``vllm/model_executor/offloader/base.py``: every engine replaces it.
            return "vLLM has one offloader of weights for the whole process"
        if "://" in target or self._load_format not in FORMATS:
            return "its weights are not files" if "://" in target else f"load_format is {self._load_format}"
        return None

    def own_copy(self, borrowing: Borrowing, target: str) -> str:
        """Say why the lane that was built with ``borrowing`` has a copy of its own; empty if it need not be said: it
        is the first lane, or it shares, or another lane said so."""
        self._lanes += 1
        if borrowing.unlike:
            return "this lane has its own copy of the target: its drafter needs the target configured differently"
        obstacle = self.obstacle(target) if self._lanes == 2 else None
        return "" if obstacle is None else f"every lane has its own copy of the target: {obstacle}"

    def shortage(self, cache_bytes: int) -> str | None:
        """Say how much memory a lane with another copy of the target and a cache of ``cache_bytes`` lacks; None if it
        fits, or if that is not known."""
        sizes = [weight_bytes(model) for _, held in self._models.values() if (model := held()) is not None]
        free = device.free_memory()
        if free is None or not sizes or (needed := round(MARGIN * (sizes[0] + cache_bytes))) <= free:
            return None
        return f"another copy with its cache takes about {size_text(needed)}, and {size_text(free)} are free"
