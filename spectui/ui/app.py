"""The application: wires a source, the mailbox, the frame timer and the screens. Decides nothing."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from spectui.core.state import RunState
from spectui.core.views import RunView
from spectui.places import config_folder
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.events import Event
from spectui.protocol.mailbox import Mailbox
from spectui.protocol.source import Source
from spectui.ui.action import talk_bindings
from spectui.ui.actions import ACTIONS
from spectui.ui.analyst import Analyst
from spectui.ui.controls import Choices, Controls
from spectui.ui.keymap import FILE as KEYMAP_FILE
from spectui.ui.keymap import Keymap, read_keymap, with_keys
from spectui.ui.known_run import KnownRun
from spectui.ui.log_tail import LOG_LINES, LogTail
from spectui.ui.paint.frames import FrameFigures, FrameTimer, LoopScheduler, Scheduler
from spectui.ui.paint.next_frame import NextFrame
from spectui.ui.paint.textual_private import colour_depth, driver_of
from spectui.ui.screens import opening
from spectui.ui.screens.live import LiveScreen
from spectui.ui.screens.panes import Panes
from spectui.ui.suspension import Suspension
from spectui.ui.talk.script import Script
from spectui.ui.talk.slow_motion import SlowMotion
from spectui.ui.talk.talking import Talking
from spectui.ui.theme.themed_app import ThemedApp

THEMES_S = 1.0
"""Time between two looks at the theme files."""


def _warm_up() -> None:
    """What the charts need, before the first of them has to be drawn in an engine's slot."""
    import plotext  # type: ignore[import-untyped]  # noqa: F401


