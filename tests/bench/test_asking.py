"""The prompts of a benchmark, as lanes get them."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.bench.matrix.asking import prompt_sets_of
from spectui.errors import RunError
from spectui.protocol.events import Prompt
from spectui.sources.vllm.config import Chat

pytestmark = pytest.mark.unit


class Reader:
    """Its ids are the characters of a text, each so many times; it refuses some texts."""

    def __init__(self, name: str, method: str, each: int = 1, max_model_len: int = 64) -> None:
        self.info = SimpleNamespace(name=name, method=method)
        self.max_model_len = max_model_len
        self.tokenizer = SimpleNamespace(chat_template="x")
        self._each = each

    def render(self, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]) -> list[int]:
        text = messages[-1]["content"]
        if "refuse" in text:
            raise ValueError("not this one")
        return [ord(char) for char in text for _ in range(self._each)]

    def unknown_arguments(self, template: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {}


PROMPTS = [Prompt("short", "a"), Prompt("refuse me", "a"), Prompt("l" * 40, "a")]


def asked(lanes: list[Any], prompts: list[Prompt] = PROMPTS, contexts: tuple[int | None, ...] = (None,)) -> Any:
    return prompt_sets_of(lanes, prompts, contexts, Chat(), 10, None)[0]


def test_a_lane_with_a_tokenizer_of_its_own_gets_its_own_ids() -> None:
    for lanes in (
        [Reader("ar", "ar"), Reader("d", "diffusion", 2, 128)],
        [Reader("d", "diffusion", 2, 128), Reader("ar", "ar")],
    ):
        (one,) = asked(lanes, PROMPTS[:1])["a", None]
        assert bytes(one.ids_of("ar")) == b"short"
        assert bytes(one.ids_of("d")) == b"sshhoorrtt"


def test_prompts_leave_room_in_every_lane() -> None:
    ar = Reader("ar", "ar")
    assert len(asked([ar])["a", None]) == 2
    # Its ids of the long prompt are 80; and with a shorter context there is no room for 40 either.
    assert len(asked([ar, Reader("d", "diffusion", 2)])["a", None]) == 1
    assert len(asked([ar, Reader("mtp", "mtp", 1, 49)])["a", None]) == 1


def test_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    asked([Reader("ar", "ar", 1, 40)], contexts=(None, 20))
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith(
            "prompts left out: 1 that the tokenizer or the chat template refuses, "
            "1 too long for a context, or for an answer of 10 tokens"
        )
    )
    asked([Reader("ar", "ar")], PROMPTS[:1])
    assert capsys.readouterr().err == ""


def test_a_category_without_a_prompt_that_can_be_sent_is_refused() -> None:
    with pytest.raises(RunError, match=r"no prompt of category 'a' can be sent: .*not this one"):
        asked([Reader("ar", "ar")], PROMPTS[1:2])
    with pytest.raises(RunError, match="leaves room for 10 tokens in a context of 12"):
        asked([Reader("ar", "ar", 1, 12)], PROMPTS[:2])
    with pytest.raises(RunError, match="--context 3: every prompt"):
        asked([Reader("ar", "ar")], PROMPTS[:1], (3,))
