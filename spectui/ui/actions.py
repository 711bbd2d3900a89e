"""Everything a key can do, once: feeds bindings, footer, help, command palette and the README's table of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.actions import parse
from textual.binding import Binding, BindingType

MAX_LANE_KEYS = 9


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the user can do on the live screen.

    Attributes:
        id: Stable name, for keymaps: ``group.what``.
        keys: Textual's key names, comma separated; the first one is shown.
        shown: How the keys are written for people.
        call: Textual action, such as ``"pause"`` or ``"focus_lane(1)"``.
        label: One or two words, for the footer.
        description: One sentence, for help and README.
        group: Heading in help.
        footer: How long the footer keeps it on a narrow screen: 0 goes last; None is never in the footer. The footer
            follows the registry's order.
        tooltip: What a newcomer should know beyond the description.
        palette: Whether the command palette offers it.
    """

    id: str
    keys: str
    shown: str
    call: str
    label: str
    description: str
    group: str
    footer: int | None = None
    tooltip: str = ""
    palette: bool = True

    @property
    def parsed(self) -> tuple[str, tuple[object, ...]]:
        """Name and parameters of `call`."""
        _, name, parameters = parse(self.call)
        return name, parameters


def _lane_keys() -> Iterator[Action]:
    for number in range(1, MAX_LANE_KEYS + 1):
        yield Action(
            f"lane.focus_{number}",
            str(number),
            str(number),
            f"focus_lane({number})",
            f"lane {number}",
            f"Focus lane {number}.",
            "Lanes",
            palette=False,
        )


