"""``spectui compare`` as a user and a pipeline run it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.compare import FIGURES
from spectui.cli.main import main
from spectui.core.comparison.gate import GATES
from spectui.protocol.events import LaneInfo
from tests.support.drafted_traces import AR, GREEDY, Making, written

pytestmark = pytest.mark.unit

YESTERDAY = Making(sampling=replace(GREEDY, max_tokens=200))
WORSE = replace(YESTERDAY, seed=1, chance={"mtp": lambda category, text, position: 0.45})


@pytest.fixture
def traces(tmp_path: Path) -> tuple[str, str]:
    return str(written(tmp_path / "a.jsonl", YESTERDAY)), str(written(tmp_path / "b.jsonl", WORSE))


def test_what_changed_comes_first_in_80_columns(traces: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *traces]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("From A to B: ")
    assert lines[0].endswith("changes beyond noise")
    assert lines[1].startswith("- mtp: ")
    row = next(line.split() for line in lines if line.startswith("acceptance length"))
    assert row[2] > row[3]
    assert row[-1] == "*"
    assert {
        "Acceptance length by category",
        "Speed-up by category",
        "Acceptance by kind of token",
        "Acceptance by position",
    } <= {line.strip() for line in lines}
    assert max(map(len, lines)) <= 80


def test_data_say_the_same(traces: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *traces, "--json", "--fail-under", "0.98"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["a"], data["b"]) == traces
    changed = {(lane["a"], one["figure"]) for lane in data["lanes"] for one in lane["changes"] if one["changed"]}
    assert ("mtp", "acceptance_length") in changed
    assert data["gate"]["failed"] is True
    assert data["gate"]["lanes"][0]["ratio"] < 0.95


def test_exit_codes_of_a_pipeline(traces: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = traces
    assert main(["compare", a, a, "--fail-under", "1"]) == 0
    assert "mtp: acceptance length of B is 1.000 of A's" in capsys.readouterr().out
    assert main(["compare", a, b, "--fail-under", "0.98"]) == 1
    assert "FAILED" in capsys.readouterr().out
    assert main(["compare", a, b, "--fail-under", "0.5"]) == 0
    assert main(["compare", a, b, "--fail-under", "0.98", "--figure", "speedup"]) == 1
    assert main(["compare", b, a, "--fail-under", "0.98", "--figure", "acceptance-rate"]) == 0
    few = str(written(tmp_path / "few.jsonl", replace(YESTERDAY, prompts=YESTERDAY.prompts[:2])))
    capsys.readouterr()
    assert main(["compare", a, few, "--fail-under", "0.98"]) == 1
    assert "--fail-under cannot judge the acceptance-length of mtp" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "named"), [(1, "1 different prompt"), (2, "2 different prompts")])
def test_what_could_not_be_tested_is_not_called_unchanged(
    count: int, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = str(written(tmp_path / "few.jsonl", replace(YESTERDAY, prompts=YESTERDAY.prompts[:count])))
    assert main(["compare", few, few]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Nothing could be tested: {named}, 3 or more are needed\n")
    assert "beyond noise" not in said
    assert "figures were compared" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-under", "98"], "'98' is not a share above 0 and at most 1"),
        (["--fail-under", "nan"], "'nan' is not a share above 0 and at most 1"),
        (["--figure", "speedup"], "--figure says what --fail-under looks at"),
        (["--lane", "mtp"], "'mtp' does not name two lanes: write A=B"),
        (["--lane", "mtp=mpt"], "B has no lane 'mpt': did you mean 'mtp'?"),
        (["--lane", "mtp=mtp", "--lane", "mtp=ar"], "lane 'mtp' of A is named twice"),
    ],
)
def test_wrong_usage_is_one_line(
    traces: tuple[str, str], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["compare", *traces, *words])
    except SystemExit as ended:
        code = ended.code
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert said in error


def test_files_that_are_no_traces_are_one_line(
    traces: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = tmp_path / "letter.jsonl"
    letter.write_text("Dear Sir\n")
    for path in (letter, tmp_path / "none.jsonl", tmp_path):
        assert main(["compare", traces[0], str(path)]) == 1
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert str(path) in printed.err


def test_a_trace_that_was_cut_off_is_read_as_far_as_it_goes(
    traces: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path(traces[0]).read_bytes()
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(whole[: len(whole) // 2] + b"\x00 nonsense\n" + whole[len(whole) // 2 : -1000])
    assert main(["compare", traces[0], str(cut)]) == 0
    printed = capsys.readouterr()
    assert "no changes beyond noise" in printed.out
    assert "left out: stopped before the end, or steps are missing" in printed.out
    assert "damaged lines" in printed.err or "is broken" in printed.err


def test_names_cannot_touch_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lane, a machine and a category whose names hold escape sequences, and one of wide characters."""
    lane = LaneInfo("\x1b[31mevil", "mtp", "\x1b]0;title\x07", 3, "mtp:k=3")
    chance = {lane.name: YESTERDAY.chance["mtp"]}
    prompts = [(f"p{i}", ("\x1b[2Jcoding", "数学" * 30)[i % 2]) for i in range(8)]
    making = replace(YESTERDAY, lanes=(AR, lane), chance=chance, prompts=prompts, machine="\x1b[1mmachine")
    a, b = written(tmp_path / "a.jsonl", making), written(tmp_path / "b.jsonl", replace(making, machine="other"))
    assert main(["compare", str(a), str(b)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_figures_of_the_command_line_are_those_that_can_be_judged() -> None:
    assert tuple(GATES) == FIGURES
