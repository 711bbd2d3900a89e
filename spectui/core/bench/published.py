"""Published measurements as data: figures with the conditions in which they were taken.

The form is that of ``published.toml`` beside this module, TOML whose keys are the fields below. Keys that are not known
are ignored; what is left out is not stated.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import msgspec

SCHEMA = 1

Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class PublishedError(ValueError):
    """A file of published figures cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a source; empty or None is not stated.

    Attributes:
        gpu: Words that the name of its device has, such as ``"H100"``.
        version: The engine's version.
        dtype: What the target computed in.
        quantization: How its weights were quantised; ``"none"`` if they were not.
        scheduling: ``"synchronous"`` or ``"asynchronous"``.
        protocol: How an answer ends: ``"fixed"`` or ``"natural"``.
        max_tokens: Completion tokens of a request: all of them with ``fixed``, at most so many with ``natural``.
        temperature: The temperature.
        prompts: How many prompts.
        categories: In how many categories.
        prompt_set: The name of the set.
        concurrency: Requests in flight, where a row does not say.
        k: Tokens drafted per step, by method.
    """

    gpu: str = ""
    version: str = ""
    dtype: str = ""
    quantization: str = ""
    scheduling: str = ""
    protocol: Literal["fixed", "natural", ""] = ""
    max_tokens: Count | None = None
    temperature: float | None = None
    prompts: Count | None = None
    categories: Count | None = None
    prompt_set: str = ""
    concurrency: Count | None = None
    k: Mapping[str, Count] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one model.

    Attributes:
        model: Its name.
        tok_s: Completion tokens per second, by method.
        speedup: Throughput divided by AR's, by method.
        kind: Dense or a mixture of experts, and its size.
        concurrency: Requests in flight; None for that of the conditions.
        context: Tokens of context; None for short prompts.
        note: What else is said of it.
    """

    model: Text
    tok_s: Mapping[str, Positive] = field(default_factory=dict)
    speedup: Mapping[str, Positive] = field(default_factory=dict)
    kind: str = ""
    concurrency: Count | None = None
    context: Count | None = None
    note: str = ""

    def speedup_of(self, method: str) -> float | None:
        """The speed-up as published, or else that of the published throughputs."""
        if method == "ar" or method in self.speedup:
            return self.speedup.get(method)
        tok_s, plain = self.tok_s.get(method), self.tok_s.get("ar")
        return tok_s / plain if tok_s and plain else None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods with figures."""
        return tuple(dict.fromkeys((*self.tok_s, *self.speedup)))


@dataclass(frozen=True, slots=True)
class EqualRow:
    """How many greedy answers of one model equalled AR's: by method, with ``ar`` for AR run again."""

    model: Text
    equal: Mapping[str, int] = field(default_factory=dict)
    first_divergence_tokens: str = ""


@dataclass(frozen=True, slots=True)
class PublishedLosslessness:
    """Greedy answers compared with AR's, ``greedy_prompts`` of each model."""

    greedy_prompts: Count | None = None
    row: tuple[EqualRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One publication. The texts are its own words, the conditions say the same in a form that can be compared.

    Attributes:
        title: Its title.
        id: A short name.
        date: When it was published.
        device: What was measured on.
        engine: With which software.
        protocol: How.
        note: What else it says.
        conditions: The conditions of its rows.
        row: Its figures.
        losslessness: Its comparison of greedy answers.
        models: Models that it names without figures of their own.
        speedup_max: The greatest speed-up that it names.
        draft_acceptance_rate: The share of drafted tokens that were accepted.
        recommended_k: The K that it recommends, by model.
        acceptance_position_1: Acceptance of the first drafted token, by method.
        acceptance_note: What else it says of acceptance.
    """

    title: Text
    id: str = ""
    date: str = ""
    device: str = ""
    engine: str = ""
    protocol: str = ""
    note: str = ""
    conditions: Conditions = field(default_factory=Conditions)
    row: tuple[Row, ...] = ()
    losslessness: PublishedLosslessness = field(default_factory=PublishedLosslessness)
    models: tuple[str, ...] = ()
    speedup_max: Positive | None = None
    draft_acceptance_rate: str = ""
    recommended_k: Mapping[str, str] = field(default_factory=dict)
    acceptance_position_1: Mapping[str, float] = field(default_factory=dict)
    acceptance_note: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    source: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1)]
    schema: int = SCHEMA


def read_published(data: bytes, name: str) -> tuple[Source, ...]:
    """Read a file of published figures; ``name`` is what errors call it.

    Raises:
        PublishedError: It is not TOML, or not of this form.
    """
    try:
        tables = tomllib.loads(data.decode())
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PublishedError(f"{name} is not valid TOML: {error}") from error
    if not tables.get("source"):
        raise PublishedError(f"{name} has no published figures: each publication begins with [[source]]")
    if isinstance(schema := tables.get("schema", SCHEMA), int) and schema > SCHEMA:
        raise PublishedError(f"{name} has schema {schema}, known up to {SCHEMA}: update SpecTUI")
    try:
        found = msgspec.convert(tables, _File).source
    except msgspec.ValidationError as error:
        raise PublishedError(f"{name}: {_plain(str(error))}") from error
    for source in found:
        for row in source.row:
            if not row.methods:
                raise PublishedError(
                    f"{name}: '{row.model}' of '{source.title}' has no figures: give tok_s = {{ ar = 40.3 }}"
                )
    return found


def _plain(message: str) -> str:
    """msgspec's message with its path in words: ``source 1, row 2, concurrency: expected int, got str``."""
    what, _, path = message.partition(" - at ")
    steps = re.sub(r"\[(\d+)\]", lambda found: f" {int(found[1]) + 1}", path.strip("`").removeprefix("$"))
    steps = steps.replace("[...]", "").strip(".").replace(".", ", ")
    what = what.replace("`", "")
    return f"{steps}: {what[:1].lower()}{what[1:]}" if steps else what


_INSTRUCT = {"it", "instruct"}
_QUANTISED = re.compile(
    r"(?:nv|mx)?fp[48]|int[48]|w\d+a\d+|[48]bit|i?q\d\w*|awq|gptq|gguf|bnb|qat|ct|dynamic|block|autoround"
)


def model_parts(model: str) -> tuple[str, str]:
    """Divide a model's id or path into what two of the same model share, and how its name says it is quantised.

    ``RedHatAI/gemma-4-31B-it-FP8-dynamic`` becomes ``("gemma-4-31b", "FP8-dynamic")``. Of a path into Hugging Face's
    cache it is the model's folder that counts.
    """
    cached = re.search(r"models--([^/\\]+)", model)
    name = cached[1].rpartition("--")[2] if cached else re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    words = re.split(r"-|\.(?=gguf$)", name)
    end = len(words)
    while end > 1 and (words[end - 1].lower() in _INSTRUCT or _QUANTISED.fullmatch(words[end - 1].lower())):
        end -= 1
    quantised = [word for word in words[end:] if word.lower() not in _INSTRUCT]
    return "-".join(words[:end]).lower(), "-".join(quantised)
