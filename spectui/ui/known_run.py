"""The run as the screen knows it: events folded into a state, the user's choices kept fit for it, and views of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from spectui.core.attached.views import RequestRow
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import LaneView, RunView, Viewer
from spectui.protocol import events as ev
from spectui.protocol.events import Event
from spectui.protocol.playback import Playhead, StateReplaced
from spectui.ui.controls import Choices
from spectui.ui.loading_times import LoadingTimes
from spectui.ui.screens.message import NOTICE_S
from spectui.ui.server_times import ServerTimes

_NEWS = ("notice", "notices", "fault", "inspected", "recording", "tuning")
"""What is shown of a run while its servers' figures are held: what the user asked for, and what ends it."""

NO_SLOT = -1
"""No request has it."""


class KnownRun:
    """Takes in what the source says.

    Args:
        choices: What the user chose.
        now: The clock of what the screen shows a time of.
    """

    def __init__(self, choices: Choices, now: Callable[[], float]) -> None:
        self.state = RunState()
        self._choices = choices
        self._now = now
        self._viewer = Viewer(self.state)
        self._loading = LoadingTimes()
        self._notice_at: float | None = None
        self._servers = ServerTimes()
        self._held: RunView | None = None
        self._seen: tuple[int, object, bool, RunView, RunView] | None = None

    @property
    def view(self) -> RunView:
        """The run as the source has it, which stands still in slow motion."""
        self._viewer.slot = self._choices.slot
        view = self._viewer.read()
        return view if view.attached is None else self._attached(view)

    def _attached(self, view: RunView) -> RunView:
        """The view of servers, with the request that is looked at; the same one as long as it is held."""
        chosen = self._choices.look.chosen
        if self._seen is None or self._seen[:3] != (id(view), chosen, self._choices.held):
            seen = self._seen_anew(view)
            # The view that it was made from is kept: no other one can get its id meanwhile.
            view = self._viewer.read()
            self._seen = (id(view), self._choices.look.chosen, self._choices.held, view, seen)
        return self._seen[-1]

    def _seen_anew(self, view: RunView) -> RunView:
        held = self._held if self._choices.held else None
        if held is not None and not self._look_at(held):
            if any(getattr(held, name) != getattr(view, name) for name in _NEWS):
                self._held = held = replace(held, **{name: getattr(view, name) for name in _NEWS})
            return held
        self._look_at(view)
        self._viewer.slot = self._choices.slot
        view = self._viewer.read()
        self._held = replace(view, paused=True) if self._choices.held else None
        return self._held or view

    def _look_at(self, view: RunView) -> bool:
        """Keep the request that is looked at fit for ``view``; whether another one is to be shown."""
        choices, attached = self._choices, view.attached
        entry = None if attached is None else choices.look.turn(attached)
        if entry is not None:
            places = (place for place, lane in enumerate(view.lanes) if lane.info.name == entry.lane)
            choices.focus = next(places, choices.focus)
        slot = entry.slot if isinstance(entry, RequestRow) else NO_SLOT
        before, choices.slot = choices.slot, slot
        return slot != before

    @property
    def clocked(self) -> bool:
        """Whether something about it changes on the screen with time alone."""
        return self._loading.going_on or self._servers.going_on or (self.notice_age_s or NOTICE_S + 1) < NOTICE_S + 1

    @property
    def notice_age_s(self) -> float | None:
        """Seconds since the last notice."""
        return None if self._notice_at is None else self._now() - self._notice_at

    @property
    def notice_news(self) -> bool:
        """Whether the last notice is still shown."""
        return self.notice_age_s is not None and self.notice_age_s < NOTICE_S

    def loading_s(self, lane: LaneView) -> float | None:
        """Whole seconds since the lane began to load, None unless it is loading."""
        return self._loading.seconds(lane.info.name, self._now())

    @property
    def away_s(self) -> Mapping[str, float]:
        """Whole seconds for which endpoints have not been live."""
        return self._servers.away_s(self._now())

    @property
    def ended_s(self) -> float | None:
        """Whole seconds since a request ended; None if none has."""
        return self._servers.ended_s(self._now())

    def fold(self, event: Event) -> None:
        """Fold one event into the state, and note when it came where the screen shows a time."""
        if isinstance(event, StateReplaced):
            if not self.state.lanes:
                self._choices.begin(tuple(lane.info for lane in event.state.lanes.values()))
            self.state = event.state
            self._viewer = Viewer(self.state)
            self._choices.keep_slot_in(event.state.prompts)
            return
        standing = self._standing
        reduce(self.state, event)
        match event:
            case ev.LaneStage(lane, stage):
                self._loading.note(lane, stage, self._now())
            case ev.Notice():
                self._notice_at = self._now()
                self._choices.answered()
            case ev.LaneChecked() if event.warning:
                self._notice_at = self._now()
            case ev.KChanged() | ev.Paused():
                self._choices.answered()
            case Playhead() if standing != self._standing:
                self._choices.answered()
            case ev.ServerState(lane, stage):
                self._servers.note(lane, stage, self._now())
            case ev.RequestFinished() if self.state.started is not None and self.state.started.attached:
                self._servers.note_end(self._now())
            case ev.RunStarted():
                self._choices.begin(event.lanes)
            case ev.RoundStarted():
                self._choices.keep_slot_in(event.prompts)

    @property
    def _standing(self) -> bool:
        """Whether a replay stands still."""
        return self.state.playhead is not None and self.state.playhead.paused
