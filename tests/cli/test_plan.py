"""``spectui plan`` and ``run --plan``: what they print, for people and machines, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from spectui.cli.main import main
from tests.support.headers import write_checkpoint
from tests.support.model_configs import CONFIGS

pytestmark = pytest.mark.unit

GEMMA = "google/gemma-4-31B-it"
SHAPES = {
    "model.language_model.layers.0.mlp.up_proj.weight": (300_000, 100_000),
    "model.vision_tower.patch.weight": (1000, 500_000),
}


@pytest.fixture
def gemma(tmp_path: Path) -> str:
    """A folder that says it has the 61 GB of Gemma 4 31B."""
    return str(write_checkpoint(tmp_path / "gemma", CONFIGS[GEMMA], SHAPES))


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, capsys.readouterr().out


def test_a_plan_that_fits(gemma: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = printed(
        capsys, "plan", "--model", gemma, "--lane", "ar", "--lane", "ngram:k=5", "--device-memory", "96GB"
    )
    assert code == 0
    rows = text.splitlines()
    assert rows[:4] == [
        f"{gemma}: 1 request of 2,048 tokens in each lane",
        "a GPU of 96.0 GB: 96.0 GB of 96.0 GB free",
        "",
        "                            target       drafter      KV cache   CUDA graphs      together",
    ]
    heads = ["AR", "n-gram", "process", "work of a step", "total"]
    assert [row[:20].strip() for row in rows[4:9]] == heads
    assert [row.split()[1:6] for row in rows[4:6]] == [
        ["61.0", "GB", "—", "3.72", "GB"],
        ["shared", "—", "3.72", "GB", "est."],
    ]
    # Estimates say so.
    assert all(re.search(r" est\. \d", row) for row in rows[4:8])
    assert re.fullmatch(
        r"It fits: these lanes take \d\d\.\d GB of 96\.0 GB free; 66\.\d GB would do, with smaller caches\.", rows[-1]
    )


def test_a_plan_that_does_not_fit_says_what_to_cut(gemma: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("plan", "--model", gemma, "--lane", "ar", "--lane", "ngram:k=5", "--no-share", "--device-memory", "80GB")
    code, text = printed(capsys, *words)
    assert code == 1
    told = text.splitlines()[-6:]
    assert re.fullmatch(r"It does not fit: 128 GB are needed, 47\.\d GB are missing\.", text.splitlines()[-7])
    assert told[:5] == [
        "",
        "What would help, the least loss first:",
        "  --engine-arg language_model_only=true  saves  2.00 GB          costs images and sound",
        "  --engine-arg max_model_len=1024        saves  1.85 GB          costs long prompts and answers",
        "  --engine-arg quantization=fp8          saves  60.0 GB  enough  costs exactness: the target is quantised",
    ]
    assert re.fullmatch(r"One lane at a time needs 6\d\.\d GB: `spectui run .*` for each, then `.*`", told[5])


def test_a_cache_that_starts_no_lane_is_said(gemma: str, capsys: pytest.CaptureFixture[str]) -> None:
    cache = "kv_cache_memory_bytes=1G"
    _, text = printed(
        capsys, "plan", "--model", gemma, "--lane", "ar", "--engine-arg", cache, "--device-memory", "100GiB"
    )
    assert "AR would not start: its cache must have 1.86 GB at least." in text.splitlines()


def test_machines_get_bytes(gemma: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model", gemma, "--lane", "ar", "--concurrency", "2", "--json")
    code, text = printed(capsys, "plan", *words, "--device-memory", "50GB")
    plan = json.loads(text)
    assert (code, plan["fits"], plan["hopeless"]) == (1, False, True)
    assert plan["device"] == {"name": "a GPU of 50.0 GB", "total": 50 * 10**9, "free": 50 * 10**9, "gpu": True}
    (lane,) = plan["lanes"]
    assert (lane["lane"], lane["target"], lane["drafter"]) == ("ar", 61_000_000_000, 0)
    assert lane["kv_needed"] > lane["kv_least"] == lane["kv"] > lane["request_bytes"]
    assert plan["short"] == plan["needed"] - 50 * 10**9
    assert [cut["flags"] for cut in plan["cuts"]][:2] == ["--engine-arg language_model_only=true", "--concurrency 1"]
    assert plan["flags"] == "--engine-arg quantization=fp8"


def test_a_run_can_be_planned_before_it_starts(gemma: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = printed(capsys, "run", "--plan", "--model", gemma, "--lane", "ar", "--json")
    plan = json.loads(text)
    assert plan["device"]["name"] == "memory of this machine"
    assert code == (1 if plan["fits"] is False else 0)


def test_a_model_whose_weights_cannot_be_seen_is_neither_here_nor_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint(tmp_path / "bare", CONFIGS[GEMMA], SHAPES)
    (folder / "model.safetensors").unlink()
    code, text = printed(capsys, "plan", "--model", str(folder), "--lane", "ar", "--device-memory", "80GB")
    assert code == 0
    assert text.splitlines()[-2:] == [
        f"Not known: the weights of '{folder}' have no headers that can be read.",
        "Whether it fits is not known.",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--device-memory", "much"), 2, "argument --device-memory: 'much' is not a size such as 80GB or 24GiB"),
        (("--device-memory", "80"), 2, "argument --device-memory: '80' has no unit: write 80GB"),
        (("--device-memory", "0"), 2, "argument --device-memory: '0' is not a size such as 80GB or 24GiB"),
        (("--model", "nobody/nothing"), 1, "spectui plan: model 'nobody/nothing' was not found"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(["plan", *words])
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    assert ended == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [("80GB", 80 * 10**9), ("24GiB", 24 << 30), ("1.5g", 1_500_000_000), ("512 MiB", 512 << 20)],
)
def test_sizes_of_memory(text: str, size: int) -> None:
    from spectui.setup.values import memory_size

    assert memory_size(text) == size
