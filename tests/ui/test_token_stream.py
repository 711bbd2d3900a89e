"""The token stream: lines that do not depend on how tokens came, follow the end, and stay cheap."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult

from spectui.core.tokens import Role, Token, TokenLog
from spectui.core.views import StreamView
from spectui.ui.paint.cells import safe
from spectui.ui.paint.next_frame import NextFrame
from spectui.ui.paint.rows import Row, plain, row_width
from spectui.ui.theme import themes
from spectui.ui.theme.palette import WRITTEN
from spectui.ui.widgets.stream_layout import Rejected, StreamLayout
from spectui.ui.widgets.token_stream import RELAYOUT_TOKENS, TokenStream, stream_rows
from tests.support.effort import lines_run

PLAIN, ACCEPTED, REJECTED = Role.PLAIN, Role.ACCEPTED, Role.REJECTED
RECOVERED, BONUS, PENDING, CUT = Role.RECOVERED, Role.BONUS, Role.PENDING, Role.CUT
OUTPUT = (PLAIN, ACCEPTED, RECOVERED, BONUS)

ROLES = st.sampled_from(list(Role))
HOSTILE = st.text(st.one_of(st.sampled_from("ab \n\t\x1b\u0301\u0302\u200b漢👍\ud800"), st.characters()), max_size=12)
TOKENS = st.lists(st.tuples(HOSTILE, ROLES), max_size=60)
REJECTED_SHOWN = st.sampled_from(["none", "first", "all"])
SIGNS = st.frozensets(st.sampled_from(sorted(WRITTEN)))
WORDS = st.lists(st.tuples(st.text("abcde   \n漢字", max_size=9), st.sampled_from(OUTPUT)), max_size=60)


def log_of(*tokens: Token | str) -> TokenLog:
    log = TokenLog()
    for token in tokens:
        text, role = (token, PLAIN) if isinstance(token, str) else token
        log.append(text, role)
    return log


def texts(rows: Sequence[Row]) -> list[str]:
    return [plain(row) for row in rows]


def lines(*tokens: Token | str, width: int = 12, rejected: Rejected = "all", signs: bool = False) -> list[str]:
    return texts(stream_rows(log_of(*tokens), width, rejected, WRITTEN if signs else frozenset()))


# Where lines break


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        ((), [""]),
        (("one", " two", " three"), ["one two ", "three"]),
        (("one two three four",), ["one two ", "three four"]),
        (("exactly ", "one l", "ine"), ["exactly one ", "line"]),
        (("twelve cells", " and", " more"), ["twelve cells", "and more"]),
        (("twelve cells", "   ", "and"), ["twelve cells", "and"]),
        (("a\nb\n", "\n", "c"), ["a", "b", "", "c"]),
        (("def f():\n", "    return", " None"), ["def f():", "    return ", "None"]),
        (("a", " verylongwordwithoutaspace"), ["a verylongwo", "rdwithoutasp", "ace"]),
        (("eightabc", " verylong"), ["eightabc ", "verylong"]),
        (("漢字" * 7,), ["漢字" * 3, "漢字" * 3, "漢字"]),
        (("abc漢字漢字漢",), ["abc漢字漢字", "漢"]),
        (("x" * 12, "\n", "y"), ["x" * 12, "y"]),
        (("\tx",), ["    x"]),
        ((" " * 30, "x"), [" " * 12, "x"]),
    ],
)
def test_lines(tokens: tuple[str, ...], shown: list[str]) -> None:
    assert lines(*tokens) == shown


def test_each_token_has_the_style_of_its_role_and_neighbours_share_a_span() -> None:
    log = log_of(
        ("for", ACCEPTED), (" i", ACCEPTED), (" of", REJECTED), (" in", RECOVERED), (" x", BONUS), (":\n", PLAIN)
    )
    assert stream_rows(log, 40) == [
        (
            ("for i", "role.accepted"),
            (" of", "role.rejected"),
            (" in", "role.recovered"),
            (" x", "role.bonus"),
            (":", "role.plain"),
        ),
        (),
    ]


def test_only_output_breaks_lines() -> None:
    assert lines(("a\n", REJECTED), ("b\n", RECOVERED), ("c\n", CUT)) == ["a↵b", "«c↵»"]


def test_rejected_drafts_can_be_left_out() -> None:
    tokens = (("if", ACCEPTED), (" the", REJECTED), (" a", REJECTED), (" x", RECOVERED))
    assert lines(*tokens, rejected="none") == ["if x"]


@pytest.mark.parametrize(
    ("signs", "shown"),
    [(False, ["if the+2 x +1"]), (True, ["if[ the+2] x⁺ +1"])],
)
def test_of_a_long_rejected_draft_the_first_token_and_a_count_are_shown(signs: bool, shown: list[str]) -> None:
    tokens = [("if", ACCEPTED), *((text, REJECTED) for text in (" the", "\n", " a")), (" x", RECOVERED), (" +1", BONUS)]
    assert lines(*tokens, width=40, rejected="first", signs=signs) == shown
    assert lines(*tokens[:2], *tokens[4:], width=40, rejected="first") == ["if the x +1"]
    assert lines(*tokens[:4], width=40, rejected="first") == ["if the+2"]


@pytest.mark.parametrize("signs", [False, True])
def test_what_a_fork_began_with_is_told_apart_in_every_theme(signs: bool) -> None:
    kept, put = ("There are", Role.KEPT), (" 7", Role.PUT)
    assert lines(kept, put, (" left", ACCEPTED), width=40, signs=signs) == ["There are‹ 7› left"]  # noqa: RUF001
    assert lines(kept, ("", ACCEPTED), (" é", ACCEPTED), width=40, signs=signs) == ["There are┊ é"]
    assert lines(kept, width=40, signs=signs) == ["There are┊"]
    assert lines(("a\nb", Role.KEPT), put, width=40, signs=signs) == ["a", "b‹ 7›"]  # noqa: RUF001


def test_the_count_is_no_text_of_the_models() -> None:
    (row,) = stream_rows(log_of((" the", REJECTED), (" a", REJECTED), (" x", RECOVERED)), 40)
    assert row == ((" the", "role.rejected"), ("+1", "role.rejected.count"), (" x", "role.recovered"))
    for name in ("midnight", "mono"):
        palette = themes.find(name).palette
        assert palette["role.rejected.count"].dim
        assert not palette["role.rejected.count"].strike


@pytest.mark.parametrize("width", range(1, 9))
def test_a_count_may_be_broken_over_lines(width: int) -> None:
    rows = stream_rows(log_of("aaaaa", *[("漢b", REJECTED)] * 12, (" x", RECOVERED)), width)
    assert "".join(texts(rows)).replace(" ", "") == "aaaaa漢b+11x" if width > 1 else rows
    styles = {char: style for row in rows for text, style in row for char in text}
    assert styles["+"] == styles["1"] == "role.rejected.count"


def test_signs_stand_for_colours() -> None:
    tokens = (("a", ACCEPTED), (" b", REJECTED), (" c", REJECTED), (" d", RECOVERED), (" e", BONUS), (" f", PENDING))
    assert lines(*tokens, width=40, signs=True) == ["a[ b c] d⁺ e( f"]
    assert lines(("a", PLAIN), (" b", CUT), (" c", CUT)) == ["a« b c»"]


def test_marks_stand_on_the_token_before_but_never_on_one_that_is_no_output() -> None:
    assert lines("ก", "\u0e34", "น") == ["ก\u0e34น"]
    assert lines("e\u0301", "\u0302\u0303") == ["e\u0301\u0302"]
    assert lines("e", ("a", REJECTED), ("\u0301", RECOVERED)) == ["ea◌\u0301"]
    assert lines("e", ("a", REJECTED), ("\u0301", RECOVERED), rejected="none") == ["e\u0301"]
    assert lines("e\n", "\u0301") == ["e", "◌\u0301"]
    assert lines("e ", "\u0301") == ["e ◌\u0301"]
    assert lines("漢" * 6, "\u0301", "字") == ["漢" * 6 + "\u0301", "字"]


@given(TOKENS, st.lists(st.integers(0, 60)), st.integers(1, 50), REJECTED_SHOWN, SIGNS)
def test_lines_do_not_depend_on_how_the_tokens_came(
    tokens: list[Token], stops: list[int], width: int, rejected: Rejected, signs: frozenset[Role]
) -> None:
    log = log_of(*tokens)
    layout = StreamLayout(log, 0, width, rejected, signs)
    for stop in sorted(stops):
        layout.extend(min(stop, len(log)))
        layout.row(len(layout) - 1)
    layout.extend(len(log))
    assert [layout.row(line) for line in range(len(layout))] == stream_rows(log, width, rejected, signs)


@given(TOKENS, st.integers(1, 50), REJECTED_SHOWN, SIGNS)
def test_a_row_fits_and_is_safe(tokens: list[Token], width: int, rejected: Rejected, signs: frozenset[Role]) -> None:
    rows = stream_rows(log_of(*tokens), width, rejected, signs)
    assert all(row_width(row) <= width for row in rows)
    assert all(safe(text) == text for text in texts(rows))


@given(WORDS, st.integers(2, 50))
def test_all_text_is_kept(tokens: list[Token], width: int) -> None:
    text = "".join(text for text, _ in tokens)
    shown = texts(stream_rows(log_of(*tokens), width))
    assert "".join(shown).replace(" ", "") == "".join(text.split())
    if all(row_width(((line, "text"),)) < width for line in text.split("\n")):
        assert shown == text.split("\n")


# Long runs


def words(count: int) -> TokenLog:
    pieces = [" the", " quick", "ly", ",", " fox", "\n", " jumps", "_over", " 漢字", "    "]
    log = TokenLog()
    for index in range(count):
        log.append(pieces[index * 7 % 10 if index % 3 else index % 10], Role(index * 5 % 5))
    return log


def test_a_long_run_costs_little_memory_and_a_frame_does_not_grow() -> None:
    log = words(200_000)
    layout = StreamLayout(log, 0, 40)
    layout.extend(20_000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    layout.extend(199_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2_000_000

    def frame(of: StreamLayout, tokens: int) -> None:
        of.extend(of.length + tokens)
        _ = [of.row(len(of) - 1 - line) for line in range(40)]

    young = StreamLayout(log, 0, 40)
    young.extend(1_000)
    early, late = lines_run(lambda: frame(young, 50)), lines_run(lambda: frame(layout, 50))
    assert late < 1.1 * early


# The widget


class Host(App[None]):
    """One stream on the whole screen."""

    palette = themes.find("midnight").palette

    def __init__(self) -> None:
        super().__init__()
        self.stream = TokenStream()
        self.next_frame = NextFrame(lambda: None)

    def compose(self) -> ComposeResult:
        yield self.stream

    def seen(self) -> list[str]:
        """What is drawn in the next frame, without trailing blanks."""
        self.next_frame.draw(self.screen, lambda: None)
        return ["".join(s.text for s in self.stream.render_line(y)).rstrip() for y in range(self.stream.size.height)]


def view(log: TokenLog) -> StreamView:
    return StreamView(log, len(log))


async def test_it_follows_the_end_until_the_user_scrolls() -> None:
    log = log_of(*(f"{n}\n" for n in range(20)))
    app = Host()
    async with app.run_test(size=(40, 10)):
        stream = app.stream
        stream.show(view(log))
        assert app.seen() == [*map(str, range(11, 20)), ""]
        assert stream.following
        stream.scroll_lines(-3)
        assert not stream.following
        assert app.seen()[0] == "8"
        assert app.seen()[-1] == "17" + " " * 29 + "↓ 3 more"

        log.append("20\n21\n", ACCEPTED)
        stream.show(view(log))
        assert app.seen()[0] == "8"
        assert app.seen()[-1].endswith("↓ 5 more")
        stream.page(-1)
        assert app.seen()[0] == "0"
        stream.page(1)
        assert app.seen()[0] == "9"
        stream.home()
        assert app.seen()[0] == "0"
        stream.end()
        assert stream.following
        assert app.seen()[:-1] == [*map(str, range(13, 22))]
        stream.scroll_lines(-2)
        stream.scroll_lines(2)
        assert stream.following


async def test_the_wheel_scrolls() -> None:
    app = Host()
    async with app.run_test(size=(40, 10)) as pilot:
        app.stream.show(view(log_of(*(f"{n}\n" for n in range(20)))))
        app.seen()
        app.stream.post_message(wheel(events.MouseScrollUp, app.stream))
        await pilot.pause()
        assert app.seen()[0] == "8"
        app.stream.post_message(wheel(events.MouseScrollDown, app.stream))
        await pilot.pause()
        assert app.stream.following


def wheel(kind: type[events.MouseEvent], widget: TokenStream) -> events.MouseEvent:
    return kind(widget, x=1, y=1, delta_x=0, delta_y=1, button=0, shift=False, meta=False, ctrl=False)


async def test_another_log_is_another_request() -> None:
    app = Host()
    async with app.run_test(size=(40, 10)):
        app.stream.show(view(log_of(*(f"{n}\n" for n in range(20)))))
        app.seen()
        app.stream.scroll_lines(-5)
        app.stream.show(view(log_of("new")))
        assert app.seen() == ["new", *[""] * 9]
        assert app.stream.following
        app.stream.show(None, (("It could not be loaded.", "bad"),))
        assert app.seen()[0] == "It could not be loaded."
        app.stream.show(None)
        assert app.seen() == [""] * 10


async def test_a_stream_that_was_away_for_long_goes_on_at_the_end() -> None:
    log = words(RELAYOUT_TOKENS * 3)
    app = Host()
    async with app.run_test(size=(40, 10)):
        app.stream.show(StreamView(log, 100))
        app.seen()
        app.stream.show(view(log))
        app.seen()
        app.stream.home()
        assert app.seen()[0] == "earlier text is not shown"


async def test_an_earlier_view_shows_less() -> None:
    log = log_of("a", "b", "c")
    app = Host()
    async with app.run_test(size=(40, 10)):
        app.stream.show(view(log))
        app.seen()
        app.stream.show(StreamView(log, 2))
        assert app.seen()[0] == "ab"


async def test_nothing_is_painted_when_nothing_changed() -> None:
    log = log_of("a", "b")
    app = Host()
    async with app.run_test(size=(40, 10)):
        app.stream.show(view(log))
        assert app.stream.draw()
        app.stream.show(view(log))
        assert not app.stream.draw()
        app.stream.take_changed()
        log.append("c", ACCEPTED)
        app.stream.show(view(log))
        assert app.stream.draw()
        assert app.stream.take_changed() == [0]


async def test_hiding_rejected_drafts_lays_out_anew() -> None:
    app = Host()
    async with app.run_test(size=(40, 10)):
        app.stream.show(view(log_of(("a", ACCEPTED), (" b", REJECTED), (" c", RECOVERED))))
        assert app.seen()[0] == "a b c"
        app.stream.rejected = "none"
        assert app.seen()[0] == "a c"
        app.stream.rejected = "all"
        assert app.seen()[0] == "a b c"


async def test_a_new_width_lays_out_the_last_tokens_only() -> None:
    log = words(RELAYOUT_TOKENS - 10)
    app = Host()
    async with app.run_test(size=(40, 10)) as pilot:
        app.stream.show(view(log))
        for index in range(50):
            log.append(f"{index}\n", ACCEPTED)
        app.stream.show(view(log))
        app.stream.home()
        assert "not shown" not in app.seen()[0]
        await pilot.resize_terminal(30, 10)
        await pilot.pause()
        app.stream.home()
        assert app.seen()[0] == "earlier text is not shown"
        app.stream.end()
        assert app.seen()[-2] == "49"


async def test_without_colours_the_signs_are_written() -> None:
    class Mono(Host):
        palette = themes.find("mono").palette

    app = Mono()
    async with app.run_test(size=(40, 10)):
        app.stream.show(view(log_of(("a", ACCEPTED), (" b", REJECTED), (" c", RECOVERED))))
        assert app.seen()[0] == "a[ b] c"
