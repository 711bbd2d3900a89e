"""What a benchmark is not continued on, and how its journal and its checks say what is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.bench.matrix.checks import DISTRIBUTION, GREEDY, REFERENCE, Checked
from spectui.bench.matrix.journal import FILE, Journal, check_free, continue_journal, open_journal
from spectui.bench.matrix.resuming import check_ks, check_same, with_ks
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import GreedyLane, Losslessness, Parting
from spectui.core.lossless.significance import TokenTest
from spectui.errors import RunError, UsageError
from spectui.protocol.events import LaneEngine
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.support.benchmarks import made_up_header, made_up_matrix, made_up_turns

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
        (
            {},
            {"environment": {**HEADER.environment, "settings": {"OMP_NUM_THREADS": "4"}}},
            "r was measured with OMP_NUM_THREADS=2, which is 4 here: set it to 2, or start a new benchmark",
        ),
        (
            {},
            {"environment": {**HEADER.environment, "settings": {"OMP_NUM_THREADS": "2", "KMP_BLOCKTIME": "1"}}},
            "r was measured with no KMP_BLOCKTIME, which is 1 here: unset KMP_BLOCKTIME, or start a new benchmark",
        ),
        (
            {},
            {"lanes": HEADER.lanes[:2]},
            "r was measured on the lanes ar, mtp and dflash, not ar and mtp: start a new benchmark",
        ),
        (
            {},
            {"lanes": (*HEADER.lanes[:2], replace(HEADER.lanes[2], spec="dflash:k=9"))},
            "r was measured with the lane dflash:k=3, which is dflash:k=9 here: start a new benchmark",
        ),
        (
            {},
            {"lanes": (*HEADER.lanes[:2], replace(HEADER.lanes[2], drafter="other"))},
            "r was measured with no drafter for dflash, and here it is other: start a new benchmark",
        ),
        (
            {"lanes": tuple(replace(one, engine=LaneEngine(one.lane, dtype="float32")) for one in HEADER.lanes)},
            {"lanes": tuple(replace(one, engine=LaneEngine(one.lane, dtype="bfloat16")) for one in HEADER.lanes)},
            "r was measured with ar in float32, not in bfloat16: start a new benchmark",
        ),
        (
            {},
            {"max_model_len": 4096},
            "r was measured with max_model_len=2048, and the lanes take 4096 tokens here: start a new benchmark",
        ),
    ],
)
def test_what_differs_is_named_and_what_to_do(before: dict[str, Any], now: dict[str, Any], says: str) -> None:
    with pytest.raises(RunError) as caught:
        check_same(Path("r"), replace(HEADER, **before), replace(HEADER, **now))
    assert str(caught.value) == says


def test_the_same_may_be_continued() -> None:
    check_same(Path("r"), HEADER, replace(HEADER, started="later", command="spectui bench --resume r"))


def test_lanes_are_built_for_every_k_that_was_measured() -> None:
    specs = tuple(map(parse_lane_spec, ("ar", "mtp:k=1", "dflash:k=5,model=x")))
    assert [spec.k_max for spec in with_ks(specs, made_up_matrix())] == [0, 2, 5]


def test_a_k_that_a_lane_cannot_take_is_refused() -> None:
    def lanes(ks: Sequence[int], fixed: str = "") -> list[Any]:
        infos = [SimpleNamespace(name=one.lane) for one in HEADER.lanes]
        return [SimpleNamespace(info=info, ks=ks, fixed_k=fixed) for info in infos]

    check_ks(Path("r"), made_up_matrix(), lanes(range(4)))
    with pytest.raises(RunError, match=r"^r was measured at mtp K=2, which this lane cannot take here \(why\): start"):
        check_ks(Path("r"), made_up_matrix(), lanes((3,), "why"))


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


def test_lanes_that_are_finished_count_although_the_check_is_not(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    real = Parting(0, "math", "What", 3, margin=2.0, behind=2.0)
    journal.add_check(REFERENCE, "", {"tokens": 8, "concurrency": 1, "answers": []})
    assert Checked(journal).lines[1:] == ["  not finished: AR, MTP and DFlash; continue with --resume", ""]
    journal.add_check(GREEDY, "ar", asdict(GreedyLane("ar", "AR", True, 2, 9)))
    journal.add_check(GREEDY, "mtp", asdict(GreedyLane("mtp", "MTP", False, 2, 9, partings=(real,))))
    checked = Checked(open_journal(tmp_path))
    assert checked.greedy is None
    assert checked.failed
    assert checked.failure == "MTP differs from AR"
    assert checked.lines[-2] == "  not finished: DFlash; continue with --resume"
    assert "| MTP | 2 | 1 |" in checked.markdown
    sampled = LaneDistribution("ar", "AR", True, 100, 0.01, 0.0, TokenTest(9.0, 9, 0.0, 4, 100, 0, 0.4))
    journal.add_check(DISTRIBUTION, "ar", asdict(sampled))
    assert Checked(journal).lines[-2] == "  not finished: MTP and DFlash; continue with --resume"
    assert Checked(journal).distribution is None


HOLDS = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_journal_that_another_process_writes_is_not_touched(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.close()
    with journal.path.open("a") as file:
        file.write('{"kind":"turn')
    words = [sys.executable, "-I", "-S", "-c", HOLDS, str(journal.path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert open_journal(tmp_path).header == HEADER
        with pytest.raises(RunError, match="is being measured by another process: wait for its end, or stop it"):
            continue_journal(tmp_path)
        assert journal.path.read_bytes().endswith(b'{"kind":"turn')
        other.communicate()
    continue_journal(tmp_path).close()
    assert journal.path.read_bytes().endswith(b"}\n")


def test_a_line_that_cannot_be_written_whole_is_not_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(tmp_path)
    before = journal.path.read_bytes()
    real, full = os.write, OSError(errno.ENOSPC, "No space left on device")

    def half(fd: int, data: bytes) -> int:
        if len(data) < 10:
            raise full
        return real(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr("spectui.bench.matrix.journal.os.write", half)
        with pytest.raises(OSError, match=r"No space left on device: .*journal\.jsonl"):
            journal.add(made_up_turns(made_up_matrix())[0])
    assert journal.turns == []
    assert journal.path.read_bytes() == before
    journal.add(made_up_turns(made_up_matrix())[0])
    assert len(open_journal(tmp_path).turns) == 1


def test_a_folder_that_cannot_be_written_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UsageError, match=r"^--out .*file: results cannot be written there: it is a file; choose anoth"):
        check_free(file)
    with pytest.raises(UsageError, match=r"file/deep: results cannot be written there: Not a directory; choose a fold"):
        check_free(file / "deep", named=False)
    check_free(tmp_path / "deep" / "down")
    assert sorted(tmp_path.iterdir()) == [file]
    assert file.read_text() == "mine"
