"""What vLLM makes of the lanes of a command on a GPU, by its own configuration, graphs, models and memory checks.

Runs as a program, since it pretends a GPU for its whole process: it reads command lines as JSON from standard input, a
list of words each, and prints what it found. Each lane is built by the product itself, up to the moment when vLLM would
look for a device. The models are vLLM's own classes on the meta device, which has sizes and no memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support import fake_cuda
from tests.support.model_configs import CONFIGS, write_hub

DEMO = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "bos_token_id": 1,
    "dtype": "bfloat16",
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100_000,
    "tie_word_embeddings": True,
    "vocab_size": 49_152,
}


class CapturedError(Exception):
    """Carries the engine arguments that an engine would have been built from."""


def main() -> None:
    """Look at every command line on standard input."""
    commands: list[list[str]] = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HF_HUB_CACHE"] = str(write_hub(Path(scratch) / "hub"))
        os.environ["VLLM_CACHE_ROOT"] = str(Path(scratch) / "vllm")
        demo = Path(scratch) / "demo"
        demo.mkdir()
        (demo / "config.json").write_text(json.dumps(DEMO))
        logging.disable(logging.ERROR)
        warnings.simplefilter("ignore")
        fake_cuda.pretend()
        capture_engines()
        cuda_stand_ins()
        found = [look(words, demo) for words in commands]
        json.dump({"commands": found, "drafts": drafts(), "waits": waits()}, sys.stdout)


def capture_engines() -> None:
    """Let an engine that would be built hand over its arguments instead."""
    from vllm.v1.engine.llm_engine import LLMEngine

    def captured(cls: Any, engine_args: Any, *args: Any, **kwargs: Any) -> Any:
        raise CapturedError(engine_args)

    LLMEngine.from_engine_args = classmethod(captured)


def cuda_stand_ins() -> None:
    """Stand in for streams and for the operations that models look up while they are made."""
    import torch

    class Nothing:
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return Nothing()

        def __call__(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("an operation of a GPU that is pretended")

    torch.cuda.Stream = torch.cuda.Event = Nothing  # type: ignore[assignment, misc]
    for name in ("_C", "_moe_C", "_C_cache_ops"):
        setattr(torch.ops, name, Nothing())


def drafts() -> dict[str, list[list[int]]]:
    """What vLLM's own handler gives the scheduler as drafts: as it ships, and once our worker has shown them."""
    import torch
    from vllm.v1.worker.gpu.spec_decode.utils import DraftTokensHandler

    from spectui.sources.vllm.worker import TappedWorker

    class Still:
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    torch.cuda.Stream = torch.cuda.Event = Still  # type: ignore[assignment, misc]
    torch.cuda.current_stream = lambda device=None: Still()
    torch.cuda.stream = lambda stream: contextlib.nullcontext()  # type: ignore[assignment]
    torch.Tensor.record_stream = lambda tensor, stream: None  # type: ignore[method-assign]
    handler = DraftTokensHandler("cpu")
    batch = SimpleNamespace(req_ids=["a"], has_structured_output_reqs=False)

    def given() -> list[list[int]]:
        handler.set_draft_tokens(batch, torch.tensor([[11, 12, 13]]))
        ids: list[list[int]] = handler.get_draft_tokens().draft_token_ids
        return ids

    shipped = given()
    worker = TappedWorker()
    worker.model_runner = SimpleNamespace(draft_tokens_handler=handler)
    worker.show_drafts()
    return {"shipped": shipped, "shown": given()}


def waits() -> list[str]:
    """What a lane does when a step returns while the GPU still drafts."""
    import torch

    from spectui.sources.vllm.compat import device

    log: list[str] = []

    class Busy:
        def query(self) -> bool:
            return False

        def synchronize(self) -> None:
            log.append("drafter done")

    torch.cuda.current_stream = lambda device=None: Busy()
    runner = SimpleNamespace(device=torch.device("cuda:0"))
    worker = SimpleNamespace(worker=SimpleNamespace(model_runner=runner))
    wait = device.waiting(SimpleNamespace(model_executor=SimpleNamespace(driver_worker=worker)))
    wait()
    log.append("step over")
    return log


def look(words: list[str], demo: Path) -> dict[str, Any]:
    """What vLLM says of each lane of a command line."""
    from spectui.setup.config import host_config
    from spectui.setup.options import add_engine_options

    parser = argparse.ArgumentParser()
    add_engine_options(parser, several="tune" in words[:1])
    options, _ = parser.parse_known_args(words[1:])
    requests = max(options.concurrency) if isinstance(options.concurrency, tuple) else options.concurrency
    config = host_config(argparse.Namespace(**{**vars(options), "concurrency": requests}), gpu=True)
    target = str(demo) if options.model is None and options.preset is None else target_of(options)
    lanes = [looked_at(spec, target, config.engine_args) for spec in config.specs]
    plan = None if options.preset is None else planned(config, lanes)
    return {"lanes": lanes, "memory": memory(lanes), "checks": memory_checks(lanes, plan), "plan": plan}


