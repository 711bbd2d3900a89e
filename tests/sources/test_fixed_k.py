"""Lanes whose K must stay: how they are recognised, and what is refused of them, and said."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.events import Event, KChanged, Notice, RoundFinished, Sampling
from spectui.sources.vllm import fixed_k, unsupported
from spectui.sources.vllm.compat import device
from spectui.sources.vllm.errors import explain
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.fake_lanes import FakeLane, fake_host

pytestmark = pytest.mark.unit

WHY = "K stays 3: for a test"


def engine(*kinds: str | None) -> Any:
    """An engine with a group of layers of each kind; None stands for attention."""
    specs = [SimpleNamespace(**({} if kind is None else {"mamba_type": SimpleNamespace(name=kind)})) for kind in kinds]
    config = SimpleNamespace(kv_cache_groups=[SimpleNamespace(kv_cache_spec=spec) for spec in specs])
    core = SimpleNamespace(scheduler=SimpleNamespace(kv_cache_config=config))
    return SimpleNamespace(engine_core=SimpleNamespace(engine_core=core))


def machine(monkeypatch: pytest.MonkeyPatch, *, cpu: bool = True, amx: bool = False, arm: bool = False) -> None:
    monkeypatch.setattr(device, "on_cpu", lambda: cpu)
    modules = {
        "torch": SimpleNamespace(cpu=SimpleNamespace(_is_amx_tile_supported=lambda: amx)),
        "vllm.model_executor.layers.mamba.ops.cpu.gdn_attention": SimpleNamespace(is_arm_bf16=lambda: arm),
    }
    monkeypatch.setattr(fixed_k, "importlib", SimpleNamespace(import_module=modules.__getitem__))


def why(engine: Any, spec: str = "mtp:k=3") -> str:
    return fixed_k.why_fixed(engine, lane_infos([parse_lane_spec(spec)])[0])


HYBRID = engine("GDN_ATTN", None)


def test_gated_delta_net_on_a_cpu_without_amx_keeps_its_k(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    assert why(HYBRID) == (
        "K stays 3: this processor has no AMX, and without it vLLM's Gated DeltaNet layers are right only if every "
        "step has 3 drafts"
    )
    assert why(HYBRID, "ar") == ""
    assert why(engine(None), "mtp:k=3") == why(engine("MAMBA2", None)) == ""


@pytest.mark.parametrize("has", [{"cpu": False}, {"amx": True}, {"arm": True}])
def test_elsewhere_it_may_change(monkeypatch: pytest.MonkeyPatch, has: dict[str, bool]) -> None:
    machine(monkeypatch, **has)
    assert why(HYBRID) == why(HYBRID, "ngram") == ""


@pytest.mark.parametrize("method", ["ngram", "suffix"])
def test_a_method_that_drafts_what_it_finds_is_refused(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    machine(monkeypatch)
    spec = parse_lane_spec(method)
    with pytest.raises(unsupported.UnsupportedError) as refused:
        why(HYBRID, method)
    sentence = explain(refused.value, spec, "target")
    assert sentence == str(refused.value)
    assert sentence.startswith(f"{spec.title} cannot run on this target here: this processor has no AMX")
    assert sentence.endswith("use DFlash, or a GPU")


def test_vllm_s_names_are_what_is_looked_for() -> None:
    registry = pytest.importorskip("vllm.v1.attention.backends.registry")
    assert fixed_k.GATED_DELTA_NET in registry.MambaAttentionBackendEnum.__members__
    torch = importlib.import_module("torch")
    assert torch.cpu._is_amx_tile_supported() in (True, False)


def test_cautions_name_what_the_user_asked_for_and_does_not_get() -> None:
    info = lane_infos([parse_lane_spec("mtp:k=3,start=1")])[0]
    plain = Sampling()
    assert list(fixed_k.cautions(info, "", replace(plain, json_schema="{}"))) == []
    assert list(fixed_k.cautions(info, WHY, plain)) == [
        KChanged("mtp", 3, "default"),
        Notice(WHY, "mtp", "warning"),
    ]
    at_most = replace(info, k_start=None)
    assert list(fixed_k.cautions(at_most, WHY, plain)) == []
    (told,) = fixed_k.cautions(at_most, WHY, replace(plain, json_schema="{}"))
    assert told == Notice(
        "do not trust this lane's text: a JSON schema cuts drafts short, but for a test", "mtp", "warning"
    )


def test_the_race_keeps_the_lane_at_its_k(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLane, "warm_up", lambda self, ids: setattr(self, "fixed_k", WHY if self.info.k_max else ""))
    host, sink = fake_host(monkeypatch, "ar", "ngram:k=3,start=2"), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    told: list[Event] = [Notice(WHY, "ngram", "warning")]
    assert sink.of(KChanged) == [KChanged("ngram", 3, "default")]
    assert sink.of(Notice) == told
    host.send(cmd.SetK("ngram", 2))
    sink.wait_for_kind(Notice, 2)
    host.send(cmd.Tune("ngram"))
    sink.wait_for_kind(Notice, 3)
    assert sink.of(Notice) == [*told, *told, Notice(f"nothing to tune: {WHY}", "ngram", "warning")]
    host.send(cmd.SetK("ngram", 3))
    sink.wait_for_kind(KChanged, 2)
    assert host.stop(FAILSAFE_S)
    assert sink.of(KChanged)[1:] == [KChanged("ngram", 3)]


@pytest.mark.parametrize("installed", [False, True])
def test_a_model_that_also_reads_pictures(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    monkeypatch.setattr(unsupported.importlib.util, "find_spec", lambda name: object() if installed else None)
    error = ValueError("Model architectures ['Qwen3_5ForCausalLM'] failed to be inspected. Please check the logs")
    sentence = explain(error, parse_lane_spec("ar"), "Qwen/Qwen3.6-27B")
    assert ("torchvision" in sentence) is not installed
    assert ("pip install torchvision --index-url" in sentence) is not installed


def test_drafters_in_more_than_one_group_of_the_cache() -> None:
    error = AssertionError("All drafting layers should belong to the same kv cache group")
    assert explain(error, parse_lane_spec("dflash:model=z-lab/x,k=3"), "target").startswith(
        "DFlash does not work with this target on vLLM's V1 model runner"
    )


def test_what_needs_the_other_model_runner() -> None:
    error = ValueError("Value error, Model Runner V1 does not support: mixed sliding/full dflash drafts [type=value]")
    assert explain(error, parse_lane_spec("dflash:model=x"), "google/gemma-4-31B-it") == (
        "mixed sliding/full dflash drafts need vLLM's V2 model runner, which needs Triton: they run on a "
        "GPU only, and not with VLLM_USE_V2_MODEL_RUNNER=0"
    )


@pytest.mark.parametrize(
    ("cpu", "lane", "sections", "refused"),
    [
        (True, "mtp", True, True),
        (False, "mtp", True, False),
        (True, "mtp", False, False),
        (True, "ar", True, False),
        (True, "dflash:model=x", True, False),
        (True, "mtp:model=/nonexistent", True, False),
    ],
)
def test_a_head_that_would_end_the_process_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpu: bool, lane: str, sections: bool, refused: bool
) -> None:
    monkeypatch.setattr(device, "on_cpu", lambda: cpu)
    rope = {"rope_theta": 1e7, **({"mrope_section": [11, 11, 10]} if sections else {})}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"rope_parameters": rope}}), encoding="utf-8")
    spec = parse_lane_spec(lane)
    arguments = str(tmp_path), spec.method, spec.options.get("model")
    if not refused:
        unsupported.refuse_what_aborts(*arguments)
        return
    with pytest.raises(unsupported.UnsupportedError, match="mrope_section") as error:
        unsupported.refuse_what_aborts(*arguments)
    assert explain(error.value, spec, str(tmp_path)) == str(error.value)
