"""The drafters that come with the program: whole, as good as recorded, and without a say in the text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from demos.drafters.evaluate import check_prompts
from demos.drafters.export import export_dflash, export_mtp
from demos.drafters.prompts import heldout_prompts
from demos.drafters.recipe import BAR_K
from spectui.events import Sampling
from spectui.sources.demo_model import demo_drafter
from spectui.sources.vllm.errors import explain
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from tests.conftest import SMALL_ENGINE_ARGS, LaneMaker
from tests.engine.driving import Outcome, drive

GREEDY = Sampling(max_tokens=128, ignore_eos=True)
HELDOUT = [prompt.text for prompt in heldout_prompts()[::6]][:20]
DRAFTERS = ("mtp", "dflash")


def ids(outcome: Outcome, count: int) -> list[list[int]]:
    return [outcome.ids(f"r{slot}") for slot in range(count)]


def in_sixteens(lane: Lane, prompts: Sequence[str], sampling: Sampling) -> list[list[int]]:
    """The answers, no more prompts at once than a lane takes."""
    parts = [prompts[start : start + 16] for start in range(0, len(prompts), 16)]
    return [answer for part in parts for answer in ids(drive(lane, part, sampling), len(part))]


@pytest.fixture(scope="module")
def expected(make_lane: LaneMaker) -> list[list[int]]:
    """AR's answers in float32."""
    return in_sixteens(make_lane("ar", dtype="float32"), HELDOUT, Sampling(max_tokens=64, ignore_eos=True))


@pytest.mark.parametrize("method", DRAFTERS)
def test_it_reaches_its_recorded_acceptance(make_lane: LaneMaker, method: str) -> None:
    manifest = json.loads((demo_drafter(method).parent / "manifest.json").read_text())
    recorded = manifest["stages"][f"evaluate {method}"]["check"]
    outcome = drive(make_lane(f"{method}:k={BAR_K[method]}"), [prompt.text for prompt in check_prompts()], GREEDY)
    steps, _, accepted = outcome.totals()
    assert accepted / steps >= 0.9 * sum(recorded["at_position"]) / recorded["steps"]


@pytest.mark.parametrize("method", DRAFTERS)
def test_in_float32_the_text_is_ars(make_lane: LaneMaker, expected: list[list[int]], method: str) -> None:
    lane = make_lane(f"{method}:k={BAR_K[method]}", dtype="float32")
    assert in_sixteens(lane, HELDOUT, Sampling(max_tokens=64, ignore_eos=True)) == expected


@pytest.fixture
def untrained(tmp_path: Path, demo_model: Path) -> Path:
    """A folder with a drafter of random weights for each method."""
    import torch

    from demos.drafters.dflash import DFlash
    from demos.drafters.mtp import MtpHead
    from demos.drafters.target import load_target

    torch.manual_seed(1)
    shape = load_target(demo_model).shape
    export_mtp(MtpHead(shape), shape, tmp_path / "mtp")
    export_dflash(DFlash(shape, layers=1, features=1), shape, (20,), tmp_path / "dflash")
    return tmp_path


@pytest.mark.parametrize("method", DRAFTERS)
def test_random_weights_change_the_acceptance_and_never_the_text(
    demo_model: Path, untrained: Path, expected: list[list[int]], method: str
) -> None:
    spec = parse_lane_spec(f"{method}:model={untrained / method},k=3")
    with closing(Lane(lane_infos([spec])[0], spec, str(demo_model), {**SMALL_ENGINE_ARGS, "dtype": "float32"})) as lane:
        outcome = drive(lane, HELDOUT[:4], Sampling(max_tokens=64, ignore_eos=True))
        steps, _, accepted = outcome.totals()
        assert accepted / steps < 0.05
        assert ids(outcome, 4) == expected[:4]


@pytest.mark.parametrize("method", DRAFTERS)
@pytest.mark.parametrize("damage", ["cut", "narrow"])
def test_a_broken_weight_file_gives_one_sentence(demo_model: Path, tmp_path: Path, method: str, damage: str) -> None:
    folder = Path(shutil.copytree(demo_drafter(method), tmp_path / "broken"))
    file = folder / "model.safetensors"
    (cut_short if damage == "cut" else narrow)(file)
    spec = parse_lane_spec(f"{method}:model={folder},k=2")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever vLLM raises
        Lane(lane_infos([spec])[0], spec, str(demo_model), SMALL_ENGINE_ARGS)
    sentence = explain(caught.value, spec, str(demo_model))
    assert "\n" not in sentence
    assert str(folder) in sentence
    assert ("damaged or incomplete" if damage == "cut" else "does not fit the target") in sentence


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def narrow(file: Path) -> None:
    """Take a column off the first matrix."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    name = next(name for name, tensor in sorted(tensors.items()) if tensor.ndim == 2)
    save_file({**tensors, name: tensors[name][:, :-1].contiguous()}, file)
