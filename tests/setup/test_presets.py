"""Presets: those that ship, a user's own, and what they fill in."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from spectui.cli.main import build_parser, main
from spectui.core.memory_plan.plan import Device
from spectui.errors import UsageError
from spectui.setup.config import host_config, lane_specs
from spectui.setup.presets import listing
from spectui.setup.presets.known import known_presets, shipped_presets, user_folder
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.support.model_configs import CONFIGS

pytestmark = pytest.mark.unit

MINE = """
[[preset]]
name = "mine"
like = "gemma4-31b-fp8"
target = "/data/gemma"
engine = { max_num_seqs = 4 }

[[preset]]
name = "short"
target = "some/model"
context = 1024

[[preset.lane]]
spec = "ar"

[[preset.lane]]
spec = "ngram:k=3"
"""


SHORT = '[[preset]]\nname = "a"\nlike = "short"\n'


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of presets, with a file in it."""
    monkeypatch.setenv("SPECTUI_CONFIG_DIR", str(tmp_path))
    folder = user_folder()
    folder.mkdir()
    (folder / "mine.toml").write_text(MINE)
    return folder


def options(words: str) -> argparse.Namespace:
    return build_parser("run").parse_args(["run", *words.split()])


def test_the_models_that_people_have_are_there() -> None:
    names = set(shipped_presets())
    gemma = {"gemma4-e2b", "gemma4-e4b", "gemma4-12b", "gemma4-26b-a4b", "gemma4-31b"}
    qwen = {"qwen3.6-27b", "qwen3.6-35b-a3b"}
    assert gemma | qwen <= names
    assert {f"{name}-fp8" for name in {"gemma4-26b-a4b", "gemma4-31b"} | qwen} <= names
    assert {"llama3.1-8b", "llama3.3-70b", "qwen3-8b", "gpt-oss-20b"} <= names


@pytest.mark.parametrize("preset", shipped_presets().values(), ids=lambda preset: preset.name)
def test_every_recommendation_names_the_page_that_it_comes_from(preset: listing.Preset) -> None:
    assert preset.lanes[0].spec == "ar"
    assert preset.licence
    assert preset.target in CONFIGS
    assert preset.context is not None
    for lane in preset.lanes:
        if lane.method in ("ar", "ngram"):
            continue
        assert re.match(r"https://\S+$", lane.source), lane.spec
        drafter = parse_lane_spec(lane.spec).options.get("model")
        assert drafter is None or (drafter in CONFIGS and (lane.licence or "licence" in lane.unverified)), lane.spec


@pytest.mark.parametrize("preset", shipped_presets().values(), ids=lambda preset: preset.name)
def test_every_engine_argument_is_one_of_vllms(preset: listing.Preset) -> None:
    if known := vllm_options.engine_arguments():
        assert preset.engine_args.keys() <= known
    assert host_config(options(f"--preset {preset.name}"), gpu=True).target == preset.target.partition("/")[2]


def test_a_dflash_lane_is_built_for_its_drafters_block() -> None:
    for preset in shipped_presets().values():
        for lane in preset.lanes:
            spec = parse_lane_spec(lane.spec)
            if spec.method == "dflash":
                config = CONFIGS[str(spec.options["model"])]
                block = config.get("block_size") or config["dflash_config"]["block_size"]
                assert spec.k_max == block - 1


def test_a_preset_fills_in_what_the_user_left_out() -> None:
    config = host_config(options("--preset qwen3.6-27b-fp8"), gpu=True)
    assert config.target == "Qwen3.6-27B-FP8"
    assert [spec.method for spec in config.specs] == ["ar", "mtp", "dflash"]
    assert {spec.k_source for spec in config.specs} == {"default"}
    assert config.engine_args["max_model_len"] == 4096
    assert config.engine_args["language_model_only"] is True
    assert config.chat.arguments == {"enable_thinking": False}
    mtp = next(spec for spec in host_config(options("--preset gemma4-31b"), gpu=True).specs if spec.method == "mtp")
    assert (mtp.k_start, mtp.k_max) == (4, 8)
    line = config.serve_line(config.specs[1], "Qwen/Qwen3.6-27B-FP8", {1: 3})
    assert "--language-model-only" in line
    assert "--max-model-len 4096" in line


def test_what_the_user_gives_wins() -> None:
    words = "--preset qwen3.6-27b --model other/model --lane ar --lane ngram:k=2 --engine-arg max_model_len=99"
    config = host_config(options(f"{words} --chat-template-arg enable_thinking=true"), gpu=True)
    assert config.target == "model"
    assert [spec.text for spec in config.specs] == ["ar", "ngram:k=2"]
    assert config.specs[1].k_source == "yours"
    assert config.engine_args["max_model_len"] == 99
    assert config.engine_args["language_model_only"] is True
    assert config.chat.arguments == {"enable_thinking": True}
    assert host_config(options("--preset qwen3.6-27b --raw"), gpu=True).chat.arguments == {}


