"""Every private name of Textual that the program uses: what a new version of Textual breaks, it breaks here.

Functions read and call what is private; the base classes give it names of our own, for our subclasses to use and to
override. ``tests/ui/test_textual_private.py`` says which name has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.cells import cell_len, get_character_cell_size
from rich.color import ColorSystem
from rich.text import Text
from textual import _xterm_parser as xterm
from textual import events
from textual.app import App
from textual.command import CommandPalette
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region, Size
from textual.keys import _character_to_key
from textual.message import Message
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input


def key_of(character: str) -> str:
    """Textual's name of the key that writes ``character``."""
    return _character_to_key(character)


def driver_of(app: App[Any]) -> Driver | None:
    """What draws on the terminal; None before the app runs."""
    return app._driver


def colour_depth(app: App[Any]) -> ColorSystem | None:
    """How many colours the terminal has; None where it has none."""
    return app.console._color_system


def set_colour_depth(app: App[Any], depth: ColorSystem) -> None:
    """Draw with so many colours, whatever the terminal has."""
    app.console._color_system = depth


def places(screen: Screen[Any]) -> Mapping[Widget, tuple[Region, Region]]:
    """Where each visible widget lies, and what of that is in sight."""
    return screen._compositor.visible_widgets


def strips(screen: Screen[Any]) -> list[Strip]:
    """The whole screen, line by line."""
    return screen._compositor.render_strips()


def whole_screen(screen: Screen[Any]) -> str:
    """The whole screen as it would be sent to a terminal that shows nothing yet."""
    return screen._compositor.render_full_update().render_segments(screen.app.console)


def settled(screen: Screen[Any]) -> bool:
    """Whether Textual has nothing left to lay out, to repaint or to call afterwards."""
    return not (screen._layout_required or screen._dirty_widgets or screen._callbacks)


def stands(screen: Screen[Any]) -> bool:
    """Whether every widget is where it was: ``screen`` is in front, and no layout is due."""
    app = screen.app
    return screen is app.screen and not screen._layout_required and not app._batch_count and app._driver is not None


def send(app: App[Any], output: str) -> None:
    """Write to the terminal now, in one piece where it can show that."""
    driver = app._driver
    if driver is None or app.is_headless:
        return
    app._begin_update()
    driver.write(output)
    app._end_update()
    driver.flush()


class LineWidget(Widget):
    """A widget without border and padding."""

    @property
    def cells(self) -> Size:
        """Its size; the public property works the borders out anew, at a cost that counts for ten widgets a frame."""
        return self._size


class DrawnInput(Input):
    """A line that draws what `drawn` makes of its text, sign for character."""

    def drawn(self, text: str) -> str:
        """As many characters as ``text`` has."""
        raise NotImplementedError

    @property
    def _value(self) -> Text:
        return Text(self.drawn(self.value), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        return cell_len(self.drawn(self.value[:position]))

    def _cell_offset_to_index(self, offset: int) -> int:
        left = offset + self.scroll_offset.x
        for place, char in enumerate(self.drawn(self.value)):
            left -= get_character_cell_size(char)
            if left < 0:
                return place
        return len(self.value)


class Palette(CommandPalette):
    """Textual's command palette."""

    def move(self, action: str) -> None:
        """Move in the list of commands, as ``action`` of the list says."""
        super()._action_command_list(action)

    def _action_command_list(self, action: str) -> None:
        self.move(action)


class SequenceParser(xterm.XTermParser):
    """Textual's parser of what a terminal sends."""

    def is_answer(self, sequence: str) -> bool:
        """Whether a whole control sequence is a mouse report or an answer that Textual waits for."""
        answers = (xterm._re_in_band_window_resize, xterm._re_cursor_position, xterm._re_terminal_mode_response)
        return (
            sequence in xterm.SPECIAL_SEQUENCES
            or any(answer.fullmatch(sequence) for answer in answers)
            or xterm._re_mouse_event.match(sequence) is not None
        )

    def keys(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        """The keys that a whole sequence stands for."""
        return super()._sequence_to_key_events(sequence, alt)

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        return self.keys(sequence, alt)

    def wait_no_longer(self) -> Iterator[Message]:
        """What was fed means, if nothing more belongs to it."""
        if self._timeout_time is not None:
            self._timeout_time = 0.0
            yield from self.tick()


class BareDriver(LinuxDriver):
    """Textual's driver for a terminal, at its size when nobody gave another."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        if self._size is None:
            self._size = self.terminal_size()

    def terminal_size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        return super()._get_terminal_size()

    def _get_terminal_size(self) -> tuple[int, int]:
        return self.terminal_size()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The app's."""
        return self._loop

    @property
    def debugs(self) -> bool:
        """Whether what is read is to be logged."""
        return self._debug

    @property
    def draws(self) -> bool:
        """Whether application mode is on."""
        return self._writer_thread is not None

    @property
    def leaves(self) -> bool:
        """Whether the app ends."""
        return self._app._exit
