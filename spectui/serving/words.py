"""The bytes of a server's tokens, for viewers that have no tokenizer of its model. Written for vLLM 0.32."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from spectui.sources.vllm.pieces import TokenTable


def words_of(config: Any) -> Callable[[], tuple[list[bytes], list[int]]]:
    """Return what finds the bytes of every token, and the special ones, which are written as they are. Called once,
    while the server starts, on the publisher's thread: it loads the tokenizer, which takes a second or so.

    Args:
        config: The server's ``VllmConfig``.
    """

    def words() -> tuple[list[bytes], list[int]]:
        tokenizers: Any = importlib.import_module("vllm.tokenizers")
        tokenizer = tokenizers.cached_tokenizer_from_config(config.model_config)
        table = TokenTable(tokenizer)
        size = int(config.model_config.get_vocab_size())
        known = [table.bytes_of(token) if table.knows_bytes else table.written(token).encode() for token in range(size)]
        return known, [token for token in range(size) if table.is_special(token)]

    return words
