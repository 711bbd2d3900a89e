"""Tells a terminal's answers from what a person types, before either can become a key. Pure: no time, no terminal.

Terminals answer questions late, in pieces, and even to programs that have ended; a key parser that does not know an
answer reads its letters as keys. So the input is cut into whole sequences here: keys, mouse reports and the few
expected answers are passed on, and every other sequence is dropped, however it was split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

ESC, BELL = "\x1b", "\x07"
ESCAPE_S = 0.1
"""How long an Esc may turn out to be the beginning of a sequence."""

PATIENCE_S = 1.0
"""How long the rest of a sequence may take over a slow line."""

PASTE_BEGINS, PASTE_ENDS = f"{ESC}[200~", f"{ESC}[201~"

_STRINGS = {"]": frozenset("0123456789lL"), "P": frozenset("0123456789>!=?"), "_": frozenset("G")}
"""How answers that are strings of their own begin: OSC, DCS and the graphics protocol's APC. Without one of these
characters after it, the introducer is a key with Alt."""

_X10_MOUSE, _CONSOLE_KEY, _KEYPAD = f"{ESC}[M", f"{ESC}[[", f"{ESC}O"
_MORE = {_X10_MOUSE: 3, _CONSOLE_KEY: 1, _KEYPAD: 1}
"""Number of arbitrary characters that follow these."""


@dataclass(frozen=True, slots=True)
class Typed:
    """Plain characters, or one whole sequence that has a meaning."""

    text: str


@dataclass(frozen=True, slots=True)
class Pasted:
    """Text that was pasted in one piece."""

    text: str


class Sequences:
    """Cuts input into `Typed` and `Pasted`; answers are dropped.

    Args:
        known: Whether a whole sequence has a meaning for the caller.
    """

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._held = ""
        self._in_string = False
        self._pasted: str | None = None

    @property
    def patience_s(self) -> float | None:
        """Seconds without input after which `expire` must be called; None if nothing is held."""
        held = self._held
        if not held or self._pasted is not None:
            return None
        return ESCAPE_S if held in (ESC, _KEYPAD) or held.endswith("$") else PATIENCE_S

    def feed(self, text: str) -> Iterator[Typed | Pasted]:
        """Yields what becomes complete when ``text`` follows what is held."""
        start = 0
        while start < len(text):
            if self._pasted is not None:
                start, pasted = self._paste(text, start)
                if pasted is not None:
                    yield pasted
            elif not self._held:
                end = text.find(ESC, start)
                end = len(text) if end < 0 else end
                if end > start:
                    yield Typed(text[start:end])
                self._held = text[end : end + 1]
                start = end + 1
            else:
                yield from self._take(text[start])
                start += 1

    def expire(self) -> Iterator[Typed]:
        """Nothing followed in time: what is held is a key by itself, or the beginning of an answer that broke off."""
        held = self._held
        alone = held in (ESC, _KEYPAD) or (len(held) == 2 and not self._in_string)
        if alone or (held.endswith("$") and self._known(held)):
            yield Typed(held)
        self._forget()

    def _forget(self) -> None:
        self._held, self._in_string = "", False

    def _paste(self, text: str, start: int) -> tuple[int, Pasted | None]:
        """Take pasted text up to its end; returns the position after what was taken."""
        assert self._pasted is not None
        # The end marker may be split too, so the search begins a little before the new text.
        begin = max(0, len(self._pasted) - len(PASTE_ENDS) + 1)
        before = len(self._pasted)
        self._pasted += text[start:]
        end = self._pasted.find(PASTE_ENDS, begin)
        if end < 0:
            return len(text), None
        pasted, self._pasted = Pasted(self._pasted[:end]), None
        return start + end + len(PASTE_ENDS) - before, pasted

    def _take(self, char: str) -> Iterator[Typed]:
        held = self._held
        if self._in_string:
            yield from self._string(char)
        elif held == ESC:
            yield from self._second(char)
        elif held[1] in _STRINGS:
            if char in _STRINGS[held[1]]:
                self._in_string = True
                self._held += char
            else:
                yield from self._break_off(char)
        elif opening := next((opening for opening in _MORE if held.startswith(opening)), None):
            self._held += char
            if len(self._held) == len(opening) + _MORE[opening]:
                yield Typed(self._held)
                self._forget()
        else:
            yield from self._control(char)

    def _second(self, char: str) -> Iterator[Typed]:
        """Take the character after Esc."""
        if char == ESC:
            yield Typed(ESC)
        elif char in "[O" or char in _STRINGS:
            self._held += char
        else:
            yield Typed(ESC + char)
            self._forget()

    def _string(self, char: str) -> Iterator[Typed]:
        ending = self._held.endswith(ESC)
        if char in (BELL, "\x9c") or (ending and char == "\\"):
            self._forget()
        elif ending or (char < " " and char != ESC):
            # This is not its end: the string broke off, and something else has begun.
            self._forget()
            if ending:
                self._held = ESC
                yield from self._take(char)
            else:
                yield Typed(char)
        elif char == ESC:
            self._held += ESC

    def _control(self, char: str) -> Iterator[Typed]:
        """Take a character of a control sequence: digits and signs, then a letter that ends it."""
        if " " <= char <= "?" and not (self._held.endswith("$") and self._known(self._held)):
            self._held += char
        elif "@" <= char <= "~" and (char == "y" or not self._held.endswith("$")):
            self._held += char
            if self._held == PASTE_BEGINS:
                self._pasted = ""
                self._forget()
            elif self._held not in _MORE:
                if self._known(self._held):
                    yield Typed(self._held)
                self._forget()
        else:
            yield from self._break_off(char)

    def _break_off(self, char: str) -> Iterator[Typed]:
        """End what is held: ``char`` is not part of it, and begins something new."""
        yield from self.expire()
        if char == ESC:
            self._held = ESC
        else:
            yield Typed(char)
