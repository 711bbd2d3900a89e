"""What a terminal makes of a byte stream, for tests: pyte, made robust against what modern programs send."""

from __future__ import annotations

import copy
import re
from typing import Any

import pyte

ALTERNATE_SCREEN, CURSOR, WRAP, SYNCHRONIZED = 1049, 25, 7, 2026
_ALTERNATES = {47, 1047, ALTERNATE_SCREEN}
# Mouse (all kinds), focus reports, bracketed paste, synchronized output, in-band resize: off in a terminal at rest.
_OFF_AT_REST = {9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, SYNCHRONIZED, 2048} | _ALTERNATES

_SEQUENCE = re.compile(
    rb"\x1b\[([<=>?]?)([0-9;:]*)([ -/]*)([@-~])"  # CSI: prefix, parameters, intermediates, final byte
    rb"|\x1b[PX^_].*?\x1b\\"  # device control and other strings
    rb"|\x1b\].*?(?:\x07|\x1b\\)",  # operating system command
    re.DOTALL,
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[<=>?]?[0-9;:]*[ -/]*|[PX^_\]][^\x1b\x07]*\x1b?)?\Z")
_PLAIN_CSI = set(b"@ABCDEFGHJKLMPXade`fghlmr'")


class Emulator:
    """What a modern terminal makes of a byte stream: the visible cells, the modes, and its answers to queries.

    pyte draws the tail of sequences that it does not know (`CSI < u`, `CSI = 1 u`, `CSI ! p`, device control strings),
    takes `CSI > 4 m` for a colour and has no alternate screen: so only what it understands reaches it.
    """

    def __init__(self, cols: int, rows: int) -> None:
        self.screen = pyte.Screen(cols, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._held = b""
        self._main: tuple[Any, Any] | None = None
        self.modes: set[int] = {CURSOR, WRAP}
        """Private modes that are on."""
        self.keyboard_stack: dict[bool, int] = {False: 0, True: 0}
        """Entries of the kitty keyboard protocol, for the main (False) and the alternate (True) screen."""

    def feed(self, data: bytes) -> bytes:
        """Take output; return what a terminal would answer."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._held = data[end:]
        answers, start = [], 0
        for match in _SEQUENCE.finditer(data, 0, end):
            self._stream.feed(data[start : match.start()])
            start = match.end()
            if match[4] is not None:
                answers.append(self._control(match))
        self._stream.feed(data[start:end])
        return b"".join(answers)

    def _control(self, match: re.Match[bytes]) -> bytes:
        whole, prefix, parameters, between, final = match.group(0, 1, 2, 3, 4)
        numbers = [int(part or 0) for part in re.split(b"[;:]", parameters)]
        if prefix == b"?" and final in b"hl" and not between:
            for mode in numbers:
                self._set_mode(mode, final == b"h")
        elif final == b"u" and prefix in (b">", b"<"):
            alternate = self._main is not None
            change = 1 if prefix == b">" else -max(1, numbers[0])
            self.keyboard_stack[alternate] = max(0, self.keyboard_stack[alternate] + change)
        elif final == b"p" and between == b"$" and prefix == b"?":
            known = 0 if numbers[0] == 2048 else 1 if numbers[0] in self.modes else 2
            return b"\x1b[?%d;%d$y" % (numbers[0], known)
        elif final == b"q" and prefix == b">":
            return b"\x1bP>|emulator 1\x1b\\"
        elif final == b"u" and prefix == b"?":
            return b"\x1b[?0u"
        elif final == b"c" and not prefix:
            return b"\x1b[?62;22c"
        elif final == b"n" and not prefix and numbers[0] == 6:
            return b"\x1b[%d;%dR" % (self.screen.cursor.y + 1, self.screen.cursor.x + 1)
        elif (not prefix or (prefix == b"?" and final in b"JK")) and not between and final[0] in _PLAIN_CSI:
            self._stream.feed(whole.replace(b":", b";"))
        return b""

    def _set_mode(self, mode: int, on: bool) -> None:
        if mode in _ALTERNATES:
            self._show_alternate(on)
        (self.modes.add if on else self.modes.discard)(mode)
        if mode in (CURSOR, WRAP):
            self._stream.feed(b"\x1b[?%d%c" % (mode, b"h" if on else b"l"))

    def _show_alternate(self, on: bool) -> None:
        screen = self.screen
        if on and self._main is None:
            self._main = copy.deepcopy(dict(screen.buffer)), copy.copy(screen.cursor)
            screen.erase_in_display(2)
        elif not on and self._main is not None:
            lines, cursor = self._main
            self._main = None
            screen.buffer.clear()
            screen.buffer.update(lines)
            screen.cursor.x, screen.cursor.y = min(cursor.x, screen.columns - 1), min(cursor.y, screen.lines - 1)

    def rows(self) -> list[str]:
        """The visible text, one string a row, without trailing blanks; a wide character counts once."""
        screen = self.screen
        return ["".join(screen.buffer[y][x].data for x in range(screen.columns)).rstrip() for y in range(screen.lines)]

    def modes_restored(self) -> bool:
        """Whether the modes are those of a terminal at rest: main screen, cursor shown, no reports, plain colours."""
        return (
            not self.modes & _OFF_AT_REST
            and {CURSOR, WRAP} <= self.modes
            and not any(self.keyboard_stack.values())
            and self.screen.cursor.attrs == self.screen.default_char
        )
