"""What the preparation of the demo target reports: its progress, and one kind of error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["waiting", "verifying", "downloading", "converting"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One progress report.

    Attributes:
        stage: What is being done; a stage may be skipped or, after a failed check, repeated.
        done: Bytes of the stage that are done, None if unknown.
        total: Bytes of the whole stage, None if unknown.
        detail: A short plain text such as a file name.
    """

    stage: Stage
    done: int | None
    total: int | None
    detail: str


Report: TypeAlias = Callable[[Progress], None]
"""Receives progress on the preparing thread; an exception that it raises cancels the preparation cleanly."""


class DemoModelError(Exception):
    """The demo target cannot be prepared. The message is one sentence: what happened, where, what to do next."""


def megabytes(count: int) -> str:
    """A byte count for the user: 1 MB is 10^6 bytes, and less than 10 MB gets one decimal."""
    value = count / 1e6
    return f"{value:.0f} MB" if value >= 10 else f"{value:.1f} MB"
