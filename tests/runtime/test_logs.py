"""The log file of a run, what reaches it, and the reader of its end."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.errors import RunError
from spectui.runtime import logs
from spectui.runtime.logs import LogTail, log_file

ROOT = Path(__file__).parents[2]


def test_each_run_has_its_own_private_file_and_the_last_ten_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECTUI_LOG_DIR", str(tmp_path / "logs"))
    folder = tmp_path / "logs"
    folder.mkdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    for day in range(10, 22):
        (folder / f"spectui-202001{day}-000000-{dead.pid}.log").touch()
    (folder / f"spectui-20190101-000000-{os.getppid()}.log").touch()
    (folder / "spectui-notes.txt").touch()
    path = log_file()
    assert path.parent == folder
    assert path.name.endswith(f"-{os.getpid()}.log")
    assert path.stat().st_mode & 0o777 == 0o600
    kept = sorted(other.name for other in folder.glob("*.log"))
    assert len(kept) == 11, "ten, and the one of a running program"
    assert kept[0] == f"spectui-20190101-000000-{os.getppid()}.log"
    assert kept[1] == f"spectui-20200113-000000-{dead.pid}.log"
    assert (folder / "spectui-notes.txt").exists()


def test_without_a_writable_home_the_log_is_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPECTUI_LOG_DIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert log_file().parent == tmp_path / f"spectui-{os.getuid()}" / ".local/state/spectui/log"
    monkeypatch.setenv("SPECTUI_LOG_DIR", str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"no log can be kept in .*file.*SPECTUI_LOG_DIR"):
        log_file()


def run_python(code: str, path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_")}
    environ |= {"PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)


CONFIGURE = """
import logging, sys, threading, warnings
from pathlib import Path
from spectui.runtime import logs
logs.configure(Path(sys.argv[1]))
"""


def test_what_is_logged_before_there_is_a_file_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from spectui.runtime import logs\n"
        "logs.hold()\n"
        "logging.getLogger('spectui.early').warning('a cache is damaged')\n"
        "logs.configure(Path(sys.argv[1]))\n"
        "logging.getLogger('spectui.late').warning('loading')\n"
    )
    done = run_python(code, path)
    assert (done.stdout, done.stderr) == ("", "")
    lines = path.read_text().splitlines()
    assert [line.partition("WARNING ")[2] for line in lines] == [
        "spectui.early: a cache is damaged",
        "spectui.late: loading",
    ]


def test_records_warnings_and_dead_threads_reach_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    code = CONFIGURE + (
        "logs.configure(Path(sys.argv[1]))\n"
        "logging.getLogger('spectui.engine').info('loading')\n"
        "logging.getLogger('torch.distributed').warning('from torch')\n"
        "logging.getLogger('other').info('chatter')\n"
        "logging.getLogger('lone').error('half a pair: \\ud83d')\n"
        "warnings.warn('old call')\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='engine')\n"
        "thread.start(); thread.join()\n"
    )
    done = run_python(code, path)
    text = path.read_text()
    assert (done.stdout, done.stderr) == ("", "")
    for part in ("spectui.engine: loading", "from torch", "half a pair: \\ud83d", "old call", "in thread engine"):
        assert text.count(part) == 1, part
    assert "ZeroDivisionError" in text
    assert "chatter" not in text


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllms_records_reach_the_file_while_the_streams_are_captured(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    code = CONFIGURE + (
        # As Textual does while its app runs.
        "import io; sys.stdout = sys.stderr = io.StringIO()\n"
        # The package without what its __init__ imports: torch costs seconds.
        "import importlib.util, types; found = importlib.util.find_spec('vllm')\n"
        "sys.modules['vllm'] = types.ModuleType('vllm')\n"
        "sys.modules['vllm'].__path__ = found.submodule_search_locations\n"
        "import vllm.logger\n"
        "vllm.logger.init_logger('vllm.engine').info('first engine')\n"
        "vllm.logger._configure_vllm_root_logger()\n"
        "vllm.logger.init_logger('vllm.engine').warning('second engine')\n"
        "logging.getLogger('spectui').info('still here')\n"
    )
    run_python(code, path)
    text = path.read_text()
    for part in ("first engine", "second engine", "still here"):
        assert text.count(part) == 1, part
    assert "\x1b" not in text


def test_a_users_own_vllm_logging_is_kept(tmp_path: Path) -> None:
    code = CONFIGURE + "import os; print(os.environ.get('VLLM_LOGGING_STREAM'))\n"
    assert run_python(code, tmp_path / "a").stdout == f"{logs.VLLM_STREAM}\n"
    assert run_python(code, tmp_path / "b", VLLM_LOGGING_CONFIG_PATH="/mine.json").stdout == "None\n"
    assert run_python(code, tmp_path / "c", VLLM_LOGGING_STREAM="ext://sys.stderr").stdout == "ext://sys.stderr\n"


def test_the_tail_gives_each_complete_line_once(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    tail = LogTail(path)
    assert tail.poll() == []
    with path.open("ab", buffering=0) as log:
        log.write(b"one\ntwo\nthr")
        assert tail.poll() == ["one", "two"]
        assert tail.poll() == []
        log.write(b"ee\n")
        assert tail.poll() == ["three"]
        log.truncate(0)
        assert tail.poll() == []
        log.write(b"again\n")
        assert tail.poll() == ["again"]
    tail.close()
    assert tail.poll() == []
    assert list(tail.lines) == ["one", "two", "three", "again"]


def test_the_tail_shows_what_a_terminal_would_and_nothing_that_acts_on_one(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(
        b"loading 10 %\rloading 50 %\rloading 100 %\r\n"
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07and \x1b]8;;http://x\x1b\\link\x1b[?25l\n"
        b"half \xe6\xbc and \xff\n"
        b"a\tb\x07\x00\x9b\x7f\n"
        b"\xc2\x9b1m\x1b"
        b"\n"
    )
    assert LogTail(path).poll() == ["loading 100 %", "red and link", "half \ufffd and \ufffd", "a       b\ufffd", "1m"]


def test_the_tail_keeps_its_memory_and_its_work_bounded(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    tail = LogTail(path, keep=5)
    path.write_bytes(b"x" * (LogTail.LONGEST + 1))
    (line,) = tail.poll()
    assert len(line) == 4000
    with path.open("ab", buffering=0) as log:
        log.write(b"".join(b"%07d\n" % number for number in range(10)))
        assert tail.poll() == [f"{number:07d}" for number in range(5, 10)]
        log.write(b"1234567\n" * (LogTail.BACKLOG // 8 + 2))
        assert tail.poll() == ["[16 bytes skipped]", *["1234567"] * 5]
    assert len(tail.lines) == 5


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_the_tail_takes_any_bytes_in_any_pieces(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("tail") / "run.log"
    tail, seen = LogTail(path), []
    with path.open("ab", buffering=0) as log:
        for piece in pieces:
            log.write(piece)
            seen += tail.poll()
        log.write(b"\n")
        seen += tail.poll()
    tail.close()
    assert seen == LogTail(path).poll()
    assert all(not (ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0) for line in seen for char in line)