ACTIONS: tuple[Action, ...] = (
    Action(
        "race.pause",
        "space",
        "Space",
        "pause",
        "pause",
        "Pause the race between two engine steps, or let it go on.",
        "Race",
        0,
        "No lane clock runs in a pause.",
    ),
    Action(
        "race.step",
        "full_stop",
        ".",
        "step",
        "step",
        "Take one engine step and pause: of the lane that is furthest behind.",
        "Race",
        1,
        "Hold it to watch one verification after the other.",
    ),
    Action(
        "race.next",
        "n",
        "n",
        "next_prompt(1)",
        "next",
        "Race the next prompt of the set.",
        "Race",
        4,
    ),
    Action(
        "race.previous",
        "N,b",
        "N b",
        "next_prompt(-1)",
        "previous",
        "Race the previous prompt of the set.",
        "Race",
    ),
    Action(
        "race.prompt",
        "slash",
        "/",
        "ask('prompt')",
        "prompt",
        "Type or paste a prompt of your own, which may have several lines, and race it.",
        "Race",
        5,
    ),
    Action(
        "race.category",
        "c",
        "c",
        "next_category",
        "category",
        "Race the first prompt of the next category.",
        "Race",
    ),
    Action(
        "race.temperature",
        "T",
        "T",
        "ask('temperature')",
        "temperature",
        "Sample at a temperature that you type, in a new round; 0 is greedy.",
        "Race",
    ),
    Action(
        "race.restart",
        "r",
        "r",
        "restart",
        "restart",
        "Race the same prompts again with the same seed.",
        "Race",
        6,
    ),
    Action(
        "race.more",
        "right_square_bracket",
        "]",
        "concurrency(1)",
        "more requests",
        "Race one more prompt at once, in a new round.",
        "Race",
    ),
    Action(
        "race.fewer",
        "left_square_bracket",
        "[",
        "concurrency(-1)",
        "fewer requests",
        "Race one prompt less at once, in a new round.",
        "Race",
    ),
    Action("replay.back", "comma", ",", "step_back", "back", "Go back to before the last step.", "Replay", 5),
    Action("replay.later", "right", "Right", "seek(1)", "1 s on", "Go on by a second of lane time.", "Replay", 6),
    Action("replay.earlier", "left", "Left", "seek(-1)", "1 s back", "Go back by a second.", "Replay"),
    Action("replay.much_later", "shift+right", "Shift+Right", "seek(10)", "10 s on", "Go on by ten.", "Replay"),
    Action("replay.much_earlier", "shift+left", "Shift+Left", "seek(-10)", "10 s back", "Go back by ten.", "Replay"),
    Action("replay.begin", "ctrl+home", "Ctrl+Home", "seek_to(0)", "beginning", "Go to the beginning.", "Replay"),
    Action("replay.end", "ctrl+end", "Ctrl+End", "seek_to(1)", "end", "Go to the end of the trace.", "Replay"),
    Action("replay.faster", "right_curly_bracket", "}", "speed(1)", "faster", "Play faster.", "Replay", 7),
    Action("replay.slower", "left_curly_bracket", "{", "speed(-1)", "slower", "Play slower.", "Replay"),
    Action("lane.next", "tab", "Tab", "move_focus(1)", "focus", "Focus the next lane.", "Lanes", 7),
    Action(
        "lane.previous",
        "shift+tab",
        "Shift+Tab",
        "move_focus(-1)",
        "focus back",
        "Focus the previous lane.",
        "Lanes",
    ),
    *_lane_keys(),
    Action(
        "lane.more_k",
        "plus,equals_sign",
        "+",
        "change_k(1)",
        "more drafts",
        "Let the focused lane draft one token more a step, from its next step on.",
        "Lanes",
        tooltip="No restart: up to the K the lane was built for.",
    ),
    Action(
        "lane.fewer_k",
        "minus",
        "-",
        "change_k(-1)",
        "fewer drafts",
        "Let the focused lane draft one token less a step; at 0 it decodes plainly.",
        "Lanes",
    ),
    Action(
        "lane.k",
        "k",
        "k",
        "ask('k')",
        "type K",
        "Type the focused lane's K.",
        "Lanes",
    ),
    Action(
        "lane.tune",
        "a",
        "a",
        "tune",
        "tune",
        "Search the fastest K of the focused lane and remember it; ends the round.",
        "Lanes",
        tooltip="Measures every K in turn on the same prompts until one is told from the others.",
    ),
    Action(
        "view.inspect",
        "i,enter",
        "i",
        "inspect",
        "inspect",
        "Look at single steps: what the target thought of every drafted token; pauses the race.",
        "View",
        7,
        "The target is asked anew, off every clock.",
    ),
    Action(
        "view.rejected",
        "x",
        "x",
        "rejected",
        "rejected",
        "Show the first rejected draft of a step and how many follow, then all of them, then none.",
        "View",
        8,
        "With none the text reads as the user of the model gets it.",
    ),
    Action(
        "view.present",
        "p",
        "p",
        "present",
        "present",
        "Show an audience what matters: large digits, more text, one sentence a lane; again ends it.",
        "View",
        10,
    ),
    Action(
        "view.slow",
        "m",
        "m",
        "slow",
        "slow motion",
        "While presenting: act every step out, draft, verdict and the target's own token; again goes on at true speed.",
        "View",
        2,
        "r leaves it and races the same prompts again at true speed.",
    ),
    Action(
        "view.costs",
        "s",
        "s",
        "costs",
        "step times",
        "Show where the time of a step goes at each K, and the cost model's estimate.",
        "View",
    ),
    Action(
        "view.machine",
        "g",
        "g",
        "machine",
        "memory",
        "Show memory by owner, bandwidth against its peak, and the devices.",
        "View",
        9,
    ),
    Action(
        "view.window",
        "w",
        "w",
        "window",
        "window",
        "Acceptance over the last steps, or over all of them.",
        "View",
    ),
    Action(
        "view.request_next",
        "greater_than_sign",
        ">",
        "request(1)",
        "next request",
        "Show the next of several requests that run at once.",
        "View",
    ),
    Action(
        "view.request_previous",
        "less_than_sign",
        "<",
        "request(-1)",
        "previous request",
        "Show the previous of several requests that run at once.",
        "View",
    ),
    Action("view.up", "up", "Up", "scroll_text('up')", "up", "Scroll the focused text up.", "View", palette=False),
    Action("view.down", "down", "Down", "scroll_text('down')", "down", "Scroll it down.", "View", palette=False),
    Action("view.page_up", "pageup", "PgUp", "scroll_text('page_up')", "page up", "A page up.", "View", palette=False),
    Action(
        "view.page_down",
        "pagedown",
        "PgDn",
        "scroll_text('page_down')",
        "page down",
        "A page down.",
        "View",
        palette=False,
    ),
    Action(
        "view.home",
        "home",
        "Home",
        "scroll_text('home')",
        "top",
        "To the beginning of the text; of the trace in a replay.",
        "View",
    ),
    Action(
        "view.end",
        "end",
        "End",
        "scroll_text('end')",
        "end",
        "To the end of the text, and follow it again; of the trace in a replay.",
        "View",
    ),
    Action("program.log", "l", "l", "log", "log", "Show what the engine logs.", "Program", 9),
    Action(
        "program.record",
        "R",
        "R",
        "record",
        "record",
        "Record the run to a file, with what is still in memory; again ends it.",
        "Program",
    ),
    Action("program.shot", "S", "S", "shot", "picture", "Save a picture of the screen as an SVG file.", "Program"),
    Action(
        "program.theme",
        "t",
        "t",
        "theme",
        "theme",
        "Choose another theme from a list; each is shown at once, Enter keeps it, Esc goes back.",
        "Program",
    ),
    Action(
        "program.help",
        "question_mark",
        "?",
        "help",
        "help",
        "Explain the colours, the figures and the keys.",
        "Program",
        3,
    ),
    Action(
        "program.suspend",
        "ctrl+z",
        "Ctrl+Z",
        "suspend",
        "suspend",
        "Stop the program and give the terminal back to the shell; fg there brings the screen back.",
        "Program",
        tooltip="No lane clock runs meanwhile.",
    ),
    Action("program.quit", "q,ctrl+c", "q", "quit", "quit", "End the program at once.", "Program", 2, palette=False),
)