def test_an_unknown_preset_is_refused_with_the_nearest(user: Path) -> None:
    (user / "other.toml").write_text("[[preset]\n")
    for ask in (lane_specs, lambda words: host_config(words, gpu=False)):
        with pytest.raises(UsageError, match=r"'gemma4-31': no such preset: did you mean 'gemma4-31b'\?.*other\.toml"):
            ask(options("--preset gemma4-31"))
    with pytest.raises(UsageError, match=r"'xyz': no such preset; `spectui presets` lists them"):
        lane_specs(options("--preset xyz"))


def test_a_users_preset_may_be_like_another(user: Path) -> None:
    mine = known_presets().by_name["mine"]
    base = shipped_presets()["gemma4-31b-fp8"]
    assert mine.yours
    assert (mine.target, mine.lanes, mine.licence) == ("/data/gemma", base.lanes, base.licence)
    assert mine.engine == {**base.engine, "max_num_seqs": 4}
    # Its memory is not known from that of another one.
    assert mine.memory_gb is None
    assert [spec.text for spec in lane_specs(options("--preset short"))] == ["ar", "ngram:k=3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[preset]\n", r", line 1: not valid TOML: .*"),
        ('[[preset]]\nname = "a"\n\n[other]\n', r": unknown key 'other': presets are in \[\[preset\]\]"),
        ('[[preset]]\nname = "a"\ntarget = "b"\n', r", line 1: preset 'a' needs a target and a \[\[preset\.lane\]\].*"),
        (
            '[[preset]]\nname = "a"\nlike = "nobody"\n',
            r": preset 'a' has like = 'nobody', which is no preset; `spectui presets` lists them",
        ),
        ('[[preset]]\nname = "a b"\n', r", line 2: a preset needs a name of letters.*"),
        (f'{SHORT}traget = "x"\n', r", line 4: unknown key 'traget': did you mean 'target'\?"),
        (f'{SHORT}context = "x"\n', r", line 4: context must be a whole number of tokens"),
        (f"{SHORT}context = 0\n", r", line 4: context must be 1 or more"),
        (f"{SHORT}memory_gb = true\n", r", line 4: memory_gb must be a number.*"),
        (
            f'{SHORT}\n{SHORT}\n[[preset.lane]]\nspec = "mpt:k=2"\n',
            r", line 10: unknown lane method 'mpt': did you mean 'mtp'\? .*",
        ),
        (f"{SHORT}[[preset.lane]]\nspec = 3\n", r", line 4: a \[\[preset\.lane\]\] needs a spec.*"),
        (f'{SHORT}[[preset.lane]]\nspec = "ar"\nk = "3"\n', r", line 6: unknown key 'k' of a lane.*"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_takes_nothing_down(user: Path, text: str, said: str) -> None:
    (user / "x.toml").write_text(text)
    known = known_presets()
    assert {"mine", "short", "gemma4-31b"} <= known.by_name.keys()
    assert len(known.broken) == 1
    assert re.fullmatch(re.escape(str(user / "x.toml")) + said, known.broken[0]), known.broken[0]


def test_a_file_that_cannot_be_read_is_named(user: Path) -> None:
    (user / "x.toml").write_bytes(b"\xff")
    (user / "y.toml").mkdir()
    assert [sentence.partition("cannot be read: ")[2] for sentence in known_presets().broken] == [
        "it is not UTF-8",
        "Is a directory",
    ]


def test_the_presets_are_listed(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user / "x.toml").write_text("[[preset]\n")
    assert main(["presets"]) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert re.search(
        r" 45\.3 GB .* ar, mtp 4-8, dflash 15\*  4,096 +google/gemma-4-31B-it +Apache-2\.0$", rows["gemma4-31b-fp8"]
    )
    assert re.search(r" — +— +ar, ngram 3 +1,024 +some/model +—$", rows["short"])
    assert err.startswith(f"spectui presets: skipped: {user / 'x.toml'}, line 1: not valid TOML: ")
    assert err.count("\n") == 1
    assert main(["presets", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in printed] == list(known_presets().by_name)


def test_one_preset_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "gemma4-31b-redhat"]) == 0
    out = capsys.readouterr().out
    assert "engine      max_model_len=4096, language_model_only=True, quantization=fp8" in out
    assert "unverified  not confirmed by any page: licence, K" in out
    assert out.count("source") == 3
    assert main(["presets", "gemma4-31b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lanes"][1] == {
        "spec": "mtp:model=google/gemma-4-31B-it-assistant,k=8,start=4",
        "method": "mtp",
        "k_max": 8,
        "k": 4,
        "drafter": "google/gemma-4-31B-it-assistant",
        **shipped_presets()["gemma4-31b"].lanes[1].known,
        "gate": "",
        "unverified": "",
    }
    assert main(["presets", "gemma"]) == 2


@pytest.mark.parametrize(("free", "said"), [(80, True), (78, False), (None, None)])
def test_a_preset_fits_with_room_to_work(free: int | None, said: bool | None) -> None:
    preset = shipped_presets()["gemma4-31b"]
    assert preset.memory_gb == 74.7
    assert listing.fits(preset, Device("GPU", None, None if free is None else free * 10**9, gpu=True)) is said
