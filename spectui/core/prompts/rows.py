"""Turns a row of a prompt file, which may be any JSON value, into a prompt.

Knows the spellings of a conversation, and says in one sentence what cannot be raced. Only the answers that the file
itself contains are dropped: the lanes give their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spectui.protocol.events import Message, Prompt, Role


class PromptError(ValueError):
    """The prompts could not be read; the message is one sentence that says what to do."""


class NothingAskedError(PromptError):
    """A conversation without a question."""


ROW_KEYS = frozenset({"prompt", "messages", "turns", "conversations", "conversation", "body"})
"""A row is recognised by one of these keys; if several have a value, the first of `_READERS` counts."""

PLACEHOLDER = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE"
"""How the texts of SPEED-Bench begin before its script has fetched them."""

PREPARE = "https://github.com/NVIDIA-NeMo/Skills/blob/main/nemo_skills/dataset/speed-bench/prepare.py"

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bard", "bing", "bot", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_OFFERS = ("tools", "functions")
_CALLS = ("tool_calls", "function_call")
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def prompt_of(row: Any, where: str) -> Prompt:
    """Turn a row into a prompt; ``where`` begins the sentence if that fails.

    Raises:
        PromptError: The row cannot be raced.
    """
    if isinstance(row, str):
        return _made([Message("user", _said(row, "the prompt", where))], "prompt", where)
    if isinstance(row, list):
        return _made(_messages(row, where), "prompt", where)
    if not isinstance(row, dict):
        raise PromptError(f"{where} is {_kind(row)}, not a prompt")
    _refuse_tools(row, where)
    key = next((key for key in _READERS if row.get(key) is not None), None)
    if key is None:
        null = next((key for key in _READERS if key in row), None)
        raise PromptError(
            f'{where} has "{null}": null: it needs a text'
            if null
            else f'{where} is not a prompt: a row needs "prompt", "messages", "turns" or "conversations"'
        )
    return _with_system(_READERS[key](row[key], _category(row, where), where), row, where)


def _text_or_turns(value: Any, category: str, where: str) -> Prompt:
    """Read ``prompt``: a text, or the turns or messages of a conversation."""
    if isinstance(value, list):
        return _messages_or_turns(value, category, where) if _of_messages(value) else _turns(value, category, where)
    return _made([Message("user", _said(value, '"prompt"', where))], category, where)


def _of_messages(value: list[Any]) -> bool:
    return any(isinstance(item, dict) for item in value)


def _turns(value: Any, category: str, where: str) -> Prompt:
    if not isinstance(value, list) or not value:
        raise PromptError(f'{where} has no turns: "turns" is a list of what the user says')
    first, *later = (_said(text, f"turn {number}", where) for number, text in enumerate(value, 1))
    return Prompt(first, category, later=tuple(later))


def _messages_or_turns(value: Any, category: str, where: str) -> Prompt:
    """Read ``messages``; user messages without answers between them are turns, as in a prepared SPEED-Bench."""
    messages = _messages(value, where)
    system = [message for message in messages if message.role == "system" and message.text.strip()]
    asked = [message.text for message in messages if message.role == "user"]
    if len(asked) > 1 and messages == system + [Message("user", text) for text in asked]:
        return Prompt(asked[0], category, before=tuple(system), later=tuple(asked[1:]))
    return _made(messages, category, where)


def _conversation(value: Any, category: str, where: str) -> Prompt:
    if value == []:
        raise NothingAskedError(f"{where} has no messages")
    messages = _messages(value, where)
    if not any(message.role == "user" for message in messages):
        raise NothingAskedError(f"{where} cannot be raced: it has no user message")
    return _made(messages, category, where)


def _body(value: Any, category: str, where: str) -> Prompt:
    """Read a line of an OpenAI batch: the messages that it sends. Its sampling settings are ignored; the command line
    has its own."""
    if not isinstance(value, dict):
        raise PromptError(f'{where} has {_kind(value)} for "body": it needs "messages"')
    _refuse_tools(value, where)
    if value.get("messages") is not None:
        return _made(_messages(value["messages"], where), category, where)
    if value.get("prompt") is not None:
        return _made([Message("user", _said(value["prompt"], '"prompt"', where))], category, where)
    raise PromptError(f'{where} cannot be raced: its "body" has no "messages"')


_READERS: dict[str, Callable[[Any, str, str], Prompt]] = {
    "prompt": _text_or_turns,
    "messages": _messages_or_turns,
    "turns": _turns,
    "conversations": _conversation,
    "conversation": _conversation,
    "body": _body,
}


def _messages(value: Any, where: str) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise PromptError(f"{where} has no messages")
    return [_message(item, f"message {number}", where) for number, item in enumerate(value, 1)]


def _message(item: Any, which: str, where: str) -> Message:
    if not isinstance(item, dict):
        raise PromptError(f"{where}, {which} is {_kind(item)}: a message has a role and a content")
    named = item.get("role") if item.get("role") is not None else item.get("from")
    if not isinstance(named, str):
        raise PromptError(f'{where}, {which} has no role: "role" (or "from") is user, assistant or system')
    role = _ROLES.get(named.strip().lower())
    if role is None:
        raise PromptError(f"{where}, {which} has the role '{printable(named)}', which cannot be raced")
    for key in _CALLS:
        if item.get(key):
            raise PromptError(f'{where}, {which} calls a tool ("{key}"), which cannot be raced')
    content = item.get("content") if item.get("content") is not None else item.get("value")
    if isinstance(content, list):
        content = "\n".join(_part(part, which, where) for part in content)
    if role == "user":
        return Message(role, _said(content, which, where))
    return Message(role, _checked(content, which, where))


def _part(part: Any, which: str, where: str) -> str:
    """The text of a content part."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise PromptError(f"{where}, {which} has a content part without a type")
    if part["type"] not in _TEXT_PARTS:
        raise PromptError(f"{where}, {which} has a part '{printable(part['type'])}': only text can be raced")
    return _checked(part.get("text"), which, where)


