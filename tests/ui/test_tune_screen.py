"""The search for the best K on the screen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.events import KFigure, TuneEnded, TuneTurn
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.screens.live import LiveScreen
from spectui.ui.screens.tune import TuneScreen
from spectui.ui.widgets.tune_rows import tune_rows
from tests.support.rig import running


def figure(k: int, tok_s: float | None, *, running: bool = True, timed: bool = True) -> KFigure:
    known = tok_s is not None
    return KFigure(
        k=k,
        running=running,
        tok_s=tok_s,
        low=tok_s - 1.5 if tok_s else None,
        high=tok_s + 1.5 if tok_s else None,
        speed_up=tok_s / 35 if tok_s else None,
        length=1 + k * 0.4 if k and known else None,
        by_position=(0.4,) * k,
        draft_s=0.004 * k if timed and known else None,
        verify_s=0.026 if timed and known else None,
        step_s=0.028 + 0.004 * k if known else None,
        estimate_tok_s=35 + k if known else None,
        over_ar=tok_s / 41 if tok_s else None,
        over_ar_low=tok_s / 42 if tok_s else None,
        over_ar_high=tok_s / 40 if tok_s else None,
    )


FIGURES = (figure(0, 35.0), figure(1, 44.0), figure(2, 47.5), figure(3, 30.0, running=False))
TURN = TuneTurn("mtp", 1, 4, (1, 2), 2, FIGURES, 13.2, 60.0)
ENDED = TuneEnded("mtp", "separated", TURN, 'vllm serve target --speculative-config \'{"method": "mtp"}\'')


@pytest.mark.parametrize("width", [40, 60, 80, 116, 196])
def test_rows_fit_and_name_the_best(width: int) -> None:
    for state in (TURN, ENDED, TuneTurn("mtp", 4, 0, (0, 1), 0, (figure(0, None), figure(1, None)), 0, 60)):
        rows = tune_rows("MTP", "lane.1", state, width)
        assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]
    text = "\n".join(map(plain, tune_rows("MTP", "lane.1", ENDED, width)))
    assert " 2▸" in text
    assert "best K = 2" in text
    assert "vllm serve" in text


def test_rows_say_what_was_measured_and_what_is_estimated() -> None:
    text = [plain(row) for row in tune_rows("MTP", "lane.1", TURN, 116)]
    assert text[0].startswith("MTP   1 request in flight")
    assert text[0].endswith("turn 4   13 s of at most 60 s")
    assert "est." in text[2]
    assert text[5].split()[-7:] == ["1.36", "46.0", "to", "49.0", "1.16", "1.80", "37.0"]
    assert any("8.0 + 26.0 + 2.0" in line for line in text)
    said = text.index("measuring; still in the running: K = 1, 2")
    assert text[said + 2].startswith("tok/s over K   ● measured   ━ est. by the cost model")


def test_without_parts_the_whole_step_is_shown() -> None:
    turn = TuneTurn("mtp", 1, 1, (0,), 0, (figure(0, 35.0, timed=False),), 1, 60)
    assert any("parts not measured here" in plain(row) for row in tune_rows("MTP", "lane.1", turn, 116))


def test_where_speculation_never_pays_it_is_said() -> None:
    ended = TuneEnded("mtp", "budget", TuneTurn("mtp", 1, 4, (0,), 0, FIGURES, 60, 60), "vllm serve target")
    assert any("do not speculate: AR is faster" in plain(row) for row in tune_rows("MTP", "lane.1", ended, 80))


def test_a_search_that_measured_nothing_claims_nothing() -> None:
    nothing = (figure(0, None), figure(1, None))
    ended = TuneEnded("mtp", "cancelled", TuneTurn("mtp", 1, 0, (0, 1), 1, nothing, 0, 60))
    text = "\n".join(map(plain, tune_rows("MTP", "lane.1", ended, 80)))
    assert "stopped before anything was measured: K stays 1" in text
    assert "best K" not in text


def test_a_search_that_was_broken_off_says_why_and_recommends_nothing() -> None:
    text = "\n".join(map(plain, tune_rows("MTP", "lane.1", replace(ENDED, fault="K is 3 again"), 100)))
    assert "K is 3 again" in text
    assert "best K" not in text
    assert "vllm serve" not in text


async def test_a_search_that_nothing_can_stop_can_be_left() -> None:
    """As in a replay of a trace that ends in the middle of one."""
    async with running((120, 36)) as rig:
        rig.app._mailbox.emit(replace(TURN, turn=0))
        await rig.settle(lambda: "still in the running" in rig.text)
        before = len(rig.source.commands)
        await rig.press("escape")
        assert isinstance(rig.app.screen, LiveScreen)
        assert len(rig.source.commands) == before


async def test_escape_stops_a_search_and_then_leaves() -> None:
    async with running((120, 36)) as rig:
        rig.source.accepts |= {cmd.StopTuning}
        rig.app._mailbox.emit(replace(TURN, turn=0))
        await rig.settle(lambda: "still in the running" in rig.text)
        assert isinstance(rig.app.screen, TuneScreen)
        rig.app._mailbox.emit(TURN)
        await rig.settle(lambda: "turn 4" in rig.text)
        assert "stop and keep the best K so far" in rig.text
        await rig.press("escape")
        assert rig.source.commands[-1] == cmd.StopTuning()
        rig.app._mailbox.emit(ENDED)
        await rig.settle(lambda: "best K = 2" in rig.text)
        await rig.press("y")
        assert rig.app.clipboard == ENDED.serve
        await rig.settle(lambda: "copied" in rig.text)
        assert "back to the race" in rig.text
        await rig.press("escape")
        assert isinstance(rig.app.screen, LiveScreen)


async def test_a_synthetic_race_cannot_be_tuned() -> None:
    async with running((120, 36)) as rig:
        before = len(rig.source.commands)
        await rig.press("2", "a")
        assert len(rig.source.commands) == before
        rig.source.accepts |= {cmd.Tune}
        assert rig.app.screen.check_action("do", ("lane.tune",)) is True
        await rig.press("1")
        assert rig.app.screen.check_action("do", ("lane.tune",)) is None
