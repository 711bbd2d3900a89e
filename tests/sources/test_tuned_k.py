"""The K that lanes begin with: the user's, what a search found here, what measured best elsewhere."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spectui.cli.main import build_parser
from spectui.protocol.events import KFigure, TuneEnded, TuneTurn, TuneWhy
from spectui.setup.config import begun, engine_args, lane_specs, tuned_k
from spectui.sources.hardware import hardware_name
from spectui.sources.vllm import tuned_k as room
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos, parse_lane_spec
from spectui.sources.vllm.tuned_k import TunedK

ARGUMENTS = {"dtype": "bfloat16", "enforce_eager": True}
MTP = parse_lane_spec("mtp:k=4", demo=True)
NOON = 1_764_072_000.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own that is not there yet."""
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def known(machine: str = "m", target: str = "t", arguments: dict[str, Any] | None = None, **options: Any) -> TunedK:
    return TunedK(machine, target, arguments or ARGUMENTS, now_s=lambda: NOON, **options)


def ended(k: int, why: TuneWhy = "separated", turns: int = 3, requests: int = 1) -> TuneEnded:
    figures = tuple(KFigure(n, True, 50.0 + n, None, None, None, None, (), None, None, None, None) for n in range(5))
    return TuneEnded("mtp", why, TuneTurn("mtp", requests, turns, (k,), k, figures, 9.0, 60.0))


def found(tuned: TunedK, spec: LaneSpec = MTP, requests: int = 1) -> int | None:
    best = tuned.best(spec, requests)
    return None if best is None else best.k


def test_a_result_is_there_at_the_next_start(cache: Path) -> None:
    assert found(known()) is None
    assert known().remember(MTP, ended(2))
    best = known().best(MTP, 1)
    assert best is not None
    assert (best.k, best.k_max, best.tok_s, best.why, best.when) == (2, 4, 52.0, "separated", "2025-11-25T12:00:00Z")
    assert [path.name for path in cache.iterdir()] == ["tuned-k.json"]


def test_a_newer_result_takes_the_place_of_an_older_one(cache: Path) -> None:
    tuned = known()
    for k in (1, 3, 2):
        assert tuned.remember(MTP, ended(k))
        assert found(tuned) == k
    assert found(known()) == 2
    assert len(json.loads((cache / "tuned-k.json").read_text())["results"]) == 1


@pytest.mark.parametrize(
    ("why", "turns", "kept"),
    [
        ("separated", 2, True),
        ("same", 3, True),
        ("budget", 2, True),
        ("budget", 1, False),
        ("separated", 1, False),
        ("alone", 3, False),
        ("cancelled", 9, False),
        ("cancelled", 0, False),
    ],
)
def test_only_a_search_that_found_something_is_remembered(why: TuneWhy, turns: int, kept: bool, cache: Path) -> None:
    assert known().remember(MTP, ended(2, why, turns)) is kept
    assert cache.exists() is kept


@pytest.mark.parametrize(
    "change",
    [
        {"machine": "another"},
        {"target": "another"},
        {"arguments": {**ARGUMENTS, "dtype": "float32"}},
        {"arguments": {**ARGUMENTS, "quantization": "fp8"}},
        {"arguments": {**ARGUMENTS, "kv_cache_dtype": "fp8"}},
        {"arguments": {**ARGUMENTS, "tensor_parallel_size": 2}},
        {"arguments": {**ARGUMENTS, "enforce_eager": False}},
        {"requests": 4},
        {"spec": parse_lane_spec("dflash", demo=True)},
        {"spec": parse_lane_spec("mtp:model=another/drafter")},
        {"spec": replace(MTP, options={**MTP.options, "draft_tensor_parallel_size": 1})},
    ],
    ids=str,
)
def test_a_result_holds_for_what_it_was_measured_on_only(change: dict[str, Any]) -> None:
    known().remember(MTP, ended(2))
    asked = {"spec": MTP, "requests": 1, **change}
    spec, requests = asked.pop("spec"), asked.pop("requests")
    assert found(known(**asked), spec, requests) is None


def test_k_itself_and_other_words_for_the_same_change_nothing() -> None:
    known(arguments={**ARGUMENTS, "dtype": "half"}).remember(MTP, ended(2, requests=4))
    same = {"dtype": "float16", "enforce_eager": True, "kv_cache_dtype": "auto", "quantization": None, "seed": 7}
    for spec in ("mtp", "mtp:k=7", "mtp:k=3,start=1"):
        assert found(known(arguments=same), parse_lane_spec(spec, demo=True), 4) == 2
    assert known(arguments={}, auto="bfloat16").dtype == "bfloat16"
    assert known(arguments={"dtype": "auto"}).dtype == "auto"


def test_a_drafter_is_known_by_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drafter").mkdir()
    monkeypatch.chdir(tmp_path)
    whole = room.drafter(parse_lane_spec(f"dflash:model={tmp_path}/drafter"))
    assert room.drafter(parse_lane_spec("dflash:model=drafter")) == whole
    assert whole == f"dflash model={tmp_path.resolve()}/drafter"
    assert room.drafter(parse_lane_spec("ngram:min=1,max=3")) == "ngram prompt_lookup_max=3 prompt_lookup_min=1"
    assert room.drafter(MTP) == "mtp model=the demo's"
    for odd in ("~nobodyhere/x", "a" * 5000, "owner/name"):
        assert room.full_name(odd) == odd


