"""The memory plan: weights by their headers, layers by configurations, and what is made of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.memory_plan.asked import Asked, AskedLane
from spectui.core.memory_plan.cache import CPU_RULES, GPU_RULES, cache_plan
from spectui.core.memory_plan.checkpoint import Checkpoint, Tensor
from spectui.core.memory_plan.cuts import cuts, in_turn
from spectui.core.memory_plan.layers import Attention, State, built_in_layers, drafter_layers, target_layers
from spectui.core.memory_plan.plan import Device, MemoryPlan, plan_memory, shared_out
from spectui.core.memory_plan.weights import LoadRules, built_in_bytes, drafter_bytes, target_bytes, tower_bytes

pytestmark = pytest.mark.unit

GB = 10**9
LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def made(shapes: dict[str, tuple[int, ...]], config: dict[str, Any] | None = None, dtype: str = "BF16") -> Checkpoint:
    """A checkpoint with tensors of these shapes."""
    tensors = tuple(Tensor(name, dtype, shape) for name, shape in shapes.items())
    return Checkpoint("made", {**LLAMA, **(config or {})}, tensors)


EMBEDDED = {"model.embed_tokens.weight": (128, 64), "lm_head.weight": (128, 64)}
LAYER = {"model.layers.0.self_attn.k_proj.weight": (32, 64), "model.layers.0.input_layernorm.weight": (64,)}


@pytest.mark.parametrize(
    ("shapes", "config", "rules", "numbers"),
    [
        pytest.param(EMBEDDED | LAYER, {}, LoadRules(), 2 * (2 * 128 * 64 + 32 * 64 + 64), id="as they are"),
        pytest.param(EMBEDDED | LAYER, {}, LoadRules("float32"), 4 * (2 * 128 * 64 + 32 * 64 + 64), id="float32"),
        pytest.param(EMBEDDED, {"tie_word_embeddings": True}, LoadRules(), 2 * 128 * 64, id="one matrix for both"),
        pytest.param({"model.embed_tokens.weight": (100, 64)}, {}, LoadRules(), 2 * 128 * 64, id="rows are padded"),
        pytest.param(
            LAYER, {"attention_k_eq_v": True}, LoadRules(), 2 * (2 * 32 * 64 + 64), id="keys that are values too"
        ),
        pytest.param(
            {**LAYER, "model.layers.1.self_attn.k_proj.weight": (32, 64), "model.layers.1.mlp.weight": (9,)},
            {"num_kv_shared_layers": 1},
            LoadRules(),
            2 * (32 * 64 + 64 + 9),
            id="a layer that reads another's cache",
        ),
        pytest.param(
            {**LAYER, "mtp.fc.weight": (64, 128), "mtp.layers.0.mlp.up_proj.weight": (8, 8)},
            {"mtp_num_hidden_layers": 1},
            LoadRules(),
            2 * (32 * 64 + 64),
            id="a built-in MTP head is the drafter's",
        ),
        pytest.param(
            {**LAYER, "model.layers.2.mlp.up_proj.weight": (8, 8)},
            {"num_nextn_predict_layers": 1},
            LoadRules(),
            2 * (32 * 64 + 64),
            id="a layer after the last one is the drafter's",
        ),
        pytest.param(
            {**LAYER, "model.visual.patch.weight": (50, 4)}, {}, LoadRules(), 2 * (32 * 64 + 64), id="text only"
        ),
        pytest.param(
            {**LAYER, "model.visual.patch.weight": (50, 4)},
            {"vision_config": {}, "audio_config": {"depth": 1}},
            LoadRules(),
            2 * (32 * 64 + 64 + 200),
            id="with a tower",
        ),
        pytest.param(
            {**LAYER, "model.visual.patch.weight": (50, 4)},
            {"vision_config": {"depth": 1}},
            LoadRules(text_only=True),
            2 * (32 * 64 + 64),
            id="without its tower",
        ),
        pytest.param(
            EMBEDDED | LAYER | {"model.layers.0.mlp.experts.gate_up_proj": (4, 8, 8)},
            {},
            LoadRules(quantization="fp8"),
            2 * (2 * 128 * 64 + 64) + 32 * 64 + 256,
            id="fp8 while loading",
        ),
        pytest.param(LAYER, {}, LoadRules(quantization="gptq"), 2 * (32 * 64 + 64), id="a quantisation of files alone"),
    ],
)
def test_loaded_bytes_of_a_target(
    shapes: dict[str, tuple[int, ...]], config: dict[str, Any], rules: LoadRules, numbers: int
) -> None:
    assert target_bytes(made(shapes, config), rules) == numbers


def test_a_quantised_checkpoint_is_loaded_as_it_is() -> None:
    config = {**LLAMA, "quantization_config": {"quant_method": "fp8"}}
    tensors = (
        Tensor("model.layers.0.mlp.up_proj.weight", "F8_E4M3", (64, 64)),
        Tensor("model.layers.0.mlp.up_proj.weight_scale_inv", "F32", (2, 2)),
        Tensor("model.layers.0.input_layernorm.weight", "BF16", (64,)),
    )
    for rules in (LoadRules(), LoadRules(quantization="fp8")):
        assert target_bytes(Checkpoint("made", config, tensors), rules) == 64 * 64 + 16 + 128


def test_weights_without_headers_count_as_large_as_their_files() -> None:
    assert target_bytes(Checkpoint("model.gguf", {}, file_bytes=77), LoadRules()) == 77
    assert target_bytes(Checkpoint("unseen", LLAMA), LoadRules()) is None


def test_bytes_of_drafters() -> None:
    head = {"mtp.fc.weight": (64, 128), "mtp.embed_tokens.weight": (128, 64), "model.norm.weight": (64,)}
    target = made(head, {"mtp_num_hidden_layers": 1})
    assert built_in_bytes(target, LoadRules()) == 2 * 64 * 128
    assert built_in_bytes(target, LoadRules(quantization="fp8")) == 64 * 128
    # A drafter of its own is loaded in the target's format, and never quantised along with it.
    own = made({"fc.weight": (64, 128), "lm_head.weight": (64, 64)})
    assert drafter_bytes(own, "dflash", "float32") == 4 * (64 * 128 + 64 * 64)
    mimo = made(
        {"model.mtp_layers.0.input_proj.weight": (64, 128), "model.embed_tokens.weight": (128, 64)},
        {"architectures": ["MiMoForCausalLM"], "num_nextn_predict_layers": 1},
    )
    assert drafter_bytes(mimo, "mtp", "bfloat16") == 2 * 64 * 128


def test_a_tower_is_told_from_the_rest() -> None:
    model = made({**LAYER, "vision_tower.layers.7.weight": (10, 10)}, {"vision_config": {"depth": 8}})
    assert tower_bytes(model, LoadRules()) == 200
    assert tower_bytes(model, LoadRules(text_only=True)) == 0


PLAIN: Any = {"dtype": None, "cache_dtype": "auto"}


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        pytest.param({}, [Attention(2, 16, 16, 2)] * 2, id="all alike"),
        pytest.param({"head_dim": 8}, [Attention(2, 8, 8, 2)] * 2, id="a head size of its own"),
        pytest.param({"sliding_window": 9}, [Attention(2, 16, 16, 2, 9)] * 2, id="windows everywhere"),
        pytest.param({"sliding_window": 9, "use_sliding_window": False}, [Attention(2, 16, 16, 2)] * 2, id="unused"),
        pytest.param(
            {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 9},
            [Attention(2, 16, 16, 2, 9), Attention(2, 16, 16, 2)],
            id="listed kinds",
        ),
        pytest.param(
            {"model_type": "gemma4_text", "sliding_window": 9, "global_head_dim": 32, "num_global_key_value_heads": 1},
            [Attention(2, 16, 16, 2, 9), Attention(2, 32, 32, 2)],
            id="Gemma 4: the last layer sees all, with larger heads",
        ),
        pytest.param(
            {
                "model_type": "gemma4_text",
                "sliding_window": 9,
                "attention_k_eq_v": True,
                "num_global_key_value_heads": 1,
            },
            [Attention(2, 16, 16, 2, 9), Attention(1, 512, 512, 2)],
            id="Gemma 4: and fewer of them if keys are values",
        ),
        pytest.param(
            {"per_layer_config": {"1": {"head_dim": 24, "num_key_value_heads": 4}}},
            [Attention(2, 16, 16, 2), Attention(4, 24, 24, 2)],
            id="a layer that is described alone",
        ),
        pytest.param(
            {
                "model_type": "diffusion_gemma_text",
                "sliding_window": 9,
                "global_head_dim": 32,
                "num_global_key_value_heads": 1,
            },
            [Attention(2, 16, 16, 2, 9), Attention(1, 32, 32, 2)],
            id="DiffusionGemma: Gemma 4 whose keys are values",
        ),
        pytest.param({"num_kv_shared_layers": 1}, [Attention(2, 16, 16, 2)], id="one reads the other's cache"),
        pytest.param(
            {"kv_lora_rank": 512, "qk_rope_head_dim": 64}, [Attention(1, 576, 0, 2)] * 2, id="one latent vector (MLA)"
        ),
        pytest.param(
            {
                "model_type": "qwen3_5_text",
                "full_attention_interval": 2,
                "linear_num_key_heads": 1,
                "linear_num_value_heads": 2,
                "mamba_ssm_dtype": "float32",
            },
            [State(4 * 128, 3, 2 * 128 * 128 * 4, 2), Attention(2, 16, 16, 2)],
            id="Gated DeltaNet and attention",
        ),
        pytest.param(
            {"quantization_config": {"kv_cache_scheme": {"num_bits": 8}}}, [Attention(2, 16, 16, 1)] * 2, id="8 bits"
        ),
    ],
)
def test_layers_of_a_configuration(config: dict[str, Any], layers: list[Any]) -> None:
    assert target_layers(made({}, config), **PLAIN) == layers
    # A model for images has its language model in a part of the configuration.
    nested = Checkpoint("made", {"text_config": {**LLAMA, **config}, **config})
    assert target_layers(nested, **PLAIN) == layers


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 0},
        {"layer_types": ["full_attention", "chunked_attention"]},
        {"layer_types": ["full_attention"]},
        {"hybrid_override_pattern": "M*"},
        {"index_topk": 2048},
    ],
)
def test_what_is_not_known_stays_unknown(config: dict[str, Any]) -> None:
    model = made(LAYER, config)
    assert target_layers(model, **PLAIN) is None
    plan = plan_memory(Asked(model, (AskedLane("ar", "AR", "ar"),), 2048, kv_floor=100), Device("here", GB, GB))
    assert (plan.lanes[0].kv, plan.lanes[0].kv_needed) == (100, None)
    assert plan.unknown == ("AR: its layers are of a kind that the plan does not know, so its cache is a guess",)


@pytest.mark.parametrize(
    ("config", "windows"),
    [
        ({}, [None, None]),
        ({"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 9}, [9, None]),
        ({"dflash_config": {"use_swa": True, "swa_window_size": 7}}, [7, 7]),
        ({"dflash_config": {"swa_window_size": 7}}, [None, None]),
    ],
)
def test_windows_of_a_dflash_drafter(config: dict[str, Any], windows: list[int | None]) -> None:
    layers = drafter_layers(made({}, config), "dflash", **PLAIN)
    assert layers is not None
    assert [layer.window for layer in layers if isinstance(layer, Attention)] == windows


def test_layers_of_other_drafters() -> None:
    assistant = Checkpoint("assistant", {"model_type": "gemma4_assistant", "text_config": LLAMA})
    assert drafter_layers(assistant, "mtp", **PLAIN) == []
    head = made({}, {"num_nextn_predict_layers": 3})
    assert drafter_layers(head, "mtp", **PLAIN) == built_in_layers(head, **PLAIN) == [Attention(2, 16, 16, 2)] * 3
    assert drafter_layers(made({}), "medusa", **PLAIN) == []
    assert drafter_layers(made({}), "eagle3", dtype="float32", cache_dtype="fp8") == [Attention(2, 16, 16, 1)] * 2
    speculator = Checkpoint("speculator", {"speculators_config": {}, "transformer_layer_config": LLAMA})
    assert drafter_layers(speculator, "eagle3", **PLAIN) == [Attention(2, 16, 16, 2)] * 2


def test_a_worked_cache() -> None:
    """Layers of 64 bytes a token, one with a window: blocks of 16 tokens, two groups, one block never given out."""
    plan = cache_plan(
        [Attention(1, 16, 16, 2, 32), Attention(1, 16, 16, 2)], [], 0, replace(GPU_RULES, batched_tokens=8)
    )
    assert plan is not None
    # The window needs 31 + 8 tokens, which may begin within a block: 4 blocks; full attention 7 for 100 tokens.
    assert (plan.block_bytes, plan.request_blocks(100)) == (1024, 4 + 7)
    assert plan.needed(3, 100) == 1024 * (3 * 11 + 1)
    assert plan.reserved(5000) == 4096


STATES = {"model_type": "qwen3_5_text", "full_attention_interval": 2, "linear_num_value_heads": 16}


@pytest.mark.parametrize(
    ("changes", "blocks"),
    [
        pytest.param({}, 17, id="a place for every seat, and one for a probe"),
        pytest.param({"seats": 2}, 8, id="one request needs more"),
        pytest.param({"requests": 12}, 12 * 7 + 1, id="requests need more"),
        pytest.param({"eager": True}, 8, id="no graphs"),
        pytest.param({"gpu": False}, 8, id="no GPU"),
    ],
)
def test_whole_graphs_of_a_model_with_states_need_a_block_for_every_place(changes: dict[str, Any], blocks: int) -> None:
    lane = AskedLane("ngram", "n-gram", "ngram", 5)
    asked = Asked(made(LAYER, STATES), (lane,), 64, gpu=True, cache=GPU_RULES, eager=False)
    asked = replace(asked, **changes)
    cache = asked.cache_of(asked.lanes[0])
    assert cache is not None
    plan = plan_memory(asked, Device("a GPU", GB, 1, gpu=True)).lanes[0]
    least = cache.needed(1, asked.context)
    assert (plan.kv_needed, plan.kv_least) == (cache.block_bytes * blocks, least)
    # Even if memory lacks, a lane gets what it needs to start.
    assert plan.kv == least


def test_fewer_seats_are_proposed_where_they_make_the_cache_smaller() -> None:
    asked = Asked(
        made(LAYER, STATES), (AskedLane("ar", "AR", "ar"),), 64, gpu=True, cache=GPU_RULES, eager=False, seats=16
    )
    plan = plan_memory(asked, Device("a GPU", None, None, gpu=True))
    found = cuts(asked, Device("a GPU", None, plan.needed - 1, gpu=True))
    assert [cut.flags for cut in found.each] == ["--engine-arg max_num_seqs=1", "--engine-arg quantization=fp8"]
    assert "max_num_seqs" not in str(cuts(replace(asked, target=made(LAYER)), Device("a GPU", None, 1, gpu=True)))


levels = st.lists(st.tuples(*[st.integers(0, 1000)] * 3).map(sorted).map(tuple), min_size=1, max_size=5)


@given(levels=levels, room=st.none() | st.integers(-100, 20_000))
def test_room_is_shared_out_level_by_level(levels: list[tuple[int, ...]], room: int | None) -> None:
    given_out = shared_out(levels, room)
    assert all(steps[0] <= size <= steps[-1] for steps, size in zip(levels, given_out, strict=True))
    if room is None or sum(steps[-1] for steps in levels) <= room:
        assert given_out == [steps[-1] for steps in levels]
    elif room < sum(steps[0] for steps in levels):
        assert given_out == [steps[0] for steps in levels]
    else:
        # All of the room is used, but for what cannot be divided.
        assert room - len(levels) <= sum(given_out) <= room


@given(levels=levels, room=st.integers(0, 5000), more=st.integers(0, 5000))
def test_more_room_is_never_less_cache(levels: list[tuple[int, ...]], room: int, more: int) -> None:
    before, after = shared_out(levels, room), shared_out(levels, room + more)
    assert all(one <= other for one, other in zip(before, after, strict=True))


LARGE = made(
    {"model.layers.0.mlp.up_proj.weight": (1000, 10_000), "model.visual.weight": (1000, 1000)},
    {"num_key_value_heads": 4, "vision_config": {"depth": 1}, "vocab_size": 0, "hidden_size": 1024},
)
LANES = (AskedLane("ar", "AR", "ar"), AskedLane("ngram", "n-gram", "ngram", 5))
ASKED = Asked(LARGE, LANES, 2048, gpu=True, cache=GPU_RULES, eager=True, kv_floor=10**7)
REQUEST = 2 * 2 * 4 * 256 * 2 * 2048
"""Bytes of a request of full length: two layers, keys and values, 4 heads of 256 numbers."""


def planned(free: int | None, **changes: Any) -> MemoryPlan:
    return plan_memory(replace(ASKED, **changes), Device("a GPU", free, free, gpu=True))


def test_a_plan_adds_up() -> None:
    plan = planned(None)
    block = REQUEST // 128
    assert plan.target_bytes == 22_000_000
    assert [lane.kv_least for lane in plan.lanes] == [REQUEST + block] * 2
    # A second place, in which the target is asked about a step.
    assert [lane.kv for lane in plan.lanes] == [2 * REQUEST + block] * 2
    assert plan.total == plan.base + plan.working + 2 * (22_000_000 + 2 * REQUEST + block)
    assert plan.needed == plan.least == plan.total - 2 * REQUEST
    assert (plan.fits, plan.short, plan.hopeless) == (None, None, False)
    shared = planned(None, share=True)
    assert [lane.target for lane in shared.lanes] == [22_000_000, 0]
    assert plan.total - shared.total == 22_000_000
    assert planned(None, shards=2).target_bytes == 11_000_000


def test_the_cache_grows_with_what_is_asked_for_and_with_the_room() -> None:
    floor = planned(None, context=16).lanes[0].kv
    assert 10**7 <= floor < 10**7 + REQUEST // 128
    assert planned(None, requests=4).lanes[0].kv == 5 * REQUEST + REQUEST // 128
    tight = planned(planned(None).least + REQUEST)
    assert tight.fits
    assert tight.total <= tight.device.free
    assert tight.lanes[0].kv == tight.lanes[1].kv == REQUEST // 2 + REQUEST + REQUEST // 128
    # vLLM would not start below what one request needs, so no lane gets less.
    assert planned(1).lanes[0].kv == REQUEST + REQUEST // 128


def test_the_users_cache_wins() -> None:
    plan = planned(10**12, kv_bytes=2 * REQUEST + 5)
    assert [lane.kv for lane in plan.lanes] == [2 * REQUEST] * 2
    assert plan.needed == plan.least == plan.total


@pytest.mark.parametrize(("share", "fits", "hopeless"), [(1.0, True, False), (0.95, False, False), (0.9, False, True)])
def test_only_a_wide_margin_is_hopeless(share: float, fits: bool, hopeless: bool) -> None:
    plan = planned(int(planned(None).least * share) + 1)
    assert (plan.fits, plan.hopeless) == (fits, hopeless)


def test_a_device_without_free_memory_is_hopeless() -> None:
    assert (planned(0).fits, planned(0).hopeless) == (False, True)


def test_cuts_say_what_they_save_the_least_loss_first() -> None:
    plan = planned(None, requests=4)
    tight = Device("a GPU", None, plan.needed - 1, gpu=True)
    found = cuts(replace(ASKED, requests=4), tight)
    assert [(cut.flags, cut.saves, cut.enough) for cut in found.each] == [
        ("--engine-arg language_model_only=true", 2 * 2_000_000, True),
        ("--concurrency 1", 2 * 3 * REQUEST, True),
        ("--engine-arg max_model_len=1024", 2 * 2 * REQUEST, True),
        ("--engine-arg quantization=fp8", 2 * 10_000_000, True),
    ]
    assert found.flags == "--engine-arg language_model_only=true"
    much = Device("a GPU", None, plan.needed - 7 * REQUEST, gpu=True)
    assert cuts(replace(ASKED, requests=4), much).flags == (
        "--engine-arg language_model_only=true --concurrency 1 --engine-arg max_model_len=1024"
    )
    assert cuts(ASKED, Device("a GPU", None, 1, gpu=True)).flags == ""
    assert cuts(ASKED, Device("a GPU", None, 10**12, gpu=True)).each == ()


def test_a_cache_that_is_too_large_is_cut() -> None:
    asked = replace(ASKED, kv_bytes=10**12, load=LoadRules(text_only=True))
    least = REQUEST + REQUEST // 128
    first = cuts(asked, Device("a GPU", None, 10**11, gpu=True)).each[0]
    assert (first.flags, first.enough) == (f"--engine-arg kv_cache_memory_bytes={least}", True)


def test_lanes_in_turn() -> None:
    plan = planned(None)
    alone = plan.needed - (22_000_000 + REQUEST + REQUEST // 128)
    assert in_turn(planned(plan.needed - 1)) == alone
    assert in_turn(planned(alone - 1)) is None
    assert in_turn(planned(10**12, lanes=LANES[:1])) is None
    assert in_turn(planned(plan.needed - 1, share=True)) == alone


OWN = made({"model.layers.0.mlp.up_proj.weight": (1000, 30_000)}, {"num_key_value_heads": 1, "hidden_size": 1024})


@pytest.mark.parametrize("share", [True, False])
def test_a_diffusion_lane_has_its_own_model_and_no_drafter(share: bool) -> None:
    diffusion = AskedLane("diffusion", "diffusion", "diffusion", 0, OWN)
    plan = planned(None, lanes=(diffusion, *LANES), share=share)
    assert [lane.target for lane in plan.lanes] == [60_000_000, 22_000_000, 0 if share else 22_000_000]
    assert (plan.lanes[0].drafter, plan.lanes[0].kv_least) == (0, (REQUEST + REQUEST // 128) // 4)
    # Alone it has its own model and no copy of the target.
    alone = plan.base + plan.working + 60_000_000 + (REQUEST + REQUEST // 128) // 4
    assert in_turn(planned(alone, lanes=(diffusion, *LANES), share=share)) == alone


def test_a_diffusion_lane_whose_model_is_not_known_or_is_the_target() -> None:
    lane = AskedLane("diffusion", "diffusion", "diffusion", unread="its model 'x' was not found")
    plan = planned(10**12, lanes=(LANES[0], lane), share=True)
    assert (plan.lanes[1].target, plan.lanes[1].drafter, plan.lanes[1].kv_least) == (None, 0, None)
    assert plan.unknown == ("diffusion: its model 'x' was not found",)
    # Without a model of its own it is a second copy of the target: lanes of diffusion share with none.
    plan = planned(10**12, lanes=(LANES[0], replace(lane, unread="")), share=True)
    assert [lane.target for lane in plan.lanes] == [22_000_000, 22_000_000]


def test_a_drafter_that_cannot_be_read_is_said() -> None:
    lane = AskedLane("dflash", "DFlash", "dflash", 7, unread="its drafter 'x' was not found")
    plan = planned(10**12, lanes=(lane,))
    assert (plan.lanes[0].drafter, plan.lanes[0].kv_needed) == (None, None)
    assert plan.unknown == ("DFlash: its drafter 'x' was not found",)
    # What the target alone needs is known.
    assert (plan.lanes[0].kv_least, plan.lanes[0].request_bytes) == (REQUEST + REQUEST // 128, None)
    assert planned(10**12, lanes=(lane,), requests=3).lanes[0].kv == 4 * REQUEST + REQUEST // 128
    assert planned(1, lanes=(lane,), context=16).lanes[0].kv == planned(None, context=16).lanes[0].kv


def test_a_drafter_of_an_unknown_kind_leaves_the_targets_cache() -> None:
    odd = replace(made(LAYER, {"index_topk": 2048}), name="odd")
    plan = planned(10**12, lanes=(AskedLane("eagle3", "EAGLE-3", "eagle3", 3, odd),))
    assert (plan.lanes[0].kv_needed, plan.lanes[0].kv_least) == (None, REQUEST + REQUEST // 128)
    assert plan.unknown == (
        "EAGLE-3: its drafter's layers are of a kind that the plan does not know, so its cache is a guess",
    )


def test_graphs_are_estimated_on_a_gpu_only() -> None:
    assert planned(None, eager=False).lanes[1].graphs > 0
    cpu = plan_memory(replace(ASKED, gpu=False, eager=False, cache=CPU_RULES), Device("here", None, None))
    assert cpu.lanes[1].graphs == 0
