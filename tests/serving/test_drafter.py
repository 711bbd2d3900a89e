"""What a server says of its drafter."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spectui.serving.about import drafter


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"method": "mtp", "model": "target"}, {"method": "mtp"}),
        ({"method": "eagle3", "model": "org/drafter"}, {"method": "eagle3", "model": "org/drafter"}),
        (
            {"method": "ngram", "model": "target", "prompt_lookup_max": 4, "prompt_lookup_min": 2},
            {"method": "ngram", "prompt_lookup_max": 4, "prompt_lookup_min": 2},
        ),
    ],
)
def test_the_drafter_is_named_as_vllm_takes_it(said: dict[str, object], named: dict[str, object]) -> None:
    config = SimpleNamespace(model_config=SimpleNamespace(model="target"), speculative_config=SimpleNamespace(**said))
    assert drafter(config) == named
