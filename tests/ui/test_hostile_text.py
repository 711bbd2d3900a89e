"""Whatever a model writes stays in the cells of the widget that shows it.

The file runs itself as a small program in a pseudo-terminal: pane head, token stream, ledger and status line with
hostile text, inside a frame of known cells. An emulator reads the real byte stream.
"""

from __future__ import annotations

import random
import sys
import unicodedata
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pyte
import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import RunView, Viewer
from spectui.protocol import events as ev
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.next_frame import NextFrame
from spectui.ui.paint.rows import Row, fit, plain, row_width
from spectui.ui.paint.wrapping import wrapped
from spectui.ui.theme import themes
from spectui.ui.theme.palette import WRITTEN
from spectui.ui.widgets.acceptance_chart import acceptance_rows
from spectui.ui.widgets.histogram_chart import histogram_rows
from spectui.ui.widgets.ledger import Ledger, ledger_rows
from spectui.ui.widgets.pane_head import PaneHead, PaneState, lane_message, pane_head_rows
from spectui.ui.widgets.status import StatusLine, status_rows
from spectui.ui.widgets.throughput_chart import throughput_rows
from spectui.ui.widgets.token_stream import TokenStream, stream_rows
from tests.support.terminal import PtySession

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 80, 24
LEFT, RIGHT, ABOVE = 3, 4, 1
INSIDE = WIDTH - LEFT - RIGHT
STATUS, HEAD, LEDGER = 1, 4, 4
STREAM = HEIGHT - ABOVE - STATUS - HEAD - LEDGER - 1
PER_FRAME = 20
FRAMES = 100

MARKUP = (
    "[red]",
    "[/INST]",
    "[b]x[/]",
    "[link=file:///etc/passwd]x",
    "\\[",
    "[@click=app.quit]q[/]",
    "[[",
    "]]",
    "{{",
    "$x",
)
ESCAPES = (
    "\x1b[2J", "\x1b[H", "\x1b[31;1m", "\x1b[?1049l", "\x1b[999A", "\x1b[5M", "\x1b[?25h", "\x1b[6n", "\x1bc", "\x1b(0",
    "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x1b]8;;http://x\x1b\\x", "\x1bP0;1|x\x1b\\", "\x1b_Gx\x1b\\",
    "\x1b", "\x1b#8", "\x1b[1;1H\x1b[K", "\x1b[3g\t", "\x1b[r",
    "\x9b2J", "\x9d0;t\x9c", "\x90x\x9c", "\x84\x85\x8d", "\x0e\x0f",
)  # fmt: skip
ZERO_WIDTH = tuple("\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u2063\ufe0e\ufe0f\U000e0041\U000e0100\u115f\u3164")
WIDE = (
    "漢字",
    "한국어",
    "\uff46\uff55\uff4c\uff4c",
    "\u3000",
    "🎉",
    "👩\u200d👩\u200d👧",
    "👍🏽",
    "🇩🇪",
    "1\ufe0f\u20e3",
    "❤\ufe0f",
    "\u1100\u1161\u11a8",
    "𠀀",
)
COMBINING = (
    "e\u0301",
    "\u0301",
    "a" + "\u0316\u0317\u0301" * 9,
    "\u20dd",
    "ก\u0e34\u0e48",
    "हिन्दी",
    "\u0489",
    "நி",
    "x\u0338 \u0308",
)
RTL = ("שלום", "العربية", "\u202egnp.exe", "\u2067x\u2069", "\u061c1\u200f2", "ﷺ", "١٢٣", "\u202bab\u202c")
LOST = (
    "\ud800",
    "\udfff",
    "\udc80\udcff",
    "\ue000",
    "\U0010ffff",
    "\ufffe",
    "\uffff",
    "\U000f0000",
    "\u0378",
    "\u2028\u2029",
)
PLAIN = (" the", "def", " f(x):", "\n", "\r\n", "\t", "    ", "_", " ", "return", "\n\n", "x" * 30, " " * 20)


def _control(dice: random.Random) -> str:
    return chr(dice.choice([*range(32), *range(0x7F, 0xA0)]))


