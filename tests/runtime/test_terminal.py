"""The terminal stays the screen's own, and comes back whole, however the program ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.emulator import Emulator
from tests.support.terminal import CTRL_C, PATIENCE_S, PtySession

ROOT = Path(__file__).parents[2]
NEVER_S = 10 * round(PATIENCE_S)
"""A test that waits for this has failed before."""

BLOCK = """
import ctypes, os, signal, subprocess, sys, threading, time
from pathlib import Path
from spectui.runtime import terminal as own

def busy():
    while True:
        sum(range(1000))

with own.owned_terminal(Path(sys.argv[1]), grace_s=float(os.environ.get("GRACE", "0.5"))) as terminal:
"""

APP = (
    BLOCK
    + """
    from textual.app import App
    from textual.binding import Binding
    from textual.widgets import Label

    class Tiny(App):
        BINDINGS = [Binding("ctrl+c", "interrupt", priority=True), Binding("q", "quit"), Binding("b", "block")]

        def __init__(self):
            super().__init__()
            self._capture_stdout, self._capture_stderr = sys.stdout, sys.stderr

        def compose(self):
            yield Label("clean screen")

        def on_mount(self):
            if "raise" not in sys.argv:
                terminal.stop_with(lambda code: self.exit(return_code=code))

        def on_resize(self, event):
            self.query_one(Label).update(f"size {event.size.width}x{event.size.height}")

        def action_interrupt(self):
            signal.raise_signal(signal.SIGINT)

        def action_block(self):
            os.write(1, b"blocked\\n")
            BODY

    app = Tiny()
    app.run()
    AFTER
print("after the block", flush=True)
"""
)


class Program:
    """Writes a script, runs it in a terminal, reads its log."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "script.py"
        self.log_path = folder / "run.log"

    def app(self, *words: str, body: str = "pass", after: str = "pass", grace: float = 0.5) -> PtySession:
        """A Textual app; key b runs `body` in its event loop, `after` runs when the app is gone."""
        return self.start(APP.replace("BODY", body).replace("AFTER", after), *words, grace=grace)

    def block(self, *lines: str, grace: float = 0.5) -> PtySession:
        """The lines inside the owned block."""
        return self.start(BLOCK + "".join(f"    {line}\n" for line in lines), grace=grace)

    def start(self, code: str, *words: str, grace: float = 0.5) -> PtySession:
        self.script.write_text(code)
        env = {"PYTHONPATH": str(ROOT), "GRACE": str(grace)}
        return PtySession([sys.executable, self.script, self.log_path, *words], cols=80, rows=24, env=env)

    def log(self) -> str:
        return self.log_path.read_text()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def logged(program: Program, text: str) -> Callable[[], bool]:
    return lambda: program.log_path.exists() and text in program.log()


def assert_restored(session: PtySession) -> None:
    assert session.termios_restored()
    assert session.modes_restored(), (session.emulator.modes, bytes(session.raw[-300:]))


NOISE = """
            print("noise from print")
            print("noise from print to stderr", file=sys.stderr)
            def noise():
                os.write(1, b"noise from descriptor 1\\n")
                os.write(2, b"noise from descriptor 2\\n")
                subprocess.run([sys.executable, "-I", "-S", "-c", "print('noise from a child')"])
                libc = ctypes.CDLL(None)
                libc.puts(b"noise from C")
                libc.printf(b"noise from C's %s\\n", b"printf")
                libc.fflush(None)
                os.write(1, b"that was all\\n")
            threading.Thread(target=noise).start()
"""


def test_noise_reaches_the_log_and_never_the_screen(program: Program) -> None:
    with program.app(body=NOISE.strip()) as session:
        before = session.wait_for("size 80x24")
        session.send("b")
        session.settle(logged(program, "that was all"))
        session.resize(100, 30)
        after = session.wait_for("size 100x30")
        assert [row for row in after if row] == ["size 100x30"]
        assert [row for row in before if row] == ["size 80x24"]
        assert b"noise" not in session.raw
        session.send("q")
        assert session.wait_exit() == 0
        assert_restored(session)
        assert session.text().strip() == "after the block"
    for source in ("print", "print to stderr", "descriptor 1", "descriptor 2", "a child", "C", "C's printf"):
        assert f"noise from {source}\n" in program.log()


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (CTRL_C, 130, []),
        (signal.SIGINT, 130, []),
        (signal.SIGTERM, 143, []),
        (signal.SIGHUP, 129, []),
        (signal.SIGTERM, 143, ["raise"]),
    ],
    ids=["ctrl-c", "sigint", "sigterm", "sighup", "sigterm without an orderly way"],
)
def test_a_signal_ends_the_app_with_its_code(
    program: Program, end: str | signal.Signals, code: int, words: list[str]
) -> None:
    with program.app(*words, grace=NEVER_S) as session:
        session.wait_for("size 80x24")
        session.send(end) if isinstance(end, str) else session.signal(end)
        assert session.wait_exit() == code
        assert_restored(session)
        assert session.text().strip() == ""