class SpecTUIApp(ThemedApp):
    """The live race on the screen.

    Args:
        source: Where events come from; started after the first paint, told to shut down when the user quits. Whoever
            runs the app stops it afterwards.
        log_tail: The engine's log, None when there is none to show.
        theme: A theme's name; None takes the default, or the one without colours where ``NO_COLOR`` is set.
        mailbox: Where the source puts events.
        figures: Where the cost of frames is kept.
        scheduler: Makes the clock; the asyncio loop's when None.
        talk: Begins with the first round; None when none is given.
        own_keys: The user's keys; None reads the file of them.
        analyst: Analyses the run; one of a live run when None.
    """

    TITLE = "SpecTUI"
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True, id="program.quit_always"),
        Binding("ctrl+z", "suspend", show=False, priority=True, id="program.suspend_always"),
        Binding("S", "shot", show=False, id="program.shot"),
        *talk_bindings(),
    ]

    def __init__(
        self,
        source: Source,
        *,
        log_tail: LogTail | None = None,
        theme: str | None = None,
        mailbox: Mailbox | None = None,
        figures: FrameFigures | None = None,
        scheduler: Callable[[], Scheduler] = LoopScheduler,
        talk: Script | None = None,
        own_keys: Keymap | None = None,
        analyst: Analyst | None = None,
    ) -> None:
        super().__init__(theme)
        self.source = source
        self.log_tail: LogTail | None = log_tail
        self.choices = Choices()
        self.known = KnownRun(self.choices, self.now)
        self.lag_ms: float | None = None
        self._mailbox = Mailbox() if mailbox is None else mailbox
        self._figures = figures or FrameFigures()
        self._make_scheduler = scheduler
        self.slow = SlowMotion(source.send, lambda seconds, call: self._later(seconds, call), self.redraw)
        self.analyst = analyst or Analyst(live=True)
        self._controls = Controls(self)
        self.talking = None if talk is None else Talking(self, talk, self._controls)
        self._suspension = Suspension(source, lambda: self.known.view, self._draw_anew)
        self.next_frame = NextFrame(self.redraw)
        self.log_lines: deque[str] = deque(maxlen=LOG_LINES)
        self._started = self._ended = False
        self._now: Callable[[], float] = lambda: 0.0
        self._later: Callable[[float, Callable[[], None]], None]
        self.frames: FrameTimer
        self.live: LiveScreen
        self._own_keys = own_keys or read_keymap(config_folder() / KEYMAP_FILE, ACTIONS)
        self.actions = with_keys(ACTIONS, self._own_keys)
        """What can be done, with the keys as the user has them."""

    def get_default_screen(self) -> Screen[Any]:
        self.live = LiveScreen(self._controls, Panes(self.choices, self.slow, self.known.loading_s), self.actions)
        return self.live

    def on_mount(self) -> None:
        scheduler = self._make_scheduler()
        self._now, self._later = scheduler.now, scheduler.call_later
        self.analyst.attach(scheduler.call_threadsafe, self.redraw_all)
        self.set_keymap(dict(self._own_keys.keys))
        if self._suspension.serve(driver_of(self)):
            self.fit_to_colours(colour_depth(self))
        self.frames = FrameTimer(self._mailbox, self.source.slot, self, scheduler, self._frame_failed, self._figures)
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        self._started = True
        self.frames.start()
        self.source.start(self._mailbox)
        self._name_broken_themes()
        for fault in self._own_keys.faults:
            self.say(fault)
        self._later(THEMES_S, self._look_at_themes)
        self.call_after_refresh(_warm_up)
        self.call_after_refresh(self.analyst.warm_up)

    def on_unmount(self) -> None:
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.frames.stop()
            gc.unfreeze()
            self.source.send(cmd.Shutdown())

    def _frame_failed(self, error: Exception) -> None:
        """Let Textual end the program with a traceback, as it does for its own callbacks."""

        def fail() -> None:
            raise error

        self.call_later(fail)

    @property
    def state(self) -> RunState:
        """What the events so far come to."""
        return self.known.state

    @property
    def view(self) -> RunView:
        """The run as it is known now."""
        return self.slow.seen(self.known.view)

    @property
    def clocked(self) -> bool:
        return self.known.clocked or self.screen.has_class("clocked")

    def reduce(self, event: Event) -> None:
        self.known.fold(event)
        self.analyst.add(event)
        self.slow.see(event, self.state, self.choices.slot)
        if self.talking is not None:
            self.talking.see(event)
        if (opens := opening.opened_by(event)) is not None:
            self.call_later(self._open, opens)
        if isinstance(event, ev.RoundStarted) and event.round == 0:
            self._race_begins()

    def say(self, text: str) -> None:
        """What the source need not be asked about."""
        self.reduce(ev.Notice(text, level="warning"))
        self.frames.poke()

    def _race_begins(self) -> None:
        # How late the loop came while engines were built says nothing about the race.
        self._figures.lag_s.clear()
        # Modules, engines and widgets live to the end; walking over them costs the collector 50 ms and more each time.
        gc.freeze()

    def _open(self, opens: Callable[[Controls], None]) -> None:
        if self.screen is self.live:
            opens(self._controls)

    def present(self, slow: bool) -> None:
        """Let the screen in front show what moved."""
        if slow:
            lag = self._figures.lag_p99
            self.lag_ms = None if lag is None else lag * 1000
        self.slow.turn(self.known.view)
        if self.talking is not None:
            self.talking.turn(self.view)
        if present := getattr(self.screen, "present", None):
            self.next_frame.draw(self.screen, lambda: present(self.view, slow))

    def now(self) -> float:
        """Seconds of a monotonic clock."""
        return self._now()

    def call_after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` later, between two messages."""

        def due() -> None:
            self.call_later(callback)

        self._later(seconds, due)

    def on_key(self, event: events.Key) -> None:
        """Text for the prompt line. Here, because keys that were typed at once are behind ``/`` only in this queue."""
        if event.character is not None and event.is_printable and self._typed(event.character):
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        # Terminals send the ends of pasted lines as the Enter key would.
        self._typed(event.text.replace("\r\n", "\n").replace("\r", "\n"))

    def _typed(self, text: str) -> bool:
        line = self.screen.typing if isinstance(self.screen, LiveScreen) else None
        if line is not None:
            line.put(text)
        return line is not None

    def acts(self, action: str) -> None:
        """An action begins, named by its id: for whoever measures how late keys are."""

    def redraw(self) -> None:
        """Something of the panes changed: draw it in a frame."""
        if self._started:
            self.frames.poke()

    def redraw_all(self) -> None:
        """Something concerns the charts too: draw them in the next frame, not in half a second."""
        if self._started:
            self.frames.poke(slow=True)

    def _look_at_themes(self) -> None:
        """Show what changed in the theme files. Once a second and not a frame's work: it takes a few file dates."""
        if self._ended:
            return
        self._later(THEMES_S, self._look_at_themes)
        if self.follow_theme_files():
            self._name_broken_themes()
            self.redraw_all()

    def _name_broken_themes(self) -> None:
        if fault := self.take_theme_fault():
            self.say(fault)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        if isinstance(screen, LiveScreen):
            for action in self.actions:
                if action.palette and self._controls.possible(action):
                    yield SystemCommand(action.label, f"{action.description} ({action.shown})", screen.doing(action))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action.startswith("talk_"):
            return self.talking is not None and self.talking.takes(action)
        if action == "suspend":
            return self.can_suspend
        return super().check_action(action, parameters)

    def action_talk_pause(self) -> None:
        if self.talking is not None:
            self.talking.player.pause()

    def action_talk_next(self) -> None:
        if self.talking is not None:
            self.talking.player.next_scene()

    def action_talk_end(self) -> None:
        if self.talking is not None:
            self.talking.player.end()

    def show(self, screen: Screen[None]) -> None:
        """Put ``screen`` in front of the race, and draw all of it in the next frame."""
        self.push_screen(screen)
        self.frames.poke(slow=True)

    def action_shot(self) -> None:
        from spectui.ui.paint.picture import save

        self.say(save(self))

    def action_command_palette(self) -> None:
        from spectui.ui.screens.commands import Commands

        if not isinstance(self.screen, Commands):
            self.push_screen(Commands(id="--command-palette"))

    @property
    def can_suspend(self) -> bool:
        """Whether there is a shell to give the terminal back to."""
        return self._suspension.possible

    def action_suspend(self) -> None:
        self._suspension.begin(group=True)

    def _draw_anew(self) -> None:
        """Another program has had the terminal: nothing of ours is on it."""
        self.refresh(layout=True)
        self.redraw_all()

    async def action_quit(self) -> None:
        self._end()
        self.exit()
