"""Lets what is said here reach whoever reads the server's log."""

from __future__ import annotations

import logging


def speak_as_vllm() -> None:
    """Give our loggers vLLM's handlers, unless the program has set up its own."""
    ours, theirs = logging.getLogger("spectui"), logging.getLogger("vllm")
    if not ours.hasHandlers():
        ours.handlers = [*theirs.handlers]
        ours.setLevel(theirs.getEffectiveLevel())
        ours.propagate = False
