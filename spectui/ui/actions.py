"""Everything that a key of the live screen can do: a new key is one entry here.

Feeds bindings, footer, help, command palette, the user's keymap and the table of keys, which
``python -m spectui.ui.actions`` prints.
"""

from __future__ import annotations

from spectui.protocol import commands as cmd
from spectui.protocol.limits import MAX_CONCURRENCY
from spectui.ui.action import FOCUS, MAX_LANE_KEYS, Action, groups
from spectui.ui.controls import REJECTED_LABELS, Controls
from spectui.ui.screens import opening


def _begun(at: Controls) -> bool:
    return at.begun


def _has_lane(at: Controls) -> bool:
    return at.lane is not None


def _has_drafter(at: Controls) -> bool:
    return at.drafting is not None


def _has_steps(at: Controls) -> bool:
    return at.begun and at.lane is not None and bool(at.lane.history)


def _has_lanes(at: Controls) -> bool:
    return len(at.view.lanes) > 1


def _has_requests(at: Controls) -> bool:
    return len(at.view.prompts) > 1 or _has_entry(at)


def _has_entry(at: Controls) -> bool:
    return at.served and at.choices.look.key is not None


def _can_open(at: Controls) -> bool:
    return _has_entry(at) if at.served else at.inspects and _has_steps(at)


def _focus_key(number: int) -> Action:
    return Action(
        id=f"{FOCUS}{number}",
        keys=str(number),
        label=f"lane {number}",
        description=f"Focus lane {number}.",
        palette=False,
        do=lambda at: at.focus(number - 1),
        possible=lambda at: number <= len(at.view.lanes),
    )


def _scroll(where: str, keys: str, label: str, description: str, palette: bool = False) -> Action:
    return Action(
        id=f"view.{where}",
        keys=keys,
        label=label,
        description=description,
        palette=palette,
        do=lambda at: at.scroll(where),
        possible=_has_lane,
    )


