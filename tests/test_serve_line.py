"""The line to paste into a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from spectui.core.serve_line import serve_line

DRAFTING = {"method": "mtp", "num_speculative_tokens": 7, "model": "a head's folder"}


def test_what_the_chat_template_was_told_is_part_of_it() -> None:
    line = serve_line("some/model", DRAFTING, {1: 0}, template_arguments={"enable_thinking": False})
    words = shlex.split(line)
    assert words[:4] == ["vllm", "serve", "some/model", "--default-chat-template-kwargs"]
    assert json.loads(words[4]) == {"enable_thinking": False}
    assert "--default" not in serve_line("some/model", DRAFTING, {1: 0}, template_arguments={})


@pytest.mark.parametrize(
    ("best", "k", "table"),
    [
        ({1: 3}, 3, None),
        ({1: 3, 4: 3}, 3, None),
        ({1: 3, 4: 1}, 3, [[1, 3, 3], [4, 1024, 1]]),
        ({4: 0, 1: 2, 2: 2}, 2, [[1, 3, 2], [4, 1024, 0]]),
        ({2: 1, 8: 4}, 4, [[1, 7, 1], [8, 1024, 4]]),
    ],
)
def test_the_config_survives_the_shell(best: dict[int, int], k: int, table: Any) -> None:
    words = shlex.split(serve_line("some/model", DRAFTING, best))
    assert words[:4] == ["vllm", "serve", "some/model", "--speculative-config"]
    config = json.loads(words[4])
    assert config.pop("num_speculative_tokens_per_batch_size", None) == table
    assert config == {**DRAFTING, "num_speculative_tokens": k}


def test_where_nothing_pays_nothing_is_drafted() -> None:
    assert serve_line("a model", DRAFTING, {1: 0, 4: 0}) == "vllm serve 'a model'"
    assert serve_line("m", DRAFTING, {}) == "vllm serve m"
