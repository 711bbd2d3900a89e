"""What changed between two result folders, as a reader and a program see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spectui.bench.differing import diff_folders, diff_markdown
from spectui.core.bench.codec import results_json
from spectui.errors import UsageError
from tests.support import benchmarks
from tests.support.benchmarks import made_up_matrix, made_up_results

pytestmark = pytest.mark.unit


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two benchmarks; in the second one DFlash takes a tenth longer in the target, on another processor."""
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
        results = made_up_results(seed=1)
        header = replace(results.header, device=f"processor {folder.name}")
        (folder / "results.json").write_bytes(results_json(replace(results, header=header)))
        monkeypatch.setattr(benchmarks, "STEP_MS", {**benchmarks.STEP_MS, "dflash": (3.0, 30.8)})
    return a, b


def test_lines_begin_with_what_is_not_the_same(folders: tuple[Path, Path]) -> None:
    a, b = folders
    lines = diff_folders(a, b, as_json=False)
    assert isinstance(lines, list)
    assert lines[0].startswith("From A to B: ")
    assert lines[0].endswith("changes beyond noise")
    assert lines[2:4] == [f"- A: {a}", f"- B: {b}"]
    assert lines[7] == "- device: processor a in A, processor b in B"
    assert any("18 cells are in both; 160 figures were compared repetition by repetition" in line for line in lines)
    row = next(line for line in lines if line.startswith("dflash K=3") and "verify ms" in line)
    assert row.split()[-10:] == ["28.0", "30.8", "+10.0", "%", "+10.0", "%", "to", "+10.0", "%", "*"]
    steady = next(line for line in lines if line.startswith("mtp K=2") and "acceptance length" in line)
    assert "+0.000" in steady
    assert not steady.endswith("*")
    assert max(map(len, lines)) <= 120


def test_data_say_the_same(folders: tuple[Path, Path]) -> None:
    data = json.loads(json.dumps(diff_folders(*folders, as_json=True)))
    assert data["conditions"] == [{"what": "device", "a": "processor a", "b": "processor b"}]
    changed = {(one["metric"], one["variant"]) for one in data["changes"] if one["changed"]}
    assert {("verify_ms", "dflash K=3"), ("step_ms", "dflash K=3"), ("output_throughput", "dflash K=3")} <= changed
    assert {variant for _, variant in changed} == {"dflash K=3"}


def test_markdown_has_a_table(folders: tuple[Path, Path]) -> None:
    text = diff_markdown(*folders)
    assert text.startswith("## From A to B: ")
    assert "| lane | in flight | figure | A | B | change | 95 % |  |" in text
    assert "| dflash K=3 | 1 | verify ms | 28.0 | 30.8 | +10.0 % |" in text


def test_results_may_be_named_by_their_file_and_may_have_nothing_in_common(tmp_path: Path) -> None:
    matrix = made_up_matrix(categories=("qa",))
    (tmp_path / "a.json").write_bytes(results_json(made_up_results()))
    (tmp_path / "b.json").write_bytes(results_json(made_up_results(matrix)))
    text = "\n".join(diff_folders(tmp_path / "a.json", tmp_path / "b.json", as_json=False))
    assert text.startswith("Nothing can be compared: no cell is in both A and B")
    assert "Only in B:\n- ar, 1 in flight: qa" in text.replace("\n\n", "\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no results.json: name a folder that `spectui bench --out` has made"),
        (b"{", "results.json cannot be used: not JSON"),
        (b'{"schema": 99}', "written by a newer version of SpecTUI"),
    ],
)
def test_what_is_no_result_is_named(folders: tuple[Path, Path], content: bytes | None, said: str) -> None:
    a, b = folders
    (b / "results.json").unlink()
    if content is not None:
        (b / "results.json").write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        diff_folders(a, b, as_json=False)
    assert str(b) in str(caught.value)
    with pytest.raises(UsageError, match="no such folder or file"):
        diff_folders(a / "nowhere", b, as_json=True)
