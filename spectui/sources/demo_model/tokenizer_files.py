"""Converts the tokenizer of a GGUF file to the two files that Hugging Face loads: byte-level BPE with single digits."""

from __future__ import annotations

from spectui.sources.demo_model.gguf_file import GgufError, Metadata

_CONTROL_TOKEN = 3
_PRE_TOKENIZER = "smollm"


def _strings(metadata: Metadata, key: str) -> list[str]:
    value = metadata.get(key)
    if not isinstance(value, list):
        raise GgufError(f"GGUF metadata has no list {key}")
    return [str(item) for item in value]


def _token(metadata: Metadata, tokens: list[str], role: str) -> str:
    index = metadata.get(f"tokenizer.ggml.{role}_token_id")
    if not isinstance(index, int):
        raise GgufError(f"GGUF metadata names no {role} token")
    return tokens[index]


def _added_tokens(metadata: Metadata, tokens: list[str]) -> dict[int, dict[str, object]]:
    kinds = metadata.get("tokenizer.ggml.token_type")
    if not isinstance(kinds, list):
        raise GgufError("GGUF metadata has no token types")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {index: {"content": tokens[index], **flags} for index, kind in enumerate(kinds) if kind == _CONTROL_TOKEN}


def tokenizer_json(metadata: Metadata) -> dict[str, object]:
    """The content of tokenizer.json, identical to what the model's authors publish, down to the order of its keys.

    Raises:
        GgufError: The file's tokenizer is not that of the SmolLM family.
    """
    if metadata.get("tokenizer.ggml.pre") != _PRE_TOKENIZER:
        raise GgufError(f"GGUF tokenizer {metadata.get('tokenizer.ggml.pre')!r} is not {_PRE_TOKENIZER!r}")
    tokens = _strings(metadata, "tokenizer.ggml.tokens")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, **entry} for index, entry in _added_tokens(metadata, tokens).items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": _strings(metadata, "tokenizer.ggml.merges"),
        },
    }


def tokenizer_config_json(metadata: Metadata) -> dict[str, object]:
    """The content of tokenizer_config.json: special tokens, longest prompt in tokens, chat template."""
    tokens = _strings(metadata, "tokenizer.ggml.tokens")
    bos, eos = _token(metadata, tokens, "bos"), _token(metadata, tokens, "eos")
    return {
        # With a class of its own, transformers would rebuild the splitting rules and lose the single digits.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {str(index): entry for index, entry in _added_tokens(metadata, tokens).items()},
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": metadata["llama.context_length"],
        "additional_special_tokens": [bos, eos],
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": _token(metadata, tokens, "padding"),
        "unk_token": _token(metadata, tokens, "unknown"),
        "chat_template": metadata["tokenizer.chat_template"],
    }
