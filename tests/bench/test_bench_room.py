"""The longest context of a benchmark's lanes."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from spectui.bench.matrix import preparing
from spectui.bench.matrix.room import context_arguments
from spectui.core.memory_plan.checkpoint import Checkpoint
from spectui.errors import UsageError
from spectui.setup import config
from spectui.sources.vllm.target import TargetError

pytestmark = pytest.mark.unit


def needed(*contexts: int | None, tokens: int = 256, model: str | None = "m", most: int = 0, usual: int = 0) -> int:
    """The context that is asked for; 0 if none is."""
    arguments = [("max_model_len", usual)] if usual else []
    options = argparse.Namespace(context=contexts, model=model, engine_arg=arguments)

    def read(model: str) -> Checkpoint:
        if not most:
            raise TargetError("no such model")
        return Checkpoint(model, {"max_position_embeddings": most})

    return dict(context_arguments(options, tokens, read)).get("max_model_len", 0)


def test_padded_prompts_and_their_answers_fit() -> None:
    assert needed(None, 8192) == 8448
    assert needed(None) == needed(None, 1024) == 0
    # Where vLLM knows better whether a model can, it says so itself.
    assert needed(8192, most=4096) == 8448


def test_long_answers_leave_room_for_prompts_as_far_as_the_model_takes_them() -> None:
    assert needed(None, tokens=1024) == 2560
    assert needed(None, tokens=1024, most=2304) == 2304
    assert needed(None, tokens=1024, most=2048) == 0


def test_a_preset_s_longer_context_stays() -> None:
    assert needed(None, 8192, usual=16384) == 0
    assert needed(None, 8192, usual=4096) == 8448


def test_the_demo_says_what_it_takes() -> None:
    assert needed(None, 4096, model=None) == 4352
    assert needed(7936, model=None) == 8192
    with pytest.raises(UsageError, match=r"--context 8192 leaves no room for an answer of 256 tokens.* 7936 at most"):
        needed(None, 8192, model=None)


@pytest.mark.parametrize(("words", "expected"), [((), 65536), ((("max_model_len", 4096),), 4096)])
def test_what_the_user_and_the_preset_say_reaches_the_lanes(
    monkeypatch: pytest.MonkeyPatch, words: Any, expected: int
) -> None:
    seen: list[dict[str, Any]] = []

    def host_config(options: argparse.Namespace, *, gpu: bool) -> None:
        seen.append(dict(options.engine_arg))
        raise UsageError("enough")

    def with_preset(options: argparse.Namespace) -> argparse.Namespace:
        return argparse.Namespace(
            **{**vars(options), "model": "m", "engine_arg": [("max_model_len", 65536), *options.engine_arg]}
        )

    monkeypatch.setattr(config, "host_config", host_config)
    monkeypatch.setattr("spectui.setup.presets.applying.with_preset", with_preset)
    options = argparse.Namespace(
        context=(None, 8192), concurrency=(1,), max_tokens=256, model=None, engine_arg=list(words), protocol="fixed"
    )
    with pytest.raises(UsageError, match="enough"):
        preparing.bench_config(options, gpu=False)
    assert seen == [{"max_model_len": expected, "max_num_seqs": 1}]
