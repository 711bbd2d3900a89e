"""The drafters that come with the program: whole, as good as recorded, and without a say in the text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from demos.drafters import manifest
from demos.drafters.evaluate import CHECKED_PER_CATEGORY, Checked, check_prompts, worse_by
from demos.drafters.export import export_dflash, export_mtp
from demos.drafters.manifest import evaluation
from demos.drafters.recipe import BAR_K
from spectui.protocol.events import Sampling
from spectui.setup.prompt_sets import builtin
from spectui.sources.demo_model import demo_drafter
from spectui.sources.hardware import cpu_dtype
from spectui.sources.vllm.errors import explain
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.conftest import LaneMaker
from tests.engine.conftest import ArAnswers
from tests.engine.driving import drive

GREEDY = Sampling(max_tokens=128, ignore_eos=True)
PROMPTS = [prompt.text for prompt in builtin()[:4]]
DRAFTERS = ("mtp", "dflash")
FORMATS = tuple(dict.fromkeys(("float32", cpu_dtype())))
"""The one in which all goes as recorded, so that a few prompts tell enough, and the one that the demo runs in here."""

SIGMAS = 4
UNNOTICED = 0.02
"""What nobody would notice, as a share of the recorded acceptance."""


@pytest.mark.parametrize("method", DRAFTERS)
@pytest.mark.parametrize("dtype", FORMATS)
def test_it_reaches_its_recorded_acceptance(make_lane: LaneMaker, method: str, dtype: str) -> None:
    """Held against the record of the same number format: in another one the target says other things."""
    whole = Checked(**manifest.read(demo_drafter(method).parent)["stages"][evaluation(method, dtype)]["check"])
    chosen = slice(None, None, 2 * CHECKED_PER_CATEGORY if dtype == "float32" else 1)
    record, now = Checked(whole.steps[chosen], whole.accepted[chosen]), Checked([], [])
    lane = make_lane(f"{method}:k={BAR_K[method]}", dtype=dtype)
    prompts = [prompt.text for prompt in check_prompts()][chosen]
    outcome = drive(lane, prompts, GREEDY)
    for slot in range(len(prompts)):
        steps, _, accepted = outcome.totals([f"r{slot}"])
        now.steps.append(steps)
        now.accepted.append(accepted)
    shortfall, error = worse_by(now, record)
    assert shortfall <= max(SIGMAS * error, UNNOTICED * record.rate), (now.rate, record.rate, error)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Path:
    """A folder with a drafter of random weights for each method."""
    import torch

    from demos.drafters.dflash import DFlash
    from demos.drafters.mtp import MtpHead
    from demos.drafters.target import load_target

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("untrained")
    shape = load_target(demo_model).shape
    export_mtp(MtpHead(shape), shape, folder / "mtp")
    export_dflash(DFlash(shape, layers=1, features=1), shape, (20,), folder / "dflash")
    return folder


@pytest.mark.parametrize("method", DRAFTERS)
def test_random_weights_change_the_acceptance_and_never_the_text(
    make_lane: LaneMaker, untrained: Path, ar_answers: ArAnswers, method: str
) -> None:
    lane = make_lane(f"{method}:model={untrained / method},k=3", dtype="float32")
    outcome = drive(lane, PROMPTS, Sampling(max_tokens=64, ignore_eos=True))
    steps, _, accepted = outcome.totals()
    assert accepted / steps < 0.05
    assert [outcome.ids(f"r{slot}") for slot in range(len(PROMPTS))] == ar_answers(PROMPTS, 64)


@pytest.mark.parametrize("method", DRAFTERS)
@pytest.mark.parametrize("damage", ["cut", "narrow"])
def test_a_broken_weight_file_gives_one_sentence(
    make_lane: LaneMaker, demo_model: Path, tmp_path: Path, method: str, damage: str
) -> None:
    folder = Path(shutil.copytree(demo_drafter(method), tmp_path / "broken"))
    file = folder / "model.safetensors"
    (cut_short if damage == "cut" else narrow)(file)
    text = f"{method}:model={folder},k=2"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever vLLM raises
        make_lane(text)
    sentence = explain(caught.value, parse_lane_spec(text), str(demo_model))
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
