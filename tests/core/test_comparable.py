"""Which lanes compute alike, so that the ratio of their speeds means something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.comparable import details, differences, how, not_comparable
from spectui.protocol.events import LaneEngine

pytestmark = pytest.mark.unit

GPU = LaneEngine(
    "mtp", "cuda", "V2", False, "piecewise", (0, 1, 2, 3), "synchronous", ("FLASH_ATTN",), "bfloat16", "fp8", "auto",
    "0.32.0",
)  # fmt: skip
CPU = replace(GPU, device="cpu", runner="V1", eager=True, graphs="none", whole_graphs=(), quantization="none")


@pytest.mark.parametrize(
    ("changed", "k", "expected"),
    [
        ({}, 3, ""),
        ({"lane": "ar", "vocabulary": 9}, 3, ""),
        ({"runner": "V1"}, 3, "runs on model runner V1, AR on V2: not comparable"),
        ({}, 4, "runs with piecewise graphs, AR with full graphs: not comparable"),
        ({"graphs": "none"}, 4, "runs with no graphs, AR with full graphs: not comparable"),
        ({"whole_graphs": (), "graphs": "full"}, 4, ""),
        ({"eager": True, "graphs": "none", "whole_graphs": ()}, 3, "runs eager, AR compiled: not comparable"),
        ({"dtype": "float32"}, 3, "computes in float32, AR in bfloat16: not comparable"),
        ({"quantization": "none"}, 3, "has unquantised weights, AR fp8: not comparable"),
        ({"cache_dtype": "fp8"}, 3, "keeps its cache in fp8, AR in auto: not comparable"),
        ({"attention": ("TRITON_ATTN",)}, 3, "uses TRITON_ATTN attention, AR FLASH_ATTN: not comparable"),
        ({"scheduling": "asynchronous"}, 3, "is scheduled asynchronously, AR synchronously: not comparable"),
        ({"tensor_parallel": 2}, 3, "runs with tensor parallel 2, AR with 1: not comparable"),
        (
            {"runner": "V1", "dtype": "float16"},
            3,
            "runs on model runner V1, AR on V2; computes in float16, AR in bfloat16: not comparable",
        ),
        # What is not known of a lane is no difference.
        ({"runner": None, "eager": None, "graphs": None, "whole_graphs": (), "attention": ()}, 3, ""),
        ({"scheduling": None, "dtype": "", "quantization": "", "cache_dtype": "", "version": "", "device": ""}, 3, ""),
    ],
)
def test_what_sets_a_lane_apart_from_ar(changed: dict[str, Any], k: int, expected: str) -> None:
    assert not_comparable(replace(GPU, **changed), k, GPU) == expected


@pytest.mark.parametrize("other", [None, GPU])
def test_without_both_engines_nothing_is_said(other: LaneEngine | None) -> None:
    assert not_comparable(None, 3, other) == not_comparable(other, 3, None) == ""


def test_a_cpu_has_no_graphs_to_differ_in() -> None:
    assert not_comparable(replace(CPU, graphs=None), 3, CPU) == ""


@given(st.integers(0, 3), st.sampled_from(["V1", "V2", None]), st.sampled_from(["", "bfloat16", "float32"]))
def test_a_difference_is_one_both_ways(k: int, runner: Any, dtype: str) -> None:
    other = replace(GPU, runner=runner, dtype=dtype)
    here, there = differences(GPU, k, other), differences(other, k, GPU)
    assert [(what, b, a) for what, a, b in here] == list(there)
    assert bool(here) == (runner == "V1" or dtype == "float32")


@pytest.mark.parametrize(
    ("engine", "k", "expected"),
    [
        (GPU, 3, "V2 full graphs"),
        (GPU, 4, "V2 piecewise graphs"),
        (replace(GPU, graphs="none", whole_graphs=()), 3, "V2 compiled"),
        (replace(GPU, graphs="none", whole_graphs=(), eager=True), 3, "V2 eager"),
        (CPU, 0, "V1 eager"),
        (replace(CPU, eager=False), 0, "V1 compiled"),
        (LaneEngine("ar"), 0, ""),
        (LaneEngine("ar", runner="V1"), 0, "V1"),
    ],
)
def test_how_an_engine_computes_in_a_few_words(engine: LaneEngine, k: int, expected: str) -> None:
    assert how(engine, k) == expected


def test_details_leave_out_what_is_usual() -> None:
    assert details(GPU) == "bfloat16, fp8 weights, FLASH_ATTN"
    assert details(replace(GPU, tensor_parallel=2, cache_dtype="fp8", quantization="none")) == (
        "bfloat16, fp8 KV cache, FLASH_ATTN, tensor parallel 2"
    )
    assert details(LaneEngine("ar")) == ""
