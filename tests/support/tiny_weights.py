"""Random weights of small models, and the folders that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

VOCABULARY = 512
PADDING, END, BEGIN, MASK = range(4)
"""The special tokens; the mask stands where a DFlash drafter is to draft."""

HIDDEN, INNER, HEADS, KV_HEADS, HEAD = 128, 128, 4, 2, 64
"""Alike in all kinds; with heads of 64 numbers both the CPU's attention and FlashAttention work, and as a key has
`HIDDEN` numbers, an attention layer can copy a token's whole embedding."""

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


class Weights:
    """Collects a checkpoint's tensors; each is drawn from a seed of its own, so that their order does not matter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.tensors: dict[str, Any] = {}

    def random(self, name: str, *shape: int, scale: float = 1.0) -> Any:
        """A normal tensor, divided by the root of its last size."""
        import torch

        generator = torch.Generator().manual_seed(crc32(f"{self._seed}/{name}".encode()))
        drawn = torch.randn(*shape, generator=generator) * (scale / shape[-1] ** 0.5)
        return self.put(name, drawn)

    def full(self, name: str, *shape: int, value: float) -> Any:
        import torch

        return self.put(name, torch.full(shape, value))

    def put(self, name: str, tensor: Any) -> Any:
        self.tensors[name] = tensor
        return tensor

    def norms(self, prefix: str, *names: str, size: int = HIDDEN, value: float = 1.0) -> None:
        for name in names:
            self.full(f"{prefix}{name}.weight", size, value=value)

    def mlp(self, prefix: str, inner: int = INNER, loud: float = 1.0) -> None:
        for name in ("gate_proj", "up_proj"):
            self.random(f"{prefix}.{name}.weight", inner, HIDDEN, scale=1.5)
        self.random(f"{prefix}.down_proj.weight", HIDDEN, inner, scale=loud)

    def attention(
        self,
        prefix: str,
        *,
        heads: int = HEADS,
        kv_heads: int = KV_HEADS,
        head: int = HEAD,
        reads: int = HIDDEN,
        gated: bool = False,
        biases: bool = False,
        norms: float | None = None,
        loud: float = 1.0,
    ) -> None:
        """Projections of an attention layer, with norms of queries and keys of the weight ``norms``."""
        rows = {"q_proj": heads * head * (2 if gated else 1), "k_proj": kv_heads * head, "v_proj": kv_heads * head}
        for name, count in rows.items():
            self.random(f"{prefix}.{name}.weight", count, reads, scale=1.5)
            if biases:
                self.random(f"{prefix}.{name}.bias", count)
        self.random(f"{prefix}.o_proj.weight", HIDDEN, heads * head, scale=loud)
        if norms is not None:
            self.norms(f"{prefix}.", "q_norm", "k_norm", size=head, value=norms)

    def experts(self, prefix: str, count: int, inner: int, loud: float) -> None:
        self.random(f"{prefix}.gate_up_proj", count, 2 * inner, HIDDEN, scale=1.5)
        self.random(f"{prefix}.down_proj", count, HIDDEN, inner, scale=loud)

    def save(self, folder: Path, config: Mapping[str, Any], dtype: str) -> Path:
        """Write a checkpoint: weights, configuration and tokenizer."""
        import torch
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        stored = {name: tensor.to(getattr(torch, dtype)).contiguous() for name, tensor in self.tensors.items()}
        save_file(stored, str(folder / "model.safetensors"), metadata={"format": "pt"})
        ids = {"pad_token_id": PADDING, "eos_token_id": END, "bos_token_id": BEGIN}
        whole = {"vocab_size": VOCABULARY, "dtype": dtype, **ids, **config}
        (folder / "config.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
        _save_tokenizer(folder)
        return folder


def embedding(weights: Weights, name: str, scale: float) -> Any:
    """An embedding in which one number tells the mask from all other tokens."""
    import torch

    table = torch.nn.functional.normalize(weights.random(name, VOCABULARY, HIDDEN), dim=-1) * scale * HIDDEN**0.5
    table[:, 0] = 3 * scale
    table[MASK, 0] = -3 * scale
    return weights.put(name, table)


def follower(token: int) -> int:
    """The ordinary token that a model with an output matrix of its own prefers after ``token``."""
    return MASK + 1 + (token * 37 + 11) % (VOCABULARY - MASK - 1)


def output_matrix(weights: Weights, name: str, table: Any) -> Any:
    """An output matrix that answers each ordinary token with its `follower`."""
    import torch

    matrix = torch.zeros_like(table)
    for token in range(MASK + 1, VOCABULARY):
        matrix[follower(token)] = table[token]
    return weights.put(name, matrix)


def _save_tokenizer(folder: Path) -> None:
    """A tokenizer of bytes; the ids that remain are words that no text is turned into."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    special = ["<pad>", "<eos>", "<bos>", "<mask>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*special, *letters]
    names += [f"\u0120w{number}" for number in range(len(names), VOCABULARY)]
    tokenizer = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": special[PADDING],
        "eos_token": special[END],
        "bos_token": special[BEGIN],
        "mask_token": special[MASK],
        "chat_template": TEMPLATE,
        "model_max_length": 2048,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
