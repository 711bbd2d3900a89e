"""The screen over servers that run elsewhere: what the keys do, and what it says in every state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from spectui.cli.shot import indexed
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.playback import StateReplaced
from spectui.sources.manual_replay import ManualReplay
from spectui.trace.reader import Trace
from spectui.ui.looking import key_of
from spectui.ui.offscreen import offscreen
from spectui.ui.screens.analysis import AnalysisScreen
from spectui.ui.screens.help import HelpScreen
from spectui.ui.screens.inspect import InspectScreen
from spectui.ui.screens.prompt import PromptLine
from tests.support.attached_run import E1, E2, E3, E4, INFOS, TEXT, attached_run, counters_run, seen, started
from tests.support.attached_screen import AttachedRig, attached
from tests.support.rig import SIZES
from tests.trace.making import file_of

NAMES = ("e1", "e2")
EVENTS = 2500
WORDS = frozenset(TEXT.split())


def run_of(*names: str) -> Iterator[ev.TraceEvent]:
    """The first seconds of the made-up run, of those servers."""
    yield from started(tuple(info for info in INFOS if info.name in names))
    yield from (one for one in attached_run()[len(started()) : EVENTS] if getattr(one, "lane", "") in names)


def two_servers() -> Iterator[ev.TraceEvent]:
    """e1 with drafts and e2 with counts, under load."""
    return run_of(*NAMES)


def footer(rig: AttachedRig) -> str:
    return rig.lines[-1]


def message(rig: AttachedRig) -> str:
    return rig.lines[-2].strip()


def shown(rig: AttachedRig) -> str:
    """The id at the head of the request's pane."""
    pane = rig.app.screen.query_one("RequestPane")
    return next(line[pane.region.x :] for line in rig.lines[pane.region.y :]).split()[0]


async def step_of(rig: AttachedRig, lane: str) -> None:
    """A request that comes, with one step."""
    await rig.tell(
        ev.RequestStarted(lane, "cmpl-fresh", 5000, 7),
        ev.Step(lane, "cmpl-fresh", 5000, 0, 0, (), 0, (1,), (), "recovered", None, (" fresh",), (), 1, 10**7, 10**11),
    )


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_shows_endpoints_requests_and_figures(size: tuple[int, int]) -> None:
    async with attached(two_servers(), size) as rig:
        assert rig.lines[0].strip().startswith("SpecTUI")
        assert "2 of 2 live" in rig.lines[0]
        table = rig.text
        for word in ("gpu1:5571", "gpu1:5572", "drafts hidden", "all 2", "acceptance by position"):
            assert word in table
        flying = [row.request for row in rig.view.attached.requests if row.finished is None]  # type: ignore[union-attr]
        assert len(flying) > 2
        assert sum(name in table for name in flying) >= min(len(flying), 7)
        assert "prompt" in footer(rig)
        assert "next" not in footer(rig)
        assert "lane time" not in rig.lines[0]


async def test_the_request_that_is_followed_stays_until_it_ends() -> None:
    async with attached(two_servers()) as rig:
        first = shown(rig)
        lane, slot = rig.app.choices.look.key or ("", 0)
        assert first == f"cmpl-{slot:04x}"
        await step_of(rig, lane)
        assert shown(rig) == first
        await rig.tell(ev.RequestFinished(lane, first, slot, "eos", 9))
        assert shown(rig) == "cmpl-fresh"
        assert "following" in rig.text


async def test_the_arrows_choose_a_request_and_escape_follows_again() -> None:
    async with attached(two_servers()) as rig:
        first = shown(rig)
        await rig.press("down")
        second = shown(rig)
        assert second != first
        assert message(rig).startswith("request 2 of ")
        await rig.press("down", "up", "up")
        assert shown(rig) == first
        await rig.press("end")
        assert "ended" in rig.text
        await rig.press("home", "pagedown")
        assert message(rig).startswith("request 1")
        await rig.press("greater_than_sign", "less_than_sign", "escape")
        assert message(rig).startswith("following")


