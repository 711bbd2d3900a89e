"""Keeps what engines and their libraries print out of a command's own output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from spectui.runtime import logs, output
from spectui.runtime.scratch import temporary_folder
from spectui.runtime.terminal import log_stream

_voice: TextIO | None = None


@contextmanager
def quiet_output(log_path: Path) -> Iterator[None]:
    """For the block, send whatever is written to descriptors 1 and 2, `sys.stdout` and `sys.stderr` to the log.

    Temporary files that are created in the block are removed at its end.
    """
    global _voice
    logs.configure(log_path)
    output.flush()
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    kept = [os.dup(fd) for fd in (1, 2)]
    before = sys.stdout, sys.stderr
    _voice = output.moved(sys.stderr, os.dup(2))
    for fd in (1, 2):
        os.dup2(log, fd)
    sys.stdout, sys.stderr = log_stream(1), log_stream(2)
    try:
        with temporary_folder():
            yield
    finally:
        for fd, original in zip((1, 2), kept, strict=True):
            os.dup2(original, fd)
            os.close(original)
        os.close(log)
        sys.stdout, sys.stderr = before
        with suppress(OSError):
            _voice.close()
        _voice = None


def voice() -> TextIO:
    """The real standard error, within `quiet_output` and outside."""
    return _voice or sys.stderr


def say(line: str) -> None:
    """Tell the user how far a measurement has come, on the real standard error."""
    print(output.visible(line), file=voice(), flush=True)
