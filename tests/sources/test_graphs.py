"""CUDA graphs for every K that a lane can be set to, by vLLM's own lists of what it captures and chooses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spectui.sources.vllm.compat import device
from spectui.sources.vllm.lane_spec import parse_lane_spec

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("text", "k_max"), [("mtp:k=2", 2), ("ngram:k=5", 5), ("dflash:model=x,k=15", 15)])
@pytest.mark.parametrize("spare", [0, 1, 40])
def test_vllm_looks_every_k_up_for_some_number_of_requests(text: str, k_max: int, spare: int) -> None:
    utils = pytest.importorskip("vllm.v1.spec_decode.dynamic.utils")
    places = k_max + 1 + spare
    config = parse_lane_spec(text).speculative_config("target", places)
    assert config is not None
    lookup = utils.build_dynamic_sd_schedule_lookup(
        config["num_speculative_tokens_per_batch_size"],
        vllm_max_batch_size=places,
        vllm_num_speculative_tokens=k_max,
    )
    assert set(lookup[1:]) == set(range(k_max + 1))


def graphs_of(table: Any, k_max: int, places: int, sizes: list[int]) -> Any:
    """What vLLM would capture and choose for a lane on a GPU: the manager's own lists, without its device."""
    graphs = pytest.importorskip("vllm.v1.worker.gpu.cudagraph_utils")
    modes = pytest.importorskip("vllm.config").CUDAGraphMode

    class Manager(graphs.CudaGraphManager):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.vllm_config = SimpleNamespace(
                num_speculative_tokens=k_max,
                cache_config=SimpleNamespace(use_kda_recoverssm=False),
                speculative_config=SimpleNamespace(
                    uses_dynamic_speculative_decoding=lambda: True, num_speculative_tokens_per_batch_size=table
                ),
            )
            self.compilation_config = SimpleNamespace(
                cudagraph_capture_sizes=sizes, max_cudagraph_capture_size=sizes[-1]
            )
            self.max_num_reqs, self.decode_query_len = places, k_max + 1
            self.cudagraph_mode = modes.FULL_AND_PIECEWISE
            self.varlen_decode, self.ubatch_runner, self.lora_capture_cases = False, None, [0]
            self._lora_dispatch_map: Any = {}
            self._max_lora_case, self._graphs_captured = 0, True
            self._candidates: Any = {}
            self._capture_descs: Any = {}
            self._init_candidates()

    return Manager()


def without_whole_graph(manager: Any, k_max: int, requests: int) -> list[tuple[int, int]]:
    """(requests, K) of steps that vLLM would not replay as one graph."""
    return [
        (of, k)
        for k in range(k_max + 1)
        for of in range(1, requests + 1)
        if manager.dispatch(of, of * (k + 1), k + 1, 0, max_query_len=k + 1).cg_mode.name != "FULL"
    ]


@pytest.mark.parametrize(
    ("text", "requests", "covered"),
    [("mtp:k=4", 16, 16), ("dflash:model=x,k=7", 16, 16), ("dflash:model=x,k=15", 16, 16), ("ngram:k=40", 16, 6)],
)
def test_every_k_of_every_number_of_requests_has_a_whole_graph(text: str, requests: int, covered: int) -> None:
    spec = parse_lane_spec(text)
    places = max(requests, spec.k_max) + 1
    config = spec.speculative_config("target", places)
    assert config is not None
    table = config["num_speculative_tokens_per_batch_size"]
    sizes = spec.graph_sizes(requests)
    assert without_whole_graph(graphs_of(table, spec.k_max, places, sizes), spec.k_max, covered) == []
    # What vLLM would do by itself, with one K in its table or with sizes of its own.
    usual = [1, 2, 4, *range(8, 2 * places * (spec.k_max + 1), 8)]
    one_row = [(1, places, spec.k_max)]
    assert (1, 0) in without_whole_graph(graphs_of(one_row, spec.k_max, places, sizes), spec.k_max, covered)
    assert (3, 0) in without_whole_graph(graphs_of(table, spec.k_max, places, usual), spec.k_max, covered)


@pytest.mark.parametrize(
    "theirs", [{"enforce_eager": True}, {"compilation_config": {}}, {"cudagraph_capture_sizes": [1]}]
)
def test_the_user_decides_what_is_captured(monkeypatch: pytest.MonkeyPatch, theirs: dict[str, Any]) -> None:
    assert device.graphs({"enforce_eager": False}, [1, 2]) == {}
    monkeypatch.setattr(device, "on_cpu", lambda: False)
    assert device.graphs({"enforce_eager": False}, [1, 2]) == {"cudagraph_capture_sizes": [1, 2]}
    assert device.graphs(theirs, [1, 2]) == {}
