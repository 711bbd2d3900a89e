"""Talks: what a file may say, what is said about a wrong one, and a whole talk on a synthetic race."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.script_file import script_of
from spectui.core.state import RunState
from spectui.core.views import RunView, Viewer
from spectui.errors import UsageError
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.playback import Playhead
from spectui.sources.replay import Replay
from spectui.sources.synthetic.source import Pace
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.screens.live import LiveScreen
from spectui.ui.screens.machine import MachineScreen
from spectui.ui.talk.caption_line import MOST_ROWS, CaptionLine, caption_rows
from spectui.ui.talk.player import TalkPlayer
from spectui.ui.talk.script import Do, ScriptError, Wait, parse_script
from tests.support.rig import SIZES, Rig, running
from tests.ui.test_app import check_screen

DEMO = Path(__file__).parents[2] / "demos" / "talk.toml"
KEYS, THEMES = ("x", "g", "tab", "plus"), ("midnight", "stage")


def talk(text: str) -> object:
    return parse_script(text, "t.toml", KEYS, THEMES)


def test_a_talk_is_done_in_the_order_in_which_it_is_written() -> None:
    found = parse_script(
        """
        [[scene]]
        caption = "one  and\\n more"
        present = true
        k = {lane = "mtp", k = 2}
        wait = 2
        press = ["x", "tab"]
        [[scene]]
        restart = true
        wait = "round"
        speed = 2
        screen = "costs"
        """,
        "t.toml",
        KEYS,
        THEMES,
    )
    first, second = found.scenes
    assert first.caption == "one and more"
    assert first.acts == (Do("present", True), Do("k", ("mtp", 2)), Wait(2.0), Do("press", ("x", "tab")))
    assert second.acts == (Do("restart", True), Wait("round"), Do("speed", 2.0), Do("screen", "costs"))
    assert parse_script("[[scene]]\ncaption = 'x'", "t.toml").scenes[0].acts == (Wait("key"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scene = [", "t.toml: not valid TOML: "),
        ("", "t.toml: no scenes: each one begins with [[scene]]"),
        ("scene = 3", "t.toml: no scenes"),
        ("[[scenes]]\n", "t.toml: unknown key 'scenes': did you mean 'scene'?"),
        ("[[scene]]\nwait=1\n[[scene]]\nrestrat = true", "t.toml, scene 2: unknown key 'restrat': did you"),
        ("[[scene]]\nxyzzy = 1", "t.toml, scene 1: unknown key 'xyzzy': choose from caption, live, present"),
        ("[[scene]]\ncaption = 3", 't.toml, scene 1: caption = 3 is not valid: give words in quotes, such as "so'),
        ("[[scene]]\nprompt = ' '", "t.toml, scene 1: prompt = ' ' is not valid: give words in quotes"),
        ("[[scene]]\npresent = 'yes'", "t.toml, scene 1: present = 'yes' is not valid: give true or false"),
        ("[[scene]]\nslow = 1", "t.toml, scene 1: slow = 1 is not valid: give true or false"),
        ("[[scene]]\nnext = false", "t.toml, scene 1: next = false is not valid: give true, or leave it out"),
        ("[[scene]]\nstep = 0", "t.toml, scene 1: step = 0 is not valid: give a whole number from 1 to 1000"),
        ("[[scene]]\nstep = true", "t.toml, scene 1: step = true is not valid: give a whole number from 1 to"),
        ("[[scene]]\nspeed = 99", "t.toml, scene 1: speed = 99 is not valid: give a number from 0.1 to 50"),
        ("[[scene]]\nspeed = nan", "t.toml, scene 1: speed = nan is not valid"),
        ("[[scene]]\ntheme = 'midnigt'", "t.toml, scene 1: theme = 'midnigt' is unknown: did you mean 'midnight'?"),
        ("[[scene]]\ntheme = 3", "t.toml, scene 1: theme = 3 is unknown: choose from midnight, stage"),
        ("[[scene]]\nscreen = 'cost'", "t.toml, scene 1: screen = 'cost' is unknown: did you mean 'costs'?"),
        ("[[scene]]\nk = 3", 't.toml, scene 1: k = 3 is not valid: give a lane and its K, such as {lane = "mtp"'),
        ("[[scene]]\nk = {lane = 'a', k = -1}", "t.toml, scene 1: k.k = -1 is not valid: give a whole number"),
        ("[[scene]]\nk = {lane = 4, k = 1}", "t.toml, scene 1: k.lane = 4 is not valid"),
        (
            "[[scene]]\npress = 'x'",
            "t.toml, scene 1: press = 'x' is not valid: give a list of keys, such as [\"x\"",
        ),
        (
            "[[scene]]\npress = ['pluss']",
            "t.toml, scene 1: press: 'pluss' is not a key of the live screen: did you mean 'p",
        ),
        ("[[scene]]\npress = ['ü']", "t.toml, scene 1: press: 'ü' is not a key of the live screen: press ? for a list"),
        ("[[scene]]\npress = ['space']", "t.toml, scene 1: press: the key 'space' is reserved for the presenter"),
        ("[[scene]]\nwait = 'rund'", "t.toml, scene 1: wait = 'rund' is unknown: did you mean 'round'?"),
        ("[[scene]]\nwait = 'x'", "t.toml, scene 1: wait = 'x' is unknown: give seconds, round or key"),
        ("[[scene]]\nwait = 0", "t.toml, scene 1: wait = 0 is not valid: give seconds, 'round' or 'key'"),
        ("[[scene]]\nwait = inf", "t.toml, scene 1: wait = inf is not valid"),
        (f"[[scene]]\nwait = [{'1,' * 99}]", "t.toml, scene 1: wait = this is not valid"),
    ],
)
def test_a_wrong_talk_is_named_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ScriptError) as caught:
        talk(text)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_talk_from_any_editor_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "talk.toml").write_bytes(end.join(DEMO.read_text().splitlines()).encode(encoding))
    assert script_of(str(tmp_path / "talk.toml"), on_screen=True) == script_of(str(DEMO), on_screen=True)


def test_a_file_that_is_no_talk_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad.toml").write_text("[[scene]]\ntheme = 'midnigt'\n")
    for name, said in (
        ("nowhere", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("binary", "is not UTF-8 text"),
        ("bad.toml", "--script: bad.toml, scene 1: theme = 'midnigt' is unknown: did you mean 'midnight'?"),
    ):
        with pytest.raises(UsageError, match=said.replace("?", r"\?")):
            script_of(str(tmp_path / name), on_screen=True)
    with pytest.raises(UsageError, match="--script needs the screen"):
        script_of(str(DEMO), on_screen=False)
    assert script_of(None, on_screen=False) is None


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_caption_fits(width: int) -> None:
    for text in ("short", "many words " * 40, "x" * 500, ""):
        rows = caption_rows(text, "12/34", width)
        assert len(rows) <= MOST_ROWS
        assert all(row_width(row) <= width for row in rows)
        assert not rows or plain(rows[0]).endswith("12/34")


class Hand:
    """A performance that only remembers."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.ready = self.live = True
        self.frozen: list[bool] = []

    def do(self, act: Do) -> bool:
        self.done.append(act.what)
        return act.what in ("restart", "next")

    def settled(self) -> bool:
        return self.ready

    def freeze(self, frozen: bool) -> None:
        self.frozen.append(frozen)

    def let_go(self) -> None:
        self.done.append("let go")

    def round_over(self) -> None:
        self.done.append("round over")


