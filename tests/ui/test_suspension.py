"""Ctrl-Z and the shell's job control, in a real terminal with a real shell."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from spectui.protocol import commands as cmd
from spectui.sources.synthetic.source import Pace
from spectui.standstill import awake, stood_still
from tests.support.rig import running
from tests.support.terminal import CTRL_C, ESCAPE, PtySession

ROOT = Path(__file__).parents[2]
TRACE = ROOT / "demos" / "traces" / "coding.jsonl"
CTRL_Z = "\x1a"
PROMPT = "the shell> "
PASTE_MODE = 2004
"""The shell's own line editor may ask for pasted text."""


@contextmanager
def shell(tmp_path: Path, *words: str, background: bool = False) -> Iterator[tuple[PtySession, int]]:
    """A shell in whose foreground a replay runs; gives the replay's process id too."""
    env = {"PYTHONPATH": str(ROOT), "SPECTUI_LOG_DIR": str(tmp_path / "logs"), "PS1": PROMPT, "ENV": "", "HISTFILE": ""}
    with PtySession(["sh", "-i"], cols=120, rows=36, env=env) as session:
        session.wait_for(PROMPT.strip())
        identity = tmp_path / "pid"
        code = f"import os, pathlib; pathlib.Path({str(identity)!r}).write_text(str(os.getpid()))"
        script = tmp_path / "run.py"
        script.write_text(f"{code}\nimport runpy\nrunpy.run_module('spectui', run_name='__main__', alter_sys=True)\n")
        arguments = " ".join(["replay", str(TRACE), "--speed", "0.1", *words])
        session.send(f"clear; {sys.executable} {script} {arguments}{' &' if background else ''}\r")
        if not background:
            session.wait_for(" 0.1x", 30)
        session.settle(lambda: identity.exists() and identity.read_text() != "", 30)
        yield session, int(identity.read_text())


def stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def given_back(session: PtySession) -> None:
    """The terminal is as a shell wants it."""
    session.emulator.modes.discard(PASTE_MODE)
    assert session.modes_restored()
    flags = termios.tcgetattr(session._master)
    assert flags[3] & termios.ISIG
    assert flags[0] & termios.ICRNL or not flags[3] & termios.ICANON, "cooked, or as a line editor has it"


def quits(session: PtySession) -> None:
    session.send("q")
    session.wait_for(lambda rows: rows[-1].startswith(PROMPT.strip()) or any(PROMPT.strip() == row for row in rows))
    given_back(session)


@pytest.mark.parametrize("how", ["key", "kitty key", "SIGTSTP"])
def test_it_stops_and_comes_back_whole(tmp_path: Path, how: str) -> None:
    with shell(tmp_path) as (session, process):
        if how == "SIGTSTP":
            os.kill(process, signal.SIGTSTP)
        else:
            session.send(CTRL_Z if how == "key" else "\x1b[122;5u")
        session.settle(lambda: stopped(process))
        session.wait_for("Stopped")
        given_back(session)
        session.send("echo be''tween\r")
        session.wait_for("between")
        session.resize(100, 30)
        session.send("fg\r")
        rows = session.wait_for(lambda rows: rows[0].startswith(" SpecTUI") and "q quit" in rows[29])
        assert "replay 0.1x" in "\n".join(rows)
        assert "Stopped" not in "\n".join(rows)
        session.send(" ")
        session.wait_for("paused")
        quits(session)


def test_what_stood_still_stands_still_afterwards(tmp_path: Path) -> None:
    with shell(tmp_path, "--at", "20") as (session, process):
        session.wait_for("paused")
        session.send(CTRL_Z)
        session.settle(lambda: stopped(process))
        session.send("fg\r")
        session.wait_for("paused 0.1x")
        session.send("?")
        session.wait_for("Colours")
        session.send(CTRL_Z)
        session.settle(lambda: stopped(process))
        session.send("fg\r")
        session.wait_for("Colours")
        session.send(ESCAPE)
        session.wait_for("paused 0.1x")
        quits(session)