TALK: tuple[tuple[str, str, str, str], ...] = (
    ("space", "Space", "talk_pause", "Hold the talk and the race, or let both go on."),
    ("enter,right", "Enter Right", "talk_next", "Begin the next scene at once."),
    ("escape", "Esc", "talk_end", "End the talk: the race stays as it is, and these keys do again what they did."),
)
"""Keys, how they are written, action and description of what a talk takes the keys for while it is given."""

TALK_GROUP = "While a talk is given"


def talk_bindings() -> list[BindingType]:
    """The talk's keys as bindings of the app, which come before those of any screen."""
    return [
        Binding(keys, call, description, show=False, priority=True, id=f"talk.{call.removeprefix('talk_')}")
        for keys, _, call, description in TALK
    ]


def bindings() -> list[BindingType]:
    """The registry as Textual bindings of the live screen."""
    return [
        Binding(
            key,
            action.call,
            action.description,
            show=False,
            id=action.id if key == action.keys.split(",")[0] else f"{action.id}.{key}",
            tooltip=action.tooltip or action.description,
        )
        for action in ACTIONS
        for key in action.keys.split(",")
    ]


def groups(actions: Sequence[Action] = ACTIONS) -> dict[str, list[tuple[str, str]]]:
    """(keys, description) of every action by group, as help and README list them; the lane numbers are one line."""
    table: dict[str, list[tuple[str, str]]] = {}
    for action in actions:
        lines = table.setdefault(action.group, [])
        if action.call == "focus_lane(1)":
            lines.append((f"1-{MAX_LANE_KEYS}", "Focus the lane of that number."))
        elif not action.call.startswith("focus_lane"):
            lines.append((action.shown, action.description))
    table[TALK_GROUP] = [(shown, description) for _, shown, _, description in TALK]
    return table


def keys_table() -> str:
    """The README's table of keys, in Markdown."""
    lines = ["| key | does |", "|---|---|"]
    for entries in groups().values():
        lines += [f"| `{keys}` | {description} |" for keys, description in entries]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(keys_table())
