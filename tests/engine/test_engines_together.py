"""Several engines in one process on one GPU."""

from __future__ import annotations

from typing import Any

import pytest

from spectui.sources.vllm import compat

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("cpu", "asked", "added"),
    [(False, {"kv_cache_memory_bytes": 1}, True), (True, {"kv_cache_memory_bytes": 1}, False), (False, {}, False)],
)
def test_a_given_cache_size_takes_the_place_of_a_share_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch, cpu: bool, asked: dict[str, Any], added: bool
) -> None:
    monkeypatch.setattr(compat, "_on_cpu", lambda: cpu)
    assert ("gpu_memory_utilization" in compat._without_memory_check(asked)) is added
