"""From the options of a run to its plan: what counts, what is sized, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.main import build_parser
from spectui.core.memory_plan.checkpoint import Checkpoint, Tensor
from spectui.core.memory_plan.plan import Device
from spectui.setup import planning
from spectui.setup.config import host_config
from spectui.setup.planning import CPU_KV_BYTES, GPU_KV_BYTES, asked_of, device_of, plan, planned_room
from spectui.sources.checkpoints.reading import read_checkpoint
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane_spec import parse_lane_spec
from spectui.sources.vllm.target import TargetError
from tests.support.headers import write_checkpoint
from tests.support.model_configs import CONFIGS

pytestmark = pytest.mark.unit

GIB = 1 << 30
H100 = Device("an H100", int(79.6 * GIB), int(79 * GIB), gpu=True)
GEMMA, ASSISTANT, DFLASH = "google/gemma-4-31B-it", "google/gemma-4-31B-it-assistant", "z-lab/gemma-4-31B-it-DFlash"
QWEN = "Qwen/Qwen3.6-27B"
PARAMETERS = {GEMMA: 31_000_000_000, ASSISTANT: 500_000_000, DFLASH: 1_600_000_000, QWEN: 27_000_000_000}


def published(model: str) -> Checkpoint:
    """A published configuration with weights of about its real size."""
    if model not in PARAMETERS:
        raise TargetError(f"model '{model}' was not found: check the spelling")
    rows = PARAMETERS[model] // 1000
    return Checkpoint(model, CONFIGS[model], (Tensor("model.layers.0.mlp.up_proj.weight", "BF16", (rows, 1000)),))


def config_of(words: str, *, gpu: bool = True) -> HostConfig:
    return host_config(build_parser("run").parse_args(["run", *words.split()]), gpu=gpu, installed=False)


def test_every_option_that_takes_memory_counts() -> None:
    words = (
        f"--model {GEMMA} --lane ar --lane mtp:model={ASSISTANT},k=4 --concurrency 3 --no-share "
        "--engine-arg max_model_len=4k --engine-arg quantization=fp8 --engine-arg kv_cache_dtype=fp8 "
        "--engine-arg language_model_only=true --engine-arg max_num_seqs=8 --engine-arg block_size=32 "
        "--engine-arg max_num_batched_tokens=512 --engine-arg tensor_parallel_size=2 --engine-arg dtype=float16"
    )
    asked = asked_of(config_of(words), gpu=True, read=published)
    assert (asked.context, asked.requests, asked.seats, asked.shards) == (4000, 3, 8, 2)
    assert (asked.cache.block_tokens, asked.cache.batched_tokens, asked.cache.prefix_caching) == (32, 512, False)
    assert (asked.load.dtype, asked.load.quantization, asked.load.text_only) == ("float16", "fp8", True)
    assert (asked.cache_dtype, asked.share, asked.eager, asked.kv_bytes) == ("fp8", False, False, None)
    assert [(lane.method, lane.k, lane.drafter and lane.drafter.name) for lane in asked.lanes] == [
        ("ar", 0, None),
        ("mtp", 4, ASSISTANT),
    ]


def test_lanes_share_the_target_where_they_can() -> None:
    assert asked_of(config_of(f"--model {QWEN}"), gpu=True, read=published).share
    for words in ("--no-share", "--engine-arg tensor_parallel_size=2"):
        assert not asked_of(config_of(f"--model {QWEN} {words}"), gpu=True, read=published).share


def test_processes_on_one_host_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "host_memory", lambda: Device("here", 16 * GIB, 12 * GIB))
    monkeypatch.setattr(planning, "gpu_memory", lambda count: Device(f"{count} GPUs", None, None, gpu=True))
    one, four = config_of(""), config_of("--engine-arg tensor_parallel_size=2 --engine-arg pipeline_parallel_size=2")
    assert device_of(one, gpu=False) == Device("here", 16 * GIB, 12 * GIB)
    assert device_of(four, gpu=False) == Device("here, for each of 4 processes", 4 * GIB, 3 * GIB)
    assert [device_of(config, gpu=True).name for config in (one, four)] == ["1 GPUs", "4 GPUs"]


def test_a_configuration_that_the_user_changes_is_planned_as_changed() -> None:
    words = '--engine-arg hf_overrides={"num_hidden_layers":7} --engine-arg mamba_ssm_cache_dtype=bfloat16'
    target = asked_of(config_of(f"--model {QWEN} --lane ar {words}"), gpu=True, read=published).target
    assert (target.config["num_hidden_layers"], target.text["mamba_ssm_dtype"]) == (7, "bfloat16")


@pytest.mark.parametrize("gpu", [True, False])
def test_what_vllm_is_to_find_out_itself_has_a_default(gpu: bool) -> None:
    asked = asked_of(config_of(f"--model {QWEN} --engine-arg max_model_len=auto", gpu=gpu), gpu=gpu, read=published)
    assert asked.context == 262_144
    assert asked.cache.block_tokens == (16 if gpu else 128)
    assert asked.kv_floor == (GPU_KV_BYTES if gpu else CPU_KV_BYTES)


def test_a_target_that_drafts_for_itself_is_loaded_twice_or_has_a_head() -> None:
    gemma = asked_of(config_of(f"--model {GEMMA} --lane draft_model:model=target,k=3"), gpu=True, read=published)
    assert gemma.lanes[0].drafter is gemma.target
    # vLLM takes the built-in head of such a model.
    qwen = asked_of(config_of(f"--model {QWEN} --lane draft_model:model=target,k=3"), gpu=True, read=published)
    assert (qwen.lanes[0].method, qwen.lanes[0].drafter) == ("mtp", None)


def test_three_lanes_of_gemma_on_one_card() -> None:
    words = f"--model {GEMMA} --lane ar --lane mtp:model={ASSISTANT},k=4 --lane dflash:model={DFLASH},k=15"
    whole = plan(config_of(words), gpu=True, device=H100, read=published)
    assert (whole.fits, whole.hopeless) == (True, False)
    assert [lane.target for lane in whole.lanes] == [62_000_000_000, 0, 0]
    assert [lane.drafter for lane in whole.lanes] == [0, 1_000_000_000, 3_200_000_000]
    apart = plan(config_of(f"{words} --no-share"), gpu=True, device=H100, read=published)
    assert (apart.fits, apart.hopeless) == (False, True)
    quantised = plan(
        config_of(f"{words} --no-share --engine-arg quantization=fp8"), gpu=True, device=H100, read=published
    )
    assert [lane.target for lane in quantised.lanes] == [31_000_000_000] * 3
    # 2.75 GiB: 2 GiB, which every lane had, does not start a lane of DFlash with K = 15 on Qwen 3.6 27B.
    assert whole.lanes[2].kv_needed == pytest.approx(1.77 * GIB, rel=0.01)


def test_a_lane_gets_the_cache_that_its_requests_need() -> None:
    words = f"--model {GEMMA} --lane ar --lane ngram:k=5"
    room = planned_room(config_of(words), gpu=True, read=published, device=H100)
    other = parse_lane_spec(f"dflash:model={DFLASH},k=3")
    config = config_of(words)
    assert [room.kv_bytes(spec) for spec in config.specs] == [
        lane.kv for lane in plan(config, gpu=True, device=H100, read=published).lanes
    ]
    size = room.kv_bytes(config.specs[0])
    assert size is not None
    # Two requests of full length and a block, which is more than the floor.
    assert size == pytest.approx(2 * 1.731 * GIB, rel=0.001)
    four = planned_room(config_of(f"{words} --concurrency 4"), gpu=True, read=published, device=H100)
    assert (four.kv_bytes(config.specs[0]) or 0) > 2.4 * size
    # A search builds lanes that were not asked for at the start.
    assert (room.kv_bytes(other) or 0) >= GPU_KV_BYTES
    # Of a drafter that cannot be read, the target's part is known: vLLM would refuse the floor, which is less.
    assert (room.kv_bytes(parse_lane_spec("dflash:model=nobody/nothing,k=3")) or 0) >= size


def test_a_lane_with_a_smaller_k_gets_the_cache_of_the_lane_beside_which_it_is_measured() -> None:
    config = config_of(f"--model {GEMMA} --lane ar --lane dflash:model={DFLASH},k=15")
    tight = Device("a GPU", 80 * GIB, int(68.5 * GIB), gpu=True)
    lane = config.specs[1]
    twin = replace(lane, k_max=7, k_start=None)
    # Beside AR alone there is more room, but at the twin's turn the other lanes have it.
    room = planned_room(
        replace(config, specs=(*config.specs, parse_lane_spec("ngram:k=5"))), gpu=True, read=published, device=tight
    )
    assert room.kv_bytes(twin) == room.kv_bytes(lane)
    assert (planned_room(config, gpu=True, read=published, device=tight).kv_bytes(lane) or 0) > (
        room.kv_bytes(lane) or 0
    )


def test_a_small_model_on_a_cpu_keeps_about_the_cache_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path))
    config = config_of("", gpu=False)
    planned = plan(config, gpu=False, device=Device("here", None, None))
    assert [lane.title for lane in planned.lanes] == ["AR", "MTP", "DFlash"]
    assert all(CPU_KV_BYTES <= lane.kv < CPU_KV_BYTES * 1.03 for lane in planned.lanes)
    assert planned.target_bytes in (269_030_016, 538_060_032)
    sixteen = plan(config_of("--concurrency 16", gpu=False), gpu=False, device=Device("here", None, None))
    assert sixteen.lanes[0].kv > CPU_KV_BYTES


def test_the_users_cache_and_unknown_models_are_left_alone() -> None:
    spec = parse_lane_spec("ar")
    given = config_of(f"--model {GEMMA} --lane ar --engine-arg kv_cache_memory_bytes=3G")
    assert planned_room(given, gpu=True, read=published, device=H100).kv_bytes(spec) is None
    unknown = config_of("--model some/model --lane ar")
    room = planned_room(unknown, gpu=True, read=published, device=H100)
    assert (room.refusal, room.kv_bytes(spec)) == ("", None)

    def broken(model: str) -> Checkpoint:
        raise ZeroDivisionError(model)

    assert planned_room(unknown, gpu=True, read=broken, device=H100).kv_bytes(spec) is None


@pytest.mark.parametrize(
    ("words", "free", "refused"),
    [
        pytest.param("", 79, False, id="it fits"),
        pytest.param("", 62, False, id="it does not, but by little"),
        pytest.param("", 40, True, id="by far"),
    ],
)
def test_only_what_cannot_fit_by_far_is_refused_and_only_on_a_gpu(words: str, free: int, refused: bool) -> None:
    config = config_of(f"--model {GEMMA} --lane ar --lane mtp:model={ASSISTANT},k=4 {words}")
    device = Device("an H100", 80 * GIB, free * GIB, gpu=True)
    said = planned_room(config, gpu=True, read=published, device=device).refusal
    assert bool(said) == refused
    if refused:
        assert said.startswith("not enough memory on an H100: 2 lanes of google/gemma-4-31B-it would take 6")
        assert "42.9 GB are free; use --model RedHatAI/gemma-4-31B-it-FP8-dynamic; `spectui plan` shows" in said
    assert planned_room(config, gpu=False, read=published, device=device).refusal == ""


@pytest.mark.parametrize(
    ("model", "variant"),
    [(GEMMA, "RedHatAI/gemma-4-31B-it-FP8-dynamic"), (QWEN, "Qwen/Qwen3.6-27B-FP8"), ("some/model", "")],
)
def test_a_known_checkpoint_in_fp8_is_proposed(model: str, variant: str) -> None:
    def read(name: str) -> Checkpoint:
        return Checkpoint(name, CONFIGS[GEMMA])

    assert asked_of(config_of(f"--model {model} --lane ar"), gpu=True, read=read).variant == variant


def test_a_diffusion_model_that_is_not_there_is_no_drafter() -> None:
    config = config_of(f"--model {GEMMA} --lane ar --lane diffusion:model=nobody/nothing")
    planned = plan(config, gpu=True, device=H100, read=published)
    assert planned.unknown == ("diffusion: its model 'nobody/nothing' was not found: check the spelling",)


def test_a_drafter_that_is_not_there_does_not_stop_the_plan() -> None:
    config = config_of(f"--model {GEMMA} --lane ar --lane dflash:model=nobody/nothing,k=3")
    planned = plan(config, gpu=True, device=H100, read=published)
    assert planned.unknown == ("DFlash: its drafter 'nobody/nothing' was not found: check the spelling",)
    with pytest.raises(TargetError):
        plan(config_of("--model nobody/nothing --lane ar"), gpu=True, device=H100, read=published)


def test_a_folder_is_planned_from_its_files(tmp_path: Path) -> None:
    shapes = {
        "model.embed_tokens.weight": (262_144, 5376),
        "model.language_model.layers.0.mlp.up_proj.weight": (100, 100),
    }
    folder = write_checkpoint(tmp_path / "gemma", CONFIGS[GEMMA], shapes)
    config = config_of(f"--model {folder} --lane ar")
    planned = plan(config, gpu=True, device=H100, read=read_checkpoint)
    assert planned.target_bytes == 2 * (262_144 * 5376 + 10_000)