def test_a_stop_that_it_cannot_see_leaves_no_trace_either(tmp_path: Path) -> None:
    with shell(tmp_path) as (session, process):
        os.kill(process, signal.SIGSTOP)
        session.wait_for("Stopped")
        os.kill(process, signal.SIGCONT)
        session.settle(lambda: stopped(process))
        # This shell leaves the modes of the terminal as the program had them, in which Enter is no line's end.
        session.send("fg\n")
        rows = session.wait_for(lambda rows: rows[0].startswith(" SpecTUI") and "replay 0.1x" in "\n".join(rows))
        assert "Stopped" not in "\n".join(rows)
        session.send(" ")
        session.wait_for("paused")
        quits(session)


def test_started_in_the_background_it_waits_for_the_terminal(tmp_path: Path) -> None:
    with shell(tmp_path, background=True) as (session, process):
        session.settle(lambda: stopped(process), 30)
        session.send("fg\r")
        session.wait_for("replay 0.1x")
        quits(session)


def test_a_stopped_program_can_be_ended(tmp_path: Path) -> None:
    with shell(tmp_path) as (session, process):
        session.send(CTRL_Z)
        session.settle(lambda: stopped(process))
        session.wait_for("Stopped")
        os.kill(process, signal.SIGTERM)
        os.kill(process, signal.SIGCONT)
        session.settle(lambda: not Path(f"/proc/{process}/cmdline").read_bytes())
        given_back(session)
        session.send("echo still he''re\r")
        session.wait_for("still here")


def test_without_a_shell_nothing_stops(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "SPECTUI_LOG_DIR": str(tmp_path / "logs")}
    # The program leads a session, as in a container: nobody could ever continue it.
    alone = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    argv = [sys.executable, "-m", "spectui", "replay", TRACE, "--speed", "0.1"]
    with PtySession([sys.executable, "-c", alone, *argv], cols=80, rows=24, env=env) as session:
        session.wait_for("replay 0.1x", 30)
        session.send(CTRL_Z)
        session.settle(lambda: session.raw.count(b"\x1b[?1049h") == 2)
        # What stands on the screen may be of before; behind the help it is drawn anew.
        session.send("?")
        session.wait_for("Colours")
        session.send(ESCAPE)
        session.wait_for("replay 0.1x")
        session.send(" ")
        session.wait_for("paused")
        session.send(CTRL_C)
        assert session.wait_exit() == 0
        assert session.modes_restored()


async def test_a_running_engine_is_paused_meanwhile() -> None:
    async with running((120, 36), pace=Pace(real_time=1.0), paused=False) as rig:
        suspension = rig.app._suspension
        done: list[str] = []

        def stand_still(*, group: bool) -> None:
            done.append(f"stopped {group} {rig.app.view.paused} {rig.source.slot.busy}")

        suspension._driver = SimpleNamespace(can_suspend=True, stand_still=stand_still)  # type: ignore[assignment]
        rig.app.action_suspend()
        await rig.until(lambda: bool(done))
        assert done == ["stopped True True False"]
        suspension._returned()
        await rig.settle(lambda: not rig.app.view.paused)
        assert rig.source.commands[-2:] == [cmd.Pause(), cmd.Resume()]


def test_the_clock_does_not_count_what_was_stopped() -> None:
    before = awake()
    stood_still(100.0)
    after = awake()
    stood_still(-5.0)
    assert before - 100.0 <= after < before


WATCHED = """
import sys, time
from spectui.standstill import awake, watch_stops

watch_stops()
began, clock = time.monotonic(), awake()
print("begun", flush=True)
sys.stdin.readline()
left_out = (time.monotonic() - began) - (awake() - clock)
print("left out:", left_out > 1e-4, flush=True)
"""


def test_without_a_screen_a_stop_is_not_counted_either(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "PS1": PROMPT, "ENV": ""}
    script = tmp_path / "watched.py"
    script.write_text(WATCHED)
    with PtySession(["sh", "-i"], env=env) as session:
        session.wait_for(PROMPT.strip())
        session.send(f"{sys.executable} {script}\r")
        session.wait_for("begun")
        session.send(CTRL_Z)
        session.wait_for("Stopped")
        session.send("fg\r\r")
        session.wait_for("left out: True")
