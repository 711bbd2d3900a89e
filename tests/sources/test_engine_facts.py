"""Which K have whole CUDA graphs, by vLLM's own lists of what it captures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm.compat import parts
from spectui.sources.vllm.engine_facts import lane_engine
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.sources.test_graphs import graphs_of

pytestmark = pytest.mark.unit


class Layer:
    """An attention layer with a backend."""

    def __init__(self, backend: str) -> None:
        self._backend = SimpleNamespace(get_name=lambda: backend)

    def get_attn_backend(self) -> Any:
        return self._backend


def engine_of(mode: str, *, v2: bool, drafter: Any = None, translated: bool = False, **config: Any) -> Any:
    """An engine as far as it is looked at; its runner is in another process."""
    modes = pytest.importorskip("vllm.config").CUDAGraphMode
    model = SimpleNamespace(dtype="torch.bfloat16", quantization="fp8", get_vocab_size=lambda: 151_936)
    found = SimpleNamespace(
        compilation_config=SimpleNamespace(cudagraph_mode=modes[mode], mode=SimpleNamespace(name="VLLM_COMPILE")),
        model_config=model,
        use_v2_model_runner=v2,
        device_config=SimpleNamespace(device_type="cuda"),
        scheduler_config=SimpleNamespace(async_scheduling=False),
        cache_config=SimpleNamespace(cache_dtype="fp8"),
        parallel_config=SimpleNamespace(tensor_parallel_size=2),
        speculative_config=SimpleNamespace(
            draft_model_config=model if drafter == "target" else drafter, use_heterogeneous_vocab=translated
        ),
    )
    return SimpleNamespace(vllm_config=found, model_executor=SimpleNamespace(), **config)


@pytest.mark.parametrize(
    ("mode", "v2", "graphs", "whole"),
    [
        ("FULL_AND_PIECEWISE", True, "piecewise", (0, 1, 2, 3, 4)),
        ("FULL_DECODE_ONLY", True, "none", (0, 1, 2, 3, 4)),
        ("FULL_AND_PIECEWISE", False, "piecewise", (4,)),
        ("PIECEWISE", False, "piecewise", ()),
        ("PIECEWISE", True, "piecewise", ()),
        ("NONE", True, "none", ()),
    ],
)
def test_graphs_of_an_engine_whose_workers_are_elsewhere(
    mode: str, v2: bool, graphs: str, whole: tuple[int, ...]
) -> None:
    engine = lane_engine("mtp", engine_of(mode, v2=v2), 4)
    assert (engine.runner, engine.graphs, engine.whole_graphs) == ("V2" if v2 else "V1", graphs, whole)
    assert (engine.eager, engine.attention, engine.tensor_parallel) == (False, (), 2)
    assert (engine.dtype, engine.quantization, engine.cache_dtype) == ("bfloat16", "fp8", "fp8")


@pytest.mark.parametrize(("every", "whole"), [(True, (0, 1, 2, 3, 4)), (False, (4,))])
def test_graphs_of_an_engine_are_those_that_its_runner_would_replay(
    monkeypatch: pytest.MonkeyPatch, every: bool, whole: tuple[int, ...]
) -> None:
    """With a row for every K in its table a lane has them all, with one row only those of its largest K."""
    spec = parse_lane_spec("mtp:k=4")
    config = spec.speculative_config("target", 9)
    assert config is not None
    table = config["num_speculative_tokens_per_batch_size"] if every else [(1, 9, 4)]
    manager = graphs_of(table, 4, 9, spec.graph_sizes(8))
    target = SimpleNamespace(modules=list)
    own = Layer("OF_THE_DRAFTER")
    runner = SimpleNamespace(
        cudagraph_manager=manager,
        model=target,
        drafter=SimpleNamespace(model=SimpleNamespace(modules=lambda: [own])),
        vllm_config=SimpleNamespace(
            compilation_config=SimpleNamespace(
                static_forward_context={
                    "a": Layer("FLASH_ATTN"), "b": Layer("FLASH_ATTN"), "c": Layer("GDN_ATTN"), "d": own, "e": object(),
                }
            )
        ),
    )  # fmt: skip
    monkeypatch.setattr(parts, "model_runner_of", lambda engine: runner)
    engine = lane_engine("mtp", engine_of("FULL_AND_PIECEWISE", v2=True), 4)
    assert engine.whole_graphs == whole
    assert [engine.graphs_at(k) for k in (1, 4)] == ["full" if every else "piecewise", "full"]
    assert engine.attention == ("FLASH_ATTN", "GDN_ATTN")


@pytest.mark.parametrize(
    ("drafter", "translated", "expected"),
    [
        (None, False, None),
        ("target", False, None),
        (SimpleNamespace(get_vocab_size=lambda: 32_000), False, 32_000),
        (SimpleNamespace(get_vocab_size=lambda: 32_000), True, None),
    ],
)
def test_the_vocabulary_of_a_drafter(drafter: Any, translated: bool, expected: int | None) -> None:
    engine = lane_engine("mtp", engine_of("NONE", v2=True, drafter=drafter, translated=translated), 4)
    assert (engine.vocabulary, engine.draft_vocabulary) == (151_936, expected)


@pytest.mark.parametrize(("table", "expected"), [("a table", None), (None, 32_000)])
def test_a_head_that_translates_its_tokens_has_no_other_vocabulary(
    monkeypatch: pytest.MonkeyPatch, table: Any, expected: int | None
) -> None:
    nothing = SimpleNamespace(modules=list, draft_id_to_target_id=table)
    runner = SimpleNamespace(
        model=nothing,
        drafter=SimpleNamespace(model=nothing),
        vllm_config=SimpleNamespace(compilation_config=SimpleNamespace(static_forward_context={})),
    )
    monkeypatch.setattr(parts, "model_runner_of", lambda engine: runner)
    drafter = SimpleNamespace(get_vocab_size=lambda: 32_000)
    assert lane_engine("mtp", engine_of("NONE", v2=False, drafter=drafter), 4).draft_vocabulary == expected