async def test_a_chosen_request_is_shown_with_its_tokens_in_colour_and_its_steps() -> None:
    async with attached(two_servers()) as rig:
        attached_view = rig.view.attached
        assert attached_view is not None
        busiest = max((row for row in attached_view.requests if row.lane == "e1"), key=lambda row: row.emitted)
        rig.app.choices.look.choose(key_of(busiest))
        await rig.wait(1)
        stream = rig.app.live.served.pane.stream  # type: ignore[union-attr]
        drawn = [span for row in stream.rows(60, 40) for span in row]
        assert {"role.accepted", "role.rejected"} <= {style for _, style in drawn}
        assert {word for text, _ in drawn for word in text.split() if word.isalpha()} <= WORDS
        assert "+1" in rig.text
        assert "v " in rig.text
        await rig.press("h")
        assert "per step" in rig.text
        assert rig.app.choices.focus == 0


async def test_enter_gives_the_request_the_place_of_the_table_and_escape_takes_it_back() -> None:
    async with attached(two_servers(), (80, 24)) as rig:
        assert "tokens" in rig.text
        await rig.press("down", "enter")
        assert "request " not in rig.lines[6]
        assert "━ gpu1:5571 ━━" in rig.text
        assert "Esc back" in footer(rig)
        name = shown(rig)
        await rig.press("down", "pageup")
        assert shown(rig) == name, "the arrows scroll its text"
        await rig.press("escape")
        assert "request " in rig.text
        assert message(rig).startswith("request 2 of ")
        await rig.press("escape")
        assert message(rig).startswith("following")


async def test_digits_and_tab_focus_endpoints() -> None:
    async with attached(two_servers(), (200, 50)) as rig:
        for key, place in (("1", 0), ("2", 1), ("tab", 0), ("shift+tab", 1)):
            await rig.press(key)
            assert rig.app.choices.focus == place
            title = (E1, E2)[place].title
            assert f"▸{place + 1} {title}" in rig.text
            assert f"acceptance by position  {title}" in rig.text
            assert message(rig).startswith(f"following the newest request of {title}")


async def test_a_click_chooses_an_endpoint_or_a_request() -> None:
    async with attached(two_servers(), (200, 50)) as rig:
        await rig.pilot.click("EndpointTable", offset=(5, 1))
        await rig.settle()
        assert rig.app.choices.focus == 0
        await rig.pilot.click("RequestTable", offset=(5, 3))
        await rig.settle()
        assert message(rig).startswith("request 3 of ")


async def test_the_table_is_sorted_by_other_figures() -> None:
    async with attached(two_servers(), (200, 50)) as rig:
        await rig.press("o", "o")
        rows = rig.app.live.served.requests._rows  # type: ignore[union-attr]
        assert [word.strip() for word, style in rows[0] if style == "accent"] == ["tokens"]
        view = rig.view.attached
        assert view is not None
        most = max(row.emitted for row in view.requests if row.finished is None)
        assert f" {most} " in "".join(text for text, _ in rows[1])


async def test_space_holds_the_screen_while_the_servers_go_on() -> None:
    async with attached(two_servers()) as rig:
        await rig.press("space")
        before = rig.lines[:-2]
        assert "held" in before[0]
        assert "Space continue" in footer(rig)
        await step_of(rig, "e1")
        await rig.wait(2)
        assert rig.lines[:-2] == before
        assert rig.told.commands == []
        await rig.press("down")
        assert message(rig).startswith("held")
        await rig.press("space")
        assert "held" not in rig.lines[0]
        assert "cmpl-fresh" in rig.text


async def test_k_is_changed_where_the_server_allows_it() -> None:
    async with attached(two_servers()) as rig:
        await rig.press("1", "minus", "minus", "plus")
        assert rig.told.commands == [cmd.SetK("e1", 2), cmd.SetK("e1", 1), cmd.SetK("e1", 2)]
        await rig.tell(ev.KChanged("e1", 2, "yours"))
        await rig.press("a")
        assert rig.told.commands[-1] == cmd.Tune("e1")
        sent = list(rig.told.commands)
        await rig.press("2", "minus")
        assert rig.told.commands == sent
        assert "K cannot be changed from here: the server was started without SPECTUI_CONTROL=1" in message(rig)
        await rig.press("k")
        assert not rig.app.screen.query(PromptLine)


