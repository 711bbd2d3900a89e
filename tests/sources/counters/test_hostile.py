"""Hostile servers, a few hundred answers of them: `tests.load.hostile_http` has a hundred thousand."""

from __future__ import annotations

import pytest

from spectui.sources.counters.address import address_of
from tests.load.hostile_http import Bench, hostile
from tests.support.http_servers import serving


@pytest.mark.slow
def test_hostile_answers_change_nothing_on_the_screen_but_their_count() -> None:
    with serving(hostile()) as url:
        bench = Bench(address_of(url))
        bench.look(400)
        bench.meet(20)
        bench.ask(60)
    assert bench.malformed > 200
    assert bench.kinds["prompts answered"] + bench.kinds["prompts refused"] == 60
