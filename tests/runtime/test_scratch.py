"""A run's temporary files go with it, however it ends; what a killed one has left goes with the next."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from spectui.runtime import scratch
from tests.support.terminal import CTRL_C, PtySession

ROOT = Path(__file__).parents[2]
TORCH_CACHE = "TORCHINDUCTOR_CACHE_DIR"
PROGRAM = """
import os, sys, tempfile
from pathlib import Path
from spectui.runtime import scratch
from spectui.runtime.terminal import finish, owned_terminal

with scratch.temporary_folder() as folder, owned_terminal(Path(sys.argv[1]), grace_s=0.5) as terminal:
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(folder)
    Path(tempfile.mkdtemp(), "deep").touch()
    terminal.err.write("made\\n")
    END
"""
BUSY = "while True: sum(range(1000))"
"""Not a sleep: a signal that came just before it would be noticed behind it."""
ENDS = {
    "left": ("pass", None, 0),
    "finished": ("finish(0)", None, 0),
    "an error": ("raise ValueError", None, 1),
    "an exit": ("sys.exit(3)", None, 3),
    "ctrl-c": (BUSY, CTRL_C, 130),
    "sigterm": (BUSY, signal.SIGTERM, 143),
    "sighup": (BUSY, signal.SIGHUP, 129),
    "sigkill": (BUSY, signal.SIGKILL, -9),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files, of this process too."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path / "cache"))
    # Set and taken away, so that what the block sets is taken away behind the test.
    monkeypatch.setenv(TORCH_CACHE, "")
    monkeypatch.delenv(TORCH_CACHE)
    return folder


def script(tmp_path: Path, end: str) -> list[str | Path]:
    file = tmp_path / "script.py"
    file.write_text(PROGRAM.replace("END", end))
    return [sys.executable, file, tmp_path / "run.log"]


@pytest.mark.parametrize(("body", "end", "code"), ENDS.values(), ids=ENDS)
def test_nothing_is_left(home: Path, tmp_path: Path, body: str, end: str | signal.Signals | None, code: int) -> None:
    with PtySession(script(tmp_path, body), env={"PYTHONPATH": str(ROOT)}) as session:
        session.wait_for("made")
        if end is not None:
            assert list(home.iterdir())
            session.send(end) if isinstance(end, str) else session.signal(end)
        assert session.wait_exit() == code
        # Behind a killed program another process tidies up.
        session.settle(lambda: not list(home.iterdir()))


def killed(tmp_path: Path) -> None:
    """A run without a terminal, so that nobody tidies up behind it."""
    command = script(tmp_path, "os.kill(os.getpid(), 9)")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True).returncode == -9


def test_what_a_killed_run_left_goes_with_the_next(home: Path, tmp_path: Path) -> None:
    killed(tmp_path)
    (left,) = home.iterdir()
    (home / "somebody-elses").mkdir()
    (home / f"{scratch.RUN_PREFIX}1-link").symlink_to(tmp_path)
    with scratch.temporary_folder() as folder:
        assert not left.exists()
        assert folder is not None
        assert folder.parent == home
        # Of a run that lives nothing is taken.
        command = [sys.executable, "-c", "from spectui.runtime import scratch\nwith scratch.temporary_folder(): pass"]
        subprocess.run(command, env={**os.environ, "TMPDIR": str(home), "PYTHONPATH": str(ROOT)}, check=True)
        assert folder.exists()
    assert sorted(path.name for path in home.iterdir()) == ["somebody-elses", f"{scratch.RUN_PREFIX}1-link"]
    assert tmp_path.exists()
    assert tempfile.gettempdir() == str(home)


def test_what_openmp_left_goes_too(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shm"
    shared.mkdir()
    monkeypatch.setattr(scratch, "_OPENMP_FOLDERS", (tmp_path / "no such folder", shared))
    uid = os.getuid()
    killed(tmp_path)
    (left,) = home.iterdir()
    dead = left.name.split("-")[2]
    for pid in (dead, os.getpid(), os.getppid()):
        (shared / f"__KMP_REGISTERED_LIB_{pid}_{uid}").touch()
    with scratch.temporary_folder():
        assert len(list(shared.iterdir())) == 2
    assert [path.name for path in shared.iterdir()] == [f"__KMP_REGISTERED_LIB_{os.getppid()}_{uid}"]


def test_a_fork_removes_nothing_of_its_parents(home: Path) -> None:
    with scratch.temporary_folder() as folder:
        assert folder is not None
        if not (child := os.fork()):
            scratch.discard()
            os._exit(0)
        os.waitpid(child, 0)
        assert folder.exists()


def test_a_block_within_the_block_takes_part_in_it(home: Path) -> None:
    with scratch.temporary_folder() as outer:
        with scratch.temporary_folder() as inner:
            assert inner == outer
        assert outer is not None
        assert outer.exists()


def test_what_torch_compiles_is_kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch.temporary_folder():
        assert os.environ[TORCH_CACHE] == str(tmp_path / "cache" / "torchinductor")
        assert (tmp_path / "cache" / "torchinductor").is_dir()
    monkeypatch.setenv(TORCH_CACHE, "/mine")
    with scratch.temporary_folder():
        assert os.environ[TORCH_CACHE] == "/mine"
    monkeypatch.delenv(TORCH_CACHE)
    monkeypatch.setenv("SPECTUI_CACHE_DIR", "/proc/cache")
    with scratch.temporary_folder():
        assert TORCH_CACHE not in os.environ


def test_where_nothing_can_be_locked_it_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with scratch.temporary_folder() as folder:
        assert folder is None
    assert list(home.iterdir()) == []


def test_without_room_for_a_folder_it_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with scratch.temporary_folder() as folder:
        assert folder is None
        assert tempfile.gettempdir() == str(home)
    scratch.discard()