def planned(config: Any, lanes: list[dict[str, Any]]) -> dict[str, Any]:
    """Our own plan of the lanes: caches from configurations alone, weights of the sizes that vLLM's classes have."""
    from spectui.core.memory_plan.checkpoint import Checkpoint, Tensor
    from spectui.core.memory_plan.plan import Device, plan_memory
    from spectui.setup.planning import asked_of

    sizes = {str(spec.options.get("model")): lane["drafter"] for spec, lane in zip(config.specs, lanes, strict=True)}
    sizes[config.model] = lanes[0]["target"]

    def read(model: str) -> Checkpoint:
        # A tensor that no quantisation touches: these are the sizes after it.
        return Checkpoint(model, CONFIGS[model], (Tensor("model.norm.weight", "BF16", (sizes[model] // 2,)),))

    total = fake_cuda.Card().memory
    plan = plan_memory(asked_of(config, gpu=True, read=read), Device("pretended", total, total, gpu=True))
    caches = {"least": [lane.kv_least for lane in plan.lanes], "given": [lane.kv for lane in plan.lanes]}
    return {"caches": caches, "needed": plan.needed, "fits": plan.fits, "unknown": plan.unknown}


def target_of(options: argparse.Namespace) -> str:
    """The model that the options name."""
    from spectui.setup.presets.applying import with_preset

    return str(with_preset(options).model)


_lanes: dict[str, dict[str, Any]] = {}


def looked_at(spec: Any, target: str, engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM says of one lane, asked once: many commands have the same lanes."""
    key = repr((spec, target, sorted(engine_args.items())))
    if key not in _lanes:
        _lanes[key] = look_at_lane(spec, target, engine_args)
    return _lanes[key]


def look_at_lane(spec: Any, target: str, engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM says of one lane."""
    from vllm.usage.usage_lib import UsageContext

    from spectui.sources.vllm.lane import Lane
    from spectui.sources.vllm.lane_spec import lane_infos

    try:
        Lane(lane_infos([spec])[0], spec, target, engine_args)
        raise AssertionError("an engine was built")
    except CapturedError as captured:
        asked = captured.args[0]
    found: dict[str, Any] = {"spec": spec.text, "k_max": spec.k_max, "utilization": asked.gpu_memory_utilization}
    try:
        config = asked.create_engine_config(UsageContext.ENGINE_CONTEXT)
    except Exception as error:
        return {**found, "refused": f"{type(error).__name__}: {error}"[:500]}
    return {
        **found,
        "refused": "",
        "runner": "V2" if config.use_v2_model_runner else "V1",
        "graphs": config.compilation_config.cudagraph_mode.name,
        "without_graph": without_graph(config, spec, int(engine_args["max_num_seqs"])),
        **sizes(config),
    }


def without_graph(config: Any, spec: Any, seats: int) -> list[tuple[int, int]]:
    """(requests, K) of steps that vLLM would not replay as one graph, by its own list of what it captures."""
    from vllm.v1.worker.gpu.cudagraph_utils import CudaGraphManager

    class Manager(CudaGraphManager):  # type: ignore[misc]
        def __init__(self) -> None:
            self.vllm_config, self.compilation_config = config, config.compilation_config
            self.max_num_reqs, self.decode_query_len = config.scheduler_config.max_num_seqs, spec.k_max + 1
            self.cudagraph_mode = config.compilation_config.cudagraph_mode
            self.varlen_decode, self.ubatch_runner, self.lora_capture_cases = False, None, [0]
            self._lora_dispatch_map: Any = {}
            self._max_lora_case, self._graphs_captured = 0, True
            self._candidates: Any = {}
            self._capture_descs: Any = {}
            self._init_candidates()

    manager = Manager()
    most = max(spec.graph_sizes(seats)) // (spec.k_max + 1)
    return [
        (of, k)
        for k in range(spec.k_max + 1)
        for of in range(1, most + 1)
        if manager.dispatch(of, of * (k + 1), k + 1, 0, max_query_len=k + 1).cg_mode.name != "FULL"
    ]


_groups: list[str] = []
"""Which kind of parallel groups this process has: vLLM makes those of experts only if the first model has some."""


@contextlib.contextmanager
def parallel_groups(config: Any) -> Iterator[None]:
    """The groups of one process that vLLM's layers ask for."""
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.utils.network_utils import get_open_port

    kind = "experts" if config.model_config.is_moe else "dense"
    with set_current_vllm_config(config):
        if _groups != [kind]:
            if _groups:
                parallel_state.destroy_model_parallel()
            else:
                address = f"tcp://127.0.0.1:{get_open_port()}"
                parallel_state.init_distributed_environment(1, 0, address, 0, "gloo")
            parallel_state.initialize_model_parallel(1, 1, backend="gloo")
            _groups[:] = [kind]
        yield


def sizes(config: Any) -> dict[str, Any]:
    """Bytes of the target, of the drafter beside it, and of the smallest cache that vLLM would start with."""
    import torch
    from vllm.compilation.backends import set_model_tag
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.platforms import current_platform
    from vllm.utils.torch_utils import set_default_torch_dtype
    from vllm.v1.attention.backends.utils import record_kv_cache_layout
    from vllm.v1.worker.gpu.attn_utils import get_kv_cache_spec

    speculative = config.speculative_config
    drafter = None
    with parallel_groups(config), torch.device("meta"), set_default_torch_dtype(config.model_config.dtype):
        target = initialize_model(config)
        of_target = set(get_kv_cache_spec(config))
        if speculative is not None and speculative.method not in ("ngram", "suffix"):
            with set_model_tag("eagle_head"):
                drafter = initialize_model(config, model_config=speculative.draft_model_config)
    current_platform.update_block_size_for_backend(config)
    record_kv_cache_layout(config.cache_config, "NHD")
    specs = get_kv_cache_spec(config)
    if speculative is not None and speculative.use_gemma4_mtp():
        # An assistant's layers read the target's cache, which vLLM arranges after loading.
        specs = {name: spec for name, spec in specs.items() if name in of_target}
    text = config.model_config.hf_text_config
    return {
        "target": weights(target),
        "drafter": 0 if drafter is None else weights(drafter, (text.vocab_size, text.hidden_size)),
        "cache": least_cache(config, specs),
    }


def weights(model: Any, shared: tuple[int, int] | None = None) -> int:
    """Bytes of a model once it is loaded; matrices of the shape ``shared`` are the target's."""
    converted = {
        id(parameter)
        for module in model.modules()
        if "Online" in type(getattr(module, "quant_method", None)).__name__
        for parameter in module.parameters(recurse=False)
        if parameter.dim() > 1
    }
    total, seen = 0, set()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if id(tensor) in seen or (shared is not None and ("cos_sin" in name or tuple(tensor.shape) == shared)):
            continue
        seen.add(id(tensor))
        total += tensor.numel() * (1 if id(tensor) in converted else tensor.element_size())
    return total


def least_cache(config: Any, specs: Mapping[str, Any]) -> int:
    """The smallest cache that vLLM accepts, to a megabyte: enough for a request of full length, and for its graphs."""
    from vllm.v1.attention.backend import AttentionCGSupport
    from vllm.v1.core.kv_cache_utils import get_kv_cache_configs

    low, high = 0, 256 << 10
    while high - low > 1:
        middle = (low + high) // 2
        try:
            (cache,) = get_kv_cache_configs(config, [dict(specs)], [middle << 20])
            copy(config.compilation_config).resolve_cudagraph_mode_and_sizes(
                AttentionCGSupport.UNIFORM_BATCH,
                None,
                use_v2_model_runner=True,
                kv_cache_config=cache,
                max_num_reqs=config.scheduler_config.max_num_seqs,
            )
            high = middle
        except ValueError:
            low = middle
    return high << 20


def memory(lanes: list[dict[str, Any]]) -> int | None:
    """Bytes of all lanes with one copy of the target; None if vLLM refuses one of them."""
    if any(lane["refused"] for lane in lanes):
        return None
    return int(lanes[0]["target"] + sum(lane["drafter"] + lane["cache"] for lane in lanes))


def memory_checks(lanes: list[dict[str, Any]], plan: Mapping[str, Any] | None) -> list[str]:
    """What vLLM's own check says before each lane, with the lanes before it in memory; empty if it passes. Caches have
    the sizes that the plan gives them."""
    from vllm.v1.worker.utils import request_memory

    total = fake_cuda.Card().memory
    used, said = 0, []
    for number, lane in enumerate(lanes):
        snapshot = SimpleNamespace(total_memory=total, free_memory=total - used, device_="cuda:0")
        try:
            request_memory(snapshot, SimpleNamespace(gpu_memory_utilization=lane["utilization"]))
            said.append("")
        except ValueError as error:
            said.append(str(error))
        cache = lane.get("cache", 0) if plan is None else plan["caches"]["given"][number]
        used += cache + lane.get("drafter", 0) + (0 if number else lane.get("target", 0))
    return said


if __name__ == "__main__":
    main()
