"""vLLM engines for the recipe: many requests at once, unlike the race's lanes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectui.sources.hardware import cpu_dtype
from spectui.sources.vllm.compat import engines

MAX_MODEL_LEN = 2048


def batch_engine(target: Path, *, batch: int, kv_bytes: int = 6 << 30, **engine_args: Any) -> Any:
    """An eager engine on the demo target for ``batch`` requests at once."""
    return engines.build_engine(
        model=str(target),
        enforce_eager=True,
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=batch,
        max_num_batched_tokens=4096,
        kv_cache_memory_bytes=kv_bytes,
        enable_prefix_caching=False,
        disable_log_stats=True,
        async_scheduling=False,
        seed=0,
        dtype=cpu_dtype(),
        **engine_args,
    )


@dataclass(frozen=True, slots=True)
class Finished:
    """A request at its end: all ids, the prompt's first, and the engine's per-request metrics when it has them."""

    name: str
    prompt_length: int
    ids: tuple[int, ...]
    stopped: bool
    metrics: Any


class Batcher:
    """Feeds an engine and collects what it finishes."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.running = 0

    def add(self, name: str, prompt_ids: Sequence[int], parameters: Mapping[str, Any]) -> str:
        """Queue a request; the engine's own id for it."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = {**parameters, "output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}
        self.running += 1
        return str(self._engine.add_request(name, {"prompt_token_ids": list(prompt_ids)}, SamplingParams(**parameters)))

    def step(self) -> Iterator[Finished]:
        for output in self._engine.step():
            if output.finished:
                self.running -= 1
                completion = output.outputs[0]
                yield Finished(
                    output.request_id,
                    len(output.prompt_token_ids),
                    (*output.prompt_token_ids, *completion.token_ids),
                    completion.finish_reason == "stop",
                    getattr(completion, "spec_decode_metrics", None),
                )
