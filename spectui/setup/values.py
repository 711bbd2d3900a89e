"""Parses and checks the values of command-line options. Each function takes the text and returns the value.

Raises `argparse.ArgumentTypeError`, whose message is the end of one line about wrong usage.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from typing import Any
from urllib.parse import urlsplit

from spectui.places import user_path
from spectui.protocol.limits import (
    MAX_SEED,
    MAX_SPEED,
    MAX_TEMPERATURE,
    MAX_TOKENS,
    MAX_TOP_K,
    MIN_SPEED,
    concurrency_fault,
)

COUNTED = frozenset(
    {
        "kv_cache_memory_bytes",
        "max_model_len",
        "max_num_batched_tokens",
        "max_num_queued_tokens",
        "max_num_scheduled_tokens",
        "safetensors_prefetch_block_size",
    }
)
"""Engine arguments for which vLLM's command line accepts a unit (``EngineArgs`` and ``human_readable_int``, 0.32)."""

_UNITS: dict[str, int] = {unit: 1000**power for power, unit in enumerate("kmgt", 1)}
_UNITS |= {unit: 1024**power for power, unit in enumerate("KMGT", 1)}


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def concurrencies(text: str) -> tuple[int, ...]:
    """Numbers of requests in flight, such as ``1,4``: sorted, without duplicates."""
    numbers = tuple(sorted({whole(part) for part in text.split(",")}))
    for fault in filter(None, map(concurrency_fault, numbers)):
        raise argparse.ArgumentTypeError(f"'{text}': {fault}")
    return numbers


def contexts(text: str) -> tuple[int | None, ...]:
    """Lengths of a context in tokens, such as ``0,2048``: sorted, without duplicates; 0 becomes None."""
    numbers = sorted({whole(part) for part in text.split(",")})
    if numbers[0] < 0 or numbers[-1] > MAX_TOKENS:
        raise argparse.ArgumentTypeError(f"'{text}': a context must have 0 to {MAX_TOKENS} tokens")
    return tuple(number or None for number in numbers)


_DURATION_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """A duration in seconds: ``90``, ``90s``, ``30m``, ``2h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|)", text.strip())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration: use 90s, 30m or 2h")
    return float(found[1]) * _DURATION_UNITS[found[2]]


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    number = whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def milliseconds(text: str) -> float:
    """A duration in ms, more than 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of milliseconds")
    return number


def tokens(text: str) -> int:
    """The length of an answer in tokens."""
    number = positive(text)
    if number > MAX_TOKENS:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 to {MAX_TOKENS}")
    return number


def top_p(text: str) -> float:
    """A share of the probability, above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share above 0 and at most 1")
    return number


def top_k(text: str) -> int:
    """The number of likeliest tokens to sample from; 0 and, as in vLLM, -1 mean all of them."""
    number = whole(text)
    if not -1 <= number <= MAX_TOP_K:
        raise argparse.ArgumentTypeError(f"{text} is not a number of tokens (0 means all)")
    return max(0, number)


def seed(text: str) -> int:
    """A seed for sampling."""
    number = whole(text)
    if not 0 <= number <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not a seed from 0 to {MAX_SEED}")
    return number


def temperature(text: str) -> float:
    """A temperature; 0 is greedy."""
    return _decimal(text, "temperature", 0, MAX_TEMPERATURE)


def speed(text: str) -> float:
    """A replay's speed."""
    return _decimal(text, "speed", MIN_SPEED, MAX_SPEED)


def _decimal(text: str, what: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a {what} from {least:g} to {most:g}")
    return number


def port(text: str) -> int:
    """A port number."""
    number = whole(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65535")
    return number


def size(text: str) -> tuple[int, int]:
    """Columns and rows of a screen, such as ``160x45``."""
    cols, _, rows = text.partition("x")
    if not (cols.isdecimal() and rows.isdecimal() and 40 <= int(cols) <= 1000 and 10 <= int(rows) <= 400):
        raise argparse.ArgumentTypeError(f"'{text}' is not a valid size: use 40x10 to 1000x400, as in 160x45")
    return int(cols), int(rows)


def path(text: str) -> str:
    """A path in which a leading ``~`` is replaced by the home folder."""
    if not text.startswith("~"):
        return text
    try:
        return str(user_path(text))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error.strerror}") from None


def web_address(text: str) -> str:
    """The address of a web page, such as ``https://example.org/demo``, without a trailing slash."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or "@" in parts.netloc or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"'{text}' is not a web address such as https://example.org/demo")
    return text.rstrip("/")


def host_name(text: str) -> str:
    """The name of a machine, such as ``lab.example``, in lower case."""
    if not re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{text}': not a host name such as lab.example")
    return text.lower().removesuffix(".")


def memory_size(text: str) -> int:
    """Bytes, such as ``80GB`` or ``24GiB``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip(), re.IGNORECASE)
    size = 0
    if found is not None:
        number, unit, binary = found.groups()
        if not unit and float(number):
            raise argparse.ArgumentTypeError(f"'{text}' has no unit: write {number}GB")
        base = _UNITS[unit.upper() if binary else unit.lower()] if unit else 0
        size = int(float(number) * base)
    if size < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 80GB or 24GiB")
    return size


def key_value(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``; the value is parsed as JSON if possible, else as a truth value, None or the text itself.

    As on vLLM's own command line, the key may have hyphens, and some values a unit: 4k is 4000, 4K is 4096.
    """
    key, equals, value = text.partition("=")
    key = key.replace("-", "_")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE, as in max_model_len=4096")
    if key in COUNTED and (number := _counted(text, value.strip())) is not None:
        return key, number
    if key == "max_model_len" and value.strip().lower() == "auto":
        return key, -1
    return key, _json_or_text(value)


def template_argument(text: str) -> tuple[str, Any]:
    """``KEY=VALUE`` for a chat template; the value is parsed as in `key_value`."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE, as in enable_thinking=false")
    if key in _OF_THE_PROMPT:
        raise argparse.ArgumentTypeError(f"'{key}' cannot be set: it comes from the prompt")
    return key, _json_or_text(value)


_OF_THE_PROMPT = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "messages",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tools",
    }
)


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return {"true": True, "false": False, "none": None}.get(value.lower(), value)


def _counted(text: str, value: str) -> int | None:
    """A number followed by a unit; None if there is no unit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", value)
    if found is None:
        return None
    number, unit = found.groups()
    if unit.islower():
        return int(float(number) * _UNITS[unit])
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(
            f"'{text}': {unit} takes whole numbers; did you mean '{number}{unit.lower()}'?"
        )
    return int(number) * _UNITS[unit]
