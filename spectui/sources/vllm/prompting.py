"""Turns a prompt into the token ids that a lane gets, in the same way for every command."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spectui.errors import did_you_mean
from spectui.protocol.events import Message, Prompt
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.foreign import panics_as_errors

if TYPE_CHECKING:
    from spectui.sources.vllm.lane import Lane

logger = logging.getLogger(__name__)

CHAT_TEMPLATE_FILE = "chat_template.json"
"""Where models with an image processor keep their template."""


class PromptRefusedError(ValueError):
    """The prompt cannot be raced; the message is one sentence."""


class Reads(Protocol):
    """Something that reads prompts: a lane, or a tokenizer alone."""

    @property
    def tokenizer(self) -> Any: ...

    def render(self, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]) -> Any:
        """Render a conversation with ``template``, or with the model's own if None. Returns text or ids, or None if
        there is no template.

        Raises whatever the template raises.
        """

    def unknown_arguments(self, template: str, arguments: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        """The arguments that the template does not use, each with similar ones that it does."""


class TokenizerAlone:
    """A Hugging Face tokenizer without an engine, for tools that prepare input for engines."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def render(self, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]) -> Any:
        if template is None:
            return None
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, chat_template=template, **arguments
        )

    def unknown_arguments(self, template: str, arguments: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return {}


def chat_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of ``text`` as a user message in the tokenizer's chat template, or of the bare text if it has none."""
    return prompt_ids(TokenizerAlone(tokenizer), Prompt(text))


def prompt_ids(reader: Reads, prompt: Prompt, chat: Chat | None = None, answers: Sequence[str] = ()) -> list[int]:
    """The token ids that a lane gets for ``prompt``; ``answers`` are its own answers to the earlier turns.

    Raises:
        PromptRefusedError: The tokenizer or the chat template cannot take it.
    """
    chat = chat or Chat()
    messages = conversation(prompt, answers)
    try:
        with panics_as_errors():
            ids = reader.tokenizer.encode(prompt.text) if chat.raw else _by_template(reader, messages, chat.arguments)
            ids = [int(token) for token in ids]
    except PromptRefusedError:
        raise
    except Exception as error:
        raise PromptRefusedError(f"the tokenizer cannot take the prompt: {first_line(error)}") from error
    if not ids:
        raise PromptRefusedError("the prompt has no token ids: the model has nothing to answer")
    return ids


@dataclass(frozen=True, slots=True)
class Fitting:
    """A prompt of a set, in the form in which a lane takes it."""

    ids: list[int]
    category: str = ""


def fitting(lane: Lane, prompts: Sequence[Prompt], chat: Chat, room: int) -> list[Fitting]:
    """The prompts that a lane accepts and that leave ``room`` tokens for an answer; of a conversation only the first
    turn."""
    found = []
    for prompt in prompts:
        try:
            ids = prompt_ids(lane, prompt, chat)
        except PromptRefusedError as error:
            logger.warning("a prompt is skipped: %s", error)
            continue
        if len(ids) + room < lane.max_model_len:
            found.append(Fitting(ids, prompt.category))
    return found


def conversation(prompt: Prompt, answers: Sequence[str] = ()) -> list[Message]:
    """The whole conversation up to the message that is to be answered."""
    turns = [
        message
        for asked, answer in zip(prompt.asked, answers, strict=True)
        for message in (Message("user", asked), Message("assistant", answer))
    ]
    return [*prompt.before, *turns, Message("user", prompt.text)]


def _by_template(reader: Reads, messages: Sequence[Message], arguments: Mapping[str, Any]) -> Sequence[int]:
    template = chat_template(reader.tokenizer)
    if template is not None:
        for name, known in reader.unknown_arguments(template, arguments).items():
            raise PromptRefusedError(f"the model's chat template has no variable '{name}'{did_you_mean(name, known)}")
    spoken = [{"role": message.role, "content": message.text} for message in messages]
    try:
        with panics_as_errors():
            rendered = reader.render(spoken, template, arguments)
    except Exception as error:
        raise PromptRefusedError(f"the model's chat template refuses the prompt: {first_line(error)}") from error
    if rendered is None:
        if len(messages) > 1 or arguments:
            raise PromptRefusedError(
                "the model has no chat template, so it takes plain prompts only: no system message, no conversation, "
                "no --chat-template-arg"
            )
        rendered = reader.tokenizer.encode(messages[-1].text)
    elif isinstance(rendered, str):
        rendered = reader.tokenizer.encode(rendered, add_special_tokens=False)
    ids: Sequence[int] = rendered
    return ids


def chat_template(tokenizer: Any) -> str | None:
    """The tokenizer's template, else the one in the `CHAT_TEMPLATE_FILE` beside it; None if there is neither."""
    own = getattr(tokenizer, "chat_template", None)
    if isinstance(own, str):
        return own
    if own:
        # There are several named templates, one of which is the default.
        return str(tokenizer.get_chat_template())
    return _beside(str(getattr(tokenizer, "name_or_path", "")))


def _beside(name: str) -> str | None:
    path = Path(name) / CHAT_TEMPLATE_FILE
    if not name or not path.is_file():
        return None
    try:
        template = json.loads(path.read_text(encoding="utf-8-sig"))["chat_template"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise PromptRefusedError(f"the model's {path} cannot be used: it holds no chat template") from error
    if isinstance(template, str):
        return template
    raise PromptRefusedError(f"the model's {path} cannot be used: its chat template is not text")
