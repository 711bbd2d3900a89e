"""What waits for the publisher's thread is bounded, whatever it is."""

from __future__ import annotations

import pytest

from spectui.serving.feed import PROMPT_IDS_A_ROW, Feed
from spectui.wire.messages import Began, Item, Preempted, Standing
from tests.support.viewers import step

MOST = 100


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        (Preempted(0), MOST),
        (step(rows=10), MOST // 10),
        (Began(0, "a", 3, [7] * 3, 0), MOST),
        (Began(0, "a", 3, [7] * 24 * PROMPT_IDS_A_ROW, 0), MOST // 25),
    ],
)
def test_what_is_larger_takes_more_of_the_room(item: Item, kept: int) -> None:
    feed = Feed(lambda dropped: Standing(0, [], [], [], None, None, 0, 0, 0, dropped, []), MOST)
    for _ in range(MOST + 5):
        feed.put(item)
    items, standing = feed.take()
    assert (len(items), standing.dropped) == (kept, MOST + 5 - kept)
    feed.put(item)
    assert feed.take_items() == [item]