def write(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


def one(**change: Any) -> str:
    """A file with one result for `MTP`, changed."""
    result = {
        "machine": "m",
        "target": "t",
        "drafter": room.drafter(MTP),
        "dtype": "bfloat16",
        "engine": "eager",
        "requests": 1,
        "k": 2,
        "k_max": 4,
        "tok_s": 50.0,
    }
    return json.dumps({"format": 1, "results": [{**result, **change}]})


def test_the_file_is_what_these_tests_take_it_for(cache: Path) -> None:
    cache.mkdir()
    (cache / "tuned-k.json").write_text(one())
    assert found(known()) == 2


DAMAGED = {
    "empty": write(""),
    "cut off": write(one()[:40]),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "deep": write("[" * 100_000),
    "a long number": write('{"format": ' + "9" * 5000 + "}"),
    "a list": write("[]"),
    "foreign": write('{"name": "something"}'),
    "no results": write('{"format": 1}'),
    "results of another form": write('{"format": 1, "results": {}}'),
    "too large": write(one() + " " * (1 << 20)),
}


@pytest.mark.parametrize("spoil", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_said_in_the_log_and_written_anew(
    spoil: Callable[[Path], object], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.mkdir()
    spoil(cache / "tuned-k.json")
    assert found(known()) is None
    assert "tuned-k.json cannot be used, so lanes begin with their default K: " in caplog.text
    assert known().remember(MTP, ended(3))
    assert found(known()) == 3


def test_the_file_of_a_newer_version_is_left_alone(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.mkdir()
    newer = '{"format": 2, "results": "of another kind"}'
    (cache / "tuned-k.json").write_text(newer)
    assert not known().remember(MTP, ended(3))
    assert "written by a newer version of SpecTUI" in caplog.text
    assert (cache / "tuned-k.json").read_text() == newer


@pytest.mark.parametrize(
    "change", [{"k": -1}, {"k": 5}, {"k": True}, {"k": "2"}, {"k": None}, {"k_max": 10**9}, {"k": 0, "k_max": 0}]
)
def test_a_result_that_makes_no_sense_is_passed_over(change: dict[str, Any], cache: Path) -> None:
    cache.mkdir()
    (cache / "tuned-k.json").write_text(one(**change))
    assert found(known()) is None


def test_results_that_are_not_understood_are_kept(cache: Path) -> None:
    cache.mkdir()
    others = [7, {"machine": "m", "of": "a later kind"}]
    (cache / "tuned-k.json").write_text(json.dumps({"format": 1, "results": others}))
    assert known().remember(MTP, ended(3))
    assert json.loads((cache / "tuned-k.json").read_text())["results"][:2] == others


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_neither_waited_for_nor_an_error(
    kind: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.mkdir()
    path = cache / "tuned-k.json"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert found(known()) is None
    assert "not a file" in caplog.text
    assert known().remember(MTP, ended(3)) is (kind == "pipe"), "a folder cannot be replaced"
    assert sorted(p.name for p in cache.iterdir()) == ["tuned-k.json"]


def test_a_cache_that_cannot_be_written_is_said_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path / "file"))
    tuned = known()
    assert found(tuned) is None
    assert not tuned.remember(MTP, ended(2))
    assert "the best K cannot be kept in" in caplog.text
    monkeypatch.setenv("SPECTUI_CACHE_DIR", "/proc/cache")
    assert not known().remember(MTP, ended(2))


def test_a_write_that_is_broken_off_leaves_the_file_whole(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known().remember(MTP, ended(2))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not known().remember(MTP, ended(3))
    assert found(known()) == 2
    assert [path.name for path in cache.iterdir()] == ["tuned-k.json"]


WRITER = """
import sys
from tests.sources.test_tuned_k import MTP, ended, known
for requests in range(1, 21):
    assert known(target=sys.argv[1]).remember(MTP, ended(2, requests=requests))
"""


def test_programs_that_write_at_once_lose_nothing(cache: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in ("one", "two")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for name in ("one", "two"):
        assert [found(known(target=name), requests=requests) for requests in range(1, 21)] == [2] * 20


def test_a_program_that_hangs_is_not_waited_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOCK_WAIT_S", 0.0)
    cache.mkdir()
    held = os.open(cache, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert known().remember(MTP, ended(2))
    finally:
        os.close(held)
    assert found(known()) == 2


def test_the_file_stays_small(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_RESULTS", 5)
    for requests in range(1, 10):
        known().remember(MTP, ended(2, requests=requests))
    kept = json.loads((cache / "tuned-k.json").read_text())["results"]
    assert [result["requests"] for result in kept] == [5, 6, 7, 8, 9]


# What lanes begin with


def first(*words: str, dtype: str = "bfloat16", gpu: bool = False) -> list[tuple[str, int, int, str | None]]:
    """(lane, first K, K_max, where it comes from) of ``spectui run WORDS``."""
    options = build_parser().parse_args(["run", "--engine-arg", f"dtype={dtype}", *words])
    tuned = tuned_k(options, engine_args(options, gpu=gpu), gpu=gpu)
    infos = lane_infos(begun(lane_specs(options), tuned, options))
    return [(info.name, info.k_first, info.k_max, info.k_source) for info in infos]


def search(k: int, spec: str, *words: str, dtype: str = "bfloat16", requests: int = 1) -> None:
    """As `a` and ``spectui tune`` do it."""
    options = build_parser().parse_args(["run", "--engine-arg", f"dtype={dtype}", *words])
    tuned = tuned_k(options, engine_args(options, gpu=False), gpu=False)
    assert tuned.remember(parse_lane_spec(spec, demo=options.model is None), ended(k, requests=requests))


@pytest.mark.parametrize(("dtype", "mtp", "dflash"), [("bfloat16", 2, 3), ("float32", 1, 2), ("half", 2, 3)])
def test_each_number_format_has_its_default(dtype: str, mtp: int, dflash: int) -> None:
    expected = [("mtp", mtp, 4, "default"), ("dflash", dflash, 7, "default")]
    assert first(dtype=dtype) == [("ar", 0, 0, None), *expected]
    assert first("--lane", "mtp", "--lane", "dflash", dtype=dtype) == [
        ("mtp", mtp, 2, "default"),
        ("dflash", dflash, 7, "default"),
    ]


def test_where_nothing_was_measured_anywhere_a_lane_begins_with_all_it_is_built_for() -> None:
    assert first("--lane", "ngram") == [("ngram", 5, 5, "default")]
    assert first("--model", "owner/name") == [("ar", 0, 0, None), ("ngram", 5, 5, "default")]
    assert first("--lane", "mtp:model=owner/other") == [("mtp", 2, 2, "default")]


def test_lanes_begin_with_what_a_search_found() -> None:
    search(4, "mtp:k=4")
    search(0, "ngram")
    assert first()[1:] == [("mtp", 4, 4, "tuned"), ("dflash", 3, 7, "default")]
    assert first("--lane", "ngram") == [("ngram", 0, 5, "tuned")]
    assert first(dtype="float32")[1] == ("mtp", 1, 4, "default")
    assert first("--concurrency", "4")[1] == ("mtp", 2, 4, "default")


def test_a_lane_is_built_for_what_a_search_found_beyond_the_usual() -> None:
    search(4, "mtp:k=6")
    assert first("--lane", "mtp") == [("mtp", 4, 6, "tuned")]
    search(2, "mtp:k=6")
    assert first("--lane", "mtp") == [("mtp", 2, 2, "tuned")]


def test_what_the_user_names_wins() -> None:
    search(1, "mtp:k=4")
    assert first("--lane", "mtp:k=3") == [("mtp", 3, 3, "yours")]
    assert first("--lane", "mtp:k=4,start=2") == [("mtp", 2, 4, "yours")]
    assert first("--lane", "mtp:start=0") == [("mtp", 0, 2, "yours")]
    assert first("--lane", "mtp:num_speculative_tokens=3") == [("mtp", 3, 3, "yours")]
    assert first("--lane", "mtp") == [("mtp", 1, 2, "tuned")]


def test_the_same_folder_is_the_same_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    search(3, "ngram", "--model", str(tmp_path / "model"))
    assert first("--model", "model", "--lane", "ngram") == [("ngram", 3, 5, "tuned")]
    assert first("--lane", "ngram") == [("ngram", 5, 5, "default")]


def test_a_start_reads_one_small_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(3, "mtp:k=4")
    reads: list[Path] = []
    read = room._read
    monkeypatch.setattr(room, "_read", lambda path: (reads.append(path), read(path))[1])
    first()
    assert reads == [cache / "tuned-k.json"]


# What the machine is called


def test_processors_of_the_same_name_and_the_gpus_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectui.sources.hardware.machine_name", lambda: "AMD EPYC, 2 cores")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cpuinfo, driver = tmp_path / "cpuinfo", tmp_path / "gpus"
    cpuinfo.write_text("cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\ncpu family\t: 6\n")

    def name(gpu: bool) -> str:
        return hardware_name(gpu=gpu, cpuinfo=cpuinfo, driver=driver)

    assert name(False) == "AMD EPYC, 2 cores, family 25, model 17"
    assert name(True) == "NVIDIA GPU, AMD EPYC, 2 cores, family 25, model 17"
    for place, gpu in (("0000:01:00.0", b"NVIDIA A\xff100"), ("0000:02:00.0", b"NVIDIA H100")):
        (driver / place).mkdir(parents=True)
        (driver / place / "information").write_bytes(b"Model: \t\t " + gpu + b"\nIRQ:   \t\t 1\n")
    assert name(True).startswith("NVIDIA A\ufffd100, NVIDIA H100, AMD EPYC")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert name(True).startswith("NVIDIA A\ufffd100, NVIDIA H100, of which 1, AMD EPYC")
    assert hardware_name(gpu=False, cpuinfo=tmp_path / "none") == "AMD EPYC, 2 cores"
