"""What a benchmark is not continued on, and how its journal and its checks say what is wrong."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from spectui.bench.matrix.checks import DISTRIBUTION, GREEDY, Checked
from spectui.bench.matrix.journal import FILE, Journal, open_journal
from spectui.bench.matrix.resuming import check_same
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import GreedyLane, Losslessness, Parting
from spectui.core.lossless.significance import TokenTest
from spectui.errors import RunError
from tests.support.benchmarks import made_up_header, made_up_matrix

pytestmark = pytest.mark.unit

HEADER = made_up_header(made_up_matrix())


def environment(**versions: str) -> dict[str, Any]:
    return {**HEADER.environment, "versions": versions}


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (
            {"environment": environment(python="3.11", vllm="0.32.0")},
            {"environment": environment(python="3.11", vllm="0.33.0")},
            "r was measured with vllm 0.32.0, and vllm 0.33.0 is installed: install vllm 0.32.0, "
            "or start a new benchmark",
        ),
        (
            {"environment": environment(torch="2.11", vllm="0.32.0")},
            {"environment": environment(torch="2.12")},
            "r was measured with torch 2.11 and vllm 0.32.0, and torch 2.12 and no vllm are installed: "
            "install torch 2.11 and vllm 0.32.0, or start a new benchmark",
        ),
        (
            {"device": "an H100"},
            {"device": "an H200"},
            "r was measured on another device (an H100; this is an H200): start a new benchmark",
        ),
        (
            {},
            {"prompts": replace(HEADER.prompts, digest="1" * 64)},
            "the prompts are not those r was measured on: use the same prompts, or start a new benchmark",
        ),
    ],
)
def test_what_differs_is_named_and_what_to_do(before: dict[str, Any], now: dict[str, Any], says: str) -> None:
    with pytest.raises(RunError) as caught:
        check_same(Path("r"), replace(HEADER, **before), replace(HEADER, **now))
    assert str(caught.value) == says


def test_the_same_may_be_continued() -> None:
    check_same(Path("r"), HEADER, replace(HEADER, started="later", command="spectui bench --resume r"))


def begun(folder: Path) -> Journal:
    journal = Journal(folder, HEADER, made_up_matrix())
    journal.begin()
    return journal


def test_a_journal_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    path = begun(tmp_path).path
    whole = path.read_text()
    path.write_text(whole + "{}\n")
    with pytest.raises(
        RunError, match=rf"{FILE}, line 2 cannot be read: .*; restore the file, or start a new benchmar"
    ):
        open_journal(tmp_path)
    path.write_text(whole.replace('"schema":1', '"schema":99', 1))
    with pytest.raises(RunError, match=r"newer version of SpecTUI \(schema 99, known up to 1\): update SpecTUI"):
        open_journal(tmp_path)


def test_a_failed_check_names_the_lanes(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    assert Checked(journal).failure == ""
    real = Parting(0, "math", "What", 3, margin=2.0, behind=2.0)
    lanes = (GreedyLane("ar", "AR", True, 2, 9), GreedyLane("mtp", "MTP", False, 2, 9, partings=(real,)))
    journal.add_check(GREEDY, "", asdict(Losslessness(lanes, 8, 1)))
    assert Checked(journal).failure == "MTP differs from AR"
    sampled = (LaneDistribution("dflash", "DFlash", False, 100, 0.01, 0.0, TokenTest(90.0, 9, 0.0, 4, 100, 0, 1e-9)),)
    journal.add_check(DISTRIBUTION, "", asdict(DistributionCheck(sampled, 1.0, 1.0, 0, 2, 1)))
    assert Checked(journal).failure == "MTP and DFlash differ from AR"
    journal.add_check(GREEDY, "", asdict(Losslessness((replace(lanes[0], partings=(real,)), lanes[1]), 8, 1)))
    assert Checked(journal).failure == "AR differs from itself"
