"""Hidden states of the target, taken while vLLM generates: exactly what it will hand to a drafter."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from spectui.sources.vllm.compat import parts


class HiddenCapture:
    """Hooks on the target's layers; rows are kept per request until they are taken.

    A row holds the outputs of ``layers`` (0-based decoder layers, residual added, as ``target_layer_ids`` means it)
    and then the final norm's output, ``(len(layers) + 1) * hidden_size`` values in the engine's type.
    """

    def __init__(self, engine: Any, layers: tuple[int, ...]) -> None:
        self._runner = parts.model_runner_of(engine)
        self._parts: list[torch.Tensor] = []
        self._rows: dict[str, list[torch.Tensor]] = defaultdict(list)
        model = self._runner.model.model
        for layer in layers:
            model.layers[layer].register_forward_hook(self._keep_sum)
        model.norm.register_forward_hook(self._keep_first)
        self._execute = self._runner.execute_model
        self._runner.execute_model = self._executed

    def take(self, engine_id: str) -> torch.Tensor:
        """The rows of a request, one per position that went through the target; forgets them."""
        return torch.cat(self._rows.pop(engine_id))

    def _keep_sum(self, _module: Any, _inputs: Any, output: Any) -> None:
        # The next layer's norm works in place on both parts, so the sum is taken here.
        self._parts.append(output[0] + output[1])

    def _keep_first(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._parts.append(output[0].clone())

    def _executed(self, scheduler_output: Any, *args: Any, **kwargs: Any) -> Any:
        self._parts.clear()
        result = self._execute(scheduler_output, *args, **kwargs)
        if self._parts:
            rows = torch.cat(self._parts, dim=-1)
            counts = [scheduler_output.num_scheduled_tokens[name] for name in self._runner.input_batch.req_ids]
            pieces = torch.split(rows[: sum(counts)], counts)
            for name, piece in zip(self._runner.input_batch.req_ids, pieces, strict=True):
                self._rows[name].append(piece)
        return result
