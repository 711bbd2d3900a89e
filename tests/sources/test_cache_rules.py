"""The plan's rules for the cache, held against vLLM's own planner, which divides the same layers."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spectui.core.memory_plan.cache import CPU_RULES, GPU_RULES, CachePlan, CacheRules, cache_plan
from spectui.core.memory_plan.checkpoint import Checkpoint
from spectui.core.memory_plan.layers import Attention, Layer, State, built_in_layers, drafter_layers, target_layers
from tests.support.model_configs import CONFIGS

pytestmark = pytest.mark.unit

BF16 = 2


def specs_of(layers: Sequence[Layer], k: int, rules: CacheRules, tokens: int, padded: int | None) -> dict[str, Any]:
    """vLLM's specs of layers, as its attention and state layers give them."""
    torch = pytest.importorskip("torch")
    kinds = pytest.importorskip("vllm.v1.kv_cache_interface")
    dtypes = {1: torch.float8_e4m3fn, 2: torch.bfloat16, 4: torch.float32}
    found: dict[str, Any] = {}
    for place, layer in enumerate(layers):
        if isinstance(layer, State):
            inputs = ((layer.kept + k) * layer.channels,), (layer.recurrent_bytes // 4,)
            found[f"layer {place}"] = kinds.MambaSpec(
                block_size=2048,
                shapes=inputs,
                dtypes=(dtypes[layer.number_bytes], torch.float32),
                page_size_padded=padded,
                num_speculative_blocks=k,
            )
            continue
        alike = {
            "block_size": tokens,
            "num_kv_heads": layer.heads,
            "head_size": layer.key_size,
            "head_size_v": layer.value_size,
            "dtype": dtypes[layer.number_bytes],
        }
        window = {} if layer.window is None else {"sliding_window": layer.window}
        kind = kinds.FullAttentionSpec if layer.window is None else kinds.SlidingWindowSpec
        found[f"layer {place}"] = kind(**alike, **window)
    return found


def vllms_plan(target: Sequence[Layer], drafter: Sequence[Layer], k: int, rules: CacheRules, context: int) -> Any:
    """What vLLM's planner makes of the layers: bytes of a block, groups, and bytes of a request of full length."""
    utils = pytest.importorskip("vllm.v1.core.kv_cache_utils")
    layout = pytest.importorskip("vllm.v1.kv_cache_layout").KVCacheLayout.LBHNC
    states = [layer.bytes(k) for layer in target if isinstance(layer, State)]
    tokens, padded = rules.block_tokens, None
    if states:
        # ``Platform._align_hybrid_block_size``, which needs a whole configuration, in three lines.
        per_token = next(layer.token_bytes for layer in target if isinstance(layer, Attention))
        tokens = rules.block_tokens * -(-max(states) // (rules.block_tokens * per_token))
        padded = tokens * per_token
    config = SimpleNamespace(
        model_config=SimpleNamespace(max_model_len=context),
        parallel_config=SimpleNamespace(decode_context_parallel_size=1),
        cache_config=SimpleNamespace(get_resolved_kv_cache_layout=lambda: layout, mamba_cache_mode="none"),
        scheduler_config=SimpleNamespace(disable_hybrid_kv_cache_manager=False),
        attention_config=SimpleNamespace(hisparse_config=None),
        speculative_config=None,
        max_in_flight_tokens=rules.batched_tokens,
    )
    groups = utils.get_kv_cache_groups(config, specs_of([*target, *drafter], k, rules, tokens, padded))
    return (
        utils._pool_bytes_per_block(config, groups),
        len(groups),
        utils._max_memory_usage_bytes_from_groups(config, groups),
    )


def planned(plan: CachePlan | None, context: int) -> tuple[int, int, int]:
    assert plan is not None
    return plan.block_bytes, len(plan.groups), plan.block_bytes * plan.request_blocks(context)


heads = st.sampled_from([1, 2, 3, 4, 8, 16])
sizes = st.sampled_from([64, 80, 128, 256, 512])
attention = st.builds(
    lambda heads, size, number, window: Attention(heads, size, size, number, window),
    heads,
    sizes,
    st.just(BF16),
    st.sampled_from([None, None, 32, 1024]),
)
state = st.builds(
    State,
    channels=st.sampled_from([512, 10_240]),
    kept=st.just(3),
    recurrent_bytes=st.sampled_from([4 * 2 * 128 * 128, 4 * 48 * 128 * 128]),
    number_bytes=st.just(BF16),
)


@st.composite
def models(draw: st.DrawFn) -> tuple[list[Layer], list[Layer], int]:
    """Layers of a target that repeat after a pattern, those of a drafter, and K."""
    pattern: list[Layer] = draw(st.lists(attention, min_size=1, max_size=3))
    if draw(st.booleans()):
        pattern += [draw(state)] * draw(st.integers(1, 4))
    drafter: list[Layer] = draw(st.lists(attention, max_size=3))
    return pattern * draw(st.integers(1, 12)), drafter, draw(st.sampled_from([0, 1, 3, 15]))


@pytest.mark.slow
@settings(max_examples=200)
@given(model=models(), rules=st.sampled_from([GPU_RULES, CPU_RULES]), context=st.integers(1, 40_000))
@example(model=([Attention(3, 64, 64, BF16)] * 30, [], 0), rules=CPU_RULES, context=2048)
def test_every_mix_of_layers_is_divided_as_vllm_divides_it(
    model: tuple[list[Layer], list[Layer], int], rules: CacheRules, context: int
) -> None:
    target, drafter, k = model
    assert planned(cache_plan(target, drafter, k, rules), context) == vllms_plan(target, drafter, k, rules, context)


PUBLISHED = {
    "gemma": "google/gemma-4-31B-it",
    "gemma mtp": "google/gemma-4-31B-it-assistant",
    "gemma dflash": "z-lab/gemma-4-31B-it-DFlash",
    "qwen": "Qwen/Qwen3.6-27B",
    "qwen dflash": "z-lab/Qwen3.6-27B-DFlash",
}
GIB = 1 << 30


def by_hand(target: str, drafter: str) -> tuple[list[Layer], list[Layer]]:
    """The same layers, written down from the models' descriptions."""
    if target == "gemma":
        layers: list[Layer] = [
            Attention(4, 512, 512, BF16) if layer % 6 == 5 else Attention(16, 256, 256, BF16, 1024)
            for layer in range(60)
        ]
    else:
        net = State(channels=2 * 16 * 128 + 48 * 128, kept=3, recurrent_bytes=48 * 128 * 128 * 4, number_bytes=BF16)
        layers = [Attention(4, 256, 256, BF16) if layer % 4 == 3 else net for layer in range(64)]
    if drafter == "dflash":
        return layers, [Attention(8, 128, 128, BF16, 2048)] * 4 + [Attention(8, 128, 128, BF16)]
    return layers, [Attention(4, 256, 256, BF16)] if (target, drafter) == ("qwen", "mtp") else []


@pytest.mark.parametrize("context", [2048, 4096, 32_768])
@pytest.mark.parametrize(
    ("target", "drafter", "k", "at_2048"),
    [
        pytest.param("gemma", "ar", 0, 1.733, id="Gemma 4 31B, AR"),
        pytest.param("gemma", "mtp", 4, 1.733, id="Gemma 4 31B, MTP, whose assistant reads the target's cache"),
        pytest.param("gemma", "dflash", 15, 1.772, id="Gemma 4 31B, DFlash K=15"),
        pytest.param("qwen", "ar", 0, 0.335, id="Qwen 3.6 27B, AR"),
        pytest.param("qwen", "mtp", 3, 0.830, id="Qwen 3.6 27B, MTP K=3"),
        pytest.param("qwen", "dflash", 15, 2.755, id="Qwen 3.6 27B, DFlash K=15"),
    ],
)
def test_the_plan_of_a_published_configuration_is_vllms(
    target: str, drafter: str, k: int, at_2048: float, context: int
) -> None:
    """From config.json alone, against vLLM's planner on layers written by hand; at 2,048 tokens in GiB."""
    models = {name: Checkpoint(name, CONFIGS[model]) for name, model in PUBLISHED.items()}
    dtype: Any = {"dtype": None, "cache_dtype": "auto"}
    layers = target_layers(models[target], **dtype)
    own: list[Layer] | None = []
    if (own_checkpoint := models.get(f"{target} {drafter}")) is not None:
        own = drafter_layers(own_checkpoint, drafter, **dtype)
    elif drafter == "mtp":
        own = built_in_layers(models[target], **dtype)
    assert layers is not None
    assert own is not None
    plan = cache_plan(layers, own, k, GPU_RULES)
    assert plan is not None
    block, _, request = vllms_plan(*by_hand(target, drafter), k, GPU_RULES, context)
    assert plan.needed(1, context) == request + block
    if context == 2048:
        assert plan.needed(1, context) / GIB == pytest.approx(at_2048, abs=1e-3)
