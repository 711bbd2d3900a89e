"""The demo target before it has been made: what its files will say. A test holds it against the files."""

from __future__ import annotations

from spectui.core.memory_plan.checkpoint import Checkpoint, Tensor
from spectui.sources.demo_model.prepare import MODEL_NAME

_HIDDEN, _INNER, _LAYERS, _HEADS, _KV_HEADS, _HEAD, _VOCABULARY = 576, 1536, 30, 9, 3, 64, 49152


def known_checkpoint() -> Checkpoint:
    """The demo target's configuration, as far as memory and contexts are concerned, and its tensors."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": _VOCABULARY,
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HEAD,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }
    shapes = {
        "input_layernorm": (_HIDDEN,),
        "post_attention_layernorm": (_HIDDEN,),
        "self_attn.q_proj": (_HEADS * _HEAD, _HIDDEN),
        "self_attn.k_proj": (_KV_HEADS * _HEAD, _HIDDEN),
        "self_attn.v_proj": (_KV_HEADS * _HEAD, _HIDDEN),
        "self_attn.o_proj": (_HIDDEN, _HEADS * _HEAD),
        "mlp.gate_proj": (_INNER, _HIDDEN),
        "mlp.up_proj": (_INNER, _HIDDEN),
        "mlp.down_proj": (_HIDDEN, _INNER),
    }
    layers = {f"model.layers.{layer}.{part}": shape for layer in range(_LAYERS) for part, shape in shapes.items()}
    every = {"model.embed_tokens": (_VOCABULARY, _HIDDEN), "model.norm": (_HIDDEN,), **layers}
    return Checkpoint(
        MODEL_NAME, config, tuple(Tensor(f"{name}.weight", "BF16", shape) for name, shape in every.items())
    )
