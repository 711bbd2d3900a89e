"""Every preset and every command that the pages print, on a GPU of 80 GB that vLLM is made to believe in.

All of it is found out in one process of its own, see `tests/support/cuda_configurations.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from spectui.setup.presets.known import shipped_presets
from spectui.setup.presets.preset import HEADROOM
from tests.docs.pages import ROOT
from tests.docs.test_examples import EVERY, _words
from tests.support.fake_cuda import Card

pytestmark = [pytest.mark.unit, pytest.mark.slow]

ENGINES = ("run", "tune", "calibrate")
MODELS = {"google/gemma-4-31B-it": "z-lab/gemma-4-31B-it-DFlash"}
"""What stands for PATH_OR_ID in an example, by its target."""


def _filled(line: str) -> list[str]:
    """An example's words, with a drafter for PATH_OR_ID and without the file of prompts."""
    words = _words(line)
    drafter = next((drafter for target, drafter in MODELS.items() if target in words), "")
    words = [word.replace("PATH_OR_ID", drafter) for word in words]
    while "--prompts" in words:
        at = words.index("--prompts")
        del words[at : at + 2]
    return words


PRESETS = {name: ["run", "--preset", name] for name in shipped_presets()}
EXAMPLES = {line: _filled(line) for line in EVERY if _words(line)[0] in ENGINES and "=N" not in line}
COMMANDS = {**PRESETS, **EXAMPLES}


@cache
def _answer() -> subprocess.CompletedProcess[str]:
    known = {"PYTHONPATH": str(ROOT), "SPECTUI_CONFIG_DIR": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-m", "tests.support.cuda_configurations"],
        input=json.dumps(list(COMMANDS.values())),
        capture_output=True,
        text=True,
        env={**os.environ, **known},
        cwd=ROOT,
    )


def found() -> Mapping[str, Any]:
    pytest.importorskip("vllm")
    ran = _answer()
    assert ran.returncode == 0, ran.stderr[-4000:]
    answer: dict[str, Any] = json.loads(ran.stdout)
    return {**answer, "commands": dict(zip(COMMANDS, answer["commands"], strict=True))}


def lanes(command: str) -> list[dict[str, Any]]:
    found_lanes: list[dict[str, Any]] = found()["commands"][command]["lanes"]
    return found_lanes


@pytest.mark.parametrize("command", COMMANDS)
def test_vllm_accepts_every_lane_and_runs_it_on_model_runner_v2(command: str) -> None:
    assert lanes(command)
    assert [(lane["spec"], lane["refused"]) for lane in lanes(command) if lane["refused"]] == []
    assert {lane["runner"] for lane in lanes(command)} == {"V2"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_k_of_every_lane_has_a_whole_graph(command: str) -> None:
    assert [(lane["spec"], lane["without_graph"]) for lane in lanes(command) if lane["without_graph"]] == []


@pytest.mark.parametrize("name", PRESETS)
def test_the_plan_knows_the_smallest_cache_of_every_lane(name: str) -> None:
    plan = found()["commands"][name]["plan"]
    assert plan["unknown"] == []
    # Ours is to the byte, and theirs is found to a megabyte.
    assert [-(-size >> 20) << 20 for size in plan["caches"]["least"]] == [lane["cache"] for lane in lanes(name)]


@pytest.mark.parametrize("name", PRESETS)
def test_the_memory_that_a_preset_names_is_what_vllms_models_take(name: str) -> None:
    said = shipped_presets()[name].memory_gb
    assert said is not None
    assert said * 1e9 == pytest.approx(found()["commands"][name]["memory"], rel=0.01, abs=0.06e9)


@pytest.mark.parametrize("name", PRESETS)
def test_the_lanes_of_a_preset_that_fits_80_gb_pass_vllms_own_check_of_memory(name: str) -> None:
    of = found()["commands"][name]
    assert len(of["checks"]) == 3
    assert (of["checks"] == [""] * 3) == of["plan"]["fits"]


@pytest.mark.parametrize("name", PRESETS)
def test_the_list_of_presets_and_the_plan_agree_on_what_fits(name: str) -> None:
    preset, plan = shipped_presets()[name], found()["commands"][name]["plan"]
    assert preset.memory_gb is not None
    assert 0 < plan["needed"] - preset.memory_gb * 1e9 < HEADROOM
    assert preset.fits(Card().memory) == plan["fits"]


def test_the_tap_sees_the_drafts_of_model_runner_v2() -> None:
    assert found()["drafts"] == {"shipped": [[-1, -1, -1]], "shown": [[11, 12, 13]]}


def test_a_step_does_not_end_before_its_drafter() -> None:
    assert found()["waits"] == ["drafter done", "step over"]
