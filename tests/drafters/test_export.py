"""The exported files: names, sizes, nothing of the target's."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from demos.drafters.blocks import Shape  # noqa: E402
from demos.drafters.dflash import DFlash  # noqa: E402
from demos.drafters.export import export_dflash, export_mtp, load_exported  # noqa: E402
from demos.drafters.mtp import MtpHead  # noqa: E402
from demos.drafters.objective import Vocabulary  # noqa: E402
from demos.drafters.recipe import DEFAULT  # noqa: E402

DEMO = Shape(
    hidden_size=576,
    intermediate_size=1536,
    heads=9,
    kv_heads=3,
    head_dim=64,
    vocab_size=49152,
    eps=1e-5,
    rope_theta=1e5,
)
LIMIT = 30_000_000


def test_the_mtp_head_has_vllms_names_and_is_small(tmp_path: Path) -> None:
    export_mtp(MtpHead(DEMO), DEMO, tmp_path)
    tensors = safetensors_torch.load_file(tmp_path / "model.safetensors")
    assert all(name.startswith("model.mtp_layers.0.") for name in tensors)
    assert tensors["model.mtp_layers.0.input_proj.weight"].shape == (576, 1152)
    assert tensors["model.mtp_layers.0.self_attn.k_proj.bias"].shape == (192,)
    assert all(tensor.dtype == torch.bfloat16 for tensor in tensors.values())
    assert (tmp_path / "model.safetensors").stat().st_size < 9_000_000
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["MiMoForCausalLM"]


def test_the_dflash_drafter_has_vllms_names_and_is_small(tmp_path: Path) -> None:
    layers = (5, 13, 20, 25, 28)
    export_dflash(DFlash(DEMO, layers=3, features=5), DEMO, layers, tmp_path)
    tensors = safetensors_torch.load_file(tmp_path / "model.safetensors")
    assert tensors["fc.weight"].shape == (576, 5 * 576)
    assert tensors["layers.2.self_attn.q_norm.weight"].shape == (64,)
    assert not [name for name in tensors if "embed" in name or "lm_head" in name]
    assert (tmp_path / "model.safetensors").stat().st_size < LIMIT
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["num_hidden_layers"] == 3
    assert config["dflash_config"]["target_layer_ids"] == list(layers)
    mask = torch.load(tmp_path / "mask_embedding.pt", weights_only=True)
    assert mask["embedding"].shape == (576,)


def test_the_dflash_drafter_can_bring_the_rows_it_drafts_with(tmp_path: Path) -> None:
    embedding = torch.randn(DEMO.vocab_size, DEMO.hidden_size)
    drafted = Vocabulary(torch.tensor([2, 5, 49151]), embedding)
    model = DFlash(DEMO, layers=1, features=1)
    export_dflash(model, DEMO, (20,), tmp_path, drafted=drafted)
    tensors = safetensors_torch.load_file(tmp_path / "model.safetensors")
    ids = torch.arange(3) + tensors["d2t"]
    assert ids.tolist() == [2, 5, 49151]
    assert torch.equal(tensors["lm_head.weight"], embedding[ids].bfloat16())
    assert json.loads((tmp_path / "config.json").read_text())["draft_vocab_size"] == 3
    assert load_exported("dflash", tmp_path).keys() == model.state_dict().keys()


def test_the_recipes_dflash_drafter_stays_below_the_limit(tmp_path: Path) -> None:
    drafted = Vocabulary(torch.arange(DEFAULT.drafted), torch.zeros(DEMO.vocab_size, DEMO.hidden_size))
    export_dflash(DFlash(DEMO, layers=3, features=5), DEMO, (5, 13, 20, 25, 28), tmp_path, drafted=drafted)
    assert (tmp_path / "model.safetensors").stat().st_size < LIMIT


def test_an_exported_drafter_can_be_trained_on(tmp_path: Path) -> None:
    for name, model, export in (
        ("mtp", MtpHead(DEMO), lambda m, to: export_mtp(m, DEMO, to)),
        ("dflash", DFlash(DEMO, layers=1, features=1), lambda m, to: export_dflash(m, DEMO, (20,), to)),
    ):
        export(model, tmp_path / name)
        expected = {key: tensor.bfloat16().float() for key, tensor in model.state_dict().items()}
        loaded = load_exported(name, tmp_path / name)
        assert loaded.keys() == expected.keys()
        assert all(torch.equal(loaded[key], expected[key]) for key in expected)
