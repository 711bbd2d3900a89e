"""The timeline of a replay as a row of text."""

from __future__ import annotations

import dataclasses

import pytest

from spectui.core.state import RunState
from spectui.core.views import RunView, Viewer
from spectui.protocol.playback import PlaybackMarks, Playhead
from spectui.ui.widgets.timeline_bar import timeline_rows

HEAD = Playhead(number=50, total=100, lane_ns=5_000_000_000, total_ns=10_000_000_000, known=1.0, speed=20.0)
MARKS = PlaybackMarks(rounds=(0.0,), ends=(0.2,), k_changes=(0.4,), divergences=(0.8,), rejections=())
REFUSED = PlaybackMarks(
    rounds=(), ends=(), k_changes=(), divergences=(), rejections=(0.5, None, 0.9, 0.5, 0.5, 0.5, 0.8, 0.5, 0.5, 0.4)
)


def run(head: Playhead, marks: PlaybackMarks | None = None) -> RunView:
    return dataclasses.replace(Viewer(RunState()).read(), playhead=head, marks=marks)


def text(view: RunView, width: int = 60) -> str:
    (row,) = timeline_rows(view, width)
    return "".join(span[0] for span in row)


@pytest.mark.parametrize(
    ("head", "marks", "expected"),
    [
        (HEAD, None, "replay 20x   ━━━━━━━━━━━━━━●───────────────  5.00 of 10.00 s"),
        (HEAD, MARKS, "replay 20x   ┃━━━━━╵━━━━━K━●────────≠──────  5.00 of 10.00 s"),
        (
            HEAD,
            dataclasses.replace(MARKS, rounds=(0.0, 0.6), forks=(0.6,)),
            "┃━━━━━╵━━━━━K━●──┣─────≠──────  5.00 of 10.00 s",
        ),
        (HEAD, REFUSED, "replay 20x   ━━━━━━╍╍╍━━━━━●───╌╌╌─────────  5.00 of 10.00 s"),
        (HEAD, dataclasses.replace(REFUSED, rejections=(0.9,) * 10), "━━━━━━━━━━━━━━●───────────────  5.00 of 10.00 s"),
        (dataclasses.replace(HEAD, reached=6.13), None, "replay 20x   reaches 6.1x  ━━━━━━━━●───────  5.00 of 10.00 s"),
        (dataclasses.replace(HEAD, ended=True, number=100), None, "end"),
        (dataclasses.replace(HEAD, known=0.25), None, "5.00 of 10.00 s  indexing 25%"),
    ],
)
def test_state_speed_marks_and_time(head: Playhead, marks: PlaybackMarks | None, expected: str) -> None:
    assert expected in text(run(head, marks))


def test_where_there_is_no_room_the_bar_is_left_out() -> None:
    assert text(run(HEAD), 30) == "replay 20x     5.00 of 10.00 s"
