"""What a benchmark's header says of the code that ran."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from spectui.bench.matrix.surroundings import commit, surroundings, variables_of_user

pytestmark = pytest.mark.unit


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "spectui"
    folder.mkdir()
    (folder / "__init__.py").touch()
    return folder


def git(package: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(package.parent), "-c", "user.name=n", "-c", "user.email=e@example.org", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_checkout_has_a_commit_and_maybe_changes(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(package, "init", "-q")
    (package.parent / ".gitignore").write_text("site-packages\n")
    git(package, "add", ".")
    git(package, "commit", "-qm", "first")
    head = git(package, "rev-parse", "HEAD")
    # Results beside the code are no change of it.
    (package.parent / "results").mkdir()
    (package.parent / "results" / "report.md").touch()
    # As in a git hook, where this names another repository.
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert commit(package) == head
    (package / "new.py").touch()
    assert commit(package) == f"{head} with changes"
    installed = package.parent / "site-packages" / "spectui"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert commit(installed) is None


def test_without_git_or_a_checkout_there_is_no_commit(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(package))
    assert commit(package) is None
    assert "commit" not in surroundings([])


def test_variables_of_the_user_are_told_from_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_PRELOAD", "VLLM_CPU_OMP_THREADS_BIND", "KMP_TPAUSE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("KMP_BLOCKTIME", "5")
    assert variables_of_user({"KMP_BLOCKTIME": "5"}) == ["OMP_NUM_THREADS"]
