"""What a lane is given for a prompt: by the model's chat template, as vLLM's server does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spectui.protocol.events import Margin, Message, Prompt, RequestStarted, RoundStarted, Sampling, Step
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import CHAT_TEMPLATE_FILE, PromptRefusedError, chat_ids, prompt_ids
from spectui.sources.vllm.race import Race
from tests.conftest import LaneMaker

PARTS = """{%- for message in messages -%}
<{{ message['role'] }}>{%- for part in message['content'] -%}
{%- if part['type'] == 'text' -%}{{ part['text'] }}{%- endif -%}{%- endfor -%}
{%- endfor -%}"""
THINKS = "{{ messages[-1]['content'] }}{% if enable_thinking %} think{% else %} do not think{% endif %}"
RAISES = "{{ raise_exception('only one message, please') if messages|length > 1 }}{{ messages[0]['content'] }}"
TALK = Prompt("c", before=(Message("system", "Be."), Message("user", "a"), Message("assistant", "b")))


@pytest.fixture
def lane(make_lane: LaneMaker) -> Lane:
    made: Lane = make_lane("ar")
    return made


@pytest.fixture
def template(lane: Lane) -> Iterator[Any]:
    """Gives the lane's tokenizer another chat template for the time of a test."""
    own = lane.tokenizer.chat_template

    def take(text: str | None) -> None:
        lane.tokenizer.chat_template = text

    yield take
    lane.tokenizer.chat_template = own


def read(lane: Lane, prompt: Prompt, chat: Chat | None = None) -> str:
    return str(lane.tokenizer.decode(prompt_ids(lane, prompt, chat)))


def test_the_whole_conversation_goes_through_the_model_s_own_template(lane: Lane) -> None:
    assert read(lane, TALK) == (
        "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompt_ids(lane, Prompt("a")) == chat_ids(lane.tokenizer, "a")


def test_raw_is_the_text_alone(lane: Lane) -> None:
    assert read(lane, Prompt("def f():"), Chat(raw=True)) == "def f():"


def test_a_template_that_wants_content_parts_gets_them(lane: Lane, template: Any) -> None:
    template(PARTS)
    assert read(lane, TALK) == "<system>Be.<user>a<assistant>b<user>c"


def test_a_template_is_told_what_it_asks_for(lane: Lane, template: Any) -> None:
    template(THINKS)
    assert read(lane, Prompt("a"), Chat(arguments={"enable_thinking": False})) == "a do not think"
    assert read(lane, Prompt("a"), Chat(arguments={"enable_thinking": True})) == "a think"
    with pytest.raises(PromptRefusedError) as caught:
        prompt_ids(lane, Prompt("a"), Chat(arguments={"enable_thinkng": False}))
    said = "the model's chat template has no variable 'enable_thinkng': did you mean 'enable_thinking'?"
    assert str(caught.value) == said


def test_what_a_template_raises_refuses_the_prompt(lane: Lane, template: Any) -> None:
    template(RAISES)
    assert read(lane, Prompt("a")) == "a"
    with pytest.raises(PromptRefusedError) as caught:
        prompt_ids(lane, TALK)
    assert str(caught.value) == "the model's chat template refuses the prompt: only one message, please"
    template("{% for")
    with pytest.raises(PromptRefusedError, match="the model's chat template refuses the prompt: "):
        prompt_ids(lane, TALK)
    template("{{ '' }}")
    with pytest.raises(PromptRefusedError, match="the prompt has no token ids"):
        prompt_ids(lane, TALK)


def test_without_a_template_a_prompt_is_its_text_and_a_conversation_is_refused(lane: Lane, template: Any) -> None:
    template(None)
    assert read(lane, Prompt("a")) == "a"
    with pytest.raises(PromptRefusedError, match="the model has no chat template, so it takes plain prompts only: "):
        prompt_ids(lane, TALK)


def test_a_template_beside_the_tokenizer_is_used(
    lane: Lane, template: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template(None)
    monkeypatch.setattr(lane.tokenizer, "name_or_path", str(tmp_path))
    beside = tmp_path / CHAT_TEMPLATE_FILE
    beside.write_text(json.dumps({"chat_template": PARTS}), encoding="utf-8")
    assert read(lane, Prompt("a")) == "<user>a"
    for broken in ("", "[]", "{}", '{"chat_template": 7}'):
        beside.write_text(broken, encoding="utf-8")
        with pytest.raises(PromptRefusedError, match=f"the model's {beside} cannot be used: .*"):
            prompt_ids(lane, Prompt("a"))


def test_each_lane_s_second_turn_holds_its_own_first_answer(make_lane: LaneMaker) -> None:
    """Sampled with seeds of their own the lanes answer differently; greedy and in float32 they must not."""
    lanes = [make_lane("ar"), make_lane("ngram:k=5")]
    race = Race(lanes)
    talk = Prompt("Count from one to five.", later=("And now backwards.",))
    for temperature in (1.0, 0.0):
        events = [*race.begin((talk,), Sampling(temperature, seed=1, max_tokens=12, ignore_eos=True))]
        events += finished(race)
        assert race.goes_on
        answers = {lane.info.name: emitted(lane, events) for lane in lanes}
        events = [*race.next_turn()]
        (began,) = [event for event in events if isinstance(event, RoundStarted)]
        assert began.prompts[0].text == "And now backwards."
        started = {event.lane: event for event in events if isinstance(event, RequestStarted)}
        for lane in lanes:
            answered = lane.tokenizer.decode(answers[lane.info.name], skip_special_tokens=True)
            own = race._requests[lane.info.name][0].prompt_ids
            text = lane.tokenizer.decode(own)
            assert text.endswith(
                f"<|im_start|>user\nCount from one to five.<|im_end|>\n<|im_start|>assistant\n{answered}<|im_end|>\n"
                "<|im_start|>user\nAnd now backwards.<|im_end|>\n<|im_start|>assistant\n"
            )
            assert started[lane.info.name].prompt_tokens == len(own)
            assert started[lane.info.name].as_ar == (answers[lane.info.name] == answers["ar"])
        ended = finished(race)
        assert not race.goes_on
        if not started["ngram"].as_ar:
            assert not [event for event in ended if isinstance(event, Margin)]


def finished(race: Race) -> list[Any]:
    """The rest of the round."""
    events: list[Any] = []
    while (lane := race.next_lane()) is not None:
        events += lane.step()
    return [*events, *race.finish()]


def emitted(lane: Lane, events: list[Any]) -> list[int]:
    steps = [event for event in events if isinstance(event, Step) and event.lane == lane.info.name]
    return [token for step in steps for token in step.emitted]
