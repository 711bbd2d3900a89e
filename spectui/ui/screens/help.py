"""Help: colours, figures and keys, from the same sources as the screen itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import ClassVar

from textual.binding import Binding, BindingType

from spectui.core.tokens import Role
from spectui.figures import DASH
from spectui.protocol.commands import Command
from spectui.ui.action import Action, groups
from spectui.ui.paint.rows import Row, heading
from spectui.ui.paint.wrapping import wrap
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.theme.palette import ROLE_STYLES
from spectui.ui.widgets.engine_rows import SYNCHRONOUS
from spectui.ui.widgets.pane_head import UNLIKE

ROLES: tuple[tuple[Role, str, str], ...] = (
    (Role.PLAIN, "plain", "the target's own token in a step without a draft"),
    (Role.ACCEPTED, "accepted", "drafted, and kept by the target"),
    (
        Role.REJECTED,
        "rejected",
        "drafted, but rejected by the target: the first rejected token and all after it; +3 counts those that "
        "the text hides",
    ),
    (Role.RECOVERED, "recovered", "the target's own token in place of the first rejected one: the correction"),
    (Role.BONUS, "bonus", "the target's extra token when every draft was accepted"),
    (Role.CUT, "cut", "verified, but beyond the end of the answer: not emitted, not counted in tok/s"),
    (Role.KEPT, "kept", "what every lane was given of an answer in a fork"),
    (Role.PUT, "put", "what a fork puts in place of a token"),
)

FIGURES: tuple[tuple[str, str], ...] = (
    ("tok/s", "Emitted tokens of the round / lane time. The lane clock counts only the lane's own engine steps."),
    ("speed-up", "A lane's tok/s divided by AR's in the same round: two measured figures, never an estimate."),
    (
        "K",
        "How many tokens the drafter may propose in a step, followed by where it comes from: default if nobody chose "
        "it, tuned if a search on this machine found it, yours if you set it.",
    ),
    ("length", "Acceptance length: 1 + accepted / steps with a draft, the target's own token included; 1 to K+1."),
    ("rate", "Draft acceptance rate: accepted / drafted."),
    (
        "by position",
        "Share of the steps that drafted at least i tokens in which the first i were all accepted (unconditional).",
    ),
    ("d, v", "Time of a step spent in the drafter and in the target's verification, in milliseconds."),
    (
        "diverged at",
        "First token at which a greedy lane differs from AR. A small margin is a near tie that rounding can flip; a "
        "large one points to an engine fault, and so does an answer that stops before AR's or goes past its end.",
    ),
    (
        "disturbed",
        "Steps that had to wait for a core because other programs used it, or whose GPU was slowed down. A speed-up in "
        "a disturbed round does not describe the model.",
    ),
    (
        "V1, V2",
        "vLLM's model runner, in the rule under a lane's figures, followed by how it computes: eager (uncompiled), "
        "compiled, or with CUDA graphs: full ones replay a whole pass, piecewise ones leave out attention.",
    ),
    ("synchronous", f"Scheduling, sync for short. {SYNCHRONOUS}"),
    (
        UNLIKE,
        "Not comparable: the lane's engine differs from AR's (model runner, CUDA graphs, types, attention), so that "
        "its speed-up is not due to drafting alone; g shows both.",
    ),
    (
        "!",
        "Something is wrong with a lane: nearly all drafts rejected, nothing accepted past a position in a long "
        "context, a drafter of another vocabulary, nothing drafted, or many drafts accepted but no gain. s shows "
        "figures and likely causes. A dot in its place means that it is normal for the method.",
    ),
    ("lag", "How late the screen's event loop runs, 99th percentile. Frames are drawn only between engine steps."),
    (
        "per step",
        "With h, the tokens that each step emitted: the stronger the shade, the fewer, and the harder the text. At a "
        "temperature above 0 it is the mean over the answers to the same prompt that agree up to there.",
    ),
    (
        "partial",
        "Steps were lost before the screen saw them. Figures of the whole round still include them (tok/s, "
        "speed-up, counts, length and rate of all steps); text, charts, windows and times do not.",
    ),
    (DASH, "Unknown or not measured. Never zero."),
)


SERVED: tuple[tuple[str, str], ...] = (
    (
        "in flight",
        "Requests that the server works on; at is the number of its endpoint. length and rate of an endpoint are of "
        "its last steps, those of a request of all of its steps; tok/s of an endpoint is of the last seconds.",
    ),
    (
        "drafts hidden",
        "The server does not send the drafted tokens, only how many there were and how many were accepted.",
    ),
    ("counters", "Only the server's own counters are known: no drafts, no single requests."),
    (
        "lost",
        "Steps that did not get here. They count in the figures, except in acceptance by position; their text and "
        "drafts are missing.",
    ),
)
"""What figures of attached servers mean."""


class HelpReader(Reader):
    """All of the help, with the keys as the user has them."""

    def __init__(
        self, actions: Sequence[Action], accepts: Set[type[Command]], reasons: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._actions = actions
        self._accepts = accepts
        self._reasons = reasons

    def content(self, width: int) -> list[Row]:
        return help_rows(min(width, 110), self._actions, self._accepts, self._reasons)


def help_rows(
    width: int, actions: Sequence[Action], accepts: Set[type[Command]], reasons: Mapping[str, str] | None = None
) -> list[Row]:
    """The help in rows of ``width`` cells; keys for commands that the source does not accept are dimmed.

    ``reasons`` says, over attached servers, why actions do nothing there; None in a race.
    """
    rows: list[Row] = heading("Colours", width)[1:]
    names = max(len(name) for _, name, _ in ROLES) + 3
    for role, name, meaning in ROLES:
        rows += _entry(name, ROLE_STYLES[role], meaning, names, width)
    rows += heading("Figures", width)
    figures = FIGURES if reasons is None else (*SERVED, *FIGURES)
    names = max(len(name) for name, _ in figures) + 3
    for name, meaning in figures:
        rows += _entry(name, "text", meaning, names, width)
    for group, entries in groups(actions).items():
        rows += heading(group, width)
        for entry in entries:
            if why := (reasons or {}).get(entry.id):
                rows += _entry(entry.keys, "faint", why, 12, width, "faint")
            elif entry.command is None or entry.command in accepts:
                rows += _entry(entry.keys, "key", entry.description, 12, width)
            else:
                rows += _entry(entry.keys, "faint", entry.description, 12, width, "faint")
    return rows


def _entry(name: str, style: str, meaning: str, indent: int, width: int, told: str = "muted") -> list[Row]:
    first, *others = wrap(meaning, max(10, width - indent))
    rows: list[Row] = [((name, style), (" " * (indent - len(name)), "text"), (first, told))]
    return rows + [((" " * indent, "text"), (line, told)) for line in others]


class HelpScreen(ReaderScreen):
    """The key that opens this screen closes it too."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", show=False)]

    def __init__(
        self, actions: Sequence[Action], accepts: Set[type[Command]], reasons: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("SpecTUI", "speculative decoding, step by step", HelpReader(actions, accepts, reasons))
