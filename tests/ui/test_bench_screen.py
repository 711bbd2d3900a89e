"""A benchmark on the screen: a table that fills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.shot import indexed
from spectui.core.bench.table import cells_of, lanes_of
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.benching import BenchEnded, BenchPlace, BenchTurn
from spectui.sources.manual_replay import ManualReplay
from spectui.trace.reader import Trace
from spectui.ui.app import SpecTUIApp
from spectui.ui.offscreen import HandClock, offscreen
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.screens.bench import BenchScreen
from spectui.ui.screens.live import LiveScreen
from spectui.ui.widgets.bench_rows import bench_rows, time_text
from spectui.ui.widgets.bench_table import Face
from tests.sources.test_live_bench import host_of
from tests.support.benchmarks import VARIANTS, made_up_matrix, made_up_turns
from tests.support.rig import FAILSAFE_S, FakeLog, Rig, running
from tests.trace.making import file_of, folded, made_run

CATEGORIES = (
    "coding", "math", "writing", "roleplay", "summarization", "qa", "rag", "reasoning", "stem", "humanities",
    "multilingual",
)  # fmt: skip
MATRIX = made_up_matrix((1,), CATEGORIES, tokens=64)
TURNS = made_up_turns(MATRIX)
COMMAND = "spectui bench --lane ar --lane mtp:k=2 --lane dflash:k=3 --concurrency 1"
FACES = {"ar": Face("lane.0"), "mtp": Face("lane.1"), "dflash": Face("lane.2")}


def state(turns: int, place: BenchPlace | None, more: int = 0) -> BenchTurn:
    """Where a benchmark is after so many turns and further pieces."""
    return BenchTurn(
        lanes=lanes_of(MATRIX),
        categories=CATEGORIES,
        concurrencies=(1,),
        repetitions=3,
        tokens=64,
        cells=cells_of(MATRIX, TURNS[:turns]),
        pieces=turns * 3 + more,
        of_pieces=99,
        place=place,
        spent_s=1.25 * (turns * 3 + more),
        left_s=1.25 * (99 - turns * 3 - more) if turns or more else None,
    )


BEGUN = state(0, BenchPlace("ar", 1, "coding", 0))
GOING = state(10, BenchPlace("mtp", 1, "roleplay", 2), 1)
ENDED = BenchEnded("done", state(33, None), COMMAND)
STOPPED = BenchEnded("cancelled", state(10, None), COMMAND)


def texts(shown: BenchTurn | BenchEnded, width: int = 116, **options: bool) -> list[str]:
    return [plain(row) for row in bench_rows(shown, FACES, width, **options)]


def row(shown: BenchTurn | BenchEnded, name: str, width: int = 116) -> str:
    return next(text for text in texts(shown, width) if text[2:].startswith(name))


@pytest.mark.parametrize("width", [5, 40, 60, 76, 116, 196])
@pytest.mark.parametrize("shown", [BEGUN, GOING, ENDED, STOPPED], ids=["begun", "going", "ended", "stopped"])
def test_rows_fit(shown: BenchTurn | BenchEnded, width: int) -> None:
    rows = bench_rows(shown, FACES, width)
    assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]


def test_a_table_that_is_empty_says_what_is_going_on() -> None:
    text = texts(BEGUN)
    assert text[0] == f"{'1 request in flight   64 tokens per answer   3 repetitions':<112}0:00"
    assert text[1].endswith("0 %   0 of 33 cells")
    assert text[2] == "warming up AR on coding, which does not count"
    assert row(BEGUN, "coding").split() == ["▸", "coding", "▸", "measuring", "·", "·"]
    assert row(BEGUN, "math").split() == ["math", "·", "·", "·"]


def test_the_row_that_is_measured_is_marked_and_says_how_often_it_was() -> None:
    text = texts(GOING)
    assert text[0].endswith("0:39   about 1:25 left")
    assert text[1].endswith(" 31 %   9 of 33 cells")
    assert text[2] == "measuring MTP K=2 on roleplay, repetition 2 of 3"
    assert any(line.startswith("so far, DFlash K=3 is 1.75 times as fast as AR (1.55 to 1.98) over 4") for line in text)
    line = row(GOING, "roleplay")
    assert line.startswith("▸ roleplay      1/3")
    assert line.count("▸") == 2
    assert "▸ ━" in line
    assert [line for line in text if "▸" in line] == [line]
    paused = texts(GOING, stale=True)
    assert paused[2] == "paused while measuring MTP K=2 on roleplay, repetition 2 of 3"
    again = replace(GOING, place=BenchPlace("mtp", 1, "roleplay", 2, again=1))
    assert texts(again)[2].endswith("; once more, because other programs disturbed it")


def test_figures_are_those_of_the_cells() -> None:
    cells = {(cell.lane, cell.category): cell for cell in ENDED.last.cells}
    math, whole = cells["dflash", "math"], cells["dflash", None]
    said = row(ENDED, "math", 196).split()[-4:]
    assert math.tok_s is not None
    assert math.length is not None
    interval = f"{math.low:.2f}\N{EN DASH}{math.high:.2f}"
    assert said == [f"{math.tok_s:.1f}", f"{math.speed_up:.2f}x", interval, f"{math.length:.2f}"]
    assert f"{whole.speed_up:.2f}x" in row(ENDED, "all", 76)
    top = max(cell.tok_s or 0 for cell in ENDED.last.cells)
    bars = {line: line.count("━") for line in texts(ENDED, 196) if "━" in line}
    fastest = next(cell for cell in ENDED.last.cells if cell.tok_s == top)
    assert fastest.category == "coding"
    assert max(bars.values()) == bars[row(ENDED, "coding", 196)]


def test_the_end_has_the_finding_and_where_to_go_on() -> None:
    text = texts(ENDED)
    assert text[1].startswith("DFlash K=3 is 1.68 times as fast as AR (1.")
    assert text[1].endswith(") over 11 categories")
    assert text[2] == "measured: 33 cells"
    assert text[-1] == COMMAND
    assert "▸" not in "".join(text)
    assert texts(STOPPED)[2] == "stopped after 9 of 33 cells; what was measured is kept"
    assert "over 4 of 11 categories" in texts(STOPPED)[1]
    assert row(STOPPED, "stem").split() == ["stem", "—", "—", "—"]
    failed = BenchEnded("failed", BEGUN, fault="MTP has failed")
    assert texts(failed)[1] == "MTP has failed, after 0 of 33 cells; nothing was measured"


def test_every_number_of_requests_has_a_table() -> None:
    matrix = made_up_matrix((1, 4), CATEGORIES[:2])
    cells = cells_of(matrix, made_up_turns(matrix))
    both = replace(GOING, categories=CATEGORIES[:2], concurrencies=(1, 4), cells=cells)
    text = texts(BenchEnded("done", both))
    assert text[0].startswith("1 and 4 requests in flight")
    assert [line for line in text if line in ("1 request in flight", "4 requests in flight")] == [
        "1 request in flight",
        "4 requests in flight",
    ]
    assert text[1].endswith("with 1 request in flight")


def test_without_ar_nothing_is_compared() -> None:
    cells = tuple(replace(cell, speed_up=None, low=None, high=None) for cell in ENDED.last.cells if cell.lane != "ar")
    alone = BenchEnded("done", replace(ENDED.last, lanes=ENDED.last.lanes[1:], cells=cells))
    text = "\n".join(texts(alone))
    assert "speed-up" not in text.replace("there is no speed-up", "")
    assert "DFlash K=3 is the fastest lane: 66.2 tok/s over 11 categories; without an AR lane" in text


def test_lanes_that_do_not_fit_beside_each_other_stand_below() -> None:
    many = replace(ENDED.last, lanes=tuple(replace(lane, lane=f"{n}") for n in range(3) for lane in ENDED.last.lanes))
    text = texts(BenchEnded("done", many), 76)
    heads = [line for line in text if "K=" in line and "fast" not in line]
    assert len(heads) > 1
    assert sum(line.count("K=3") for line in heads) == 3
    assert sum(line[2:].startswith("coding") for line in text) == len(heads)


def test_what_cannot_be_compared_or_was_disturbed_is_said() -> None:
    faces = {**FACES, "dflash": Face("lane.2", "runs on another runner")}
    held_up = replace(
        ENDED.last,
        cells=tuple(replace(c, disturbed=2) if c.category is None else c for c in ENDED.last.cells),
        left_out="12 of the prompt set's 30 categories",
    )
    text = [plain(row) for row in bench_rows(BenchEnded("done", held_up), faces, 116)]
    assert any("DFlash K=3 ≠" in line for line in text)
    assert "≠ DFlash K=3 runs on another runner" in text
    assert "† other programs disturbed up to 2 repetitions of a lane, which are included" in text
    assert text[1].endswith("over 11 categories, disturbed")
    whole = next(line for line in text if line.startswith("  all"))
    assert "†1.68x" in whole
    assert sum("†" in line for line in text) == 2
    assert held_up.left_out in text


def test_names_are_made_safe() -> None:
    hostile = replace(BEGUN, categories=("\x1b[2Jevil", "a" * 90), place=BenchPlace("ar", 1, "\x1b[2Jevil", 1))
    text = "\n".join(texts(hostile))
    assert "\x1b" not in text
    assert "evil" in text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (3723, "1:02:03")])
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_the_state_keeps_the_last_of_a_benchmark() -> None:
    assert folded([BEGUN, GOING]).bench == GOING
    assert folded([BEGUN, GOING, ENDED]).bench == ENDED


async def test_the_key_starts_it_and_escape_stops_it_and_then_leaves() -> None:
    async with running((120, 36)) as rig:
        before = len(rig.source.commands)
        await rig.press("B")
        assert len(rig.source.commands) == before, "a made-up race cannot be measured"
        assert rig.app.screen.check_action("do", ("race.bench",)) is None
        rig.source.accepts |= {cmd.StartBench, cmd.StopBench}
        await rig.press("B")
        assert rig.source.commands[-1] == cmd.StartBench()
        rig.app._mailbox.emit(BEGUN)
        rig.app._mailbox.emit(ev.Paused(False))
        await rig.settle(lambda: "warming up AR on coding" in rig.text)
        assert isinstance(rig.app.screen, BenchScreen)
        rig.app._mailbox.emit(GOING)
        await rig.settle(lambda: "measuring MTP K=2 on roleplay" in rig.text)
        assert "stop and keep what is finished" in rig.text
        await rig.press("y", "B")
        assert rig.source.commands[-1] == cmd.StopBench()
        assert isinstance(rig.app.screen, BenchScreen)
        rig.app._mailbox.emit(STOPPED)
        await rig.settle(lambda: "stopped after 9 of 33 cells" in rig.text)
        assert "back to the race" in rig.text
        await rig.press("y")
        assert rig.app.clipboard == COMMAND
        await rig.settle(lambda: "copied" in rig.text)
        await rig.press("escape")
        assert isinstance(rig.app.screen, LiveScreen)


async def test_a_table_that_is_higher_than_the_screen_scrolls() -> None:
    async with running((80, 16)) as rig:
        rig.app._mailbox.emit(BEGUN)
        rig.app._mailbox.emit(ENDED)
        await rig.settle(lambda: "DFlash K=3 is" in rig.text)
        assert "multilingual" not in rig.text
        await rig.press("end")
        assert COMMAND.split(" --concurrency")[0] in rig.text


def trace_of(path: Path, *bench: BenchTurn | BenchEnded) -> Path:
    """A run whose first round was ended by a benchmark."""
    run = made_run(0)
    at = next(place for place, event in enumerate(run) if isinstance(event, ev.Step)) + 5
    return file_of(path, [*run[:at], *bench, *run[at:]])


@pytest.mark.parametrize("place", [0, None], ids=["played", "jumped into"])
async def test_a_replay_shows_it(place: int | None, tmp_path: Path) -> None:
    line = indexed(Trace.open(trace_of(tmp_path / "run.jsonl", BEGUN, GOING)))
    at = next(n for n, (_, event) in enumerate(line.events(0)) if event == GOING)
    replay = ManualReplay(line, at + 1 if place is None else place, paused=place is None)
    async with offscreen(replay, (120, 36)) as screen:
        await screen.settle()
        if place is not None:
            replay.advance(1.0)
            await screen.settle()
        rows = list(screen.rows())
        assert rows[0].split()[0] == "benchmark"
        assert any("measuring MTP K=2 on roleplay, repetition 2 of 3" in row for row in rows)
        assert "stop" not in rows[-1], "an engine that is not there cannot be stopped"
        await screen.app.screen.run_action("leave")
        await screen.settle()
        assert isinstance(screen.app.screen, LiveScreen)


def test_it_comes_back_from_a_trace(tmp_path: Path) -> None:
    path = trace_of(tmp_path / "run.jsonl", BEGUN, GOING, ENDED)
    events = [event for _, event in Trace.open(path)]
    assert [event for event in events if isinstance(event, BenchTurn | BenchEnded)] == [BEGUN, GOING, ENDED]
    assert len(VARIANTS) == len(ENDED.last.lanes)


async def test_lanes_are_measured_from_the_key_to_the_table_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way with an engine thread, whose lanes are made up."""
    host = host_of(monkeypatch, "ar", "ngram:k=3", max_tokens=100)
    clocks: list[HandClock] = []

    def scheduler() -> HandClock:
        clocks.append(HandClock())
        return clocks[0]

    app = SpecTUIApp(host, log_tail=FakeLog(), scheduler=scheduler)
    try:
        async with app.run_test(size=(120, 36)) as pilot:
            rig = Rig(app, host, pilot, clocks[0])  # type: ignore[arg-type]
            await rig.settle(lambda: app.view.round_over)
            await pilot.press("B")
            await rig.settle(lambda: isinstance(app.view.bench, BenchEnded))
            await rig.settle(lambda: isinstance(app.screen, BenchScreen))
            # 64 tokens take AR 64 steps of 8 ms, and 16 of 13 ms with three drafts that are always right.
            assert "n-gram K=3 is 2.46 times as fast as AR (2.46 to 2.46) over 3 categories" in rig.text
            assert "spectui bench --lane ar --lane ngram:k=3 --concurrency 1" in rig.text
            await pilot.press("escape")
            await rig.settle(lambda: isinstance(app.screen, LiveScreen) and app.view.round == 1)
            assert all(lane.info.name in ("ar", "ngram") and lane.failed is None for lane in app.view.lanes)
    finally:
        assert host.stop(FAILSAFE_S)