def _said(value: Any, which: str, where: str) -> str:
    """Check a text that is to be answered."""
    text = _checked(value, which, where)
    if not text.strip():
        raise PromptError(f"{where}: {which} is empty")
    if text.startswith(PLACEHOLDER):
        raise PromptError(
            f"{where} is a placeholder of SPEED-Bench, whose texts are fetched by NVIDIA's script: run {PREPARE} and "
            "give the file that it writes"
        )
    return text


def _checked(value: Any, which: str, where: str) -> str:
    if value is None:
        raise PromptError(f"{where}: {which} has no text")
    if not isinstance(value, str):
        raise PromptError(f"{where}: {which} is {_kind(value)}, not text")
    if half := _HALF_A_PAIR.search(value):
        raise PromptError(
            f"{where}: {which} has half a surrogate pair (\\u{ord(half[0]):04x}), which is not a character"
        )
    return value


def _made(messages: list[Message], category: str, where: str) -> Prompt:
    """Build the prompt: the last user message is answered, and the file's own answers after it are dropped."""
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise PromptError(f"{where} cannot be raced: it has no user message")
    if any(message.role == "system" for message in messages[last:]):
        raise PromptError(f"{where} cannot be raced: a system message comes after the last user message")
    before = tuple(message for message in messages[:last] if message.role != "system" or message.text.strip())
    return Prompt(messages[last].text, category, before=before)


def _with_system(prompt: Prompt, row: dict[str, Any], where: str) -> Prompt:
    """Add the system message of files that keep it beside the conversation."""
    system = row.get("system")
    if system is None or (isinstance(system, str) and not system.strip()):
        return prompt
    return with_system(prompt, _checked(system, '"system"', where))


def with_system(prompt: Prompt, text: str) -> Prompt:
    """Add a system message to the prompt, unless it has one."""
    if any(message.role == "system" for message in prompt.before):
        return prompt
    return replace(prompt, before=(Message("system", text), *prompt.before))


def _category(row: dict[str, Any], where: str) -> str:
    category = row.get("category")
    if category is None or category == "":
        return "prompt"
    return _checked(category, '"category"', where)


def _refuse_tools(row: dict[str, Any], where: str) -> None:
    for key in _OFFERS:
        if row.get(key):
            raise PromptError(f'{where} offers tools ("{key}"), which cannot be raced')


def printable(word: str) -> str:
    """Make a word from the file safe for a sentence: short, and without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in word[:40])


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"