WHY_NOT = {
    "n": "up to its clients",
    "r": "up to its clients",
    "full_stop": "Space holds the screen still",
    "T": "its own temperature",
    "right_square_bracket": "up to the server's clients",
    "B": "spectui bench",
    "f": "cannot be forked",
    "p": "Presenter mode is for races",
    "g": "does not report its memory",
}


async def test_the_search_for_k_says_what_stopping_it_does_and_why_it_was_broken_off() -> None:
    async with attached(two_servers()) as rig:
        figures = tuple(
            ev.KFigure(k, True, 50.0 + k, None, None, None, None, (), None, None, 0.02, None) for k in range(4)
        )
        turn = ev.TuneTurn("e1", 2, 0, (0, 1, 2, 3), 3, figures, 0.0, 120.0)
        await rig.tell(turn)
        await rig.tell(replace(turn, turn=1))
        assert "measured turn by turn on the server's own requests" in rig.text
        assert "stop; K becomes what it was" in rig.text
        await rig.press("escape")
        assert rig.told.commands[-1] == cmd.StopTuning()
        await rig.tell(ev.TuneEnded("e1", "cancelled", turn, fault="the search was stopped: K is 3 again"))
        assert "the search was stopped: K is 3 again" in rig.text
        assert "back to the requests" in rig.text
        assert "copy" not in footer(rig)
        await rig.press("escape")
        assert "gpu1:5571" in rig.text


async def test_servers_are_not_paused_when_the_program_stops() -> None:
    stopped: list[bool] = []
    driver = SimpleNamespace(can_suspend=True, stand_still=lambda *, group: stopped.append(group))
    async with attached(two_servers()) as rig:
        rig.app._suspension._driver = driver  # type: ignore[assignment]
        await rig.pilot.press("ctrl+z")
        await rig.settle(lambda: stopped == [True])
        assert rig.told.commands == []


async def test_what_cannot_be_done_over_a_server_says_why() -> None:
    async with attached(two_servers()) as rig:
        for key, why in WHY_NOT.items():
            await rig.press(key)
            assert why in message(rig), key
            assert rig.app.screen is rig.app.live
        assert rig.told.commands == []
        assert not rig.app.choices.presenting


async def test_single_steps_can_be_looked_at_while_the_servers_go_on() -> None:
    async with attached(run_of("e1")) as rig:
        name = shown(rig)
        while not rig.app.live.served.pane.ledger._lane.ledger:  # type: ignore[union-attr]
            await rig.press("down")
            name = shown(rig)
        await rig.press("i")
        assert isinstance(rig.app.screen, InspectScreen)
        assert "a server is not asked for its target's probabilities" in rig.text
        assert f"request {name} " in rig.text
        before = rig.text
        await step_of(rig, "e1")
        assert rig.text == before
        await rig.press("left", "escape")
        assert rig.told.commands == []
        assert "held" not in rig.lines[0]
        assert shown(rig) == name
        await rig.press("space", "i", "escape")
        assert "held" in rig.lines[0]


async def test_steps_without_visible_drafts_cannot_be_looked_at() -> None:
    async with attached(run_of("e2")) as rig:
        await rig.press("i")
        assert message(rig) == "There is no step to look at whose drafts are visible."


async def test_help_says_what_works_and_why_the_rest_does_not() -> None:
    async with attached(two_servers(), (120, 50)) as rig:
        await rig.press("question_mark")
        screen = rig.app.screen
        assert isinstance(screen, HelpScreen)
        assert "drafts hidden" in rig.text
        rows = screen.reader.content(110)
        told = {row[0][0]: "".join(text for text, _ in row[2:]) for row in rows if len(row) > 2}
        assert told["n"].startswith("Which prompts the server answers")
        assert told["o"].startswith("Sort the requests")


