"""What the terminal answers never becomes a key, however it comes; what a person types always does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser

from spectui.ui.paint.sequences import ESCAPE_S, PATIENCE_S, Pasted, Sequences, Typed
from spectui.ui.paint.terminal_driver import KeyParser
from tests.support.terminal import PtySession

ROOT = Path(__file__).parents[2]
ST, BELL = "\x1b\\", "\x07"
PARTS = ("1 AR  ", "paused 1x", "fibonacci", "#8", "stream chunks", "3.96 GB")
"""Of the screen, when all of it is drawn."""

ANSWERS = [
    "\x1b[?62;22c",  # device attributes
    "\x1b[?1;2c",
    "\x1b[>41;354;0c",
    f"\x1bP!|00000000{ST}",
    f"\x1b]10;rgb:d7d7/dede/e6e6{ST}",  # colours
    f"\x1b]11;rgb:0d0d/1111/1717{BELL}",
    f"\x1b]4;1;rgb:ffff/0000/0000{ST}",
    "\x1b[?1u",  # keyboard protocol
    "\x1b[?0u",
    "\x1b[>4;2m",
    f"\x1bP>|xterm.js(5.5.0){ST}",  # name and version
    f"\x1bP>|WezTerm 20240203-110809-5046fc22{ST}",
    "\x1b[?2026;2$y",  # modes
    "\x1b[?2048;0$y",
    "\x1b[12;2$y",
    "\x1b[24;80R",  # place of the cursor
    "\x1b[?24;80;1R",
    "\x1b[0n",  # status
    "\x1b[?997;1n",
    "\x1b[8;36;120t",  # sizes
    "\x1b[4;720;1200t",
    "\x1b[6;20;10t",
    "\x1b[?2;0;800;600S",
    "\x1b[2;1;1;128;128;1;0x",
    f"\x1bP1$r0m{ST}",  # settings
    f"\x1bP1+r524742=382f382f38{ST}",
    f"\x1b_Gi=31;OK{ST}",  # graphics
    f"\x1b]52;c;c3BlY3R1aQ=={ST}",  # clipboard
    f"\x1b]lq quit{ST}",  # title
    "\x1b[99999999999u",
]
KEYS = {
    "q": "q",
    "\r": "enter",
    "\t": "tab",
    "\x1a": "ctrl+z",
    "\x7f": "backspace",
    "é": "é",
    "\x1b[A": "up",
    "\x1bOB": "down",
    "\x1b[[A": "f1",
    "\x1bOP": "f1",
    "\x1b[15~": "f5",
    "\x1b[1;5C": "ctrl+right",
    "\x1b[5~": "pageup",
    "\x1b[7$": "shift+home",
    "\x1b[c": "shift+right",
    "\x1b[Z": "shift+tab",
    "\x1b[97;5u": "ctrl+a",
    "\x1b[122;5u": "ctrl+z",
    "\x1b[27u": "escape",
    "\x1b[46;;46u": "full_stop",
    "\x1bx": "alt+x",
    "\x1b]": "right_square_bracket",
}


def read(*pieces: str | float) -> list[events.Event]:
    """What becomes of pieces of input; a number is so many seconds of silence."""
    parser = KeyParser()
    sequences = Sequences(parser.knows)
    found: list[events.Event] = []

    def take(typed: list[Typed | Pasted]) -> None:
        for one in typed:
            if isinstance(one, Pasted):
                found.append(events.Paste(one.text))
            else:
                found.extend(parser.messages(one.text))  # type: ignore[arg-type]

    for piece in (*pieces, 9.0):
        if isinstance(piece, str):
            take(list(sequences.feed(piece)))
        elif sequences.patience_s is not None and piece >= sequences.patience_s:
            take(list(sequences.expire()))
    return found


def keys(*pieces: str | float) -> list[str]:
    return [event.key for event in read(*pieces) if isinstance(event, events.Key)]


@st.composite
def split(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(st.data())
def test_no_answer_ever_becomes_a_key(data: st.DataObject) -> None:
    answers = "".join(data.draw(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4)))
    assert keys(*data.draw(split(answers))) == []


@given(st.data())
def test_keys_between_answers_are_all_there(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(ANSWERS) | st.sampled_from(sorted(KEYS)), max_size=8))
    # Followed by one of these at once, they begin something else.
    parts = [part for part in parts if part not in ("\x1b]", "\x1b[7$")]
    assert keys(*data.draw(split("".join(parts)))) == [KEYS[part] for part in parts if part in KEYS]


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_breaks_off_is_no_key(answer: str) -> None:
    for end in range(3, len(answer)):
        assert keys(answer[:end], PATIENCE_S) in ([], ["shift+home"])


def test_keys_by_themselves() -> None:
    assert {typed: keys(typed) for typed in KEYS} == {typed: [key] for typed, key in KEYS.items()}


@pytest.mark.parametrize("sequence", sorted(ANSI_SEQUENCES_KEYS))
def test_every_key_that_textual_knows_is_as_before(sequence: str) -> None:
    parser = XTermParser()
    whole = list(parser.feed(sequence))
    if parser._timeout_time is not None:
        parser._timeout_time = 0.0
        whole += parser.tick()
    assert keys(sequence) == [event.key for event in whole if isinstance(event, events.Key)]


def test_escape_alone_is_answered_promptly_and_splits_nothing_else() -> None:
    sequences = Sequences(lambda sequence: True)
    assert list(sequences.feed("\x1b")) == []
    assert sequences.patience_s == ESCAPE_S
    assert list(sequences.expire()) == [Typed("\x1b")]
    assert sequences.patience_s is None
    assert keys("\x1b", ESCAPE_S, "q") == ["escape", "q"]
    assert keys("\x1b", 0.01, "[", 0.5, "A") == ["up"]
    assert keys("\x1b\x1b[A") == ["escape", "up"]
    assert keys("\x1b]11;rgb:", 0.5, "0000/0000/0000\x1b", 0.5, "\\", "q") == ["q"]
    assert keys("\x1b]11;rgb:", 0.5, "\x1b[A", "q") == ["up", "q"], "an answer that breaks off takes no key with it"


@given(st.text(st.characters(exclude_characters="\x00")), st.data())
def test_pasted_text_comes_whole(text: str, data: st.DataObject) -> None:
    if "\x1b[201~" in text:
        return
    found = read(*data.draw(split(f"a\x1b[200~{text}\x1b[201~b")))
    assert [event.text for event in found if isinstance(event, events.Paste)] == [text]
    assert [event.key for event in found if isinstance(event, events.Key)] == ["a", "b"]


def test_the_mouse_and_the_focus_go_on() -> None:
    kinds = [type(event) for event in read("\x1b[<0;10;5M", "\x1b[<0;10;5m", "\x1b[<64;1;1M", "\x1b[I", "\x1b[O")]
    assert kinds == [events.MouseDown, events.MouseUp, events.MouseScrollUp, events.AppFocus, events.AppBlur]
    assert keys("\x1b[M !!", "\x1b[M", "#qq", "q") == ["q"]
    assert [type(event) for event in read("\x1b[48;36;120;720;1200t")] == [events.Resize]


@pytest.mark.parametrize(
    ("code", "key", "character"),
    [
        *((57399 + digit, str(digit), str(digit)) for digit in range(10)),
        (57409, "full_stop", "."),
        (57410, "slash", "/"),
        (57411, "asterisk", "*"),
        (57412, "minus", "-"),
        (57413, "plus", "+"),
        (57414, "enter", "\r"),
        (57415, "equals_sign", "="),
        (57416, "comma", ","),
        (57417, "left", None),
        (57418, "right", None),
        (57419, "up", None),
        (57420, "down", None),
        (57421, "pageup", None),
        (57422, "pagedown", None),
        (57423, "home", None),
        (57424, "end", None),
        (57425, "insert", None),
        (57426, "delete", None),
    ],
)
def test_the_keypad_does_what_the_plain_keys_do(code: int, key: str, character: str | None) -> None:
    written = [] if character is None or key == "enter" else [f"\x1b[{code};129;{ord(character)}u"]
    for typed in (f"\x1b[{code}u", f"\x1b[{code};1u", *written):
        (found,) = read(typed)
        assert isinstance(found, events.Key)
        assert (found.key, found.character) in ((key, character), (key, None if typed.endswith(";1u") else character))
    assert keys(f"\x1b[{code};5u") == [f"ctrl+{key}"]


def test_a_keypad_that_writes_a_comma_is_a_comma() -> None:
    assert keys("\x1b[57409;;44u") == ["comma"]


def test_late_answers_and_bad_bytes_do_nothing_in_a_terminal(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "SPECTUI_LOG_DIR": str(tmp_path / "logs"), "COLUMNS": "50", "LINES": "20"}
    trace = ROOT / "demos" / "traces" / "coding.jsonl"
    argv = [sys.executable, "-m", "spectui", "replay", trace, "--at", "20"]
    with PtySession(argv, cols=120, rows=36, env=env) as session:
        before = session.wait_for(lambda rows: all(part in "\n".join(rows) for part in PARTS) and "q quit" in rows[35])
        for answer in ANSWERS:
            session.send(answer)
        session.send(b"\xff\xe9")
        session.send("\x1b]11;rgb:00")
        session.send("00/0000/0000\x1b")
        session.send("\\\x1b[?62;2")
        session.send("2c")
        session.send("?")
        session.wait_for("Colours")
        session.send("\x1b")
        assert session.wait_for("paused 1x")[1:] == before[1:]
        session.resize(100, 30)
        session.wait_for(lambda rows: "q quit" in rows[29], 10)
        session.send("\x1b[57409u")
        session.wait_for("#9 ")
        session.send("q")
        assert session.wait_exit() == 0
