"""The real checkpoint: the tokenizer behaves like the published one. `demo_model` is the session's prepared copy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

TEXTS = [
    "Hello, world!",
    "def fib(n):\n\treturn n if n < 2 else fib(n - 1) + fib(n - 2)  # 3.14e-10\n",
    "2026-11-21 12:34:56,789",
    "\N{GRINNING FACE}\N{THUMBS UP SIGN}\U0001f3fd \U0001f1fa\U0001f1f3 \N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
    "你好，世界！ Привет, мир. مرحبا 안녕하세요",  # noqa: RUF001
    "e\u0301 a\u00a0b\u200bc \x00\x07\x1b[31m \ufffd",
    "  trailing   spaces \r\n\r\n",
    "<|im_start|>user\nhi<|im_end|>\n",
    "",
]


@pytest.fixture(scope="module")
def tokenizer(demo_model: Path) -> Any:
    return Tokenizer.from_file(str(demo_model / "tokenizer.json"))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_survive_a_round_trip(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


# The published vocabulary lacks a few control bytes and the lead bytes of planes 4 to 11, which hold no characters.
@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Co"])))
def test_any_text_survives_a_round_trip(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_digits_stand_alone_and_special_tokens_are_whole(tokenizer: Any) -> None:
    assert tokenizer.encode("Hello 12345 world").tokens == ["Hello", "Ġ", "1", "2", "3", "4", "5", "Ġworld"]
    assert tokenizer.encode("<|im_start|>user\n<|im_end|>").ids[::3] == [1, 2]


def test_transformers_loads_config_tokenizer_and_chat_template(demo_model: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(demo_model)
    assert (config.num_hidden_layers, config.hidden_size, config.head_dim, config.vocab_size) == (30, 576, 64, 49152)
    tokenizer = AutoTokenizer.from_pretrained(demo_model)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (2, 2, 49152)
    assert tokenizer.tokenize("x=42") == ["x", "=", "4", "2"]
    chat = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_weights_file_has_the_shapes_of_the_config(demo_model: Path) -> None:
    with (demo_model / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert len(header) == 1 + 2 + 30 * 9
    assert header["model.embed_tokens.weight"]["shape"] == [49152, 576]
    assert header["model.layers.29.self_attn.k_proj.weight"]["shape"] == [192, 576]
    assert header["model.layers.0.mlp.down_proj.weight"]["shape"] == [576, 1536]
