"""What the shell gets when something is wrong: one line, an exit code, and the log's name."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.session.program import (
    PROMPT_S,
    SPECTUI,
    START_S,
    ends,
    environment,
    log_of,
    on_a_terminal,
    without_a_terminal,
)
from tests.session.reading import lane_time


def one_line(ended: subprocess.CompletedProcess[str], code: int) -> str:
    """The only line on standard error; standard output is what the race printed, if any."""
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    (line,) = ended.stderr.splitlines()
    assert "Traceback" not in ended.stdout
    return line


def test_wrong_usage_through_the_program(tmp_path: Path) -> None:
    ended = without_a_terminal(tmp_path, "--lane", "ngarm", timeout=PROMPT_S)
    assert one_line(ended, 2).startswith("spectui run: unknown lane method 'ngarm': did you mean 'ngram'?")
    assert ended.stdout == ""


def test_no_room_for_the_log(tmp_path: Path) -> None:
    ended = without_a_terminal(tmp_path, env={"SPECTUI_LOG_DIR": "/proc/logs"}, timeout=PROMPT_S)
    expected = r"spectui run: no log can be kept in /proc/logs \(No such file or directory\): set SPECTUI_LOG_DIR .*"
    assert re.fullmatch(expected, one_line(ended, 1))


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    ended = without_a_terminal(tmp_path, env={"SPECTUI_CACHE_DIR": "/proc/cache"}, timeout=PROMPT_S)
    expected = r"spectui: no lane could run: The demo model cannot be kept in /proc/cache \(No such .*\): make it .*"
    line = one_line(ended, 1)
    assert re.fullmatch(expected, line)
    assert_names_the_log(line, tmp_path)


def assert_names_the_log(line: str, folder: Path) -> None:
    path = re.search(r"\(details in (.*)\)$", line)
    assert path is not None
    assert Path(path[1]).parent == folder / "logs"
    assert "Traceback" in Path(path[1]).read_text()


def test_no_disk_space_for_the_cache(tmp_path: Path) -> None:
    """On a real file system of 64 MB, in a mount namespace of the program's own."""
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=64m none "$0" && exec "$@"'
    mount = ["unshare", "--mount", "sh", "-c", script, str(tmp_path / "disk")]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    ended = subprocess.run(
        [*mount, SPECTUI, "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(tmp_path, SPECTUI_CACHE_DIR=str(tmp_path / "disk")),
        timeout=PROMPT_S,
    )
    expected = r"spectui: no lane could run: The demo model needs \d+ MB in .*, but only 67 MB are free there: free .*"
    assert re.fullmatch(expected, one_line(ended, 1))


def test_no_vllm_installed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class NoVllm:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'vllm':\n"
        "            raise ModuleNotFoundError('No module named vllm', name=name)\n"
        "sys.meta_path.insert(0, NoVllm())\n"
    )
    ended = without_a_terminal(tmp_path, env={"PYTHONPATH": str(tmp_path)}, timeout=PROMPT_S)
    assert re.fullmatch(r"spectui run: vLLM is not installed for .*python.*: run `make setup` .*", one_line(ended, 1))


def test_a_broken_vllm(demo_model: Path, tmp_path: Path) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text("raise ImportError('libtorch.so: no such file')\n")
    ended = without_a_terminal(tmp_path, env={"PYTHONPATH": str(tmp_path)}, timeout=PROMPT_S)
    line = one_line(ended, 1)
    assert re.match(r"spectui: no lane could run: vLLM could not be imported: libtorch\.so: no such file; see I", line)
    assert_names_the_log(line, tmp_path)


def test_a_failed_lane_headless(demo_model: Path, tmp_path: Path) -> None:
    """The others race to the end; the exit code and standard error tell."""
    words = ("--lane", "dflash:model=/nowhere,k=5", "--lane", "ar", "--max-tokens", "8")
    ended = without_a_terminal(tmp_path, *words)
    line = one_line(ended, 1)
    assert line.startswith("spectui: DFlash failed: drafter '/nowhere' was not found: no such folder, check")
    assert_names_the_log(line, tmp_path)
    assert re.search(r"^ar +— +8 ", ended.stdout, re.M)
    assert re.search(r"^dflash +failed: drafter '/nowhere' was not found", ended.stdout, re.M)


def test_a_failed_lane_on_the_screen(demo_model: Path, tmp_path: Path) -> None:
    """The pane says what happened, the other lane races, and after the end the shell still shows the sentence."""
    with on_a_terminal(tmp_path, "--lane", "ar", "--lane", "dflash:model=/nowhere,k=5") as session:
        session.wait_for("drafter '/nowhere'", START_S)
        rows = session.wait_for(lambda rows: (lane_time(rows) or 0) > 0.5, START_S)
        pane = " ".join(row[60:].strip() for row in rows)
        assert "drafter '/nowhere' was not found: no such folder, check the path" in " ".join(pane.split())
        session.send("q")
        ends(session, 1)
        text = " ".join("".join(session.rows()).split())
        assert "spectui: DFlash failed: drafter '/nowhere' was not found" in text
        assert "(details in " in text
    assert "Traceback" in log_of(tmp_path)
