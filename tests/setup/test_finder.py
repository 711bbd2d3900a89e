"""Which lanes are found for a target by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spectui.cli.main import build_parser, main
from spectui.setup.config import lane_specs
from spectui.setup.finder import default_lanes, find_lanes
from spectui.sources.model_configs import block_tokens, config_of, kinds, mtp_layers
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.support.model_configs import CONFIGS, write_hub, write_model

pytestmark = pytest.mark.unit

GEMMA, DFLASH = "google/gemma-4-31B-it", "z-lab/gemma-4-31B-it-DFlash"
QWEN = "Qwen/Qwen3.6-27B"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hugging Face's cache, empty."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_of_a_target_that_is_not_here_presets_know_the_drafters(hub: Path) -> None:
    # z-lab's drafter wants its terms accepted first, Red Hat's does not.
    assert default_lanes(GEMMA) == (
        "ar",
        "mtp:model=google/gemma-4-31B-it-assistant,k=8,start=4",
        "dflash:model=RedHatAI/gemma-4-31B-it-speculator.dflash,k=7",
        "eagle3:model=RedHatAI/gemma-4-31B-it-speculator.eagle3,k=3",
        "ngram:k=5",
    )
    assert default_lanes(QWEN) == ("ar", "mtp:k=3", "ngram:k=5")
    lacking = {found.spec: found.lacking for found in find_lanes(QWEN) if found.lacking}
    assert list(lacking) == ["dflash:model=z-lab/Qwen3.6-27B-DFlash,k=15"]
    assert "accept the terms at https://huggingface.co/z-lab/Qwen3.6-27B-DFlash" in next(iter(lacking.values()))
    assert default_lanes("nvidia/Qwen3.6-27B-NVFP4") == default_lanes(QWEN)
    assert default_lanes("nobody/nothing") == ("ar", "ngram:k=5")


def test_a_drafter_that_is_here_needs_no_terms(hub: Path) -> None:
    write_hub(hub, [QWEN, "z-lab/Qwen3.6-27B-DFlash"])
    assert default_lanes(QWEN) == ("ar", "mtp:k=3", "dflash:model=z-lab/Qwen3.6-27B-DFlash,k=15", "ngram:k=5")


def test_a_target_in_a_folder_is_known_by_its_name_and_gets_no_drafter_from_the_network(
    hub: Path, tmp_path: Path
) -> None:
    target = write_model(tmp_path / "gemma-4-31B-it", GEMMA)
    assert default_lanes(str(target)) == ("ar", "ngram:k=5")
    assert {found.lacking.partition(":")[0] for found in find_lanes(str(target)) if found.lacking} == {
        "download google/gemma-4-31B-it-assistant",
        f"download {DFLASH}",
        "download RedHatAI/gemma-4-31B-it-speculator.eagle3",
    }
    drafter = write_model(tmp_path / "gemma-4-31B-it-DFlash", DFLASH)
    write_hub(hub, ["google/gemma-4-31B-it-assistant"])
    assert default_lanes(str(target)) == (
        "ar",
        "mtp:model=google/gemma-4-31B-it-assistant,k=8,start=4",
        f"dflash:model={drafter},k=15",
        "ngram:k=5",
    )


def test_the_block_of_a_drafter_says_k(hub: Path, tmp_path: Path) -> None:
    target = write_model(tmp_path / "gemma-4-31B-it", GEMMA)
    folder = tmp_path / "gemma-4-31B-it-DFlash"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIGS[DFLASH], "block_size": 8}))
    assert f"dflash:model={folder},k=7" in default_lanes(str(target))
    assert parse_lane_spec(f"dflash:model={folder}").k_max == 7
    assert parse_lane_spec(f"dflash:model={folder},k=3").k_max == 3
    assert parse_lane_spec("dflash:model=nobody/nothing").k_max == 7
    write_hub(hub, ["z-lab/Qwen3.6-35B-A3B-DFlash"])
    assert parse_lane_spec("dflash:model=z-lab/Qwen3.6-35B-A3B-DFlash").k_max == 15


@pytest.mark.parametrize(
    ("config", "k"),
    [
        ({"block_size": 16}, 15),
        ({"dflash_config": {"block_size": 8}}, 7),
        ({"block_size": 8, "sample_from_anchor": True}, 8),
        ({"block_size": 8, "dflash_config": {"sample_from_anchor": True}}, 8),
        ({"block_size": 1}, None),
        ({"block_size": True}, None),
        ({"block_size": "16"}, None),
        ({"dflash_config": [16]}, None),
        ({}, None),
    ],
)
def test_the_tokens_of_a_block(config: dict[str, Any], k: int | None) -> None:
    assert block_tokens(config) == k


def test_layers_of_multi_token_prediction_make_a_lane(hub: Path, tmp_path: Path) -> None:
    target = write_model(tmp_path / "mine", QWEN)
    assert default_lanes(str(target)) == ("ar", "mtp", "ngram:k=5")
    assert find_lanes(str(target))[1].why == "mtp_num_hidden_layers = 1 in its config.json"
    for change in ({"text_config": {**CONFIGS[QWEN]["text_config"], "mtp_num_hidden_layers": 0}}, {"text_config": 3}):
        (target / "config.json").write_text(json.dumps({**CONFIGS[QWEN], **change}))
        assert default_lanes(str(target)) == ("ar", "ngram:k=5")


def test_only_of_kinds_that_vllm_finds_them_in(hub: Path, tmp_path: Path) -> None:
    if not vllm_options.mtp_targets():
        pytest.skip("needs vLLM's source")
    config = {"architectures": ["NewForCausalLM"], "model_type": "new", "num_nextn_predict_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert mtp_layers(config) == ("num_nextn_predict_layers", 1)
    assert default_lanes(str(tmp_path)) == ("ar", "ngram:k=5")
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "deepseek_v3"}))
    assert default_lanes(str(tmp_path)) == ("ar", "mtp", "ngram:k=5")


def test_vllms_source_names_the_targets_that_it_finds_layers_in() -> None:
    if targets := vllm_options.mtp_targets():
        assert {"deepseek_v3", "qwen3_next", "qwen3_5", "qwen3_5_moe", "MiMoForCausalLM"} <= targets
        assert kinds(CONFIGS[QWEN]) & targets
        assert not kinds(CONFIGS[GEMMA]) & targets


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":' * 100_000])
def test_a_configuration_that_cannot_be_read_is_none(hub: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert config_of(str(tmp_path)) is None
    assert default_lanes(str(tmp_path)) == ("ar", "ngram:k=5")


@pytest.mark.parametrize("model", ["", "a", "a/b/c", "/nowhere", "~nobody/x", "a/\0", "x" * 5000])
def test_what_is_no_model_has_no_configuration(hub: Path, model: str) -> None:
    assert config_of(model) is None


def test_the_cache_is_where_hugging_face_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hub(tmp_path / "hub", [GEMMA])
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert config_of(GEMMA) is None
    for variable, value in (
        ("HF_HUB_CACHE", tmp_path / "hub"),
        ("HUGGINGFACE_HUB_CACHE", tmp_path / "hub"),
        ("HF_HOME", tmp_path),
    ):
        with monkeypatch.context() as patched:
            patched.setenv(variable, str(value))
            assert config_of(GEMMA) == CONFIGS[GEMMA]
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "huggingface").symlink_to(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert config_of(GEMMA) == CONFIGS[GEMMA]


def test_they_are_the_lanes_of_a_run_that_names_none(hub: Path) -> None:
    specs = lane_specs(build_parser("run").parse_args(["run", "--model", QWEN]))
    assert [(spec.text, spec.k_source) for spec in specs] == [
        (spec, "default") for spec in ("ar", "mtp:k=3", "ngram:k=5")
    ]


def test_they_are_shown(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "--for", QWEN]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"--model {QWEN} races these lanes:\n  ar ")
    assert (
        "and would race these:\n  dflash:model=z-lab/Qwen3.6-27B-DFlash,k=15  preset qwen3.6-27b; first accept" in out
    )
    assert main(["presets", "--for", QWEN, "--json"]) == 0
    assert [lane["spec"] for lane in json.loads(capsys.readouterr().out)["lanes"]][:2] == ["ar", "mtp:k=3"]
    assert main(["presets", "--for", "./nowhere"]) == 2
    assert main(["presets", "gemma4-31b", "--for", QWEN]) == 2
