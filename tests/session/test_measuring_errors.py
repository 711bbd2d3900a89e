"""What the shell gets when a measurement cannot be made: the sentences of a race, a line for each lane, and the log."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.session.program import PROMPT_S, SPECTUI, START_S, environment, log_of, without_a_terminal

NO_MODEL = r"model 'nobody/nothing' was not found: no folder of that name, .* HF_HUB_OFFLINE is set; check .*"
NO_ROOM = (
    r"its KV cache is too small for one full answer: raise --engine-arg kv_cache_memory_bytes=\.\.\. or lower "
    r"--engine-arg max_model_len=\.\.\."
)
DETAILS = r" \(details in (.*)\)"


def sentences(ended: subprocess.CompletedProcess[str], code: int, folder: Path) -> list[str]:
    """What is on standard error beside the progress, without the log's name, which each of them has."""
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stdout + ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("spectui ")]
    assert set(ended.stderr.splitlines()) - set(lines) <= {
        line for line in ended.stderr.splitlines() if re.match(r"(loading|starting) |\w+ at \d+: turn ", line)
    }
    for line in lines:
        found = re.search(DETAILS + "$", line)
        assert found is not None, line
        assert Path(found[1]).is_relative_to(folder / "logs")
    return [re.sub(DETAILS + "$", "", line) for line in lines]


@pytest.mark.parametrize("command", ["tune", "calibrate"])
def test_a_model_that_is_not_there(tmp_path: Path, command: str) -> None:
    ended = without_a_terminal(tmp_path, command, "--model", "nobody/nothing", "--lane", "ngram", timeout=PROMPT_S)
    [said] = sentences(ended, 1, tmp_path)
    assert re.fullmatch(f"spectui {command}: {NO_MODEL}", said)
    assert ended.stdout == ""


def test_a_measurement_without_room_for_its_log(tmp_path: Path) -> None:
    ended = without_a_terminal(tmp_path, "tune", env={"SPECTUI_LOG_DIR": "/proc/logs"}, timeout=PROMPT_S)
    assert ended.returncode == 1
    assert re.fullmatch(r"spectui tune: no log can be kept in /proc/logs \(No such .*\): set .*\n", ended.stderr)


def test_lanes_that_cannot_be_tuned_leave_the_others(demo_model: Path, tmp_path: Path) -> None:
    """One does not load, one dies in mid-search; the search of the third one is printed, also for machines."""
    words = ["tune", "--lane", "dflash:model=/nowhere,k=5"]
    words += ["--lane", "custom_class:model=tests.session.failing_drafter.Drafter,k=1"]
    words += ["--lane", "ngram:k=1", "--k", "0,1", "--budget", "1", "--prompt", "Count.", "--json"]
    ended = without_a_terminal(tmp_path, *words, "--no-self-test")
    said = sentences(ended, 1, tmp_path)
    assert said == [
        "spectui tune: DFlash failed: drafter '/nowhere' was not found: no such folder, check the path",
        "spectui tune: custom drafter failed: its engine died: the drafter lost its thread",
    ]
    result = json.loads(ended.stdout)
    assert [search["lane"] for search in result["searches"]] == ["ngram"]
    assert list(result["serve"]) == ["ngram"]
    assert [re.sub(DETAILS, "", line) for line in result["failed"]] == [line.partition(": ")[2] for line in said]
    assert "the drafter lost its thread" in log_of(tmp_path)


@pytest.mark.parametrize(
    ("part", "said"),
    [("race", f"AR failed: {NO_ROOM}"), ("screen", f"the headless process: lane ar failed: {NO_ROOM}")],
)
def test_too_little_memory_to_calibrate(demo_model: Path, tmp_path: Path, part: str, said: str) -> None:
    words = ("calibrate", "--only", part, "--lane", "ar", "--engine-arg", "kv_cache_memory_bytes=1000")
    [line] = sentences(without_a_terminal(tmp_path, *words), 1, tmp_path)
    assert re.fullmatch(f"spectui calibrate: {said}", line), line


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("tune", "--lane", "ngram:k=1"), "loading AR"),
        (("calibrate", "--only", "race", "--lane", "ar"), "loading AR"),
        (("calibrate", "--only", "screen", "--lane", "ar"), "starting the headless process"),
    ],
    ids=("tune", "calibrate", "calibrate the screen"),
)
def test_ctrl_c_while_it_loads(demo_model: Path, tmp_path: Path, words: tuple[str, ...], first: str) -> None:
    command = [SPECTUI, *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment(tmp_path), cwd=tmp_path, **pipes) as program:
        assert program.stderr is not None
        assert program.stderr.readline() == f"{first}\n"
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=PROMPT_S)
    assert (program.returncode, out, errors) == (128 + signal.SIGINT, "", "")


def test_a_race_of_a_user_without_a_name_and_a_home(demo_model: Path, tmp_path: Path) -> None:
    made_up = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    if shutil.which("unshare") is None or subprocess.run([*made_up, "true"], capture_output=True).returncode:
        pytest.skip("a user cannot be made up here")
    settings = environment(tmp_path)
    for name in ("HOME", "SPECTUI_LOG_DIR", "VLLM_CACHE_ROOT"):
        settings.pop(name, None)
    ended = subprocess.run(
        [*made_up, SPECTUI, "--lane", "ar", "--max-tokens", "4"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=settings,
        cwd=tmp_path,
        timeout=START_S,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"^ar +— +4 ", ended.stdout, re.M)
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert list((tmp_path / "tmp").glob("spectui-*/.local/state/spectui/log/*.log"))
