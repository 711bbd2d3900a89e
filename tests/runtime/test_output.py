"""What commands print outside the screen: it reaches every reader, or one line says why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from spectui.cli import doctor
from spectui.cli import main as cli
from spectui.errors import RunError, UsageError
from spectui.protocol import events as ev
from spectui.runtime import output
from spectui.runtime.output import ERRORS, as_json, visible
from tests.trace.making import file_of, made_run

FULL = Path("/dev/full")
FAILSAFE_S = 60
HOSTILE = "\x1b[2J\x9b31m\u202e\u2028half \ud83d byte \udcff \x7f\r\x1b]0;title\x07\u200b\u2066"
"""An escape sequence of each kind, a turned direction, a line end, half a character, a byte, what rubs out, a title
for the terminal's window, what takes no room."""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return file_of(tmp_path / "run.jsonl", made_run(7))


def spectui(*words: str | Path, out: Path | int = subprocess.PIPE, **env: str) -> subprocess.CompletedProcess[bytes]:
    """The program with its output in a file, or caught; ``env`` on top of this process's own."""
    command = [sys.executable, "-m", "spectui", *words]
    environ = {**os.environ, **env}
    fd = out if isinstance(out, int) else os.open(out, os.O_WRONLY)
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=fd, stderr=subprocess.PIPE, env=environ, timeout=FAILSAFE_S
        )
    finally:
        if fd >= 0:
            os.close(fd)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "latin-1:strict", "utf-8:strict", "utf-8:surrogateescape"])
