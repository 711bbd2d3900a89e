"""What `spectui tune` prints."""

from dataclasses import replace
from pathlib import Path

import pytest

from spectui.bench.report import tuning_lines
from spectui.bench.searches import Check, Found
from spectui.bench.tune import prompt_groups
from spectui.protocol.events import KFigure, Prompt

FIGURES = tuple(
    KFigure(
        k, k == 1, 30.0 + k, 29.0 + k, 31.0 + k, 1 + k / 30, None, (), 0.002, 0.02, 0.025, 31.5, 1.1 + k / 10, 1.0, 1.3
    )
    for k in range(2)
)
FOUND = Found("mtp", "mtp:k=1", 4, "separated", 1, 5, 12.5, FIGURES, running=(1,), ar_tok_s=27.0)


def test_a_search_is_a_table_and_a_line_to_paste() -> None:
    lines = tuning_lines([FOUND], {"mtp": "vllm serve x"})
    assert lines[0] == (
        "mtp:k=1, 4 requests in flight: best K = 1, 1.20 times AR (1.00 to 1.30); the others are slower (5 turns, 12 s)"
    )
    assert lines[2].split() == ["AR", "27.0"]
    assert lines[3].split()[:2] == ["-", "0"]
    assert lines[4].split()[:8] == ["*", "1", "31.0", "(30.0", "to", "32.0)", "1.20", "1.03"]
    assert lines[-1] == "vllm serve x"
    assert tuning_lines([FOUND], {"mtp": "# measured so\nvllm serve x"})[-2:] == ["# measured so", "vllm serve x"]


def test_where_a_result_is_remembered_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path))
    lines = tuning_lines([FOUND, replace(FOUND, remembered=True)], {"mtp": "vllm serve x"})
    assert f"Saved in {tmp_path / 'tuned-k.json'}: lanes for which you name no K begin with the K found." in lines
    assert lines[-1] == "vllm serve x"
    assert not any(line.startswith("Saved") for line in tuning_lines([FOUND], {}))


def test_categories_are_searched_behind_all_together() -> None:
    prompts = [Prompt("a", "math"), Prompt("b", "coding"), Prompt("c", "math")]
    assert list(prompt_groups(prompts, by_category=False)) == [""]
    groups = prompt_groups(prompts, by_category=True)
    assert {name: "".join(p.text for p in group) for name, group in groups.items()} == {
        "": "abc",
        "math": "ac",
        "coding": "b",
    }
    named = tuning_lines([replace(FOUND, category="math")], {})
    assert named[0].startswith("mtp:k=1, math prompts, 4 requests in flight")


def test_a_check_says_how_far_off_search_and_model_were() -> None:
    checked = replace(FOUND, check=Check(0, 0.021, {0: 32.0, 1: 31.3}, {1: 30.0}))
    lines = tuning_lines([checked], {"mtp": "vllm serve x"})
    assert lines[5] == "     -  dropped early: tok/s estimated from its ratio to the best K on shared prompts"
    assert "in a sweep over every K the fastest was K = 0; K = 1 was 2.1% slower" in lines[6]
    assert lines[8].split() == ["0", "32.0", "—"]
    assert lines[9].split() == ["1", "31.3", "30.0", "(-4.2%)"]