class Clock:
    def __init__(self) -> None:
        self.time = 0.0
        self.due: list[tuple[float, object]] = []

    def now(self) -> float:
        return self.time

    def later(self, seconds: float, callback: object) -> None:
        self.due.append((self.time + seconds, callback))

    def run_for(self, seconds: float) -> None:
        self.time += seconds
        ripe = [one for one in self.due if one[0] <= self.time]
        self.due = [one for one in self.due if one[0] > self.time]
        for _, callback in ripe:
            callback()  # type: ignore[operator]


def player(text: str) -> tuple[TalkPlayer, Hand, Clock]:
    hand, clock = Hand(), Clock()
    found = TalkPlayer(parse_script(text, "t.toml"), hand, clock.now, clock.later, lambda: None)
    return found, hand, clock


def view(round_number: int | None = 0) -> RunView:
    return replace(Viewer(RunState()).read(), round=round_number)


def test_scenes_follow_each_other_after_seconds_and_a_pause_stops_their_time() -> None:
    given, hand, clock = player(
        "[[scene]]\ncaption='a'\npause=true\nwait=5\nstep=2\n[[scene]]\ncaption='b'\nwait='key'"
    )
    given.turn(view(None))
    assert not given.running
    given.turn(view())
    assert (given.caption, given.progress, hand.done) == ("a", "1/2", ["pause"])
    clock.run_for(4)
    given.pause()
    clock.run_for(60)
    assert given.caption == "a"
    given.pause()
    assert hand.frozen == [True, False]
    clock.run_for(0.9)
    assert given.caption == "a"
    clock.run_for(0.2)
    assert (given.caption, hand.done) == ("b", ["pause", "step"])
    given.next_scene()
    assert given.over
    assert given.caption == ""