def _half(dice: random.Random) -> str:
    """The pieces of a character that a token boundary split."""
    data = dice.choice(("é", "漢", "🎉", "العربية")).encode()
    cut = dice.randrange(1, len(data))
    part = data[:cut] if dice.random() < 0.5 else data[cut:]
    return part.decode(errors=dice.choice(("replace", "surrogateescape")))


def _any(dice: random.Random) -> str:
    return chr(dice.randrange(0x110000 if dice.random() < 0.3 else 0x3000))


def _one_of(choices: tuple[str, ...]) -> Callable[[random.Random], str]:
    return lambda dice: dice.choice(choices)


MAKERS = (
    *map(_one_of, (MARKUP, ESCAPES, ZERO_WIDTH, WIDE, COMBINING, RTL, LOST, PLAIN)),
    _control,
    _half,
    _any,
)


def hostile(number: int) -> str:
    """The ``number``-th string: one to six pieces of one or several kinds."""
    dice = random.Random(number)
    kinds = [dice.choice(MAKERS) for _ in range(dice.choice((1, 1, 2, 4)))]
    return "".join(dice.choice(kinds)(dice) for _ in range(dice.randint(1, 6)))


def frame_view(frame: int) -> RunView:
    """A run whose every text is hostile: model, category, lane, note, notice and tokens."""
    texts = [hostile(frame * PER_FRAME + index) for index in range(PER_FRAME)]
    lane = ev.LaneInfo("x", "x", texts[0], 4, "x", note=texts[1])
    state = RunState()
    sampling = ev.Sampling()
    reduce(state, ev.RunStarted(texts[2], (lane,), sampling))
    stage = ev.LaneStage("x", "ready") if frame % 5 else ev.LaneStage("x", "failed", "".join(texts[4:]))
    reduce(state, stage)
    reduce(state, ev.RoundStarted(0, (ev.Prompt("p", texts[3]),), sampling))
    reduce(state, ev.RequestStarted("x", "r", 0, 1))
    for index in range(4):
        part = texts[4 + index * 4 : 8 + index * 4]
        accepted = (frame + index) % 3
        emitted = (*part[:accepted], part[3]) if index < 3 else (part[0],)
        cut = () if index < 3 else tuple(part[1:])
        reduce(
            state,
            ev.Step(
                "x", "r", 0, index, 4, (1, 2, 3), accepted if index < 3 else 3, (1,) * len(emitted), (1,) * len(cut),
                "recovered" if index < 3 else None, None if index < 3 else "length", (*emitted, *cut), tuple(part[:3]),
                1, 10**7, (index + 1) * 10**7,
            ),
        )  # fmt: skip
    return Viewer(state).read()


def outside(x: int, y: int) -> str:
    """The cell that nothing may touch."""
    return "+-|.:"[(x * 7 + y * 3) % 5]


class Frame(Canvas):
    """Known cells beside the widgets."""

    def __init__(self, left: int, above: int) -> None:
        super().__init__()
        self._left, self._above = left, above

    def rows(self, width: int, height: int) -> list[Row]:
        cells = [[outside(self._left + x, self._above + y) for x in range(width)] for y in range(height)]
        return [(("".join(row), "muted"),) for row in cells]


class Counter(Canvas):
    """The last row: which frame is shown, so that the test knows when to look."""

    number = -1

    def rows(self, width: int, height: int) -> list[Row]:
        return [((f"frame {self.number};", "text"),)]


class Hostile(App[None]):
    """Shows the next frame at each key."""

    CSS = """
    .row { height: 1fr; }
    .left { width: 3; }
    .right { width: 4; }
    .line { height: 1; }
    """
    palette = themes.find("midnight").palette

    def __init__(self) -> None:
        super().__init__()
        self.status, self.head, self.stream, self.ledger = StatusLine(), PaneHead(), TokenStream(), Ledger()
        self.head.styles.height, self.ledger.styles.height = HEAD, LEDGER
        self.counter = Counter(classes="line")
        self.next_frame = NextFrame(lambda: None)

    def compose(self) -> ComposeResult:
        above = Frame(0, 0)
        left, right = Frame(0, ABOVE), Frame(WIDTH - RIGHT, ABOVE)
        above.add_class("line")
        left.add_class("left")
        right.add_class("right")
        yield above
        with Horizontal(classes="row"):
            yield left
            with Vertical():
                yield from (self.status, self.head, self.stream, self.ledger)
            yield right
        yield self.counter

    def on_key(self, event: events.Key) -> None:
        event.stop()
        self.counter.number += 1
        # Now and then through the compositor, as after a resize or under a dialog.
        with self.batch_update() if self.counter.number % 10 == 0 else nullcontext():
            self.next_frame.draw(self.screen, self._show)

    def _show(self) -> None:
        view = frame_view(self.counter.number)
        (lane,) = view.lanes
        state = PaneState(1)
        self.status.show(view)
        self.head.show(lane, state)
        self.stream.show(lane.stream, lane_message(lane, state))
        self.ledger.show(lane)
        self.counter.redraw()