def test_a_table_is_whole_in_every_encoding(trace: Path, encoding: str) -> None:
    done = spectui("replay", trace, "--headless", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    [*_, ar, mtp, dflash] = done.stdout.decode(encoding.partition(":")[0]).splitlines()
    dash = "—" if encoding.startswith("utf-8") else "-"
    assert ar.split()[:2] == ["ar", dash]
    assert mtp.startswith("mtp ")
    assert dflash.startswith("dflash ")


def test_a_locale_without_signs_gets_the_table(trace: Path) -> None:
    done = spectui("replay", trace, "--headless", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert re.search(rb"^ar +- ", done.stdout, re.MULTILINE)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "words",
    [
        ("replay", "TRACE", "--headless"),
        ("replay", "TRACE", "--json"),
        ("shot", "TRACE", "-o", "FOLDER/run.txt"),
        ("doctor", "--json"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_full_disk_is_one_sentence(trace: Path, words: tuple[str, ...]) -> None:
    filled = [word.replace("TRACE", str(trace)).replace("FOLDER", str(trace.parent)) for word in words]
    done = spectui(*filled, out=FULL)
    name = "" if words[0].startswith("-") else f" {words[0]}"
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert lines[-1] == f"spectui{name}: standard output: No space left on device"
    assert len(lines) == (2 if name == " doctor" else 1), lines


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [("shot", "run.txt"), ("cast", "run.cast")])
def test_a_file_that_cannot_be_written_is_one_sentence(
    trace: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (trace.parent / words[1]).symlink_to(FULL)
    assert cli.main([words[0], str(trace), "-o", str(trace.parent / words[1])]) == 1
    assert capsys.readouterr().err == (
        f"spectui {words[0]}: {trace.parent / words[1]} cannot be written (No space left on device): "
        "give another name with -o\n"
    )


@pytest.mark.parametrize("reader", ["true", "head -1 > /dev/null"])
def test_a_reader_that_leaves_ends_it_quietly(trace: Path, reader: str) -> None:
    trace.write_bytes(trace.read_bytes() * 8)
    script = f'"$0" -m spectui replay "$1" --headless | {reader}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script, sys.executable, trace], capture_output=True, timeout=FAILSAFE_S)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGPIPE, b"", b"")


def test_what_comes_in_one_piece_may_miss_its_reader_too(trace: Path) -> None:
    """It is refused when everything is done, where Python itself would complain."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "spectui", "replay", str(trace), "--json"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, timeout=FAILSAFE_S)
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), (">&- 2>&-", 0), ("<&- >&-", 0)])
def test_a_closed_descriptor_is_nowhere(trace: Path, closed: str, code: int) -> None:
    before = trace.read_bytes()
    script = f'"$0" -m spectui replay "$1" --headless {closed}'
    done = subprocess.run(["bash", "-c", script, sys.executable, trace], capture_output=True, timeout=FAILSAFE_S)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")
    assert trace.read_bytes() == before


@pytest.mark.parametrize("encoding", ["utf-8:strict", "utf-8:surrogateescape", "ascii:strict"])
def test_a_name_that_is_no_text_is_said_with_escapes(trace: Path, encoding: str) -> None:
    odd = Path(os.fsdecode(os.fsencode(trace.parent) + b"/\xff\x1b.jsonl"))
    trace.rename(odd)
    shown = f"{odd.parent}/\\xff\\x1b"
    done = spectui("shot", odd, "-o", odd.with_suffix(".txt"), PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{shown}.txt\n", b"")
    assert odd.with_suffix(".txt").exists()
    odd.unlink()
    done = spectui("replay", odd, "--headless", PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"spectui replay: {shown}.jsonl: no such file")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A trace whose every text is hostile, half characters included."""
    info = ev.LaneInfo(f"ar{HOSTILE}", "ar", f"AR{HOSTILE}", 0, "ar")
    return file_of(
        tmp_path / "hostile.jsonl",
        [
            ev.RunStarted(f"target{HOSTILE}", (info,), ev.Sampling()),
            ev.LaneStage(info.name, "loading", HOSTILE),
            ev.RoundStarted(0, (ev.Prompt(f"prompt{HOSTILE}"),), ev.Sampling()),
            ev.RequestStarted(info.name, "0-0", 0, 1),
            ev.Notice(HOSTILE),
            ev.LaneStage(info.name, "failed", HOSTILE),
        ],
    )


@pytest.mark.parametrize("encoding", ["utf-8:strict", "utf-8:surrogateescape", "latin-1:strict"])
def test_hostile_text_is_printed_as_text(hostile: Path, encoding: str) -> None:
    done = spectui("replay", hostile, "--headless", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    printed = done.stdout.decode(encoding.partition(":")[0])
    assert not any(char in printed for char in HOSTILE if not " " <= char <= "~")
    assert "half \\ud83d byte \\xff \\x7f\\r\\x1b]0;title\\x07\\u200b\\u2066" in printed
    assert "round 0: prompt\\x1b[2J" in printed
    assert "failed: \\x1b[2J\\x9b31m\\u202e\\u2028half" in printed


@pytest.mark.parametrize("name", ["hostile.txt", "hostile.svg", "hostile.cast"])
def test_hostile_text_is_drawn(hostile: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cast" if name.endswith("cast") else "shot", str(hostile), "-o", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / name}\n"
    assert (tmp_path / name).read_bytes().decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain — ünï 漢字 👩\u200d💻", "plain — ünï 漢字 👩\u200d💻"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b]0;x\x07\x9b", "\\x1b]0;x\\x07\\x9b"),
        ("\u202eturned\u2066", "\\u202eturned\\u2066"),
        ("no\u200b\ufeff\u2060\xad room\U000e0041", "no\\u200b\\ufeff\\u2060\\xad room\\U000e0041"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff\ud83d", "\\xff\\ud83d"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


SHOWN_FORMAT = (
    (0x0600, 0x0605),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x200C, 0x200D),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
)
"""Format characters that have a picture of their own, or change that of their neighbours."""


def test_no_character_without_a_picture_is_printed() -> None:
    for char in map(chr, range(sys.maxunicode + 1)):
        shown = any(first <= ord(char) <= last for first, last in SHOWN_FORMAT)
        unseen = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and not shown
        if unseen:
            assert re.fullmatch(r"\\[xuU][0-9a-f]+|\\[nrt]", visible(char)), ascii(char)
        elif unicodedata.category(char) != "Cn":
            assert visible(char) == char, ascii(char)


def test_json_holds_no_control_character_either() -> None:
    text = as_json({HOSTILE: [HOSTILE]})
    assert set(map(chr, range(0x20, 0x7F))) | {"\n"} >= set(text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}


def test_a_sign_that_an_encoding_lacks_is_written_otherwise() -> None:
    text = "\u2014 \u2018a\u2019 \u201cb\u201d \u2026 \xd7 ✓ ✗ → ° ü 漢 \udcff"
    assert text.encode("ascii", ERRORS) == b"- 'a' \"b\" ... x + x >   \\xfc \\u6f22 \\xff"
    assert text.encode("utf-8", ERRORS).decode().endswith("ü 漢 \\xff")
    assert text.encode("latin-1", ERRORS).decode("latin-1").startswith("- 'a' \"b\" ... \xd7 + x > ° ü ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (OSError(5, "Input/output error"), 1, "spectui doctor: Input/output error\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "spectui doctor: /x: Permission denied\n"),
        (PermissionError(13, "Permission denied", b"/\xff"), 1, "spectui doctor: /\\xff: Permission denied\n"),
        (OSError("no reason"), 1, "spectui doctor: no reason\n"),
        (RunError("a\x1b[2Jb"), 1, "spectui doctor: a\\x1b[2Jb\n"),
        (UsageError("so not"), 2, "spectui doctor: so not\n"),
    ],
    ids=repr,
)
def test_what_the_system_refuses_is_one_line(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(options: object) -> int:
        print("so far")
        raise error

    monkeypatch.setattr(doctor, "command", raises)
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr() == ("so far\n", said)


def test_the_streams_are_given_back_with_what_was_printed(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with output.safe_streams():
        print("half \ud83d", end="")
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "half \\ud83d"


def test_ctrl_c_ends_it_quietly(trace: Path) -> None:
    """Also while it waits for a reader who takes nothing more."""
    trace.write_bytes(trace.read_bytes() * 8)
    read, write = os.pipe()
    command = [sys.executable, "-m", "spectui", "replay", str(trace), "--headless"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE) as program:
        os.close(write)
        assert os.read(read, 1)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=FAILSAFE_S)
    os.close(read)
    assert (program.returncode, errors) == (128 + signal.SIGINT, b"")


TELL = f"""
import sys
from pathlib import Path
from spectui.runtime.terminal import owned_terminal

with owned_terminal(Path(sys.argv[1])) as terminal:
    terminal.tell({HOSTILE!r})
"""


@pytest.mark.parametrize("encoding", ["utf-8:strict", "latin-1:strict"])
def test_a_failure_is_said_as_text_whatever_it_and_the_log_are_called(tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "\x1b]0;title\x07.log"
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", TELL, log], capture_output=True, env=env, timeout=FAILSAFE_S)
    said = "\\x1b[2J\\x9b31m\\u202e half \\ud83d byte \\xff \\x7f \\x1b]0;title\\x07\\u200b\\u2066"
    assert done.stderr.decode() == f"spectui: {said} (details in {tmp_path}/\\x1b]0;title\\x07.log)\n"


RACE = """
import argparse, sys
from pathlib import Path
from spectui.protocol.events import Sampling
from spectui.cli import run
from spectui.sources.recording import Recorded, trace_name
from spectui.runtime.terminal import finish, owned_terminal
from spectui.sources.synthetic.source import Pace, SyntheticSource

options = argparse.Namespace(rounds=1, json=False)
made_up = SyntheticSource(sampling=Sampling(max_tokens=8, ignore_eos=True), pace=Pace())
source = Recorded(made_up, None, trace_name)
with owned_terminal(Path(sys.argv[1])) as terminal:
    finish(run._headless(source, options, terminal))
"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1:strict", "ascii"])
def test_a_race_without_a_screen_is_printed_in_its_reader_s_encoding(tmp_path: Path, encoding: str) -> None:
    done = race(tmp_path, subprocess.PIPE, encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    printed = done.stdout.decode(encoding.partition(":")[0])
    assert re.search(f"^ar +{'—' if encoding == 'utf-8' else '-'} +8 ", printed, re.MULTILINE)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_race_without_a_screen_onto_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with FULL.open("wb") as full:
        done = race(tmp_path, full.fileno(), "utf-8")
    assert done.returncode == 1
    expected = f"spectui: standard output: No space left on device (details in {tmp_path / 'run.log'})\n"
    assert done.stderr.decode() == expected


def race(folder: Path, out: int, encoding: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", RACE, str(folder / "run.log")],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=FAILSAFE_S,
    )
