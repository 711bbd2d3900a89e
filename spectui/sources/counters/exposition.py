"""Prometheus' text format: the samples that are wanted, out of an answer that may hold anything."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

from spectui.sources.counters.values import MOST, MalformedError

MOST_BYTES = 4 << 20
"""The longest answer that is read."""

MOST_WANTED_BYTES = 512 << 10
"""How much of it may be samples that are wanted; parsing takes about a second per 2 MB."""

MOST_LINE = 2_048


class Sample(NamedTuple):
    """One line: a metric, its labels, and a finite value from 0 on."""

    name: str
    labels: dict[str, str]
    value: float


class Exposition(NamedTuple):
    """An answer: the samples that are wanted, and the prefixes of all metrics, such as ``vllm``."""

    samples: tuple[Sample, ...]
    prefixes: frozenset[str]


def parse(body: bytes, content_type: str, wanted: Collection[str]) -> Exposition:
    """Read the samples whose names are among ``wanted``. A sample that is not a number is left out: it is unknown.

    Raises:
        MalformedError: The answer is too long, or is not Prometheus' text format; a wanted sample is there twice, is
            negative, infinite or absurdly large.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("", "text/plain", "application/openmetrics-text"):
        raise MalformedError("not Prometheus' text format")
    if len(body) > MOST_BYTES:
        raise MalformedError("too long")
    try:
        lines = body.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8") from error
    kept: list[str] = []
    prefixes: set[str] = set()
    length = 0
    for line in lines:
        if line.startswith("#"):
            continue
        name = _name(line)
        prefix, colon, _ = name.partition(":")
        if colon and len(prefixes) < 64:
            prefixes.add(prefix)
        if name in wanted:
            kept.append(line)
            length += len(line)
            if len(line) > MOST_LINE or length > MOST_WANTED_BYTES:
                raise MalformedError("too many samples")
            if not line.rpartition("}")[2].isascii():
                raise MalformedError(f"{name} in other digits")  # Which Python would read as numbers.
    return Exposition(tuple(_checked(kept)), frozenset(prefixes))


def _name(line: str) -> str:
    head = line[:256].lstrip()
    for place, character in enumerate(head):
        if character in "{ \t\r":
            return head[:place]
    return head


def _checked(lines: Iterable[str]) -> Iterable[Sample]:
    from prometheus_client.parser import text_string_to_metric_families

    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    try:
        found = [
            Sample(one.name, dict(one.labels), float(one.value))
            for family in text_string_to_metric_families("\n".join(lines) + "\n")
            for one in family.samples
        ]
    except Exception as error:  # A parser of others' making, fed by strangers: it may raise anything.
        raise MalformedError("not Prometheus' text format") from error
    for sample in found:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        if key in seen:
            raise MalformedError(f"{sample.name} twice")
        seen.add(key)
        if math.isnan(sample.value):
            continue
        if not 0 <= sample.value <= MOST:
            raise MalformedError(f"{sample.name} is {sample.value}")
        yield sample