def test_a_scene_that_is_skipped_is_still_done() -> None:
    given, hand, clock = player("[[scene]]\nslow=true\nwait=5\npresent=false\n[[scene]]\ncaption='b'")
    given.turn(view())
    given.next_scene()
    assert hand.done == ["slow", "present"]
    assert given.caption == "b"
    clock.run_for(60)
    assert given.caption == "b"


def test_what_was_begun_comes_to_its_end_first() -> None:
    given, hand, _ = player("[[scene]]\nstep=3\npress=['x']\nwait='key'")
    hand.ready = False
    given.turn(view())
    given.turn(view())
    assert hand.done == ["step"]
    hand.ready = True
    given.turn(view())
    assert hand.done == ["step", "press"]


def test_the_end_of_an_earlier_round_is_not_waited_for() -> None:
    given, hand, _ = player("[[scene]]\nrestart=true\nwait='round'\n[[scene]]\ncaption='b'")
    given.see(ev.RoundFinished(0))
    given.turn(view())
    given.see(ev.RoundFinished(0))
    given.turn(view())
    assert hand.done == ["restart"]
    given.see(ev.RoundStarted(1, (), ev.Sampling()))
    given.turn(view(1))
    assert given.caption == ""
    given.see(ev.RoundFinished(1))
    given.turn(view(1))
    assert hand.done == ["restart", "round over"]
    assert given.caption == "b"


def test_a_conversation_is_waited_for_to_its_last_turn() -> None:
    given, _, _ = player("[[scene]]\nwait='round'\n[[scene]]\ncaption='b'")
    given.turn(view())
    given.see(ev.RoundFinished(0))
    given.turn(replace(view(), goes_on=True))
    assert given.caption == ""
    # The next turn was refused, so that this one was the last.
    given.turn(replace(view(), goes_on=True, round_over=True))
    assert given.caption == "b"


def test_the_end_of_a_trace_ends_every_round() -> None:
    given, hand, _ = player("[[scene]]\nnext=true\nwait='round'\n[[scene]]\ncaption='b'")
    given.see(Playhead(number=9, total=9, lane_ns=9, total_ns=9, known=1.0, speed=1.0, ended=True))
    given.turn(view())
    end = Playhead(number=9, total=9, lane_ns=9, total_ns=9, known=1.0, speed=1.0, ended=True)
    given.turn(view())
    assert given.caption == ""
    given.see(end)
    given.turn(view())
    assert given.caption == "b"
    assert hand.done == ["next", "round over"]


def test_an_ended_talk_does_nothing_more_and_lets_go() -> None:
    given, hand, clock = player("[[scene]]\nwait=5\npress=['x']")
    given.turn(view())
    given.pause()
    given.end()
    assert hand.done == ["let go"]
    clock.run_for(60)
    given.turn(view())
    assert hand.done == ["let go"]
    assert not given.running


async def through(rig: Rig) -> list[str]:
    """Hold every scene, look at it, and go on to the next one; their captions."""
    talking = rig.app.talking
    assert talking is not None
    given, seen = talking.player, list[str]()
    while not given.over:
        await rig.until(lambda: given.over or given.caption not in ("", *seen))
        if not given.over:
            seen.append(given.caption)
            await rig.pilot.press("space")
            await rig.settle()
            assert given.caption.split()[0] in rig.text
            check_screen(rig)
            await rig.pilot.press("enter")
    return seen


@pytest.mark.parametrize("size", SIZES)
async def test_the_demo_s_talk_from_beginning_to_end(size: tuple[int, int]) -> None:
    given = script_of(str(DEMO), on_screen=True)
    assert given is not None
    async with running(size, talk=given, pace=Pace(tokens_s=2_000.0), paused=False) as rig:
        assert await through(rig) == [scene.caption for scene in given.scenes]
        await rig.settle(lambda: rig.view.round_over)
        talking = rig.app.talking
        assert talking is not None
        assert talking.player.over
        assert rig.app.choices.presenting
        assert not rig.app.slow.on
        assert isinstance(rig.app.screen, LiveScreen)
        assert not rig.app.screen.query_one(CaptionLine).display
        assert rig.view.notice == ""
        assert cmd.SetK("dflash", 5) in rig.source.commands
        await rig.press("space", "p")
        check_screen(rig)