def expected(view: RunView) -> list[str]:
    """The cells inside the frame."""
    (lane,) = view.lanes
    message = lane_message(lane, PaneState(1))
    assert lane.stream is not None
    stream = wrapped(message, INSIDE)[:STREAM] if message else stream_rows(lane.stream.log, INSIDE)[-STREAM:]
    parts = (
        (status_rows(view, INSIDE, STATUS), STATUS),
        (pane_head_rows(lane, PaneState(1), INSIDE, HEAD), HEAD),
        (stream, STREAM),
        (ledger_rows(lane, INSIDE, LEDGER), LEDGER),
    )
    rows = [row for part, height in parts for row in [*part, *[()] * (height - len(part))]]
    return [unicodedata.normalize("NFC", plain(fit(row, INSIDE))) for row in rows]


def test_hostile_text_stays_in_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    # pyte forgets the rest of a text behind a mark without a combining class, such as Thai vowels; terminals do not.
    marks = SimpleNamespace(
        combining=lambda char: unicodedata.category(char) in ("Mn", "Me"), normalize=unicodedata.normalize
    )
    monkeypatch.setattr(pyte.screens, "unicodedata", marks)
    program = [sys.executable, "-m", "tests.ui.test_hostile_text"]
    with PtySession(program, cols=WIDTH, rows=HEIGHT, cwd=ROOT) as session:
        screen = session.emulator.screen
        for frame in range(FRAMES):
            session.send(" ") if frame else _first_key(session)
            session.wait_for(f"frame {frame};")
            buffer = screen.buffer
            cells = [[buffer[y][x].data for x in range(WIDTH)] for y in range(HEIGHT)]
            touched = [
                (x, y)
                for y in range(HEIGHT - 1)
                for x in range(WIDTH)
                if not (y >= ABOVE and LEFT <= x < WIDTH - RIGHT) and cells[y][x] != outside(x, y)
            ]
            assert touched == [], frame
            inside = ["".join(row[LEFT : WIDTH - RIGHT]) for row in cells[ABOVE : HEIGHT - 1]]
            assert [unicodedata.normalize("NFC", row) for row in inside] == expected(frame_view(frame)), frame
        assert session.exit_code is None


def _first_key(session: PtySession) -> None:
    """The program takes keys when its frame of cells is up."""
    session.wait_for("".join(outside(x, 0) for x in range(WIDTH)))
    session.send(" ")


def all_rows(view: RunView, width: int, height: int) -> list[Row]:
    (lane,) = view.lanes
    assert lane.stream is not None
    pane = PaneState(1, elapsed_s=1.0)
    return [
        *status_rows(view, width, 1),
        *pane_head_rows(lane, pane, width, height),
        *wrapped(lane_message(lane, pane), width),
        *stream_rows(lane.stream.log, width),
        *stream_rows(lane.stream.log, width, rejected="none", signs=WRITTEN),
        *ledger_rows(lane, width, height, signs=WRITTEN if height % 2 == 0 else frozenset()),
        *acceptance_rows(lane, width, height),
        *histogram_rows(lane, width, height),
        *throughput_rows([lane], width, height),
    ]


def test_no_widget_lets_an_unsafe_character_through() -> None:
    for frame in range(FRAMES):
        view = frame_view(frame)
        for width, height in ((INSIDE, 8), (38, 4), (12, 2)):
            for row in all_rows(view, width, height):
                text = plain(fit(row, width))
                assert row_width(fit(row, width)) == width
                unsafe = {unicodedata.category(char) for char in text} & {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
                assert not unsafe, (frame, text)


if __name__ == "__main__":
    Hostile().run()