async def test_a_prompt_is_sent_and_its_answer_shown_with_its_figures() -> None:
    async with attached(counters_run()) as rig:
        await rig.press("slash")
        assert "send it to the server" in footer(rig)
        await rig.press("h", "i", "enter")
        assert rig.told.commands == [cmd.SetPrompt("hi")]
        await rig.tell(ev.Asked("e4", 7, "hi"), ev.Answered("e4", 7, "Hello \x1b[31mthere"))
        assert "your prompt: hi" in rig.text
        assert "answering" in rig.text
        assert "Hello ␛[31mthere" in rig.text
        await rig.tell(
            ev.Answered("e4", 7, "!", True, tokens=40, seconds=2.0, first_s=0.1, drafted=30, accepted=21, length=2.4)
        )
        assert "answered in 2.0 s" in rig.text
        assert "tokens 40   length 2.40   accepted 21 of 30   tok/s 20.0" in rig.text
        assert "there!" in rig.text
        assert "acceptance length" in rig.text, "the counters stay in sight"
        assert message(rig).startswith("your prompt was answered; Enter shows the whole answer")
        await rig.tell(ev.Asked("e4", 8, "again"), ev.Answered("e4", 8, "", True, "the server answered 503"))
        assert "the server answered 503" in rig.text
        await rig.press("escape")
        assert "Drafts are not visible this way" in rig.text


async def test_an_endpoint_that_is_waited_for_says_what_it_needs() -> None:
    async with attached(started((E1,)), (80, 24)) as rig:
        assert "Waiting for tcp://gpu1:5571." in rig.text
        assert "vllm serve MODEL --scheduler-cls spectui.serving.TracingScheduler" in rig.text
        assert "not live" in rig.lines[0]
        await rig.tell(*seen(E1))
        assert "Waiting" not in rig.text
        assert message(rig).startswith("no requests in flight")
        await step_of(rig, "e1")
        assert "cmpl-fresh" in rig.text


async def test_a_server_that_is_gone_keeps_its_figures_and_comes_back() -> None:
    async with attached(two_servers()) as rig:
        figures = next(line for line in rig.lines if "gpu1:5571" in line).split("mtp")[1].split()[:3]
        await rig.tell(ev.ServerState("e1", "gone", "nothing was heard of it for 3 s"))
        await rig.wait(12)
        row = next(line for line in rig.lines if " gone " in line)
        assert "gone 12 s" in row
        assert row.split("mtp")[1].split()[:3] == figures
        assert message(rig).startswith("gpu1:5571 gone for 12 s")
        assert "1 of 2 live" in rig.lines[0]
        await rig.tell(ev.ServerState("e1", "live", downtime_ns=12 * 10**9))
        assert "2 of 2 live" in rig.lines[0]
        assert "gone" not in rig.text


async def test_a_server_that_refuses_says_why() -> None:
    why = "its key is not among those that this server knows"
    async with attached([*started((E1, E3)), *seen(E1), ev.ServerState("e3", "refused", why)], (80, 24)) as rig:
        assert message(rig).startswith("gpu2:5571 cannot be watched: its key")
        await rig.press("2")
        assert "tcp://gpu2:5571 answers, but cannot be watched." in rig.text
        assert "Its key is not among those that this server knows." in rig.text


async def test_the_last_request_is_remembered_when_none_is_in_flight() -> None:
    async with attached([*started((E1,)), *seen(E1)]) as rig:
        assert message(rig) == "no requests in flight; those that come appear by themselves"
        await step_of(rig, "e1")
        await rig.tell(ev.RequestFinished("e1", "cmpl-fresh", 5000, "eos", 1))
        await rig.wait(20.9)
        assert message(rig) == "no requests in flight; the last one ended 21 s ago"
        assert shown(rig) == "cmpl-fresh"


async def test_counters_are_shown_with_what_they_cannot_show() -> None:
    async with attached([one for one in counters_run() if not isinstance(one, (ev.Asked, ev.Answered))]) as rig:
        assert "counters" in rig.text
        assert "Drafts are not visible this way" in rig.text
        assert "--scheduler-cls spectui.serving.TracingScheduler" in rig.text
        assert "from the server's counters" in rig.text
        assert "accepted per step" not in rig.text, "no made-up steps"
        await rig.press("plus")
        assert "K cannot be changed over HTTP" in message(rig)


