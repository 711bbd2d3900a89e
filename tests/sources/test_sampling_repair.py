"""Each draft is judged at the temperature, top-k and top-p of its own request."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spectui.sources.vllm.compat import patches

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("values", "dtype", "replaced", "expected"),
    [
        ([0.7, 0.0, 1.5], "float32", (0, 1), [0.7, 0.7, 1.0, 1.5, 1.5, 1.5]),
        ([50, 0, 7], "int32", (0, 0), [50, 50, 0, 7, 7, 7]),
    ],
)
def test_values_are_repeated_in_their_own_type(
    values: list[float], dtype: str, replaced: tuple[int, int], expected: list[float]
) -> None:
    torch = pytest.importorskip("torch")
    counts = torch.tensor([2, 3, 6], dtype=torch.int32)
    found = patches.each_for_its_drafts(torch.tensor(values, dtype=getattr(torch, dtype)), counts, 6, *replaced)
    assert found.dtype == getattr(torch, dtype)
    assert found.tolist() == pytest.approx(expected)


def test_a_request_without_drafts_gets_none() -> None:
    torch = pytest.importorskip("torch")
    found = patches.each_for_its_drafts(torch.tensor([0.5, 0.6, 0.7]), torch.tensor([1, 1, 2]), 2)
    assert found.tolist() == pytest.approx([0.5, 0.7])


@pytest.mark.parametrize("cpu", [True, False])
def test_only_a_cpu_needs_it(monkeypatch: pytest.MonkeyPatch, cpu: bool) -> None:
    own = object()
    sampler = SimpleNamespace(expand_batch_to_tokens=own)
    monkeypatch.setattr(patches, "on_cpu", lambda: cpu)
    monkeypatch.setattr(patches.importlib, "import_module", lambda name: sampler)
    patches.give_drafts_their_settings()
    assert (sampler.expand_batch_to_tokens is own) is not cpu