@pytest.mark.parametrize(
    ("end", "code"),
    [(CTRL_C, 130), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["ctrl-c", "sigint", "sigterm", "sighup"],
)
def test_a_signal_ends_a_busy_main_thread(program: Program, end: str | signal.Signals, code: int) -> None:
    with program.block("terminal.err.write('busy now\\n')", "busy()", grace=NEVER_S) as session:
        session.wait_for("busy now")
        session.send(end) if isinstance(end, str) else session.signal(end)
        assert session.wait_exit() == code
        assert_restored(session)


def test_a_frozen_event_loop_is_ended_after_the_grace_period(program: Program) -> None:
    with program.app(body="busy()") as session:
        session.wait_for("size 80x24")
        session.send("b")
        session.settle(logged(program, "blocked"))
        session.signal(signal.SIGTERM)
        assert session.wait_exit() == 143
        assert_restored(session)


def test_a_second_ctrl_c_does_not_wait_for_the_grace_period(program: Program) -> None:
    with program.app(body="busy()", grace=NEVER_S) as session:
        session.wait_for("size 80x24")
        session.send("b")
        session.settle(logged(program, "blocked"))

        def interrupted() -> bool:
            # It may end between the look and the signal.
            with contextlib.suppress(ProcessLookupError):
                if session.exit_code is None:
                    session.signal(signal.SIGINT)
            return session.exit_code is not None

        session.settle(interrupted)
        assert session.wait_exit() == 130
        assert_restored(session)


STUCK = f"threading.Thread(target=lambda: ctypes.CDLL(None).sleep({NEVER_S})).start()"


def test_a_thread_inside_a_c_call_does_not_hold_the_end(program: Program) -> None:
    with program.app(body=STUCK) as session:
        session.wait_for("size 80x24")
        session.send("b")
        session.settle(logged(program, "blocked"))
        session.signal(signal.SIGTERM)
        assert session.wait_exit() == 143
        assert_restored(session)


def test_finish_ends_the_process_beside_a_stuck_thread(program: Program) -> None:
    with program.app(body=STUCK, after="own.finish(7, 0.2)") as session:
        session.wait_for("size 80x24")
        session.send("b")
        session.settle(logged(program, "blocked"))
        session.send("q")
        assert session.wait_exit() == 7
        assert_restored(session)


def test_an_exception_becomes_one_line_and_a_logged_traceback(program: Program) -> None:
    with program.block("raise ValueError('no such\\n model')") as session:
        assert session.wait_exit() == 1
        shown = "".join(session.rows())
        assert shown == f"spectui: ValueError: no such model (details in {program.log_path})"
        assert_restored(session)
    assert "Traceback (most recent call last)" in program.log()


def test_an_exception_inside_the_app_is_logged_too(program: Program) -> None:
    with program.app(body="1 / 0", after="terminal.err.write(f'code {app.return_code}\\n')") as session:
        session.wait_for("size 80x24")
        session.send("b")
        assert session.wait_exit() == 0
        assert session.text().split("\n")[:2] == ["code 1", "after the block"]
        assert_restored(session)
    assert "ZeroDivisionError" in program.log()


def test_an_exception_beside_a_stuck_thread_ends_the_process(program: Program) -> None:
    with program.block(STUCK, "raise ValueError('gone')") as session:
        assert session.wait_exit() == 1
        assert "ValueError: gone" in session.text()


def test_system_exit_passes(program: Program) -> None:
    with program.block("sys.exit(7)") as session:
        assert session.wait_exit() == 7


@pytest.mark.parametrize("after", ["sys.exit(1)", "own.finish(0)"])
def test_the_signals_code_wins(program: Program, after: str) -> None:
    with program.app(after=after) as session:
        session.wait_for("size 80x24")
        session.signal(signal.SIGTERM)
        assert session.wait_exit() == 143


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_killed_or_crashed_program_leaves_a_whole_terminal(program: Program, end: signal.Signals) -> None:
    with program.app() as session:
        session.wait_for("size 80x24")
        session.signal(end)
        assert session.wait_exit() == -end
        session.settle(lambda: "killed or crashed" in session.text() and "run.log" in session.text())
        assert_restored(session)
    assert end == signal.SIGKILL or "Fatal Python error" in program.log()


def test_a_closed_window_ends_the_program(program: Program) -> None:
    with program.app(grace=NEVER_S) as session:
        session.wait_for("size 80x24")
        session.hang_up()
        assert session.wait_exit() == 129


def test_a_signal_to_a_forked_child_leaves_the_terminal_alone(program: Program) -> None:
    lines = [
        "terminal.err.write('\\x1b[?1049hon the alternate screen\\n')",
        "ready, tell = os.pipe()",
        "child = os.fork()",
        "while not child: os.write(tell, b'.'); time.sleep(0.1)",
        "os.read(ready, 1)",
        "os.kill(child, signal.SIGTERM)",
        "terminal.err.write(f'child {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n')",
        "busy()",
    ]
    with program.block(*lines) as session:
        session.wait_for(f"child {-signal.SIGTERM}")
        assert not session.modes_restored()
        session.signal(signal.SIGTERM)
        assert session.wait_exit() == 143
        assert_restored(session)


def run_piped(program: Program, *lines: str) -> subprocess.CompletedProcess[str]:
    program.script.write_text(BLOCK + "".join(f"    {line}\n" for line in lines))
    command = [sys.executable, str(program.script), str(program.log_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def test_without_a_terminal_results_go_to_the_pipe_and_noise_to_the_log(program: Program) -> None:
    done = run_piped(program, "print('noise')", "os.write(2, b'noise')", "print('result', file=terminal.out)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "")
    assert program.log() == "noise\nnoise"


def test_ignored_signals_stay_ignored(program: Program) -> None:
    program.script.write_text(BLOCK + "    signal.raise_signal(signal.SIGHUP)\nprint('alive')\n")
    command = ["nohup", sys.executable, str(program.script), str(program.log_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_owning_twice_and_a_missing_folder_are_refused(program: Program) -> None:
    nested = run_piped(program, "with own.owned_terminal(Path(sys.argv[1])): pass")
    assert nested.returncode == 1
    assert "RuntimeError: the terminal is already owned" in nested.stderr
    program.log_path = program.log_path.parent / "missing" / "run.log"
    missing = run_piped(program, "print('never', file=terminal.out)")
    assert missing.returncode == 1
    assert "FileNotFoundError" in missing.stderr
    assert missing.stdout == ""


def test_the_emulator_understands_what_textual_sends() -> None:
    emulator = Emulator(20, 3)
    emulator.feed(b"shell$ \x1b[?1049h\x1b[?25l\x1b[?1006h\x1b[>25u\x1b[?2026h\x1b[1;1H\x1b[=1u\x1b[!p\x1bPq#0\x1b\\")
    assert emulator.rows() == ["", "", ""]
    assert not emulator.modes_restored()
    emulator.feed("\x1b[38;2;1;2;3m漢字\x1b]8;;http://x\x07link\x1b]8;;\x1b\\".encode())
    assert emulator.rows()[0] == "漢字link"
    assert emulator.screen.buffer[0][0].fg == "010203"
    emulator.feed(b"\x1b[?2026l\x1b[<u\x1b[0m\x1b[?1006l\x1b[?1049l\x1b[?25h")
    assert emulator.rows() == ["shell$", "", ""]
    assert emulator.modes_restored()


def test_the_emulator_takes_sequences_and_characters_in_pieces() -> None:
    whole = "a\x1b[31mé\x1b[0m\x1b]0;title\x1b\\\x1bP+q\x1b\\b漢".encode()
    emulator = Emulator(20, 2)
    for byte in whole:
        emulator.feed(bytes([byte]))
    assert emulator.rows()[0] == "aéb漢"


def test_the_emulator_answers_as_a_terminal_does() -> None:
    emulator = Emulator(20, 2)
    assert emulator.feed(b"\x1b[?2026$p\x1b[?2048$p") == b"\x1b[?2026;2$y\x1b[?2048;0$y"
    assert emulator.feed(b"ab\x1b[6n\x1b[c") == b"\x1b[1;3R\x1b[?62;22c"