async def test_what_did_not_get_here_is_counted_in_sight() -> None:
    async with attached(two_servers(), (200, 50)) as rig:
        await rig.tell(ev.Serving("e1", 99 * 10**9, dropped=5, malformed=3))
        assert "5 dropped by the server" in rig.lines[0]
        assert "3 malformed" in rig.lines[0]


async def test_recording_pictures_and_analysis_work_as_in_a_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with attached(two_servers()) as rig:
        await rig.press("R")
        assert rig.told.commands == [cmd.Record()]
        await rig.press("S")
        [picture] = tmp_path.glob("*.svg")
        assert "gpu1:5571" in picture.read_text()
        await rig.press("t")
        assert all(name in rig.text for name in rig.app.themes.by_name)
        await rig.press("escape", "d")
        assert isinstance(rig.app.screen, AnalysisScreen)
        assert rig.told.commands == [cmd.Record()], "nothing is paused for it"


async def test_step_times_are_those_of_the_usual_load() -> None:
    async with attached(two_servers()) as rig:
        await rig.press("s")
        assert "requests in flight, the usual load" in rig.text
        assert "gpu1:5571" in rig.text
        assert "no steps yet" not in rig.text


async def test_every_size_can_be_drawn() -> None:
    async with attached(run_of(*NAMES, "e3", "e4")) as rig:
        for width, height in ((40, 10), (60, 14), (79, 20), (110, 20), (130, 28), (220, 60), (39, 9)):
            await rig.pilot.resize_terminal(width, height)
            await rig.settle()
            for key in ("down", "enter"):
                await rig.press(key)
                assert len(rig.lines) == height
                assert ("needs more room" in rig.text) == (width < 40)
            await rig.press("escape")


async def test_hostile_names_change_nothing_around_them() -> None:
    evil = "\x1b]0;x\x07[red]猫\u202e\n"
    info = replace(E1, title=evil, method=evil)
    run = [*started((info,)), *seen(info), ev.RequestStarted("e1", evil * 9, 1, 3), ev.ServerState("e1", "live", evil)]
    async with attached(run, (80, 24)) as rig:
        assert "\x1b" not in rig.text
        assert "[red]猫" in rig.text
        assert len(rig.lines) == 24


async def test_a_race_is_not_touched_by_any_of_this() -> None:
    from tests.support.rig import running

    async with running() as rig:
        assert rig.app.live.served is None
        assert not rig.app.live.has_class("attached")
        await rig.press("o", "escape")
        assert rig.source.commands == []


async def test_only_counters_have_no_table_of_requests() -> None:
    async with attached(started((E4,))) as rig:
        assert "Waiting for http://gpu3:8000." in rig.text
        assert "--scheduler-cls" not in rig.text
        assert "prompt  tokens" not in rig.text


async def test_a_replay_and_a_picture_of_it_show_the_same_screen(tmp_path: Path) -> None:
    run = tuple(run_of(*NAMES, "e3"))
    line = indexed(Trace.open(file_of(tmp_path / "servers.jsonl", run)))
    async with attached(run) as rig, offscreen(ManualReplay(line, line.known), (120, 36)) as screen:
        await screen.settle()
        await rig.wait(10)
        live, replayed = rig.lines, screen.rows()
        assert [line.strip() for line in replayed[2:7]] == [line.strip() for line in live[2:7]]
        assert shown(rig) in replayed[8]
        assert "attached" in replayed[0]
        assert "paused" in replayed[0]
        assert "hold" not in replayed[-1]
        await screen._pilot.press("down", "n", "p")
        await screen.settle()
        assert screen.app.screen is screen.app.live
        assert "request 2 of" in screen.rows()[-2]


async def test_a_replay_can_go_back_and_forth_between_servers_that_come_and_go(tmp_path: Path) -> None:
    line = indexed(Trace.open(file_of(tmp_path / "servers.jsonl", attached_run())))
    replay = ManualReplay(line, 0)
    async with offscreen(replay, (120, 36)) as screen:
        await screen.settle()
        for place in (3, 600, line.known, 40, line.known // 2):
            replay._sink.emit(StateReplaced(line.state_at(place)))
            await screen.settle()
            rows = screen.rows()
            assert "attached" in rows[0]
            assert "gpu1:5571" in "".join(rows)
