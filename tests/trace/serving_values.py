"""Values of what attached servers say that belong together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

from hypothesis import strategies as st

from spectui.protocol import events as ev
from spectui.protocol.limits import MAX_K

SOME = st.integers(0, 2**63 - 1)
COUNTS = st.lists(SOME, max_size=4).map(tuple)

PARTS: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    ev.Serving: {
        **dict.fromkeys(("waiting", "dropped", "malformed"), SOME),
        **dict.fromkeys(("accepted_at", "drafted_at"), COUNTS),
    },
    ev.CounterSample: {
        **dict.fromkeys(("drafts", "drafted", "accepted", "emitted", "running", "waiting"), st.none() | SOME),
        "accepted_at": COUNTS,
    },
    ev.ServerSeen: {"share": st.floats(0, 1)},
}
"""By type of record: its fields that are not arbitrary."""


@st.composite
def counted_steps(draw: st.DrawFn, values: Any) -> ev.CountedStep:
    """Counted steps whose parts belong together; ``values`` makes values of a type."""
    hints = get_type_hints(ev.CountedStep)
    free = {field.name: draw(values(hints[field.name])) for field in fields(ev.CountedStep)}
    drafted, emitted = draw(st.integers(0, MAX_K)), draw(st.integers(0, 4))
    cut = draw(st.integers(0, 4))
    verified = st.lists(values(int), min_size=emitted + cut, max_size=emitted + cut).map(tuple)
    ids = draw(st.just(()) | verified)
    return ev.CountedStep(
        **{
            **free,
            "k": draw(st.integers(0, MAX_K)),
            "drafted": drafted,
            "accepted": draw(st.integers(0, drafted)),
            "emitted": emitted,
            "cut": cut,
            "ids": ids,
            "text": tuple(draw(values(str)) for _ in ids) if draw(st.booleans()) else (),
            "wall_ns": draw(st.integers(1, 2**63 - 1)),
            "clock_ns": draw(SOME),
            "before": draw(st.none() | SOME),
        }
    )