# One line for the key, one for its sentence, one for what it does: one argument a line would hide the table.
# fmt: off
ACTIONS: tuple[Action, ...] = (
    Action(id="race.pause", keys="space", label="pause", footer=0,
           label_now=lambda at: "continue" if at.paused else "pause" if not at.served or at.replay else "hold",
           description="Pause the race between two engine steps, or resume it; over servers, hold the screen still.",
           tooltip="No lane clock runs in a pause; servers go on.",
           do=Controls.pause,
           possible=lambda at: at.pauses and at.begun and (at.paused or at.replay or not at.view.round_over)),
    Action(id="race.step", keys="full_stop", label="step", footer=1,
           description="Take one engine step, of the lane that is furthest behind, and pause.",
           tooltip="Hold it to watch one verification after the other.",
           do=Controls.step, sends=cmd.StepOnce,
           possible=lambda at: at.begun and (at.replay or not at.view.round_over)),
    Action(id="race.next", keys="n", label="next", footer=4, served=False,
           description="Race the next prompt of the set.",
           do=cmd.NextPrompt(1), possible=_begun),
    Action(id="race.previous", keys="N,b", shown_as="N b", label="previous",
           description="Race the previous prompt of the set.",
           do=cmd.NextPrompt(-1), possible=_begun),
    Action(id="race.prompt", keys="slash", label="prompt", footer=5,
           description="Type or paste a prompt of your own, of one or more lines, and race it, or send it to a server.",
           do=Controls.ask_prompt, sends=cmd.SetPrompt, possible=_begun),
    Action(id="race.category", keys="c", label="category",
           description="Race the first prompt of the next category.",
           do=cmd.NextCategory(), possible=_begun),
    Action(id="race.temperature", keys="T", label="temperature",
           description="Set the temperature (starts a new round; 0 is greedy).",
           do=Controls.ask_temperature, sends=cmd.SetTemperature, possible=_begun),
    Action(id="race.restart", keys="r", label="restart", footer=6,
           description="Race the same prompts again with the same seed.",
           do=Controls.restart, sends=cmd.Restart, possible=_begun),
    Action(id="race.fork", keys="f", label="fork",
           description="Go on with the focused lane's answer from its newest step in a new round, unchanged or with "
                       "another token; f in the step inspector does so from any step.",
           tooltip="All lanes are given the same answer up to there.",
           do=opening.fork, sends=cmd.Fork, possible=_has_steps),
    Action(id="race.parent", keys="u", label="parent",
           description="Race the round again from which this one was forked; a replay goes to its beginning.",
           do=cmd.ToParent(), possible=lambda at: at.begun and at.view.parent is not None),
    Action(id="race.more", keys="right_square_bracket", label="more requests",
           description="Race one more prompt at a time (starts a new round).",
           do=lambda at: at.send(cmd.SetConcurrency(len(at.view.prompts) + 1)), sends=cmd.SetConcurrency,
           possible=lambda at: at.begun and len(at.view.prompts) < MAX_CONCURRENCY),
    Action(id="race.fewer", keys="left_square_bracket", label="fewer requests",
           description="Race one fewer prompt at a time (starts a new round).",
           do=lambda at: at.send(cmd.SetConcurrency(len(at.view.prompts) - 1)), sends=cmd.SetConcurrency,
           possible=lambda at: at.begun and len(at.view.prompts) > 1),
    Action(id="race.bench", keys="B", label="benchmark",
           description="Measure every lane on every category of the prompts and draw the table (ends the round).",
           tooltip="All lanes answer the same prompts in turn; takes some minutes, and Esc keeps what is finished.",
           do=cmd.StartBench(), possible=lambda at: at.begun and not at.slow.on),

    Action(id="replay.back", keys="comma", label="back", footer=5,
           description="Go back to before the last step.", do=Controls.step_back, sends=cmd.StepBack),
    Action(id="replay.later", keys="right", label="+1 s", footer=6,
           description="Skip forward 1 s of lane time.", do=cmd.Seek(1)),
    Action(id="replay.earlier", keys="left", label="-1 s",
           description="Skip back 1 s.", do=cmd.Seek(-1)),
    Action(id="replay.much_later", keys="shift+right", label="+10 s",
           description="Skip forward 10 s.", do=cmd.Seek(10)),
    Action(id="replay.much_earlier", keys="shift+left", label="-10 s",
           description="Skip back 10 s.", do=cmd.Seek(-10)),
    Action(id="replay.begin", keys="ctrl+home", label="beginning",
           description="Go to the beginning of the trace.", do=cmd.SeekTo(0)),
    Action(id="replay.end", keys="ctrl+end", label="end",
           description="Go to the end of the trace.", do=cmd.SeekTo(1)),
    Action(id="replay.faster", keys="right_curly_bracket", label="faster", footer=7,
           description="Play faster.", do=cmd.ChangeSpeed(1)),
    Action(id="replay.slower", keys="left_curly_bracket", label="slower",
           description="Play slower.", do=cmd.ChangeSpeed(-1)),

    Action(id="lane.next", keys="tab", label="focus", footer=7,
           description="Focus the next lane.",
           do=lambda at: at.focus(at.choices.focus + 1), possible=_has_lanes),
    Action(id="lane.previous", keys="shift+tab", label="focus back",
           description="Focus the previous lane.",
           do=lambda at: at.focus(at.choices.focus - 1), possible=_has_lanes),
    *map(_focus_key, range(1, MAX_LANE_KEYS + 1)),
    Action(id="lane.more_k", keys="plus,equals_sign", label="more drafts", footer=8, served=True,
           description="Let the focused lane draft one more token per step, from its next step on.",
           tooltip="Needs no restart, up to the K that the lane was built for.",
           do=lambda at: at.change_k(1), sends=cmd.SetK,
           possible=lambda at: (lane := at.drafting) is not None and at.k(lane) < lane.info.k_max),
    Action(id="lane.fewer_k", keys="minus", label="fewer drafts", footer=8, served=True,
           description="Let the focused lane draft one fewer token per step; at 0 it drafts nothing.",
           do=lambda at: at.change_k(-1), sends=cmd.SetK,
           possible=lambda at: (lane := at.drafting) is not None and at.k(lane) > 0),
    Action(id="lane.k", keys="k", label="type K",
           description="Type a K for the focused lane, or auto: it then chooses its K after every step.",
           do=Controls.ask_k, sends=cmd.SetK, possible=_has_drafter),
    Action(id="lane.tune", keys="a", label="tune",
           description="Search for the fastest K of the focused lane and remember it (ends the round); a server's, on "
                       "its own traffic.",
           tooltip="Measures every K in turn on the same prompts until one stands out.",
           do=Controls.tune, sends=cmd.Tune,
           possible=lambda at: at.drafting is not None and not at.slow.on),

    Action(id="served.open", keys="enter", label="open", footer=1, served=True, palette=False,
           description="Show the chosen request in place of the table; in a race, look at single steps as i does.",
           do=lambda at: at.servers.open() if at.served else opening.inspect(at), possible=_can_open),
    Action(id="served.back", keys="escape", shown_as="Esc", label="back", footer=2, served=True, palette=False,
           label_now=lambda at: "back" if at.choices.look.opened else "follow",
           description="Go back from a request to the table, and from there to following the newest request.",
           tooltip="A request that is followed stays on the screen until it ends.",
           do=lambda at: at.servers.back(),
           possible=lambda at: at.served and (at.choices.look.opened or not at.choices.look.following
                                                          or at.choices.look.lane is not None)),
    Action(id="served.order", keys="o", label="order", footer=7, served=True,
           description="Sort the requests in flight: newest, oldest, most tokens, shortest length or slowest first.",
           do=lambda at: at.servers.change_order(), possible=lambda at: at.served),

    Action(id="view.inspect", keys="i", label="inspect", footer=7, presenting=False,
           description="Look at single steps: what the target thought of every drafted token; pauses the race.",
           tooltip="The target is asked again, off every clock.",
           do=opening.inspect, possible=lambda at: at.inspects and _has_steps(at)),
    Action(id="view.analysis", keys="d", label="why drafts fail", footer=11, presenting=False,
           description="Show where the focused lane's drafts are refused, what that costs and what would help.",
           tooltip="Covers the run so far, or a replay's whole trace; the race stands still while it is computed.",
           do=opening.analysis, possible=_has_lane),
    Action(id="view.rejected", keys="x", label="rejected", footer=8, presenting=False,
           label_now=lambda at: REJECTED_LABELS[at.choices.rejected],
           description="Show the first rejected draft of each step and a count of the rest; then all; then none.",
           tooltip="With none, the text reads as a user of the model would see it.",
           do=Controls.show_other_rejected, possible=lambda at: at.lane is not None and not at.choices.heat),
    Action(id="view.heat", keys="h", label="heat", footer=8, presenting=True,
           label_now=lambda at: "end heat" if at.choices.heat else "heat",
           description="Shade the text by how many tokens each step emitted: the stronger, the fewer. "
                       "Press again to end.",
           tooltip="Sampled at random, it is the mean over all answers to the prompt so far.",
           do=Controls.show_heat, possible=_has_lane),
    Action(id="view.present", keys="p", label="present", footer=10,
           label_now=lambda at: "end presenting" if at.choices.presenting else "present",
           description="Show an audience what matters: large digits, more text, one sentence per lane; again to end.",
           served=False, do=Controls.present, possible=_has_lane),
    Action(id="view.slow", keys="m", label="slow motion", footer=2, presenting=True,
           label_now=lambda at: "true speed" if at.slow.on else "slow motion",
           description="While presenting: act out every step, draft, verdict and the target's own token; "
                       "press again for true speed.",
           tooltip="r ends it and races the same prompts again at true speed.",
           do=Controls.slow_motion,
           possible=lambda at: at.begun and at.choices.presenting),
    Action(id="view.costs", keys="s", label="step times",
           description="Show what may be wrong with a lane, and where the time of a step goes at each K.",
           do=opening.costs, possible=_begun),
    Action(id="view.machine", keys="g", label="memory", footer=9, presenting=False, served=False,
           description="Show memory by owner, bandwidth against its peak, the engines and the devices.",
           do=opening.machine),
    Action(id="view.window", keys="w", label="window",
           description="Show acceptance over the last steps, or over all of them.",
           do=Controls.change_window, possible=_has_lane),
    Action(id="view.request_next", keys="greater_than_sign", label="next request",
           description="Show the next of several concurrent requests.",
           do=lambda at: at.show_other_request(1), possible=_has_requests),
    Action(id="view.request_previous", keys="less_than_sign", label="previous request",
           description="Show the previous of several concurrent requests.",
           do=lambda at: at.show_other_request(-1), possible=_has_requests),
    _scroll("up", "up", "up", "Scroll the focused text up; in a table of requests, choose the one above."),
    _scroll("down", "down", "down", "Scroll the focused text down; in a table of requests, choose the one below."),
    _scroll("page_up", "pageup", "page up", "Scroll up a page, in a table too."),
    _scroll("page_down", "pagedown", "page down", "Scroll down a page, in a table too."),
    _scroll("home", "home", "top", "Go to the beginning of the text; in a replay, of the trace.", True),
    _scroll("end", "end", "end", "Go to the end of the text and follow it again; in a replay, of the trace.", True),

    Action(id="program.log", keys="l", label="log", footer=9, presenting=False, served=False,
           description="Show the engine's log.",
           do=opening.log, possible=lambda at: at.app.log_tail is not None),
    Action(id="program.record", keys="R", label="record",
           description="Record the run to a file, including what is still in memory; press again to stop.",
           do=cmd.Record()),
    Action(id="program.shot", keys="S", label="picture",
           description="Save a picture of the screen as an SVG file.",
           do=lambda at: at.app.action_shot()),
    Action(id="program.theme", keys="t", label="theme",
           description="Choose another theme from a list; each is shown at once, Enter keeps it, Esc cancels.",
           do=lambda at: at.app.live.choose_theme()),
    Action(id="program.help", keys="question_mark", label="help", footer=3,
           description="Explain the colours, the figures and the keys.",
           do=opening.explain),
    Action(id="program.suspend", keys="ctrl+z", label="suspend",
           description="Stop the program and return to the shell; fg brings the screen back.",
           tooltip="No lane clock runs meanwhile.",
           do=lambda at: at.app.action_suspend(), possible=lambda at: at.app.can_suspend),
    Action(id="program.quit", keys="q,ctrl+c", label="quit", footer=2, palette=False,
           description="Quit at once.",
           do=lambda at: at.app.action_quit()),
)
# fmt: on


def keys_table() -> str:
    """The tables of docs/keys.md, in Markdown, one for each group."""
    tables = []
    for group, entries in groups(ACTIONS).items():
        lines = [f"## {group}", "", "| key | does | name |", "|---|---|---|"]
        for entry in entries:
            keys = " or ".join(f"`{key}`" for key in entry.keys.split(" "))
            lines.append(f"| {keys} | {entry.description} | {f'`{entry.id}`' if entry.id else ''} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables) + "\n"


if __name__ == "__main__":
    print(keys_table())
