"""What a GPU's messages become: in vLLM's and torch's own words, those of vLLM from the functions that write them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm.device_errors import device_trouble
from spectui.sources.vllm.errors import explain, explain_death
from spectui.sources.vllm.lane_spec import parse_lane_spec

pytestmark = pytest.mark.unit

GIB = 1 << 30
SPEC = parse_lane_spec("mtp:model=google/gemma-4-31B-it-assistant,k=4")

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.62 GiB. GPU 0 has a total capacity of 79.19 GiB of which 1.01 GiB is "
    "free. Including non-PyTorch memory, this process has 78.17 GiB memory in use. Of the allocated memory 76.3 GiB is "
    "allocated by PyTorch, and 1.11 GiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is "
    "large try setting PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation."
)
LOST = (
    "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in "
    "https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.\nCUDA kernel errors "
    "might be asynchronously reported at some other API call, so the stacktrace below might be incorrect."
)
PLAN = "race fewer lanes or add --engine-arg max_model_len=...; `spectui plan` says what fits"


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        pytest.param(
            RuntimeError(OUT_OF_MEMORY),
            "not enough memory on the GPU for this lane: it asked for 2.62 GiB, and 1.01 GiB of 79.19 GiB were free; "
            + PLAN,
            id="torch's allocator",
        ),
        pytest.param(
            RuntimeError("CUDA error: out of memory"), f"not enough memory on the GPU for this lane; {PLAN}", id="CUDA"
        ),
        pytest.param(
            raised(
                RuntimeError(
                    "CUDA out of memory occurred when warming up sampler with 256 dummy requests. Please try lowering "
                    "`max_num_seqs` or `gpu_memory_utilization` when initializing the engine."
                ),
                RuntimeError(OUT_OF_MEMORY),
            ),
            f"not enough memory on the GPU for a step of 256 requests: lower --engine-arg max_num_seqs=..., or {PLAN}",
            id="vLLM's warm-up",
        ),
        pytest.param(
            AssertionError("Error in memory profiling. Initial free memory 70.1 GiB, current free memory 74.0 GiB."),
            "another program changed the GPU's free memory while this lane was loading: close that program and "
            "start again",
            id="another program",
        ),
        pytest.param(
            RuntimeError(
                "The NVIDIA driver on your system is too old (found version 12040). Please update your GPU driver by "
                "downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
            ),
            "the NVIDIA driver is too old for this build of torch: it supports CUDA 12.4 at most; install a newer "
            "driver",
            id="an old driver",
        ),
        pytest.param(
            RuntimeError("CUDA error: CUDA driver version is insufficient for CUDA runtime version"),
            "the NVIDIA driver is too old for this build of torch; install a newer driver",
            id="an old driver, in CUDA's words",
        ),
        pytest.param(
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            "vLLM or torch was not built for this kind of GPU: install a build for it, or use another GPU "
            "(CUDA_VISIBLE_DEVICES)",
            id="a card that is too new or too old",
        ),
        pytest.param(
            RuntimeError("No CUDA GPUs are available"),
            "no GPU can be used: check `nvidia-smi` and CUDA_VISIBLE_DEVICES; `spectui doctor` says more",
            id="no card",
        ),
        pytest.param(
            RuntimeError(LOST),
            "the GPU reported 'an illegal memory access was encountered', after which no lane of this process can use "
            "it: start again; the log has the details",
            id="a lost context",
        ),
        pytest.param(
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate 1125899906842624 bytes. Error code 12 (Cannot allocate memory)"
            ),
            "not enough memory for this lane: race fewer lanes or add --engine-arg max_model_len=...; "
            "`spectui plan` says what fits",
            id="a CPU's memory",
        ),
    ],
)
def test_a_lane_that_cannot_be_built(error: BaseException, sentence: str) -> None:
    assert explain(error, SPEC, "google/gemma-4-31B-it") == sentence


@pytest.mark.parametrize(("spec", "lower"), [("ar", " or lower --engine-arg max_num_seqs=... to 9"), ("mtp:k=10", "")])
def test_vllms_check_of_blocks_for_states(spec: str, lower: str) -> None:
    compilation = pytest.importorskip("vllm.config.compilation")
    support = pytest.importorskip("vllm.v1.attention.backend").AttentionCGSupport.UNIFORM_BATCH
    config = compilation.CompilationConfig(cudagraph_mode=compilation.CUDAGraphMode.FULL_AND_PIECEWISE)
    cache = SimpleNamespace(has_mamba_layers=True, num_blocks=10)
    with pytest.raises(ValueError, match="exceeds available Mamba cache") as caught:
        config.resolve_cudagraph_mode_and_sizes(
            support, "GDN", use_v2_model_runner=True, kv_cache_config=cache, max_num_reqs=17
        )
    assert explain(caught.value, parse_lane_spec(spec), "Qwen/Qwen3.6-27B") == (
        "its KV cache has 10 blocks, and this model's CUDA graphs need one for each of 17 requests: raise --engine-arg "
        "kv_cache_memory_bytes=..." + lower
    )


def test_vllms_check_of_free_memory() -> None:
    workers = pytest.importorskip("vllm.v1.worker.utils")
    snapshot = SimpleNamespace(
        total_memory=int(79.2 * GIB), free_memory=int(42.2 * GIB), device_="cuda:0", external_weight_memory=0
    )
    with pytest.raises(ValueError, match="less than desired") as caught:
        workers.request_memory(snapshot, SimpleNamespace(gpu_memory_utilization=0.92))
    assert explain(caught.value, SPEC, "x") == (
        "vLLM wants 72.86 GiB of the GPU before it loads, but only 42.2 GiB are free: leave out --engine-arg "
        "gpu_memory_utilization, or close what else uses the GPU"
    )


@pytest.mark.parametrize("available", [0, 2 * GIB])
def test_vllms_check_of_the_cache(available: int) -> None:
    utils: Any = pytest.importorskip("vllm.v1.core.kv_cache_utils")
    with pytest.raises(ValueError, match=r"No available memory|To serve at least") as caught:
        utils._check_enough_kv_cache_memory(available, lambda: int(2.75 * GIB), 2048, lambda memory: 1490)
    assert explain(caught.value, SPEC, "x") == (
        "its KV cache is too small for one full answer: raise --engine-arg kv_cache_memory_bytes=... or lower "
        "--engine-arg max_model_len=..."
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RuntimeError(OUT_OF_MEMORY),
            "its engine died: the GPU's memory ran out: it asked for 2.62 GiB, and 1.01 GiB of 79.19 GiB were free; "
            "race fewer requests or lanes; `spectui plan` says what fits",
        ),
        (
            raised(RuntimeError("worker failed"), RuntimeError(LOST)),
            "its engine died: the GPU reported 'an illegal memory access was encountered', after which no lane of this "
            "process can use it: start again; the log has the details",
        ),
        (
            RuntimeError("CUDA error: device-side assert triggered"),
            "its engine died: the GPU reported 'device-side assert triggered', after which no lane of this process can "
            "use it: start again; the log has the details",
        ),
        (RuntimeError("something else"), "its engine died: something else; the log has the details"),
    ],
)
def test_a_lane_that_dies_in_the_race(error: BaseException, sentence: str) -> None:
    assert explain_death(error) == sentence


@pytest.mark.parametrize("text", ["", "a tensor has the wrong shape", "out of memory", "free memory"])
def test_other_errors_are_not_the_gpus(text: str) -> None:
    assert device_trouble(text) is None
