"""Keeps what engines print out of a command's own output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from spectui.runtime import logs
from spectui.runtime.scratch import temporary_folder


@contextmanager
def quiet_output() -> Iterator[None]:
    """For the block, descriptors 1 and 2 are the log; Python's own ``sys.stdout`` and ``sys.stderr`` still speak. Their
    temporary files go with the block."""
    path = logs.log_file()
    logs.configure(path)
    log = os.open(path, os.O_WRONLY | os.O_APPEND)
    kept = [os.dup(fd) for fd in (1, 2)]
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (os.fdopen(os.dup(fd), "w", buffering=1) for fd in kept)
    for fd in (1, 2):
        os.dup2(log, fd)
    try:
        with temporary_folder():
            yield
    finally:
        for fd, original in zip((1, 2), kept, strict=True):
            os.dup2(original, fd)
            os.close(original)
        os.close(log)
        sys.stdout, sys.stderr = before
