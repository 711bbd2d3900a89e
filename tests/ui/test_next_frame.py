"""A canvas asks for its own place in the next frame, and is drawn there once."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.screen import Screen

from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.next_frame import NextFrame
from spectui.ui.paint.rows import Row
from spectui.ui.theme import themes


class Word(Canvas):
    """One word, and how often it was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.word, self.drawn = "first", 0

    def say(self, word: str) -> None:
        self.word = word
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        self.drawn += 1
        return [((self.word, "text"),)]


class Host(App[None]):
    palette = themes.find("midnight").palette

    def __init__(self) -> None:
        super().__init__()
        self.word = Word()
        self.asked = 0
        self.next_frame = NextFrame(self._ask)

    def _ask(self) -> None:
        self.asked += 1

    def compose(self) -> ComposeResult:
        yield self.word

    def seen(self) -> str:
        return self.word.render_line(0).text.rstrip()


async def test_what_changes_between_two_frames_asks_for_one_and_is_drawn_once() -> None:
    app = Host()
    async with app.run_test(size=(20, 4)):
        drawn = app.word.drawn
        app.word.say("second")
        app.word.say("third")
        assert app.asked == 2
        assert app.word.drawn == drawn
        app.next_frame.draw(app.screen, lambda: None)
        assert app.seen() == "third"
        assert app.word.drawn == drawn + 1
        app.next_frame.draw(app.screen, lambda: None)
        assert app.word.drawn == drawn + 1


async def test_what_a_frame_changes_is_drawn_in_it_and_asks_for_no_other() -> None:
    app = Host()
    async with app.run_test(size=(20, 4)):
        drawn = app.word.drawn

        def show() -> None:
            app.word.say("second")
            app.word.say("third")

        app.next_frame.draw(app.screen, show)
        assert app.seen() == "third"
        assert app.word.drawn == drawn + 1
        assert app.asked == 0


async def test_a_frame_that_fails_leaves_the_next_one_asked_for() -> None:
    app = Host()
    async with app.run_test(size=(20, 4)):

        def fail() -> None:
            raise ValueError

        try:
            app.next_frame.draw(app.screen, fail)
        except ValueError:
            app.word.say("second")
        assert app.asked == 1


async def test_what_is_behind_another_screen_is_drawn_when_it_comes_back() -> None:
    app = Host()
    async with app.run_test(size=(20, 4)) as pilot:
        behind, drawn = app.screen, app.word.drawn
        await app.push_screen(Screen())
        app.word.say("second")
        app.next_frame.draw(app.screen, lambda: None)
        assert app.word.drawn == drawn
        app.pop_screen()
        await pilot.pause()
        app.next_frame.draw(behind, lambda: None)
        assert app.seen() == "second"


async def test_what_has_gone_is_not_drawn() -> None:
    app = Host()
    async with app.run_test(size=(20, 4)):
        drawn = app.word.drawn
        app.word.say("second")
        await app.word.remove()
        app.next_frame.draw(app.screen, lambda: None)
        app.word.say("third")
        assert app.word.drawn == drawn
