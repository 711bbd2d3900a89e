"""Model text becomes safe: one printable character a cell or two, whatever a model writes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from wcwidth import wcwidth

from spectui.ui.paint.cells import MARK_BASE, MAX_MARKS, clip, clusters, mark_room, safe, stream_safe

CIRCLE = MARK_BASE
ACUTE = "\u0301"

HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x07\x9b\r\b\x00\t\n\u200b\u200d\u202e\ufe0f\u0301\u0301\u1100\u1161\u05d0漢👍\ud800"),
    )
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [/INST] text", "plain [/INST] text"),
        ("\x1b[2J", "␛[2J"),
        ("a\x00b\x07c\x7f", "a␀b␇c␡"),
        ("\x9b31m\x85", "␦31m␦"),
        ("a\nb\r\n", "a↵b␍↵"),
        ("a\u2028b", "a↵b"),
        ("\tx", "    x"),
        ("\ufeffzero\u200bwidth\u2060", "zerowidth"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("soft\u00adhyphen", "softhyphen"),
        ("no\u00a0break\u2003space", "no break space"),
        ("❤\ufe0f", "❤"),
        ("👩\u200d💻 👍🏽", "👩💻 👍"),
        ("🇩🇪", "\ufffd\ufffd"),
        ("\ud83d \udc80 \U000e0001\ue000\U0010ffff", "\ufffd \ufffd \ufffd\ufffd"),
        ("e\u0301", "e\u0301"),
        ("e\u0301\u0302\u0303\u0304", "e\u0301\u0302"),
        ("\u0301\u0302\u0303x", "◌\u0301\u0302x"),
        (" \u0301", " ◌\u0301"),
        ("漢字", "漢字"),
        ("עברית العربية", "עברית العربية"),
        ("ก\u0e34น", "ก\u0e34น"),
        ("\u1100\u1161\u11a8", "\u1100\ufffd\ufffd"),
        ("हि", "ह\ufffd"),
        ("", ""),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_a_stream_keeps_its_line_feeds() -> None:
    assert stream_safe("a\n\x1bb") == "a\n␛b"


def test_marks_may_stand_on_the_text_before() -> None:
    assert stream_safe(ACUTE * 3 + "x", room=2) == ACUTE * 2 + "x"
    assert stream_safe(ACUTE + "x") == CIRCLE + ACUTE + "x"
    assert [mark_room(text) for text in ("e", "e" + ACUTE, "e" + ACUTE * 2, "", " ", "a\n", ACUTE)] == [
        2, 1, 0, 0, 0, 0, 0,
    ]  # fmt: skip


@pytest.mark.slow
def test_every_character_that_is_kept_has_the_width_that_terminals_give_it() -> None:
    kept = [char for char in map(chr, range(0x110000)) if safe("e" + char) == "e" + char]
    assert len(kept) > 100_000
    assert [char for char in kept if wcwidth(char) != cell_len(char)] == []


@given(HOSTILE)
def test_safe_text_is_safe(text: str) -> None:
    shown = safe(text)
    assert safe(shown) == shown
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
    for cluster, cells in clusters(shown):
        assert cells == cell_len(cluster) == wcwidth(cluster[0])
        assert cells in (1, 2)
        assert 1 <= len(cluster) <= 1 + MAX_MARKS
    assert "".join(cluster for cluster, _ in clusters(shown)) == shown


@given(HOSTILE, st.integers(0, 30))
def test_clip_fits(text: str, cells: int) -> None:
    shown = safe(text)
    clipped = clip(shown, cells)
    assert cell_len(clipped) <= cells
    assert clipped == shown or not cells or clipped.endswith("…")


def test_nothing_of_ordinary_text_is_lost() -> None:
    text = "def f(x): return x² + 1  # naïve, Größe, λ → ∞, “quoted” — done… ½ €"
    assert safe(text) == text
