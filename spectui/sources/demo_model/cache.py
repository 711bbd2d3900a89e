"""Where the demo target is kept, and the lock that lets only one process at a time prepare it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spectui.places import CACHE_VARIABLE, cache_folder
from spectui.sources.demo_model.progress import DemoModelError, Progress, Report, megabytes

_LOCK_POLL_SECONDS = 0.2


def cache_root(cache_dir: Path | None) -> Path:
    """SpecTUI's cache folder: the argument, else SPECTUI_CACHE_DIR, else the user's cache folder."""
    return cache_folder() if cache_dir is None else cache_dir


@contextmanager
def exclusive(directory: Path, report: Report) -> Iterator[None]:
    """Hold the preparation lock of ``directory``; reports 'waiting' while another process holds it.

    The kernel frees the lock when its holder ends in any way, so a leftover lock file blocks nobody.
    """
    with (directory / "lock").open("a") as file:
        while not _try_lock(file.fileno()):
            report(Progress("waiting", None, None, "another process is preparing the demo model"))
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def require_space(directory: Path, needed: int) -> None:
    """Raise DemoModelError if the disk of ``directory`` has fewer than ``needed`` bytes free."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise no_space(directory, needed, free)


def no_space(directory: Path, needed: int, free: int) -> DemoModelError:
    """The error for a disk that is too full; both counts are in bytes."""
    return DemoModelError(
        f"The demo model needs {megabytes(needed)} in {directory}, but only {megabytes(free)} are free there: free "
        f"some space or set {CACHE_VARIABLE} to a directory on another disk."
    )


def disk_error(error: OSError, directory: Path, needed: int) -> DemoModelError:
    """The error for a disk that refused while the cache was being written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        try:
            free = shutil.disk_usage(directory).free
        except OSError:
            free = 0
        return no_space(directory, needed, free)
    reason = error.strerror or str(error)
    return DemoModelError(
        f"The demo model cannot be kept in {error.filename or directory} ({reason}): make it writable or set "
        f"{CACHE_VARIABLE} to another directory."
    )


def publish(built: Path, final: Path) -> None:
    """Move a finished directory into place in one rename, and make the rename durable.

    A directory that is already there is first moved aside, next to ``built``, for the caller to remove. A reader
    therefore sees the old directory, none, or the new one.
    """
    discarded = built.with_name(f"{built.name}-old")
    if final.exists():
        final.rename(discarded)
    _sync_directory(built)
    built.rename(final)
    _sync_directory(final.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
