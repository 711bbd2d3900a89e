"""The temporary files of a run, which are removed with it however it ends.

Owns: a folder that TMPDIR points to while engines run, and what OpenMP leaves in shared memory. vLLM creates a file
there for each engine and torch a folder, and neither removes it if the process is killed.
Must not know: engines, terminals. Runs before the first paint, so it imports nothing heavy.

The process keeps the folder locked as long as it lives, so the next run can tell what a killed one has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spectui.places import RUN_PREFIX

_OPENMP = "__KMP_REGISTERED_LIB_{pid}_{uid}"
"""Where Intel's OpenMP notes that a process has loaded it; useless once the process has ended."""
_OPENMP_FOLDERS = (Path("/dev/shm"), Path("/tmp"))

_ours: Path | None = None
_owner = 0


@contextmanager
def temporary_folder() -> Iterator[Path | None]:
    """Put temporary files into a folder of this process for the duration of the block, and remove it afterwards.

    Code that ends the process inside the block must call `discard`. Yields None if there is no room for a folder.
    """
    global _ours, _owner
    if _ours is not None and _owner == os.getpid():
        yield _ours
        return
    try:
        home = Path(tempfile.gettempdir())
        _sweep(home)
        folder, lock = _claim(home)
    except OSError:
        folder, lock = None, None
    if folder is None or lock is None:
        yield None
        return
    _keep_what_torch_compiles()
    before = os.environ.get("TMPDIR")
    _ours, _owner = folder, os.getpid()
    _point_to(str(folder))
    try:
        yield folder
    finally:
        discard()
        _point_to(before)
        os.close(lock)


def discard(*, after_death: bool = False) -> None:
    """Remove this process's temporary files, if it has any. Never raises.

    Args:
        after_death: Whether the caller is a fork that has outlived the process.
    """
    global _ours
    if _ours is None or not (after_death or os.getpid() == _owner):
        return
    folder, _ours = _ours, None
    shutil.rmtree(folder, ignore_errors=True)
    _forget_openmp(_owner)


def _keep_what_torch_compiles() -> None:
    """Keep torch's compiled code in the cache folder for the next run, unless the user keeps it elsewhere."""
    from spectui.sources.demo_model.cache import cache_root

    # Without a home there is no such folder.
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_root(None) / "torchinductor"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _point_to(folder: str | None) -> None:
    """Create temporary files here from now on, in child processes too; None for the system's choice."""
    if folder is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = folder
    # Python looks it up only once and remembers it.
    tempfile.tempdir = None


def _claim(home: Path) -> tuple[Path, int]:
    """Create a new folder, and the descriptor that keeps it locked.

    Raises:
        OSError: There is no room for a folder, or nothing can be locked there.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{RUN_PREFIX}{os.getpid()}-", dir=home))
        try:
            lock = _locked(folder)
        except OSError:
            folder.rmdir()
            raise
        if lock is not None:
            return folder, lock
        # Another run has just taken it for an abandoned folder, and is removing it.


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None if another process holds it or the folder is gone.

    Raises:
        OSError: It is not a folder, or cannot be locked.
    """
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
            held, descriptor = descriptor, None
            return held
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return None


def _sweep(home: Path) -> None:
    """Remove what killed runs of this user have left."""
    with os.scandir(home) as entries:
        left = [Path(entry.path) for entry in entries if entry.name.startswith(RUN_PREFIX)]
    for folder in left:
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            lock = _locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                _forget_openmp_of_the_dead(folder.name.removeprefix(RUN_PREFIX).partition("-")[0])


def _forget_openmp_of_the_dead(pid: str) -> None:
    # The number may belong to another process by now.
    if pid.isdecimal() and not Path("/proc", pid).exists():
        _forget_openmp(int(pid))


def _forget_openmp(pid: int) -> None:
    for folder in _OPENMP_FOLDERS:
        with contextlib.suppress(OSError):
            (folder / _OPENMP.format(pid=pid, uid=os.getuid())).unlink()
