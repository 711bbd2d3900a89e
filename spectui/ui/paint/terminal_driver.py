"""Textual's driver for a terminal, with what it lacks: the terminal's own size, answers that never become keys,
keypad keys that act like their plain keys, and a stop by the shell's job control after which the screen comes back
complete."""

from __future__ import annotations

import os
import selectors
import signal
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any

from textual import events
from textual.message import Message

from spectui.standstill import stand_still, stood_still
from spectui.ui.paint.sequences import Pasted, Sequences, Typed
from spectui.ui.paint.textual_private import BareDriver, SequenceParser, key_of

POLL_S = 0.1
"""Longest time after which the input thread checks whether it should end."""

LATE_S = 0.05
"""How much later than that it may check on a busy machine."""

AGAIN_S = 0.05
DEFAULT_SIZE = (80, 24)

KEYPAD = {
    **{digit: digit for digit in "0123456789"},
    "decimal": ".",
    "divide": "/",
    "multiply": "*",
    "subtract": "-",
    "add": "+",
    "equal": "=",
    "separator": ",",
}
"""The keypad's keys as the kitty keyboard protocol names them, and the characters they write."""


class KeyParser(SequenceParser):
    """Textual's parser, for one whole sequence at a time."""

    def knows(self, sequence: str) -> bool:
        """Whether a whole control sequence is a key, a mouse report or an answer that Textual waits for."""
        if self.is_answer(sequence):
            return True
        try:
            return any(True for _ in self.keys(sequence))
        except (ValueError, OverflowError):
            # A key given by the number of a character that does not exist.
            return False

    def messages(self, whole: str) -> Iterator[Message]:
        """Translate plain characters or one whole sequence into messages."""
        yield from self.feed(whole)
        yield from self.wait_no_longer()

    def keys(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        for key in super().keys(sequence, alt):
            yield plain_key(key) if sequence.startswith("\x1b[5") else key


def plain_key(key: events.Key) -> events.Key:
    """Turn a key of the keypad into the main block's key that writes the same character."""
    *modifiers, name = key.key.split("+")
    if name not in KEYPAD:
        return key
    written = key.character or KEYPAD[name]
    name = written if written.isalnum() else key_of(written)
    return events.Key("+".join((*modifiers, name)), None if modifiers else written)


class TerminalDriver(BareDriver):
    """Draws on the terminal and reads from it.

    Attributes:
        on_stop: Called on the loop when something outside asks the program to stop; it prepares for that and calls
            `stand_still`.
        on_return: Called on the loop when the terminal belongs to the program again.
    """

    def __init__(self, app: Any, **options: Any) -> None:
        # An ignored signal means that the program's starter wants it never to stop.
        self._never_stops = signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
        self.on_stop: Callable[[], None] = lambda: self.stand_still(group=False)
        self.on_return: Callable[[], None] = lambda: None
        self._away = self._unseen = False
        self._beat = perf_counter()
        super().__init__(app, **options)
        self._heed_signals()

    def terminal_size(self) -> tuple[int, int]:
        """The terminal's own size, whatever old size the environment names."""
        for stream in (sys.__stdin__, sys.__stderr__):
            with suppress(OSError, AttributeError):
                size = os.get_terminal_size(stream.fileno())  # type: ignore[union-attr]
                if size.columns and size.lines:
                    return size.columns, size.lines
        return DEFAULT_SIZE

    def run_input_thread(self) -> None:
        """Read input, and tell the application what was typed."""
        parser = KeyParser(self.debugs)
        sequences = Sequences(parser.knows)
        # A byte that is not UTF-8 must not end the input.
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            silent_since = perf_counter()
            while not self.exit_event.is_set():
                self._beat = now = perf_counter()
                patience_s = sequences.patience_s
                left_s = POLL_S if patience_s is None else silent_since + patience_s - now
                if selector.select(max(0.0, min(POLL_S, left_s))):
                    if not (data := os.read(self.fileno, 4096)):
                        return
                    self._tell(parser, sequences.feed(decode(data)))
                    silent_since = perf_counter()
                elif patience_s is not None and perf_counter() - silent_since >= patience_s:
                    self._tell(parser, sequences.expire())

    def _tell(self, parser: KeyParser, typed: Iterable[Typed | Pasted]) -> None:
        for one in typed:
            match one:
                case Pasted(text):
                    self.process_message(events.Paste(text.replace("\x00", "")))
                case Typed(text):
                    for message in parser.messages(text):
                        self.process_message(message)

    def write(self, data: str) -> None:
        """Draw; does nothing while the terminal belongs to the shell."""
        if not self._away:
            super().write(data)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        if not self._away and self.draws:
            super().stop_application_mode()

    def disable_input(self) -> None:
        """Stop reading; in the background there is nothing to read, and trying to would stop the process."""
        if not self._away:
            super().disable_input()

    @property
    def can_suspend(self) -> bool:
        return not self._never_stops

    def stand_still(self, *, group: bool) -> None:
        """Give the terminal back to the shell and stop; on the loop, with nothing to draw.

        Args:
            group: Whether to stop the whole foreground job.
        """
        self.suspend_application_mode()
        self._away = True
        self._stop(group)

    def _stop(self, group: bool) -> None:
        stand_still(group=group)
        # Not at once: a signal that arrived in the meantime may have asked for the end of the program.
        self.loop.call_later(AGAIN_S, self._come_back)

    def _come_back(self) -> None:
        if self.leaves:
            return
        if not self._in_foreground():
            # Continued in the background, where drawing would draw on another program's screen.
            self._stop(group=False)
            return
        self._away = False
        if self._unseen:
            # Nothing was switched off when the process stopped, and what is switched on twice would stay on at the end.
            self._unseen = False
            self.suspend_application_mode()
        self.start_application_mode()  # type: ignore[no-untyped-call]
        self.on_return()

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError:
            return True

    def _heed_signals(self) -> None:
        def stop(*_: object) -> None:
            self.loop.call_soon_threadsafe(self.on_stop)

        def continued(*_: object) -> None:
            if not self._away:
                # At once, because an engine step may end before the loop gets to run.
                stood_still(perf_counter() - self._beat - POLL_S - LATE_S)
                self.loop.call_soon_threadsafe(self._continued)

        signal.signal(signal.SIGTSTP, signal.SIG_IGN if self._never_stops else stop)
        signal.signal(signal.SIGCONT, continued)

    def _continued(self) -> None:
        """Take the terminal back after a stop by a signal that the process could not see; the shell has had it
        since."""
        if self._away or self.leaves:
            return
        self._away = self._unseen = True
        self._come_back()

    def close(self) -> None:
        """End the threads; an application that ends no longer handles these signals."""
        super().close()
        if self.leaves:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
