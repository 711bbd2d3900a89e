"""Connects a talk to the app: when it plays, which keys it takes, and where its captions are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectui.core.views import RunView
from spectui.protocol.events import Event
from spectui.ui.controls import Controls
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.screens.lines import hints
from spectui.ui.screens.live import LiveScreen
from spectui.ui.screens.scrolling import ReaderScreen
from spectui.ui.talk.caption_line import CaptionLine
from spectui.ui.talk.performance import TalkPerformance
from spectui.ui.talk.player import TalkPlayer
from spectui.ui.talk.script import Script

if TYPE_CHECKING:
    from spectui.ui.app import SpecTUIApp


class Talking:
    """The talk that the app was started with."""

    def __init__(self, app: SpecTUIApp, talk: Script, controls: Controls) -> None:
        self._app = app
        performance = TalkPerformance(app, controls)
        self.player = TalkPlayer(talk, performance, app.now, app.call_after, app.redraw_all)

    def see(self, event: Event) -> None:
        self.player.see(event)

    def turn(self, view: RunView) -> None:
        """Called after a frame. A scene's acts ask for frames themselves, so they are not part of this one."""
        self._app.call_later(self._turn, view)

    def _turn(self, view: RunView) -> None:
        self.player.turn(view)
        self._caption_on_reader()

    def takes(self, action: str) -> bool:
        """Whether the key of ``action`` currently belongs to the talk."""
        screen = self._app.screen
        asking = isinstance(screen, LiveScreen) and (screen.typing is not None or screen.choosing is not None)
        return self.player.running and not asking

    @property
    def hints(self) -> Row:
        """What the talk's keys do, for the footer."""
        if not self.player.running:
            return EMPTY
        space = "resume the talk" if self.player.paused else "hold the talk"
        return hints(("Space", space), ("Enter", "next scene"), ("Esc", "end the talk"), ("q", "quit"))

    def show(self, line: CaptionLine, width: int) -> None:
        """Show the caption on ``line`` of a screen of ``width`` cells."""
        player = self.player
        progress = f"{'held  ' if player.paused else ''}{player.progress}"
        line.show(player.caption, progress, width)

    def _caption_on_reader(self) -> None:
        """Show the caption on a screen in front of the race too."""
        screen = self._app.screen
        if not isinstance(screen, ReaderScreen) or not screen.is_mounted:
            return
        lines = screen.query(CaptionLine)
        if lines:
            self.show(lines.first(), screen.size.width)
        elif self.player.running:
            screen.mount(CaptionLine(), before="#leave")
            self._app.call_after_refresh(self._caption_on_reader)