async def test_a_talk_plays_by_itself() -> None:
    script = """
    [[scene]]
    caption = "the first"
    theme = "stage"
    present = true
    slow = true
    category = "reasoning"
    step = 2
    wait = 1
    [[scene]]
    caption = "at true speed"
    slow = false
    prompt = "mine"
    wait = "round"
    [[scene]]
    caption = "the memory"
    screen = "machine"
    wait = 3
    [[scene]]
    caption = "the last"
    screen = "live"
    focus = "DFlash"
    press = ["x"]
    wait = 2
    """
    given = parse_script(script, "t.toml")
    async with running((120, 36), talk=given, paused=False) as rig:
        talking = rig.app.talking
        assert talking is not None
        player = talking.player
        await rig.until(lambda: rig.app.slow.acted is not None)
        assert rig.app.shown_theme.name == "stage"
        assert rig.view.prompts[0].category == "reasoning"
        await rig.until(lambda: player.caption == "at true speed")
        assert "▌ at true speed" in rig.text or rig.view.round_over
        await rig.until(lambda: player.caption == "the memory")
        await rig.settle(lambda: "the memory" in rig.text)
        assert rig.view.prompts[0].text == "mine"
        assert isinstance(rig.app.screen, MachineScreen)
        await rig.until(lambda: player.caption == "the last")
        await rig.settle()
        assert isinstance(rig.app.screen, LiveScreen)
        assert rig.app.choices.focus == 2
        await rig.settle(lambda: rig.app.choices.rejected == "all")
        assert "Enter next scene" in rig.text
        await rig.until(lambda: player.over)
        await rig.settle()
        assert "Enter next scene" not in rig.text
        check_screen(rig)


@pytest.mark.slow
async def test_space_holds_talk_and_race_and_escape_gives_the_keys_back() -> None:
    given = parse_script("[[scene]]\ncaption='look'\nwait=5\n[[scene]]\ncaption='never'", "t.toml")
    endless = ev.Sampling(max_tokens=10**9, ignore_eos=True)
    async with running(
        (120, 36), talk=given, pace=Pace(tokens_s=2_000.0), paused=False, sampling=endless, wait=False
    ) as rig:
        talking = rig.app.talking
        assert talking is not None
        await rig.until(lambda: talking.player.running)
        await rig.pilot.press("space")
        await rig.settle(lambda: rig.view.paused)
        assert "held  1/2" in rig.text
        rig.clock.run_for(60.0)
        await rig.settle()
        assert talking.player.caption == "look"
        await rig.pilot.press("escape", "space")
        await rig.until(lambda: not rig.view.paused)
        assert talking.player.over
        assert "look" not in rig.text


@pytest.mark.parametrize("key", ["enter", "right"])
async def test_a_key_begins_the_next_scene(key: str) -> None:
    given = parse_script("[[scene]]\ncaption='the first'\n[[scene]]\ncaption='the second'", "t.toml")
    async with running((120, 36), talk=given) as rig:
        await rig.settle(lambda: "the first" in rig.text)
        await rig.press(key)
        assert "the second" in rig.text


def test_a_scene_of_a_live_talk_is_left_out_in_a_replay() -> None:
    text = "[[scene]]\ncaption='a'\n[[scene]]\nlive=true\ncaption='b'\n[[scene]]\ncaption='c'"
    for live, captions in ((True, ["a", "b", "c"]), (False, ["a", "c"])):
        given, hand, _ = player(text)
        hand.live = live
        given.turn(view())
        seen = []
        while given.running:
            seen.append(given.caption)
            given.next_scene()
        assert seen == captions


async def test_the_talk_s_keys_are_the_prompt_line_s_while_that_is_open() -> None:
    given = parse_script("[[scene]]\ncaption='look'", "t.toml")
    async with running((120, 36), talk=given) as rig:
        talking = rig.app.talking
        assert talking is not None
        await rig.until(lambda: talking.player.running)
        await rig.press("slash", *"a b", "enter")
        assert rig.source.commands == [cmd.SetPrompt("a b")]
        assert talking.player.running


async def test_lanes_and_categories_that_are_not_there_are_said() -> None:
    given = parse_script("[[scene]]\nfocus='mpt'\nwait='key'\n[[scene]]\ncategory='mahts'\nwait='key'", "t.toml")
    async with running((120, 36), talk=given) as rig:
        await rig.settle(lambda: "the talk asks for lane 'mpt': did you mean 'mtp'?" in rig.text)
        await rig.pilot.press("enter")
        await rig.settle(lambda: "the talk asks for category 'mahts': did you mean 'math'?" in rig.text)


async def test_a_replay_leaves_out_what_needs_an_engine() -> None:
    given = parse_script(
        "[[scene]]\nwait='key'\n[[scene]]\nprompt='x'\ncategory='math'\nk={lane='mtp',k=1}\nspeed=5\nnext=true",
        "t.toml",
    )
    async with running((120, 36), talk=given) as rig:
        rig.source.accepts = Replay.accepts
        rig.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=1.0))
        await rig.settle()
        await rig.press("enter")
        assert rig.source.commands == [cmd.SetSpeed(5.0), cmd.NextPrompt(1), cmd.Resume()]
