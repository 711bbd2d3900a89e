"""What a lane says of its engine, held against the engine arguments and the checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.core.comparable import differences, how
from spectui.protocol.events import LaneEngine
from tests.conftest import ENGINE_ARGS, LaneMaker

VOCABULARY = 49152
"""Of the demo target."""


@pytest.mark.parametrize(
    ("spec", "drafter"),
    [("ar", None), ("ngram:k=5", None), ("mtp:k=3", VOCABULARY), ("dflash:k=5", None)],
)
def test_an_engine_on_a_cpu(make_lane: LaneMaker, demo_model: Path, spec: str, drafter: int | None) -> None:
    """The demo's DFlash head knows fewer tokens than the target, and translates them."""
    lane = make_lane(spec)
    engine = lane.engine()
    assert engine == LaneEngine(
        lane=lane.info.name,
        device="cpu",
        runner="V1",
        eager=True,
        graphs="none",
        scheduling="synchronous",
        attention=("CPU_ATTN",),
        dtype=ENGINE_ARGS["dtype"],
        quantization="none",
        cache_dtype="auto",
        version=engine.version,
        vocabulary=VOCABULARY,
        draft_vocabulary=drafter,
    )
    assert engine.version.startswith("0.")
    assert how(engine, lane.k) == "V1 eager"
    assert differences(engine, lane.k, make_lane("ar").engine()) == ()
